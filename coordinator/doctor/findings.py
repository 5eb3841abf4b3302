"""A finding: one sentence on what is the case, how bad it is, and what to do."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from distbelief.app.errors import DistBeliefError, ExitCode


class Severity(StrEnum):
    """The weight of a finding.

    With a note all is well; an error keeps a run from working, or is unsafe.
    """

    OK = "ok"
    NOTE = "note"
    WARNING = "warning"
    ERROR = "error"


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at. ``code`` is the exit code of an error."""

    subject: str
    severity: Severity
    what: str
    todo: str = ""
    code: ExitCode = ExitCode.OK

    def to_json(self) -> dict[str, Any]:
        return {**self.__dict__, "severity": self.severity.value, "code": self.code.name.lower()}


def ok(subject: str, what: str) -> Finding:
    return Finding(subject, Severity.OK, what)


def note(subject: str, what: str, todo: str = "") -> Finding:
    return Finding(subject, Severity.NOTE, what, todo)


def warning(subject: str, what: str, todo: str) -> Finding:
    return Finding(subject, Severity.WARNING, what, todo)


def error(subject: str, what: str, todo: str, code: ExitCode) -> Finding:
    return Finding(subject, Severity.ERROR, what, todo, code)


#: What to do where the sentence of an error does not say so.
REMEDIES = {
    ExitCode.UNREACHABLE: "is it running, is the address right, does a firewall let us through?",
    ExitCode.AUTHENTICATION: "give the right password in its URL",
    ExitCode.SERVER: "look into the server's log, and at what its user may do (ACL)",
}


def failed(subject: str, failure: DistBeliefError) -> Finding:
    """The finding for an error that a check raised."""
    return error(subject, str(failure), REMEDIES.get(failure.exit_code, ""), failure.exit_code)


def exit_code(findings: Iterable[Finding]) -> ExitCode:
    """The exit code of the first error."""
    return next((each.code for each in findings if each.severity is Severity.ERROR), ExitCode.OK)
