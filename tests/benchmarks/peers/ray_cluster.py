"""Ray on this machine, for as long as a contestant takes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import ray

STORE_BYTES = 1 << 30


@contextmanager
def cluster() -> Iterator[None]:
    # More processors than there may be: actors that mostly wait need not queue for one.
    ray.init(
        num_cpus=4,
        object_store_memory=STORE_BYTES,
        include_dashboard=False,
        log_to_driver=False,
    )
    try:
        yield
    finally:
        ray.shutdown()
