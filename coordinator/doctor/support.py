"""What a server must be for us to use it: new enough, and named as what it is."""

from __future__ import annotations

from collections.abc import Mapping

from distbelief.app.client.info import read_info, server_name
from distbelief.app.client.servers import Servers
from distbelief.app.errors import ServerRefused
from distbelief.coordinator.cluster.binaries import OLDEST

#: What to use in place of a server that is too old, and of a node of a cluster.
NEWER = "use Redis 7.0 or Valkey 7.2 or newer"
CLUSTER = "name the cluster, as redis+cluster://HOST:PORT,HOST:PORT"

Info = Mapping[str, str]


def look(servers: Servers, index: int, timeout_s: float) -> dict[str, str] | None:
    """What a server says of itself; in cluster mode also its number of shards, as CLUSTER INFO.

    None if our user has no right to ask.
    """
    info = read_info(servers, server=index, timeout_s=timeout_s)
    if info is not None and _in_cluster_mode(info):
        try:
            reply = servers.one("CLUSTER", "INFO", server=index, timeout_s=timeout_s)
        except ServerRefused:
            return info
        info |= dict(line.split(":", 1) for line in reply.decode().splitlines() if ":" in line)
    return info


def unfit(info: Info, *, parameters: bool, clustered: bool = False) -> tuple[str, str] | None:
    """Why a server cannot be used, and what to do; None if it can.

    Both algorithms need the same: what older servers lack they would miss in mid-run. One that is
    named as a server, not ``clustered``, may be the only shard of a cluster, which answers for all
    keys, but not to Celery, which asks for keys of several slots at once.
    """
    text = info.get("valkey_version") or info.get("redis_version", "")
    numbers = tuple(int(part) for part in text.split(".") if part.isdigit())
    if numbers and numbers < OLDEST:
        oldest = ".".join(map(str, OLDEST))
        return f"it is {server_name(info)}, older than {oldest}", NEWER
    if _in_cluster_mode(info) and not clustered:
        if not parameters:
            return "it runs in cluster mode, and is not named so", CLUSTER
        if info.get("cluster_size", "1") != "1":
            shards = info["cluster_size"]
            return (
                f"it runs in cluster mode, in a cluster of {shards} shards, and is not named so",
                CLUSTER,
            )
    return None


def _in_cluster_mode(info: Info) -> bool:
    return "cluster" in (info.get("redis_mode"), info.get("server_mode"))  # Redis, and Valkey
