"""Who else can reach a server: password, encryption, the addresses that it listens on."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass

from distbelief.app.client.addresses import (
    Scheme,
    ServerAddress,
    address,
    anonymous,
)
from distbelief.app.client.loopback import is_loopback
from distbelief.app.client.servers import Servers
from distbelief.app.errors import AuthenticationFailed, DistBeliefError, ExitCode
from distbelief.coordinator.doctor.findings import Finding, error, note, ok, warning
from distbelief.coordinator.doctor.servers import PATIENCE_S


@dataclass(frozen=True)
class AccessFacts:
    """Facts on the ways to a server: ``scheme`` and ``host`` are those of its URL.

    ``open`` tells whether it answers without a password, None if that could not be tried.
    ``reachable`` are the addresses beyond its own machine that it listens on, and ``protected``
    says that it takes nobody from there without a password; None where it does not tell.
    """

    address: str
    scheme: str
    host: str
    open: bool | None
    reachable: tuple[str, ...] | None
    protected: bool | None

    @property
    def local(self) -> bool:
        """We reach it without leaving the machine."""
        return self.scheme == "unix" or is_loopback(self.host)


def gather(url: str, config: Mapping[str, str] | None) -> AccessFacts:
    """Look at a server that answers; ``config`` is what CONFIG GET says."""
    where = ServerAddress.parse(url)
    return AccessFacts(
        address=address(url),
        scheme=where.scheme,
        host=where.host,
        open=_is_open(url),
        reachable=None if config is None else reachable(config),
        protected=None if config is None else config.get("protected-mode") == "yes",
    )


def judge(facts: AccessFacts) -> list[Finding]:
    """The findings on its password and its encryption."""
    subject = f"security of {facts.address}"
    return [_password(subject, facts), *_encryption(subject, facts)]


def reachable(config: Mapping[str, str]) -> tuple[str, ...]:
    """The addresses beyond its own machine that a server with these settings listens on."""
    if config.get("port") == "0" and config.get("tls-port", "0") in ("0", ""):
        return ()  # sockets only
    each = [word.removeprefix("-") for word in config.get("bind", "").split()]
    return tuple(word for word in each or ["every address"] if not is_loopback(word))


def _password(subject: str, facts: AccessFacts) -> Finding:
    if facts.open is None:
        return note(subject, "whether it needs a password could not be tried")
    if not facts.open:
        return ok(subject, "it needs a password")
    todo = "set requirepass, or an ACL, and write the password into the URLs"
    if not facts.local or (facts.reachable and not facts.protected):
        where = " ".join(facts.reachable or (facts.host,))
        what = f"it needs no password and can be reached beyond its machine ({where})"
        return error(subject, what, todo, ExitCode.AUTHENTICATION)
    if facts.reachable is None:
        return note(subject, "it needs no password; it does not say who can reach it", todo)
    return note(subject, "it needs no password, and only its own machine reaches it")


def _encryption(subject: str, facts: AccessFacts) -> list[Finding]:
    if facts.scheme == Scheme.TLS:
        return [ok(subject, "the connection is encrypted (TLS)")]
    if facts.local:
        return []
    what = "the connection is not encrypted: whoever listens sees passwords and parameters"
    todo = "use rediss:// (TLS), or a network that only your machines are in"
    return [warning(subject, what, todo)]


def _is_open(url: str) -> bool | None:
    """Whether it answers one who has no password."""
    try:
        with closing(Servers([anonymous(url)])) as servers:
            servers.hurry(PATIENCE_S)
            servers.one("PING", timeout_s=PATIENCE_S)
    except AuthenticationFailed:
        return False
    except DistBeliefError:
        return None
    return True
