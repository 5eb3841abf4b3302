"""The tables of a report, as texts: the result of a run, its settings, its machines."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from distbelief.app.runs.snapshot import RunState
from distbelief.app.settings.config import SECTIONS
from distbelief.coordinator.progress.digits import NEVER_SCORED, brief, figure
from distbelief.coordinator.progress.network import network_text
from distbelief.coordinator.progress.outcome import UNITS
from distbelief.coordinator.progress.program import command
from distbelief.coordinator.report.hindsight import hindsight
from distbelief.coordinator.report.history import History
from distbelief.coordinator.report.plots.throughput import rate
from distbelief.coordinator.sandblaster.dispatch_log import Fate

#: Events in the table of a run.
MOST_EVENTS = 200

#: Seconds that are worth a word.
FORGOTTEN_S = 0.5

#: Kinds of events for which another word says more.
KINDS = {
    "resent": "sent again",
    "repeated": "sent again",
    "lost": "data lost",
    "handover": "handed over",
}


@dataclass(frozen=True)
class TableRow:
    """A name and a text for each run; ``changed`` where one is not the default."""

    name: str
    texts: tuple[str, ...]
    default: str = ""
    changed: bool = False


@dataclass(frozen=True)
class Happened:
    """An event: seconds of training, time of day, what."""

    time_s: str
    clock: str
    kind: str
    text: str


def summary(histories: Sequence[History]) -> list[TableRow]:
    """The result of each run; lines that say nothing of any run are left out."""
    found = [_summary(history) for history in histories]
    names = list(dict.fromkeys(name for facts in found for name in facts))
    rows = [TableRow(name, tuple(facts.get(name, "") for facts in found)) for name in names]
    return [row for row in rows if any(row.texts)]


def _summary(history: History) -> dict[str, str]:
    config, outcome, after = history.config, history.outcome, hindsight(history)
    facts = {
        "held-out": _heldout(history),
        "test": brief(outcome["test"]) if outcome.get("test") else "",
        "warning": str(outcome.get("warning", "")),
        "saved model": _kept(history),
        "model file": str(history.model_file or ""),
        "ended": _ended(history),
        "so far": "" if outcome else _so_far(history),
        "to try next": after.try_next,
        "to go on": _going_on(history),
        "run before": after.earlier,
        "time": _time(history),
        "algorithm": str(config.get("algorithm", "")),
        "model": _model(history),
        "data": _data(history),
        "note": str(config.get("note", "")),
    }
    work = history.work
    if work:
        workers = {each.worker for each in work}
        facts["throughput"] = f"{rate(history):,.0f} examples/s, worker processes: {len(workers)}"
    if history.iterations:
        last = history.iterations[-1]
        facts["objective"] = (
            f"{last.loss:.10g} after {last.number} iterations, gradient norm "
            f"{last.gradient_norm:.3g}"
        )
    if history.units:
        pushes = sum(unit.pushes for unit in history.units)
        facts["pushes"] = f"{pushes:,} in {len(history.units):,} units"
        if (goodput := history.units[-1].goodput) is not None:
            facts["goodput"] = f"{goodput:.0%} of the steps that worker processes could have made"
        used = history.units[-1].network
        facts["network"] = network_text(used.bytes_a_step, used.waiting)
    if history.evaluations:
        facts["batch"] = _batch(history)
    return facts


def _going_on(history: History) -> str:
    """The command that goes on with a run that did not finish."""
    state = history.outcome.get("state")
    if history.folder is None or history.running or state == RunState.FINISHED:
        return ""
    if history.diverged:
        return ""  # it would again
    found = command("resume", history.run, folder=history.folder)
    return found if state else f"{found}, if its coordinator was killed"


def _so_far(history: History) -> str:
    """How far a run is that has not ended."""
    config = history.config
    if history.iterations:
        return f"iteration {history.iterations[-1].number} of {config.get('iterations', 0):,}"
    if not history.units:
        return ""
    passes = max(unit.seen for unit in history.units) / history.n_train
    return f"{passes:.3g} of {config.get('passes') or 0:,} passes"


def _heldout(history: History) -> str:
    """The figures of the saved model, and what is right without any."""
    found = history.outcome.get("heldout")
    if not found:
        return _last_score(history)
    known = found.get("baseline")
    if known is None:
        return brief(found)
    always = "mean: rmse" if "rmse" in found else "commonest class: accuracy"
    return f"{brief(found)} (always the {always} {figure(known)})"


def _kept(history: History) -> str:
    """Which of its evaluations is that of the model that was saved."""
    kept, unit = history.kept, UNITS.get(str(history.config.get("algorithm")), "passes")
    if kept is None:
        return ""
    last = history.heldout[-1]
    when = f"{kept.place:.3g} of {last.place:.3g} {unit}"
    return f"evaluation {kept.number} of {last.number}, after {when}"


def _time(history: History) -> str:
    """As the coordinator counts it, which leaves out what a kill made it forget."""
    counted = float(history.outcome.get("seconds", history.ended_s))
    text = f"{counted:.1f} s of training"
    if history.ended_s - counted < FORGOTTEN_S:
        return text
    return f"{text}; {history.ended_s:.1f} s with what was made again after a kill"


def _model(history: History) -> str:
    name = str(history.config.get("model", ""))
    parameters = history.environment[-1].get("parameters") if history.environment else None
    return f"{name}, {parameters:,} parameters" if isinstance(parameters, int) else name


def _data(history: History) -> str:
    name = str(history.config.get("data", ""))
    last = history.environment[-1] if history.environment else {}
    counts = (last.get("training_examples"), last.get("heldout_examples"))
    if not all(isinstance(count, int) for count in counts):
        return name
    return f"{name}: {counts[0]:,} training and {counts[1]:,} held-out examples"


def _ended(history: History) -> str:
    outcome = history.outcome
    if not outcome:
        return "not yet" if history.running else "not yet, or its coordinator was killed"
    why = outcome.get("reason") or outcome.get("error")
    return f"{outcome['state']}: {why}" if why else str(outcome["state"])


def _last_score(history: History) -> str:
    if history.diverged:
        return f"none: the training diverged{_before(history)}"
    if not history.heldout:
        return NEVER_SCORED if history.model_file else ""
    last = history.heldout[-1]
    return f"{brief(last.measures) if last.finite else 'not finite'} (last evaluation)"


def _before(history: History) -> str:
    """The last score of a run that diverged which was one of a model."""
    finite = [each for each in history.heldout if each.finite]
    if not finite:
        return " before any evaluation" if not history.heldout else ""
    last, unit = finite[-1], UNITS.get(str(history.config.get("algorithm")), "passes")
    return f"; after {last.place:.3g} {unit} it had {brief(last.measures)}"


def _batch(history: History) -> str:
    again = [each for found in history.evaluations for each in found.repeated]
    won = sum(each.fate is Fate.WON for each in again)
    text = f"{len(history.evaluations):,} evaluations"
    return f"{text}; portions sent again: {len(again)}, of which {won} counted" if again else text


def settings(histories: Sequence[History]) -> list[TableRow]:
    """Every setting in the order of the help, those of another version last."""
    documents = [{**history.cluster, **history.config} for history in histories]
    defaults = {
        name: field.default for section in SECTIONS for name, field in section.model_fields.items()
    }
    names = list(dict.fromkeys([*defaults, *(name for each in documents for name in each)]))
    rows = []
    for name in names:
        values = [each.get(name) for each in documents if name in each]
        if not values:
            continue  # it may hold a password, and was never written down
        default = _text(defaults.get(name))
        texts = tuple(_text(each[name]) if name in each else "" for each in documents)
        changed = any(text != default for text in texts)
        rows.append(
            TableRow(name, texts, default if name in defaults else "(unknown here)", changed)
        )
    return rows


def environment(histories: Sequence[History]) -> list[TableRow]:
    """Versions and machines, of the last coordinator of each run."""
    found = [_environment(history) for history in histories]
    names = list(dict.fromkeys(name for facts in found for name in facts))
    return [TableRow(name, tuple(facts.get(name, "") for facts in found)) for name in names]


def _environment(history: History) -> dict[str, str]:
    if not history.environment:
        return {}
    last = history.environment[-1]
    facts = {"python": str(last.get("python", ""))}
    facts |= {str(name): str(text) for name, text in dict(last.get("packages") or {}).items()}
    facts["coordinator"] = f"{last.get('host', '')}, {last.get('cores', '?')} cores"
    facts["platform"] = str(last.get("platform", ""))
    control = last.get("control_server") or {}
    facts["control server"] = f"{control.get('version', '')} at {control.get('address', '')}"
    for index, server in enumerate(last.get("parameter_servers") or ()):
        text = f"{server.get('version', '')} at {server.get('address', '')}"
        text += f", {server.get('engine', '')} engine"
        why = server.get("why")
        facts[f"parameter server {index}"] = f"{text} ({why})" if why else text
    facts["workers"] = ", ".join(sorted({each.worker for each in history.work})[:MOST_EVENTS])
    return facts


def events(history: History) -> tuple[list[Happened], int]:
    """The last events, and how many there are before them."""
    shown = history.marks[-MOST_EVENTS:]
    rows = [
        Happened(
            f"{each.time_s:,.1f}",
            time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(each.at)),
            KINDS.get(each.kind, each.kind),
            each.text,
        )
        for each in shown
    ]
    return rows, len(history.marks) - len(shown)


def _text(value: Any) -> str:
    """As the help and a TOML file would write it."""
    if value is None or value in ((), [], {}):
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, list | tuple):
        return ", ".join(map(_text, value))
    if isinstance(value, dict):
        return ", ".join(f"{name}={_text(each)}" for name, each in value.items())
    return str(value)
