"""The words of other libraries for our settings: a hint for whoever writes one of them.

Words are compared without case, hyphens and underscores: ``batchSize`` is ``batch_size``.
"""

from __future__ import annotations

import difflib
import string
from collections.abc import Callable, Collection

#: By our setting, its names in scikit-learn, PyTorch, Keras, XGBoost and SciPy.
SYNONYMS = {
    "activation": "activation_function nonlinearity",
    "algorithm": "algo method",
    "batch_size": "batch minibatch mini_batch minibatch_size mini_batch_size bs train_batch_size "
    "per_device_train_batch_size",
    "broker": "broker_url redis redis_url",
    "celery_app": "celery app celery_application",
    "checkpoint_seconds": "checkpoint_every checkpoint_interval checkpoint_freq save_every "
    "save_freq save_interval save_steps",
    "clip_norm": "clip clipnorm clip_grad clip_gradient clip_grad_norm grad_clip grad_clip_norm "
    "gradient_clip gradient_clip_norm gradient_clip_val gradient_clipping max_grad_norm",
    "control": "control_server control_url ledger",
    "data": "dataset train_data training_data train_set data_file data_path train_file",
    "decrease_tolerance": "ftol tolerance_change",
    "embedding": "embedding_dim embedding_size embed_dim emb_dim",
    "epsilon": "eps",
    "evaluate_every": "eval_every eval_freq eval_interval eval_steps evaluation_interval "
    "validation_freq validation_interval check_val_every_n_epoch",
    "folder": "checkpoint_dir log_dir logdir model_dir output_dir run_dir save_dir workdir",
    "gradient_tolerance": "gtol pgtol tolerance_grad",
    "hidden": "hidden_layer_sizes hidden_layers hidden_sizes hidden_size hidden_units hidden_dim "
    "hidden_dims n_hidden layer_sizes layers units",
    "history": "history_size lbfgs_memory maxcor memory m num_corrections",
    "holdout": "test_size test_split test_fraction holdout_size holdout_fraction "
    "validation_split validation_fraction validation_size val_split val_fraction val_size",
    "holdout_data": "eval_data eval_set val_data validation_data validation_set",
    "init": "initializer initialization kernel_initializer weight_init",
    "initial_accumulator": "initial_accumulator_value",
    "init_from": "init_model pretrained pretrained_model initial_model from_checkpoint",
    "keep_checkpoints": "max_to_keep save_total_limit",
    "l1": "l1_reg l1_regularization lambda_l1 reg_alpha",
    "l2": "l2_reg l2_regularization l2_penalty lambda lambda_l2 reg reg_lambda reg_param "
    "regularization",
    "learning_rate": "lr lrate eta eta0 step_size stepsize base_lr learn_rate learning_rate_init "
    "initial_learning_rate init_lr",
    "learning_rate_decay": "lr_decay decay decay_rate",
    "schedule": "lr_schedule lr_scheduler learning_rate_schedule scheduler",
    "standardize": "standardise standardization normalize scale_features standard_scaler",
    "max_seconds": "max_time max_runtime time_limit time_budget timeout walltime",
    "max_staleness": "staleness staleness_bound staleness_threshold max_delay",
    "metric": "metrics scoring eval_metric monitor",
    "metrics_port": "prometheus_port port",
    "model": "arch architecture estimator model_name model_type net network",
    "model_options": "model_args model_kwargs model_params",
    "n_fetch": "fetch_every fetch_interval pull_every pull_interval",
    "n_push": "push_every push_interval accumulate_grad_batches communication_period "
    "gradient_accumulation_steps sync_period",
    "outer_learning_rate": "outer_lr server_lr server_learning_rate",
    "outer_momentum": "server_momentum",
    "outer_optimizer": "outer_optim server_optimizer",
    "optimizer": "optim opt optimiser update_rule",
    "output": "model_file model_path output_file out save_path save_to",
    "parameter_servers": "ps ps_hosts ps_urls",
    "passes": "epoch epochs n_epoch n_epochs nb_epoch num_epoch num_epochs max_epoch max_epochs "
    "num_train_epochs n_passes num_passes",
    "precision": "dtype float_type",
    "processes": "concurrency cores cpus n_cpus num_cpus n_processes num_processes nproc "
    "nproc_per_node",
    "rank": "factors n_factors num_factors latent_dim",
    "replicas": "n_replicas num_replicas world_size",
    "round_steps": "local_steps inner_steps sync_every local_updates sync_steps",
    "split": "order_by sort_by split_by stratify stratified time_column timestamp_column",
    "seed": "random_seed random_state manual_seed rng rng_seed",
    "servers": "n_servers num_servers num_ps n_parameter_servers num_parameter_servers",
    "shards": "n_shards num_shards num_partitions",
    "smoothing": "rho",
    "spread": "init_scale init_std init_stdev",
    "tensorboard": "tb tb_dir tensorboard_dir tensorboard_log",
    "threshold": "cutoff decision_threshold",
    "wire": "compression fp16_compression gradient_compression quantization wire_dtype",
}

#: Sentences for words that are no plain synonyms, with our settings in braces.
SENTENCES = {
    "c": "set {l2} = 1 / (C * n), n being the number of training examples",
    "alpha": "set {l2} to the alpha of scikit-learn's SGDClassifier, or to alpha / batch_size of "
    "its MLPClassifier",
    "penalty": "set {l2}, or with {algorithm} sandblaster {l1}; {optimizer} ftrl has {ftrl_l1} "
    "and {ftrl_l2}",
    "l1_ratio": "set {l1} (with {algorithm} sandblaster) and {l2} themselves",
    "wd": "{optimizer} adam has {weight_decay}; for all others there is {l2}",
    "dropout dropout_rate": "there is no dropout in our models: {l2} and {patience} keep them from "
    "overfitting, and {module} may be one of PyTorch that has dropout",
    "early_stopping early_stopping_patience early_stopping_rounds n_iter_no_change "
    "max_no_improvement": "{patience} is how many held-out evaluations without a better one end "
    "it, {evaluate_every} how often they come",
    "tol tolerance": "Sandblaster has {gradient_tolerance} and {decrease_tolerance}, Downpour ends "
    "by {patience} or {target}",
    "max_iter max_iters max_iterations maxiter max_steps n_iter n_iterations n_steps "
    "num_iterations num_steps steps": "at most so many {iterations} of Sandblaster, or {passes} of "
    "Downpour over the data",
    "n_jobs n_workers num_workers workers": "{replicas} are trained at once (Downpour), "
    "{processes} are those of the worker that starts with the run",
    "n_threads nthread num_threads threads": "a worker process has one thread: {processes} says "
    "how many of them start",
    "n_estimators n_trees num_boost_round num_round max_depth num_leaves": "there are no trees "
    "here: {passes} says how often a model sees the data",
    "cuda device gpu gpus use_gpu accelerator": "workers compute on CPUs, and models of PyTorch "
    "({model} torch) on a GPU where a worker has one",
    "loss_fn loss_function criterion": "a model decides its loss; that of a module of PyTorch is "
    "{loss}",
    "solver": "{algorithm} is downpour, sandblaster or hybrid; {optimizer} is the update rule of "
    "Downpour",
    "nesterov nesterovs_momentum": "{momentum} is the classical one; Nesterov's is an "
    "{outer_optimizer} of rounds",
    "amsgrad": "there is no AMSGrad: {optimizer} adam is Adam, or AdamW with {weight_decay}",
    "beta": "Adam has {beta1} and {beta2}, FTRL has {ftrl_beta}",
    "betas": "Adam has {beta1} and {beta2}",
    "clip_value clipvalue": "gradients are clipped by their length: {clip_norm}",
    "warmup warmup_steps warmup_epochs num_warmup_steps": "{warm_up} are passes in which the rate "
    "rises, {warm_start_steps} are steps that one replica takes alone before the others start",
    "resume resume_from resume_from_checkpoint": "the command resume goes on with a run, "
    "{init_from} is a saved model to start from",
    "warm_start": "{init_from} is a saved model to start from, {warm_start_steps} are steps that "
    "one replica takes alone before the others start",
    "shuffle": "minibatches are always shuffled, in an order that {seed} decides",
    "classes n_classes num_classes": "the classes in a file are counted; else give classes with "
    "{data_options}",
    "task": "give task=regression or task=classification with {data_options}, where targets do not "
    "show it",
    "label label_column target_column": "give target=COLUMN of a file with {data_options}",
    "sample_weight weight weights weight_column weight_col": "give weight=COLUMN of a file with "
    "{data_options}, or data=(features, targets, weights) in Python; {class_weight} is for classes",
    "bias fit_intercept intercept": "all our models have a bias",
    "verbose verbosity quiet silent log_level": "the command line shows progress, and prints its "
    "result for machines with --json; a program hears of progress by say= and on_status=",
}


def advice(word: str, known: Collection[str], written: Callable[[str], str] = str) -> str | None:
    """A sentence on what to write instead of ``word``; None if nothing known resembles it.

    Args:
        word: a name that is no setting.
        known: the names that may stand in its place.
        written: how a name is written there: as it is, or as a flag.
    """
    plain = _plain(word)
    if plain in _SENTENCES:
        sentence = _SENTENCES[plain]
        names = settings_in(sentence)
        fits = all(name in known for name in names)
        return sentence.format_map({name: written(name) for name in names}) if fits else None
    near = _NAMES.get(plain) or _nearest(plain, known)
    return f"did you mean '{written(near)}'?" if near and near in known else None


def settings_in(sentence: str) -> list[str]:
    """Our settings that a sentence names in braces."""
    return [name for _, name, _, _ in string.Formatter().parse(sentence) if name]


def _nearest(plain: str, known: Collection[str]) -> str | None:
    names = {_plain(name): name for name in known}
    near = difflib.get_close_matches(plain, names, n=1)
    return names[near[0]] if near else None


def _plain(word: str) -> str:
    return word.lower().replace("-", "").replace("_", "")


_NAMES = {_plain(word): name for name, words in SYNONYMS.items() for word in words.split()}
_SENTENCES = {_plain(word): text for words, text in SENTENCES.items() for word in words.split()}
