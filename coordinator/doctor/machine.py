"""This machine, for a run whose servers and workers are started here."""

from __future__ import annotations

import os
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

from distbelief.app.client import segments
from distbelief.app.datasets.cache.opening import default_cache_folder
from distbelief.app.errors import DistBeliefError, ExitCode
from distbelief.app.files.memory import available_memory
from distbelief.app.runs.versions import versions
from distbelief.app.store import native
from distbelief.coordinator.cluster import binaries
from distbelief.coordinator.cluster.local import LONGEST_HOME
from distbelief.coordinator.doctor.findings import Finding, error, failed, note, ok, warning
from distbelief.coordinator.problem.memory_estimate import bytes_text

#: Less free disk is worth a warning.
LITTLE_DISK = 1 << 30


@dataclass(frozen=True)
class MachineFacts:
    """Facts on this machine.

    ``program`` is the server program, or why there is none; ``free`` is disk by folder.
    """

    program: binaries.ServerProgram | DistBeliefError
    module: str | None
    cores: int
    memory: int
    free: dict[str, int]
    temporary: str
    versions: dict[str, str]


def gather(folder: Path) -> MachineFacts:
    """Look at this machine; ``folder`` is that of the runs."""
    module = native.library()
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    folders = (folder, default_cache_folder())
    return MachineFacts(
        program=_program(),
        module=str(module) if module is not None else None,
        cores=cores or 1,
        memory=available_memory(),
        free={str(each): shutil.disk_usage(_existing(each)).free for each in folders},
        temporary=tempfile.gettempdir(),
        versions=versions(),
    )


def judge(
    facts: MachineFacts, processes: int, servers_bytes: int | None, process_bytes: int | None
) -> list[Finding]:
    """The findings; the bytes are what a run needs, None if no run is described."""
    told = ", ".join(f"{name} {each}" for name, each in facts.versions.items() if name != "code")
    return [
        _server(facts.program),
        _engine(facts.module),
        _cores(facts.cores, processes),
        _memory_for(facts.memory, processes, servers_bytes, process_bytes),
        *(_disk(folder, free) for folder, free in facts.free.items()),
        _sockets(facts.temporary),
        ok("versions", told),
    ]


def _server(program: binaries.ServerProgram | DistBeliefError) -> Finding:
    if isinstance(program, DistBeliefError):
        return failed("server program", program)
    version = ".".join(map(str, program.version))
    return ok("server program", f"{program.path}, version {version}")


def _engine(module: str | None) -> Finding:
    if module is None:
        what = "the native engine is not built: Lua computes, some forty times as slow"
        return warning("engine", what, "install a C compiler, and this program again")
    shared = "; arrays by shared memory" if segments.boot() else ""
    return ok("engine", f"native, {module}{shared}")


def _cores(cores: int, processes: int) -> Finding:
    what = f"{cores} cores for {processes} worker processes, the servers and the coordinator"
    if processes > cores:
        return warning("cores", what, f"--replicas {cores} would not wait for one another")
    return ok("cores", what)


def _memory_for(
    free: int, processes: int, servers_bytes: int | None, process_bytes: int | None
) -> Finding:
    have = f"{bytes_text(free)} of memory are free"
    if servers_bytes is None or process_bytes is None:
        return ok("memory", have)
    need = servers_bytes + processes * process_bytes
    what = f"the run needs about {bytes_text(need)}; {have}"
    if need > free:
        todo = "train with fewer --replicas, or on several machines"
        return error("memory", what, todo, ExitCode.SERVER)
    return ok("memory", what)


def _disk(folder: str, free: int) -> Finding:
    what = f"{bytes_text(free)} are free in {folder}"
    if free < LITTLE_DISK:
        return warning("disk", what, "make room for checkpoints and converted data")
    return ok("disk", what)


def _sockets(temporary: str) -> Finding:
    if len(temporary) > LONGEST_HOME:
        what = f"the path {temporary} is too long for sockets, which will lie in /tmp"
        return note("temporary files", what, "set TMPDIR to a shorter one")
    return ok("temporary files", f"sockets lie in {temporary}")


def _program() -> binaries.ServerProgram | DistBeliefError:
    try:
        return binaries.find()
    except DistBeliefError as failure:
        return failure


def _existing(folder: Path) -> Path:
    """The folder, or the nearest above it that is there."""
    folder = folder.absolute()
    return next(each for each in (folder, *folder.parents) if each.exists())
