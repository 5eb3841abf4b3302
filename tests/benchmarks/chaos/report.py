"""What came out of it, as one table."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from rich.table import Table

from trial import Trial
from verdict import Reference, Verdict


@dataclass
class Results:
    """Everything that happened."""

    references: dict[str, Reference] = field(default_factory=dict)
    injected: Counter[str] = field(default_factory=Counter)
    trials: list[Trial] = field(default_factory=list)
    verdicts: list[tuple[Trial, Verdict]] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    #: Workers of a team that ended by themselves.
    ended: int = 0

    def add(self, trial: Trial, verdict: Verdict | None) -> None:
        """A run that is over; no verdict on one that ended badly."""
        self.trials.append(trial)
        if verdict is None:
            self.failures.append(trial.failure)
            return
        self.verdicts.append((trial, verdict))
        if verdict.failure:
            trial.fail(verdict.failure)
            self.failures.append(trial.failure)


def table(results: Results) -> Table:
    """All figures, a line each."""
    shown, trials = Table(title="chaos"), results.trials
    shown.add_column("what")
    shown.add_column("figure", justify="right")
    for kind, times in sorted(results.injected.items()):
        shown.add_row(kind, str(times))
    shown.add_row("faults in all", str(results.injected.total()), end_section=True)
    for name, reference in results.references.items():
        _add_work(shown, results, name, reference)
    resent = sum(process.sent_again for trial in trials for process in trial.processes)
    shown.add_row("workers that ended by themselves and were started again", str(results.ended))
    shown.add_row("units and portions sent again, backups", str(resent))
    shown.add_row("updates and iterations lost and made again", str(_sum(trials, "made_again")))
    shown.add_row("times that older data were noticed", str(_sum(trials, "older")))
    for what in ("lost", "doubled"):
        total = sum(getattr(verdict, what) for _, verdict in results.verdicts)
        shown.add_row(f"updates {what}", str(total))
    shown.add_row("coordinators resumed", str(_sum(trials, "resumes")))
    shown.add_row("runs begun again, killed before a checkpoint", str(_sum(trials, "began_again")))
    refusals = sum(len(trial.refusals) for trial in trials)
    shown.add_row("starts refused by the checks before training", str(refusals))
    silence = max((trial.longest_silence_s for trial in trials), default=0.0)
    shown.add_row("longest time without progress", f"{silence:.0f} s")
    shown.add_row("failures", str(len(results.failures)))
    return shown


def _add_work(shown: Table, results: Results, name: str, reference: Reference) -> None:
    seconds = [each.seconds for each in results.trials if each.work.name == name]
    shown.add_row(f"{name}: runs", str(len(seconds)))
    longest = max(seconds, default=0.0)
    shown.add_row(
        f"{name}: longest, undisturbed", f"{longest:.0f} s, {reference.trial.seconds:.0f} s"
    )
    ratios = [
        verdict.loss / reference.loss
        for trial, verdict in results.verdicts
        if trial.work.name == name and verdict.loss is not None
    ]
    told = f"{min(ratios):.3f} to {max(ratios):.3f}" if ratios else "-"
    shown.add_row(f"{name}: held-out loss, undisturbed = 1", told, end_section=True)


def _sum(trials: Sequence[Trial], figure: str) -> int:
    return sum(int(getattr(trial, figure)) for trial in trials)
