"""Settings that were given and change nothing, beside what else was chosen."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from distbelief.app.settings.config import RunConfig
from distbelief.app.settings.downpour import DownpourSettings
from distbelief.app.settings.objective import ObjectiveSettings
from distbelief.app.settings.rounds import RoundSettings
from distbelief.app.settings.sections import HybridSettings, SandblasterSettings

#: Settings of Downpour that Sandblaster has, too: the processes to start, and the examples from
#: which statistics of the batch are made.
SHARED = ("replicas", "batch_size")

#: Terms of the function that is minimised, whoever minimises it; who has which is checked.
OBJECTIVE = ("l1", "l2")

_STEPS = {
    *DownpourSettings.model_fields,
    *RoundSettings.model_fields,
    *ObjectiveSettings.model_fields,
    "passes",
    "table_numbers",
}.difference(SHARED, OBJECTIVE)

#: Who heeds each setting that not everybody does: the values of another one, looked at in turn.
HEEDED: Mapping[str, Mapping[str, Sequence[str]]] = {
    "algorithm": {
        **dict.fromkeys(sorted(_STEPS), ("downpour", "hybrid")),
        **dict.fromkeys(SandblasterSettings.model_fields, ("sandblaster", "hybrid")),
        **dict.fromkeys(HybridSettings.model_fields, ("hybrid",)),
    },
    "optimizer": {
        "initial_accumulator": ("adagrad",),
        "epsilon": ("adagrad", "rmsprop", "adam"),
        "momentum": ("momentum",),
        "smoothing": ("rmsprop",),
        "beta1": ("adam",),
        "beta2": ("adam",),
        "weight_decay": ("adam",),
        "ftrl_beta": ("ftrl",),
        "ftrl_l1": ("ftrl",),
        "ftrl_l2": ("ftrl",),
    },
    "model": {
        "hidden": ("mlp", "wide_deep"),
        "activation": ("mlp", "wide_deep"),
        "init": ("mlp", "wide_deep"),
        "rank": ("fm",),
        "embedding": ("wide_deep",),
        "spread": ("fm", "wide_deep"),
        "module": ("torch",),
        "loss": ("torch",),
    },
}


def unheeded(config: RunConfig) -> dict[str, list[str]]:
    """The settings that were given, are not the default, and change nothing.

    By the setting that was chosen otherwise.
    """
    found: dict[str, list[str]] = {}
    for choice, heeded in HEEDED.items():
        chosen, known = getattr(config, choice), {*found.get("algorithm", ())}
        names = [name for name in heeded if chosen not in heeded[name] and name not in known]
        if given := [name for name in names if _is_given(config, name)]:
            found[choice] = given
    return found


def unheeded_sentences(config: RunConfig) -> Iterator[str]:
    """What is said of them: which they are, why, and what would heed them."""
    for choice, names in unheeded(config).items():
        *others, last = (f"{name} = {_shown(getattr(config, name))}" for name in names)
        shown = f"{', '.join(others)} and {last}" if others else last
        heeding = [*dict.fromkeys(each for name in names for each in HEEDED[choice][name])]
        chosen, them = getattr(config, choice), "it" if len(names) == 1 else "them"
        verb = "has" if len(names) == 1 else "have"
        yield (
            f"{shown} {verb} no effect with {choice} = {chosen}: leave {them} out, or choose "
            f"{choice} = {' or '.join(heeding)}"
        )


def _is_given(config: RunConfig, name: str) -> bool:
    field = RunConfig.model_fields[name]
    return name in config.model_fields_set and getattr(config, name) != field.default


def _shown(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return ",".join(map(str, value)) if isinstance(value, tuple) else str(value)
