"""One local cluster for all who do not bring their own: started when it is first asked for.

It lasts until the end of the process. A process that was forked or started by this one, as
joblib's, has none of its own until it asks.
"""

from __future__ import annotations

import threading

from distbelief.coordinator.cluster.local import LocalCluster

_lock = threading.Lock()
#: One, once it was asked for.
_clusters: list[LocalCluster] = []


def shared_cluster(processes: int) -> LocalCluster:
    """The cluster of this process, with at least so many worker processes; started if need be.

    Raises:
        ServerError, ServerUnreachable: it cannot be started.
    """
    with _lock:
        if not _clusters or not _clusters[0].running:
            _clusters[:] = [LocalCluster(processes=processes).start()]
        cluster = _clusters[0]
        if (more := processes - cluster.processes) > 0:
            cluster.start_worker(more, f"worker{cluster.workers}")
        return cluster
