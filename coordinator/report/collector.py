"""From the events of a run to the lists of its history."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

from distbelief.coordinator.progress.events import Event
from distbelief.coordinator.progress.network import NetworkUse
from distbelief.coordinator.report.clock import Clock
from distbelief.coordinator.report.history import (
    Dispatch,
    EvaluatedBatch,
    HeldoutPoint,
    Iteration,
    Mark,
    UnitDone,
)
from distbelief.coordinator.report.secrets import without_secrets
from distbelief.coordinator.sandblaster.dispatch_log import Fate

#: What stands beside the measures of two classes, and is none.
NO_MEASURES = frozenset({"auc_exact", "threshold", "positive"})

#: Kinds of events that are not worth a line each, beside those that have a figure.
ROUTINE = frozenset({"checkpoint"})


class Collector:
    """Collects the events of a journal."""

    def __init__(self) -> None:
        self.clock = Clock()
        #: Passes of Downpour before L-BFGS began; an iteration counts as one more.
        self._passes_before = 0.0
        self._n_train = math.nan
        self._evaluated = 0
        self.environment: list[Mapping[str, Any]] = []
        self.units: list[UnitDone] = []
        self.iterations: list[Iteration] = []
        self.heldout: list[HeldoutPoint] = []
        self.evaluations: list[EvaluatedBatch] = []
        self.marks: list[Mark] = []
        #: By the fence of each start, what a coordinator's seconds have to be raised by.
        self.shifts: dict[int, float] = {}
        self.damaged = 0

    def skip(self) -> None:
        """Count something that was no event at all."""
        self.damaged += 1

    def add(self, event: Event) -> None:
        """Take in an event; one that is not as it should be is counted and passed over."""
        fields = without_secrets(dict(event.fields))
        take: Callable[[Event, dict[str, Any]], None] = getattr(
            self, f"_take_{event.kind}", self._take_other
        )
        try:
            take(event, fields)
        except (KeyError, TypeError, ValueError, AttributeError, IndexError, OverflowError):
            self.damaged += 1

    def _take_surroundings(self, event: Event, fields: dict[str, Any]) -> None:
        self.clock.stop()
        self.environment.append(fields)
        self._n_train = float(fields["training_examples"])

    def _take_start(self, event: Event, fields: dict[str, Any]) -> None:
        told = float(fields.get("training_s", 0.0))
        time_s = self.clock.start(event.at, told)
        first, self.shifts[int(fields["fence"])] = not self.shifts, time_s - told
        text = "the training began" if first else "resumed: a coordinator went on with the run"
        kind = "start" if first else "resumed"
        self.marks.append(Mark(time_s, event.at, kind, f"{text}, fence {fields['fence']}"))

    def _take_unit(self, event: Event, fields: dict[str, Any]) -> None:
        examples = int(fields["examples"])
        used = self.units[-1].network if self.units else NetworkUse()
        self.units.append(
            UnitDone(
                time_s=self.clock.told(fields["training_s"]),
                seen=float(fields["passes"]) * self._n_train,
                worker=str(fields["worker"]),
                seconds=float(fields["seconds"]),
                examples=examples,
                loss=float(fields["loss_sum"]) / examples if examples else math.nan,
                pushes=int(fields["pushes"]),
                staleness=Counter({int(k): int(n) for k, n in fields["staleness"].items()}),
                goodput=None if (share := fields.get("goodput")) is None else float(share),
                network=used.with_unit(fields),
            )
        )
        if fields["refused"]:
            text = f"unit {fields['unit']}: {fields['refused']} updates refused, not finite"
            self.marks.append(Mark(self.clock.now, event.at, "refused", text))

    def _take_iteration(self, event: Event, fields: dict[str, Any]) -> None:
        self._evaluated += int(fields["evaluations"])
        self.iterations.append(
            Iteration(
                time_s=self.clock.told(fields["training_s"]),
                seen=(self._passes_before + self._evaluated) * self._n_train,
                number=int(fields["iteration"]),
                loss=float(fields["loss"]),
                gradient_norm=float(fields["gradient_norm"]),
                step=float(fields["step"]),
                evaluations=int(fields["evaluations"]),
            )
        )

    def _take_evaluation(self, event: Event, fields: dict[str, Any]) -> None:
        measures = {
            name: math.nan if value is None else float(value)
            for name, value in fields["measures"].items()
            if name not in NO_MEASURES
        }
        self.heldout.append(
            HeldoutPoint(
                number=int(fields["number"]),
                place=float(fields["passes"]),
                time_s=self.clock.told(fields["seconds"]),
                seen=self._seen_after(float(fields["passes"])),
                loss=measures.get("loss", math.nan),
                measures=measures,
            )
        )

    def _seen_after(self, passes: float) -> float:
        """Examples seen after so many passes, or iterations."""
        in_downpour = bool(self.units) and passes <= self._passes_before
        if in_downpour or not self.iterations:
            return passes * self._n_train
        number = round(passes - self._passes_before)
        seen = (each.seen for each in reversed(self.iterations) if each.number == number)
        return next(seen, math.nan)

    def _take_handover(self, event: Event, fields: dict[str, Any]) -> None:
        self._passes_before, self._evaluated = float(fields["passes"]), 0
        time_s = self.clock.told(fields["training_s"])
        text = f"L-BFGS goes on after {self._passes_before:.3g} passes: {fields['why']}"
        self.marks.append(Mark(time_s, event.at, event.kind, text))

    def _take_portions(self, event: Event, fields: dict[str, Any]) -> None:
        workers = [*fields["workers"], ""]  # -1 is nobody
        dispatches = [
            Dispatch(portion, number, workers[worker], sent, began, ended, Fate(fate))
            for portion, number, worker, sent, began, ended, fate in fields["dispatches"]
        ]
        time_s, seconds = self.clock.at(event.at), float(fields["seconds"])
        found = EvaluatedBatch(int(fields["evaluation"]), time_s, seconds, dispatches)
        self.evaluations.append(found)
        if found.repeated:
            # Backups are routine; that a worker failed, or was never heard of again, is not.
            fates = {each.fate for each in found.dispatches}
            kind = "resent" if fates & {Fate.FAILED, Fate.UNANSWERED} else "repeated"
            self.marks.append(Mark(time_s, event.at, kind, _repeats(found)))

    def _take_other(self, event: Event, fields: dict[str, Any]) -> None:
        if event.kind in ROUTINE:
            return
        text = TEXTS.get(event.kind, _plain)(fields)
        self.marks.append(Mark(self.clock.at(event.at), event.at, event.kind, text))


def _repeats(evaluation: EvaluatedBatch) -> str:
    again = evaluation.repeated
    won = sum(each.fate is Fate.WON for each in again)
    failed = [each for each in evaluation.dispatches if each.fate is Fate.FAILED]
    silent = [each for each in evaluation.dispatches if each.fate is Fate.UNANSWERED]
    text = f"evaluation {evaluation.number}: portions sent again {len(again)}, of these won {won}"
    text += f", without any answer {len(silent)}" if silent else ""
    where = ", ".join(sorted({each.worker for each in failed}))
    return text + (f", failed {len(failed)} on {where}" if failed else "")


def _resent(fields: Mapping[str, Any]) -> str:
    if not fields.get("worker"):
        return f"unit {fields['unit']} sent again: no worker took it"
    attempt, worker = fields["attempt"], fields["worker"]
    return f"unit {fields['unit']} sent again: attempt {attempt} on {worker} did not finish it"


def _end(fields: Mapping[str, Any]) -> str:
    state = str(fields["state"])
    why = fields.get("reason") or fields.get("error")
    return f"{state}: {why}" if why else state


def _plain(fields: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {value}" for name, value in fields.items())


#: Texts of the events that are not drawn.
TEXTS: dict[str, Callable[[Mapping[str, Any]], str]] = {
    "resent": _resent,
    "lost": lambda fields: f"data lost: {fields['what']}",
    "restarted": lambda fields: str(fields["what"]),
    "restored": lambda fields: str(fields["what"]),
    "end": _end,
}
