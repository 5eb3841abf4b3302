"""The workers: who is there, with which versions, on which queues, and what they can see."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from distbelief.app.broker.messages import DOWNPOUR, EVALUATION, SANDBLASTER
from distbelief.app.client.servers import Servers
from distbelief.app.datasets.examples.compatibility import Compatibility
from distbelief.app.datasets.examples.schema import Schema
from distbelief.app.datasets.reading.access import ROOTS_VARIABLE
from distbelief.app.errors import ExitCode
from distbelief.app.runs.roster import shown
from distbelief.app.settings.config import RunConfig
from distbelief.coordinator.doctor.clocks import ClockFacts
from distbelief.coordinator.doctor.findings import Finding, error, failed, note, ok, warning
from distbelief.coordinator.doctor.introductions import introduce, seen_text, server_objections
from distbelief.coordinator.doctor.preflight import start_command
from distbelief.coordinator.doctor.trials import Expected, ask_for_trials, judge_trial
from distbelief.coordinator.runs.messages import ANSWER_S, Messages, shared_names

#: Versions that are told where all is well.
SHOWN = ("distbelief", "python", "numpy")


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
    staged: Schema | None = None,
) -> Fleet:
    """Ask all workers how they see ``servers``, and have each try data and model of ``config``.

    ``fits`` is what the data must fit. If they are ``staged``, of that schema, workers do not look
    for them.

    Raises ServerUnreachable if the broker does not answer.
    """
    question, text = uuid.uuid4().hex, config.model_dump_json() if config is not None else ""
    words: dict[str, Any] = {"question": question, "config": text}
    if fits is not None:  # a word that workers of older programs do not understand
        words["fits"] = json.dumps(fits.to_json())
    if staged is not None:
        words["staged"] = json.dumps(staged.to_json())
    before = time.time()
    answers = messages.answers("examine", **words)
    middle, uncertain = (before + time.time()) / 2, (time.time() - before) / 2
    understood = sorted({name for name, answer in answers if "versions" in answer})
    told, marked = introduce(messages, servers, understood)
    trials = ask_for_trials(messages, question, understood) if config is not None else {}
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
    if answer.get("open_to"):
        what = (
            f"{answer['open_to']} reaches it, and {ROOTS_VARIABLE} is not set there: it opens "
            "whatever its user may read if a run says so"
        )
        todo = f"set {ROOTS_VARIABLE}=/data in its environment, and restart it: docs/security.md"
        found.append(warning(subject, what, todo))
    return [*found, *judge_trial(subject, worker.trial, expected)]


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
    names = ", ".join(f"{name} {here[name]}" for name in SHOWN if name in here)
    return [ok(subject, f"the same versions ({names})")]


def _cores(subject: str, answer: Mapping[str, Any]) -> Finding:
    processes, cores = answer["processes"], answer["cores"]
    queues = ", ".join(answer["queues"])
    what = f"{processes} processes on {cores} cores, queues {queues}"
    if processes > cores:
        return warning(subject, what, f"processes wait for one another: --concurrency {cores}")
    return ok(subject, what)
