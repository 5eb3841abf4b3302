"""The findings of the doctor, as people read them: by subject, the worst at a glance."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from itertools import groupby

from rich.console import Console
from rich.text import Text

from distbelief.coordinator.doctor.findings import Finding, Severity

COLOURS = {
    Severity.OK: "green",
    Severity.NOTE: "cyan",
    Severity.WARNING: "yellow",
    Severity.ERROR: "bold red",
}
WIDEST = max(map(len, Severity))


def show(console: Console, findings: Sequence[Finding]) -> None:
    """Print a line for each finding, and what to do below; colour only on a terminal."""
    for subject, group in groupby(findings, key=lambda each: each.subject):
        console.print(Text(subject, style="bold"), soft_wrap=True)
        for each in group:
            mark = Text(f"  {each.severity:<{WIDEST}}  ", style=COLOURS[each.severity])
            console.print(mark + Text(each.what), soft_wrap=True)
            if each.todo:
                todo = f"{' ' * (WIDEST + 4)}-> {each.todo}"
                console.print(Text(todo, style="dim"), soft_wrap=True)
    console.print(Text(verdict(findings)))


def verdict(findings: Sequence[Finding]) -> str:
    """Sum all findings up in a line."""
    count = Counter(each.severity for each in findings)
    parts = [
        f"{count[each]} {each}{'s' if count[each] > 1 else ''}"
        for each in (Severity.ERROR, Severity.WARNING, Severity.NOTE)
        if count[each]
    ]
    looked = f"{len(findings)} things looked at"
    return f"{looked}: {', '.join(parts)}" if parts else f"{looked}: all is well"
