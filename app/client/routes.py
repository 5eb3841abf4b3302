"""Ways to a server: to itself, to whom its sentinels call the master, to the nodes of a cluster.

Finding them is redis-py's; what is sent there, and how often, is decided in
:mod:`distbelief.app.client.servers`.
"""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy
from dataclasses import replace

import redis
from redis.cluster import PRIMARY, ClusterNode, NodesManager
from redis.crc import key_slot
from redis.exceptions import RedisClusterException, SlotNotCoveredError

from distbelief.app.client.addresses import Kind, ServerAddress, address
from distbelief.app.client.commands import Command
from distbelief.app.client.credentials import Credentials, credentials_for
from distbelief.app.client.keyed import with_prefix
from distbelief.app.client.pools import connection_options, make_pool
from distbelief.app.client.rounds import Node


class Route:
    """The way to a server that is one: there is always one place to be connected to.

    Raises ConfigError if the URL names no server.
    """

    def __init__(self, url: str, timeout_s: float) -> None:
        self.url = url
        self.server = ServerAddress.parse(url)
        self.address = address(url)
        self.credentials: Credentials | None = credentials_for(url)
        self._open(timeout_s)

    @property
    def prefix(self) -> str:
        """How keys begin there."""
        return self.server.key_prefix

    @property
    def master(self) -> str:
        """Where sentinels have led us last, as host:port."""
        place = getattr(self._pool, "master_address", None)
        return "" if place is None else f"{place[0]}:{place[1]}"

    def node(self, command: Command) -> Node:
        """The node that has the command's keys."""
        return ""

    def pool(self, node: Node) -> redis.ConnectionPool:
        """Connections to a node."""
        return self._pool

    def forget(self) -> None:
        """Ask anew, at the next call, where things are."""

    def parts(self) -> Sequence[Route]:
        """A route to each node that has keys."""
        return [self]

    def failed(self, node: Node) -> None:
        """Note that a node has not answered, or has no right to any more."""

    def sent_on(self, error: redis.exceptions.AskError, node: Node) -> Node | None:
        """Where a ``node`` sent us on to; None where nobody may."""
        return None

    def bare(self) -> Route:
        """The same way to keys that begin otherwise."""
        other = copy(self)
        other.server = replace(self.server, key_prefix="")
        return other

    def disconnect(self) -> None:
        self._pool.disconnect()

    def hurried(self, timeout_s: float) -> Route:
        """The same way, with less patience for silence."""
        other = copy(self)
        other._open(timeout_s)
        return other

    def _open(self, timeout_s: float) -> None:
        self._pool = make_pool(self.server, timeout_s, self.credentials)


class ClusterRoute(Route):
    """The ways to the nodes of a cluster, each of which has some slots of keys."""

    master = ""

    _nodes: NodesManager | None
    _stale: bool
    _failed: Node | None

    def node(self, command: Command) -> Node:
        """Raises redis-py's errors where the cluster cannot be asked for its nodes."""
        nodes = self._known_nodes()
        key = next(iter(command.keys), None) or command.beside or None
        try:
            if key is None:
                return str(_primaries(nodes)[0].name)
            slot = key_slot(_bytes(with_prefix(key, self.prefix)))
            return str(nodes.get_node_from_slot(slot).name)
        except (SlotNotCoveredError, IndexError) as error:
            self._stale = True
            raise redis.exceptions.ClusterDownError(str(error)) from error

    def pool(self, node: Node) -> redis.ConnectionPool:
        nodes = self._known_nodes()
        found = nodes.get_node(node_name=node)
        if found is None:  # somebody else has found the cluster without it
            raise redis.ConnectionError(f"{node} is a node no more")
        if found.redis_connection is None:
            nodes.create_redis_connections([found])
        pool: redis.ConnectionPool = found.redis_connection.connection_pool
        return pool

    def forget(self) -> None:
        self._stale = True

    def parts(self) -> Sequence[Route]:
        return [NodeRoute(self, str(node.name)) for node in _primaries(self._known_nodes())]

    def failed(self, node: Node) -> None:
        self._stale, self._failed = True, node

    def sent_on(self, error: redis.exceptions.AskError, node: Node) -> Node | None:
        nodes = self._known_nodes()
        # A node that does not know its own name sends us on to a port.
        error.host = error.host or node.rpartition(":")[0]
        other = ClusterNode(error.host, error.port, PRIMARY)
        # One that has no slots yet is not among those that a cluster tells.
        nodes.nodes_cache.setdefault(other.name, other)
        if isinstance(error, redis.exceptions.MovedError):
            if error.slot_id in nodes.slots_cache:
                nodes.move_slot(error)
            else:
                self._stale = True
        return str(other.name)

    def disconnect(self) -> None:
        if self._nodes is not None:
            for node in [*self._nodes.nodes_cache.values()]:
                if node.redis_connection is not None:
                    node.redis_connection.connection_pool.disconnect()

    def _open(self, timeout_s: float) -> None:
        self._timeout_s = timeout_s
        self._nodes = None
        self._stale = False
        self._failed: Node | None = None

    def _known_nodes(self) -> NodesManager:
        """The nodes, asked for anew after a failure."""
        try:
            if self._nodes is None:
                self._nodes = self._find()
            elif self._stale:
                self._nodes.initialize(
                    additional_startup_nodes_info=[*self.server.nodes],
                    disconnect_startup_nodes_pools=False,
                    last_failed_node_name=self._failed,
                )
        except RedisClusterException as error:
            raise _why(error) from error
        self._stale, self._failed = False, None
        return self._nodes

    def _find(self) -> NodesManager:
        kind, options = connection_options(self.server, self._timeout_s, self.credentials)
        for name in ("host", "port", "db"):
            del options[name]
        return NodesManager(
            [ClusterNode(host, port) for host, port in self.server.nodes],
            from_url=True,
            connection_pool_class=redis.ConnectionPool,
            connection_class=kind,
            **options,
        )


class NodeRoute(Route):
    """The way to one node of a cluster, for what concerns no key; keys are where they are."""

    master = ""

    def __init__(self, cluster: ClusterRoute, node: Node) -> None:
        self.url = cluster.url
        self.server = cluster.server
        self.address = f"{node} of {cluster.address}"
        self.credentials = cluster.credentials
        self._cluster = cluster
        self._node = node

    def node(self, command: Command) -> Node:
        keyed = bool(command.keys or command.beside)
        return self._cluster.node(command) if keyed else self._node

    def pool(self, node: Node) -> redis.ConnectionPool:
        return self._cluster.pool(node)

    def failed(self, node: Node) -> None:
        self._cluster.failed(node)

    def sent_on(self, error: redis.exceptions.AskError, node: Node) -> Node | None:
        return self._cluster.sent_on(error, node)

    def disconnect(self) -> None:
        self._cluster.disconnect()

    def hurried(self, timeout_s: float) -> Route:
        cluster = self._cluster.hurried(timeout_s)
        assert isinstance(cluster, ClusterRoute)
        return NodeRoute(cluster, self._node)


def make_route(url: str, timeout_s: float) -> Route:
    """The way to the server at ``url``; raises ConfigError if that names none."""
    is_cluster = ServerAddress.parse(url).kind is Kind.CLUSTER
    return ClusterRoute(url, timeout_s) if is_cluster else Route(url, timeout_s)


def _primaries(nodes: NodesManager) -> list[ClusterNode]:
    """Those that have slots, in the order of these."""
    first = {each[0].name: each[0] for _, each in sorted(nodes.slots_cache.items()) if each}
    return list(first.values())


def _why(error: RedisClusterException) -> redis.RedisError:
    """What a node answered, or that none did."""
    cause = error.__cause__
    if isinstance(cause, redis.RedisError):
        return cause
    if isinstance(cause, RedisClusterException):  # a plain server, or one that refuses to tell
        return redis.ResponseError(f"it names no nodes of a cluster ({cause})")
    return redis.ConnectionError(str(cause or error))


def _bytes(key: object) -> bytes:
    return key if isinstance(key, bytes) else str(key).encode()
