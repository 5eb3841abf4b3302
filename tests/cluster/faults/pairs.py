"""A primary with a replica behind an address that moves from one to the other."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack

from distbelief.coordinator.cluster.binaries import ServerProgram
from tests.redis.client.proxy import MovingAddress, moving_address
from tests.redis.private import PrivateServer, connected

#: A replica begins at once with what its primary has.
QUICK = ("--repl-diskless-sync", "yes", "--repl-diskless-sync-delay", "0")


class Pair:
    """To everybody else one server, at ``address``: now and then it has older data.

    Args:
        stack: ends it all.
        program: of both.
        options: their further arguments.
        more: arguments of the first primary alone.
    """

    def __init__(
        self,
        stack: ExitStack,
        program: ServerProgram,
        options: Sequence[str],
        more: Sequence[str] = (),
    ) -> None:
        own = (*QUICK, *options)
        self.primary = stack.enter_context(PrivateServer(program, options=(*own, *more)))
        self.replica = stack.enter_context(PrivateServer(program, options=own))
        self.address: MovingAddress = stack.enter_context(moving_address(self.primary.port))
        self.follow()

    @property
    def url(self) -> str:
        return self.address.url

    def follow(self) -> None:
        """Have the replica take over what the primary has, and stay with it."""
        with connected(self.replica.url) as replica:
            replica.one("REPLICAOF", "127.0.0.1", self.primary.port)

    @property
    def linked(self) -> bool:
        """Whether the replica has what the primary has, but for what is under way."""
        with connected(self.replica.url) as replica:
            return b"master_link_status:up" in replica.one("INFO", "replication")

    def part(self) -> None:
        """From here on the replica gets nothing more."""
        with connected(self.replica.url) as replica:
            replica.one("REPLICAOF", "NO", "ONE")

    def promote(self) -> None:
        """The primary dies, and the replica takes over with what it has, alone."""
        self.primary.kill()
        self.primary, self.replica = self.replica, self.primary
        self.address.move(self.primary.port)

    def again(self) -> None:
        """Start the one that died, as the replica."""
        self.replica.start()
        self.follow()
