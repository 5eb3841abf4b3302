"""The workers: who is there, with which versions, on which queues, and what they can see."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from distbelief.app.broker.messages import DOWNPOUR, EVALUATION, SANDBLASTER
from distbelief.app.client.servers import Servers
from distbelief.app.datasets.examples.compatibility import Compatibility
from distbelief.app.errors import ExitCode
from distbelief.app.layout.tensors import TensorSpec
from distbelief.app.models.sources import differing
from distbelief.app.runs.roster import shown
from distbelief.app.settings.config import RunConfig
from distbelief.coordinator.doctor.clocks import ClockFacts
from distbelief.coordinator.doctor.findings import Finding, error, failed, note, ok, warning
from distbelief.coordinator.doctor.introductions import introduce, seen_text, server_objections
from distbelief.coordinator.doctor.preflight import start_command
from distbelief.coordinator.runs.messages import ANSWER_S, Messages, shared_names

#: How long a worker may take to open the data, converting them if it must.
TRIAL_S = 30.0
POLL_S = 0.3


@dataclass(frozen=True)
class Expected:
    """The facts that workers must share.

    ``fingerprint`` is None where no data are named; ``modules`` are digests of the user's own,
    ``tensors`` those of the model; ``servers`` are the addresses of the parameter servers.
    """

    versions: Mapping[str, str]
    queues: frozenset[str]
    fingerprint: str | None = None
    modules: Mapping[str, str] = field(default_factory=dict)
    tensors: Sequence[TensorSpec] | None = None
    servers: Sequence[str] = ()


@dataclass(frozen=True)
class WorkerFacts:
    """Facts on one worker. ``answer`` is empty if it did not understand the question.

    ``trial`` is what :func:`distbelief.worker_tasks.examination.try_run` found there, None if
    no run was described, and ``{"pending": True}`` if it took too long. ``introduction`` is what
    it says of the parameter servers, None if it was not asked.
    """

    name: str
    answer: Mapping[str, Any]
    clock: ClockFacts | None = None
    trial: Mapping[str, Any] | None = None
    introduction: Mapping[str, Any] | None = None


@dataclass(frozen=True)
class Fleet:
    """All workers of a broker. ``silent`` are known to it, and give no answer.

    ``marked`` are the parameter servers that workers could recognise; ``celery_app`` is the
    application whose workers they are, if it is not ours.
    """

    broker: str
    workers: tuple[WorkerFacts, ...]
    silent: tuple[str, ...] = field(default=())
    marked: frozenset[int] = frozenset()
    celery_app: str | None = None


def gather(
    messages: Messages,
    servers: Servers,
    config: RunConfig | None,
    fits: Compatibility | None = None,
) -> Fleet:
    """Ask all workers how they see ``servers``, and have each try data and model of ``config``.

    ``fits`` is what the data must fit.

    Raises ServerUnreachable if the broker does not answer.
    """
    question, text = uuid.uuid4().hex, config.model_dump_json() if config is not None else ""
    words: dict[str, Any] = {"question": question, "config": text}
    if fits is not None:  # a word that workers of older programs do not understand
        words["fits"] = json.dumps(fits.to_json())
    before = time.time()
    answers = messages.answers("examine", **words)
    middle, uncertain = (before + time.time()) / 2, (time.time() - before) / 2
    understood = sorted({name for name, answer in answers if "versions" in answer})
    told, marked = introduce(messages, servers, understood)
    trials = _trials(messages, question, understood) if config is not None else {}
    workers = tuple(
        WorkerFacts(
            name,
            answer if "versions" in answer else {},
            ClockFacts(name, answer["time"] - middle, uncertain) if "time" in answer else None,
            trials.get(name),
            told.get(name),
        )
        for name, answer in sorted(answers, key=lambda each: each[0])
    )
    seen = messages.seen()
    known = {shown(worker) for worker in (*seen.present, *seen.silent)}
    silent = tuple(sorted(known - {name for name, _ in answers}))
    return Fleet(messages.address, workers, silent, frozenset(marked), messages.celery_app)


def judge(fleet: Fleet, expected: Expected) -> list[Finding]:
    """The findings on all workers, and on each."""
    found = [
        warning(
            f"worker {name}",
            f"it listened to this broker, and gives no answer within {ANSWER_S:g} s",
            "look whether it is frozen or cut off; if it was killed, all is well",
        )
        for name in fleet.silent
    ]
    start = f"start one with '{start_command(fleet.celery_app, expected.queues)}'"
    if not fleet.workers:
        what = f"no worker answers at {fleet.broker}"
        return [*found, error("workers", what, start, ExitCode.NO_WORKERS)]
    listened = set().union(*(each.answer.get("queues", expected.queues) for each in fleet.workers))
    if lacking := expected.queues - listened:
        what = f"nobody listens on {', '.join(sorted(lacking))}"
        found.append(error("workers", what, start, ExitCode.NO_WORKERS))
    for sentence in shared_names(each.name for each in fleet.workers):
        what, _, todo = sentence.partition(": ")
        found.append(warning("workers", f"{what}, and only one was asked for data and model", todo))
    for worker in fleet.workers:
        found += _judge(worker, expected, fleet.marked)
    return found


def needed_work(config: RunConfig | None) -> frozenset[str]:
    """The kinds of work that a run needs, or all of them."""
    stages = (DOWNPOUR, SANDBLASTER) if config is None else config.stages
    return frozenset({*stages, EVALUATION})


def _judge(worker: WorkerFacts, expected: Expected, marked: frozenset[int]) -> list[Finding]:
    subject, answer = f"worker {worker.name}", worker.answer
    if not answer:
        what = "it does not understand the question: it runs an older version of this program"
        return [error(subject, what, "install the coordinator's version", ExitCode.MISMATCH)]
    found = [*_versions(subject, answer["versions"], expected.versions), _cores(subject, answer)]
    if threads := {name: n for name, n in answer["threads"].items() if n != "1"}:
        what = f"{', '.join(f'{name}={n}' for name, n in threads.items())} is set there"
        found.append(note(subject, f"{what}; its processes use one thread each all the same"))
    found += _servers(worker, expected.servers, marked)
    return [*found, *_trial(worker, expected)]


def _servers(
    worker: WorkerFacts, addresses: Sequence[str], marked: frozenset[int]
) -> list[Finding]:
    """Whether it reaches the parameter servers, in our order, and how fast."""
    subject, told = f"worker {worker.name}", worker.introduction
    if not addresses:
        return []
    if told is None or "identity" not in told:
        todo = "install the coordinator's version, and restart the worker"
        return [warning(subject, "it does not say how it sees the parameter servers", todo)]
    objections = server_objections(worker.name, told, addresses, marked)
    if objections:
        return [failed(subject, each) for each in objections]
    found = [ok(subject, f"it reaches the parameter servers in our order: {seen_text(told)}")]
    if unmarked := [each for index, each in enumerate(addresses) if index not in marked]:
        what = f"whether {', '.join(unmarked)} is the same server there could not be seen"
        found.append(warning(subject, what, "let its user SET keys: see deploy/parameters.acl"))
    return found


def _versions(subject: str, there: Mapping[str, str], here: Mapping[str, str]) -> list[Finding]:
    different = {name for name in here if there.get(name) != here[name]}
    told = [
        f"{name} {there.get(name, 'unknown')} (here {here[name]})"
        for name in here
        if name in different
    ]
    unread = "" in (there.get("code"), here.get("code"))
    if unread:  # then the version has to do
        different -= {"code"}
    if different & {"distbelief", "code"}:
        what = f"it runs another version of this program: {', '.join(told)}"
        todo = "install the same version on coordinator and workers, and restart the workers"
        return [error(subject, what, todo, ExitCode.MISMATCH)]
    if unread:
        what = "there is no source to compare here or there: only the versions are known to agree"
        return [note(subject, what, "install from a wheel or a checkout, with the .py files")]
    if told:
        what = f"it has other versions: {', '.join(told)}"
        todo = "install the same; runs work, but need not be repeatable to the bit"
        return [warning(subject, what, todo)]
    return [ok(subject, f"the same versions (distbelief {here['distbelief']})")]


def _cores(subject: str, answer: Mapping[str, Any]) -> Finding:
    processes, cores = answer["processes"], answer["cores"]
    queues = ", ".join(answer["queues"])
    what = f"{processes} processes on {cores} cores, queues {queues}"
    if processes > cores:
        return warning(subject, what, f"processes wait for one another: --concurrency {cores}")
    return ok(subject, what)


def _trial(worker: WorkerFacts, expected: Expected) -> list[Finding]:
    subject, trial = f"worker {worker.name}", worker.trial
    if trial is None:
        return []
    if "pending" in trial or "error" in trial:
        why = trial.get("error", f"still at it after {TRIAL_S:g} s")
        what = f"whether it can open data and model is not known: {why}"
        return [warning(subject, what, "try again; the first time converts the data")]
    if "data" in trial:
        todo = "give it the data under the same path"
        return [error(subject, f"it cannot open the data: {trial['data']}", todo, ExitCode.DATA)]
    if expected.fingerprint not in (None, trial["fingerprint"]):
        what = (
            f"its data differ from the coordinator's: fingerprint {trial['fingerprint']}, "
            f"here {expected.fingerprint}"
        )
        return [error(subject, what, "give it the same files", ExitCode.DATA)]
    if "model" in trial:
        todo = "install what it needs there"
        return [
            error(subject, f"it cannot build the model: {trial['model']}", todo, ExitCode.MODEL)
        ]
    return _model(subject, trial, expected)


def _model(subject: str, trial: Mapping[str, Any], expected: Expected) -> list[Finding]:
    """Whether it imports the same sources, and builds the same tensors."""
    todo = "bring the same files to both, and restart the workers"
    modules = trial.get("modules", {})
    if names := differing(modules, expected.modules):
        first = names[0]
        what = (
            f"it imports another {' and another '.join(names)} than the coordinator: digest "
            f"{modules[first]}, here {expected.modules[first]}"
        )
        return [error(subject, what, todo, ExitCode.MISMATCH)]
    tensors = [[each.name, list(each.shape)] for each in expected.tensors or ()]
    if expected.tensors is not None and trial.get("tensors", tensors) != tensors:
        what = f"its model has the tensors {trial['tensors']}, here {tensors}"
        return [error(subject, what, todo, ExitCode.MISMATCH)]
    found = [ok(subject, "it sees the same data, and can build the same model")]
    if unread := [
        name for name in expected.modules if "" in (expected.modules[name], modules.get(name))
    ]:
        what = f"the source of {', '.join(unread)} cannot be read: it could not be compared"
        found.append(note(subject, what))
    return found


def _trials(
    messages: Messages, question: str, workers: Collection[str]
) -> dict[str, dict[str, Any]]:
    """Ask for the results of the trials, as far as they end in time."""
    waiting = set(workers)
    found: dict[str, dict[str, Any]] = {}
    deadline = time.monotonic() + TRIAL_S
    while waiting:
        last = time.monotonic() > deadline
        told = messages.ask("examined", to=sorted(waiting), question=question, last=last)
        found |= {name: told.get(name, {"pending": True}) for name in waiting}
        waiting = {name for name in waiting if "pending" in found[name]}
        if last:
            break
        if waiting:
            time.sleep(POLL_S)
    return found
