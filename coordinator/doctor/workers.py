"""The workers: who is there, with which versions, on which queues, and what they can see."""

from __future__ import annotations

import time
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from distbelief.app.broker.application import DOWNPOUR, EVALUATION, SANDBLASTER
from distbelief.app.client.servers import Servers
from distbelief.app.errors import ExitCode
from distbelief.app.layout.keys import MAILBOXES
from distbelief.app.settings.config import RunConfig
from distbelief.coordinator.doctor.clocks import ClockFacts
from distbelief.coordinator.doctor.findings import Finding, error, note, ok, warning
from distbelief.coordinator.runs.messages import ANSWER_S, Messages, shared_names

#: How long a worker may take to open the data, converting them if it must.
TRIAL_S = 30.0
POLL_S = 0.3

START = "start one with 'celery -A distbelief worker'"


@dataclass(frozen=True)
class Expected:
    """The facts that workers must share; ``fingerprint`` is None where no data are named."""

    versions: Mapping[str, str]
    queues: frozenset[str]
    fingerprint: str | None = None


@dataclass(frozen=True)
class WorkerFacts:
    """Facts on one worker. ``answer`` is empty if it did not understand the question.

    ``trial`` is what :func:`distbelief.worker_tasks.examination.try_run` found there, None if
    no run was described, and ``{"pending": True}`` if it took too long.
    """

    name: str
    answer: Mapping[str, Any]
    clock: ClockFacts | None = None
    trial: Mapping[str, Any] | None = None


@dataclass(frozen=True)
class Fleet:
    """All workers of a broker. ``silent`` are known to it, and give no answer."""

    broker: str
    workers: tuple[WorkerFacts, ...]
    silent: tuple[str, ...] = field(default=())


def gather(messages: Messages, control: Servers, config: RunConfig | None) -> Fleet:
    """Ask all workers, and have each try the data and the model of ``config``.

    Raises ServerUnreachable if the broker does not answer.
    """
    question, text = uuid.uuid4().hex, config.model_dump_json() if config is not None else ""
    before = time.time()
    answers = messages.answers("distbelief_examine", question=question, config=text)
    middle, uncertain = (before + time.time()) / 2, (time.time() - before) / 2
    trials = _trials(messages, question, answers) if config is not None else {}
    workers = tuple(
        WorkerFacts(
            name,
            answer if "versions" in answer else {},
            ClockFacts(name, answer["time"] - middle, uncertain) if "time" in answer else None,
            trials.get(name),
        )
        for name, answer in sorted(answers, key=lambda each: each[0])
    )
    silent = tuple(sorted(_known(control) - {name for name, _ in answers}))
    return Fleet(control.addresses[0], workers, silent)


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
    if not fleet.workers:
        what = f"no worker answers at {fleet.broker}"
        return [*found, error("workers", what, START, ExitCode.NO_WORKERS)]
    listened = set().union(*(each.answer.get("queues", expected.queues) for each in fleet.workers))
    if lacking := expected.queues - listened:
        what = f"nobody listens on {', '.join(sorted(lacking))}"
        found.append(error("workers", what, START, ExitCode.NO_WORKERS))
    for sentence in shared_names(each.name for each in fleet.workers):
        what, _, todo = sentence.partition(": ")
        found.append(warning("workers", f"{what}, and only one was asked for data and model", todo))
    for worker in fleet.workers:
        found += _judge(worker, expected)
    return found


def needed_queues(config: RunConfig | None) -> frozenset[str]:
    """The queues that a run needs, or all of them."""
    algorithms = (DOWNPOUR, SANDBLASTER) if config is None else (config.algorithm,)
    return frozenset({*algorithms, EVALUATION})


def _judge(worker: WorkerFacts, expected: Expected) -> list[Finding]:
    subject, answer = f"worker {worker.name}", worker.answer
    if not answer:
        what = "it does not understand the question: it runs an older version of this program"
        return [error(subject, what, "install the coordinator's version", ExitCode.NO_WORKERS)]
    found = [*_versions(subject, answer["versions"], expected.versions), _cores(subject, answer)]
    if threads := {name: n for name, n in answer["threads"].items() if n != "1"}:
        what = f"{', '.join(f'{name}={n}' for name, n in threads.items())} is set there"
        found.append(note(subject, f"{what}; its processes use one thread each all the same"))
    return [*found, *_trial(subject, worker.trial, expected)]


def _versions(subject: str, there: Mapping[str, str], here: Mapping[str, str]) -> list[Finding]:
    different = {name for name in here if there.get(name) != here[name]}
    told = [
        f"{name} {there.get(name, 'unknown')} (here {here[name]})"
        for name in here
        if name in different
    ]
    if different & {"distbelief", "code"}:
        what = f"it runs another version of this program: {', '.join(told)}"
        todo = "install the same version on coordinator and workers, and restart the workers"
        return [error(subject, what, todo, ExitCode.NO_WORKERS)]
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


def _trial(subject: str, trial: Mapping[str, Any] | None, expected: Expected) -> list[Finding]:
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
    return [ok(subject, "it sees the same data, and can build the model")]


def _trials(
    messages: Messages, question: str, answers: Sequence[tuple[str, Mapping[str, Any]]]
) -> dict[str, dict[str, Any]]:
    """Ask for the results of the trials, as far as they end in time."""
    waiting = {name for name, answer in answers if "versions" in answer}
    found: dict[str, dict[str, Any]] = {}
    deadline = time.monotonic() + TRIAL_S
    while waiting:
        last = time.monotonic() > deadline
        told = messages.ask("distbelief_examined", to=sorted(waiting), question=question, last=last)
        found |= {name: told.get(name, {"pending": True}) for name in waiting}
        waiting = {name for name in waiting if "pending" in found[name]}
        if last:
            break
        if waiting:
            time.sleep(POLL_S)
    return found


def _known(control: Servers) -> set[str]:
    """The workers whose mailboxes the broker has; one that was killed stays among them."""
    members = control.one("SMEMBERS", MAILBOXES)
    boxes = (member.decode().split("\x06\x16")[-1] for member in members)
    return {box.removesuffix(".celery.pidbox") for box in boxes if box.endswith(".celery.pidbox")}
