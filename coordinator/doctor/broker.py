"""The broker's address: which one is used, who named it, and who would have named another."""

from __future__ import annotations

import os

from distbelief.app.broker.application import FOREIGN
from distbelief.app.client.addresses import address
from distbelief.app.settings.environment import BROKER
from distbelief.coordinator.doctor.findings import Finding, note, ok

SUBJECT = "broker"


def judge(broker: str | None, source: str, celery_app: str | None = None) -> list[Finding]:
    """The findings on the address that is used, which ``source`` names.

    Variables of Celery's that would name another one are those of other programs; ours do not
    look at them. A ``celery_app`` of a team's own has its own broker.
    """
    if celery_app is not None:
        return [ok(SUBJECT, f"that of the Celery application {celery_app}")]
    if broker is None:
        what = f"none is named by --broker, a TOML file, {BROKER} or {BROKER}_FILE: servers and "
        found = [ok(SUBJECT, f"{what}workers are started here")]
    else:
        found = [ok(SUBJECT, f"{address(broker)}, from {source}")]
    return found + [
        note(SUBJECT, f"{variable} is set, and not used", f"name ours by --broker or {BROKER}")
        for variable in FOREIGN
        if os.environ.get(variable)
    ]
