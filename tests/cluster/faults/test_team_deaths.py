"""Workers of a team die under settings that would have tasks done twice: nothing counts twice."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

from distbelief.coordinator.cluster.local import LocalCluster
from distbelief.coordinator.cluster.processes import end, import_path
from tests.cluster import teams
from tests.cluster.faults.private_fleet import start_worker

DEADLINE_S = 300.0
POLL_S = 0.05

#: Kills a process of the pool, or all of the worker, in turns; who runs the worker starts it again.
PROGRAM = """
import os, re, signal, time
from pathlib import Path
import psutil
import shop
from safetensors.numpy import load_file
from distbelief import train

kills = 0

def kill(event):
    global kills
    if event.kind not in ("unit", "iteration") or kills == KILLS:
        return
    try:
        worker = int(Path("worker.pid").read_text())
        pool = psutil.Process(worker).children()
        if pool and kills % 2:
            pool[0].kill()
            kills += 1
        elif pool:
            os.killpg(worker, signal.SIGKILL)
            kills += 1
    except (ValueError, psutil.NoSuchProcess, ProcessLookupError):  # being written, dying
        pass

KILLS = 4
common = dict(celery=shop.app, data="synthetic:softmax", data_options={"examples": 400})
common |= dict(model="slowmodels:Sleepy", unit_attempts=50, lease_seconds=1.0, wait_seconds=60)
slow = dict(model_options={"seconds": 0.05}, on_event=kill)
result = train(**common, **slow, replicas=2, passes=8, unit_steps=4, n_push=1, n_fetch=1)
updates = r"updates applied: (\\d+) on each of \\d+ shards, (\\d+) planned"
applied, planned = re.search(updates, result.details[0]).groups()
assert applied == planned, result.details
assert kills == KILLS, kills

kills = 0
KILLS = 2
common |= dict(algorithm="sandblaster", portions=8, iterations=4, gradient_tolerance=1e-12)
hurt, whole = train(**common, **slow), train(**common)
assert kills == KILLS, kills
ours, theirs = load_file(hurt.model_file), load_file(whole.model_file)
assert all((ours[name] == theirs[name]).all() for name in theirs)
"""


def test_kills_lose_nothing_and_count_nothing_twice(fleet: LocalCluster, tmp_path: Path) -> None:
    """Late acknowledgement, prefetch 4, redelivery after 5 s, rejected when a worker is lost."""
    (tmp_path / "shop.py").write_text(teams.SHOP)
    path = os.pathsep.join([str(tmp_path), str(Path(teams.__file__).parent), import_path()])
    variables = {
        **os.environ,
        "PYTHONPATH": path,
        "SHOP_BROKER": fleet.endpoints.broker.replace("unix://", "redis+socket://"),
        "DISTBELIEF_ALLOWED_IMPORTS": "slowmodels",
        "C_FORCE_ROOT": "1",
    }
    worker = start_worker(tmp_path, 2, variables, app=("shop", "-Q", "celery,training"))
    program = subprocess.Popen(
        [sys.executable, "-c", PROGRAM], cwd=tmp_path, env=variables, stderr=subprocess.PIPE
    )
    deadline = time.monotonic() + DEADLINE_S
    try:
        while program.poll() is None and time.monotonic() < deadline:
            (tmp_path / "worker.pid").write_text(str(worker.process.pid))
            if worker.process.poll() is not None:
                worker = worker.again()
            time.sleep(POLL_S)
        program.kill()
        _, said = program.communicate()
        assert program.returncode == 0, f"{said.decode()}\n{worker.log.read_text()[-3000:]}"
    finally:
        program.kill()
        end([worker], 0.0)
