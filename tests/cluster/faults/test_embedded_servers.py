"""Embedded servers die at any moment, also while the coordinator waits for them: runs go on.

Each training loses one of its servers several times: while it opens, while it trains (on the way
there are checkpoints and restorations), and when it ends. A server that is not started again would
be waited for until ``server_seconds`` are over.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable
from typing import Any

import psutil
import pytest

from distbelief.app.errors import ExitCode
from tests.cluster.processes import children_of, words_of

Start = Callable[..., Any]

SHARDS = 3
#: Two subsets of 40 minibatches a pass; a fifth of the examples is held out.
PASSES = 20
PLANNED = 2 * 40 * PASSES
WORDS = {
    "downpour": ("--replicas=2", "--batch-size=20", f"--passes={PASSES}", "--unit-steps=20"),
    "sandblaster": (
        *("--algorithm=sandblaster", "--portions=4", "--iterations=40"),
        *("--gradient-tolerance=0", "--decrease-tolerance=0"),
    ),
}
COMMON = (
    *("train", "--model=softmax", "--data=synthetic:softmax", "--data-option=examples=2000"),
    *("--n-push=1", "--n-fetch=1", f"--shards={SHARDS}", "--block-numbers=16"),
    *("--lease-seconds=1", "--checkpoint-seconds=0.5", "--processes=2"),
)

#: Fewer than end a run, which a server must outlive in a row.
KILLS = 3
LONGEST_PAUSE_S = 1.5
POLL_S = 0.01


def kill_now_and_then(training: Any, server: str, pauses: random.Random, kills: list[int]) -> None:
    """Kill a server as soon as there is one, and again after pauses, until the training ends."""
    pause_s, died = 0.0, 0
    while training.process.poll() is None and len(kills) < KILLS:
        pid = process_of(training, server)
        if pid is None or pid == died:
            time.sleep(POLL_S)
            continue
        time.sleep(pause_s)
        try:
            psutil.Process(pid).kill()
        except psutil.NoSuchProcess:
            return
        died, pause_s = pid, LONGEST_PAUSE_S * pauses.random()
        kills.append(pid)


def process_of(training: Any, server: str) -> int | None:
    """The process of an embedded server of a training."""
    for child in children_of(training.process.pid):
        if any(word.endswith(f"/{server}.sock") for word in words_of(child)):
            return int(child.pid)
    return None


#: Each two of algorithm, server and durability are in one of those that are not slow.
CASES = [
    ("downpour", "control", "checkpoint"),
    ("downpour", "parameters1", "aof"),
    ("sandblaster", "control", "aof"),
    ("sandblaster", "parameters1", "checkpoint"),
    *(
        pytest.param(*each, marks=pytest.mark.slow)
        for each in (
            ("downpour", "control", "aof"),
            ("downpour", "parameters1", "checkpoint"),
            ("sandblaster", "control", "checkpoint"),
            ("sandblaster", "parameters1", "aof"),
        )
    ),
]


@pytest.mark.parametrize(("algorithm", "server", "durability"), CASES)
def test_a_training_outlives_its_servers(
    command: Start, algorithm: str, server: str, durability: str
) -> None:
    training = command(*COMMON, *WORDS[algorithm], f"--durability={durability}")
    kills: list[int] = []
    pauses = random.Random(f"{algorithm} {server} {durability}")
    killer = threading.Thread(
        target=kill_now_and_then, args=(training, server, pauses, kills), daemon=True
    )
    killer.start()
    assert training.ends() == ExitCode.OK, training.err
    killer.join()
    assert kills
    # The last one may come when the training is over, and nobody misses the server any more.
    restarted = training.err.count(f"{server} ended with exit code -9: started again")
    assert max(1, len(kills) - 1) <= restarted <= len(kills)
    if algorithm == "downpour":
        assert f"applied: {PLANNED} on each of {SHARDS} shards, {PLANNED} planned" in training.out
    assert training.alive() == []
