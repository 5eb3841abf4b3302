"""An embedded cluster: servers and a Celery worker as child processes of this one.

Servers listen on Unix sockets in a private directory (mode 0700), so nobody else can
reach them and they need no password. Everything that was started is ended on leaving,
whatever happened; if this process is killed outright, the kernel ends its children.
"""

from __future__ import annotations

import atexit
import os
import shutil
import sys
import tempfile
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Self

from distbelief.app.datasets.reading.access import ROOTS_VARIABLE
from distbelief.app.errors import ConfigError, ServerError
from distbelief.app.files.owned import OWNER, lock, sweep_folders
from distbelief.app.models.imports import (
    ALLOWED_IMPORTS_VARIABLE,
    OWNER_FILE_VARIABLE,
    allowed_imports,
    tell,
)
from distbelief.app.settings.environment import BROKER, KEY_PREFIX, PARAMETER_SERVERS
from distbelief.app.store import native
from distbelief.coordinator.cluster import binaries
from distbelief.coordinator.cluster.array_folder import HOMES, ArrayFolder
from distbelief.coordinator.cluster.endpoints import Endpoints
from distbelief.coordinator.cluster.keeping import Keeper, looking
from distbelief.coordinator.cluster.processes import Child, Starter, end, import_path
from distbelief.coordinator.cluster.server_process import (
    KEEP_MEMORY,
    forget_other_shapes,
    server_arguments,
    wait_for,
)
from distbelief.coordinator.cluster.signals import hold_signals

STOP_GRACE_S = 5.0

LONGEST_HOME = 70


class LocalCluster:
    """One control server, some parameter servers, one Celery worker.

    A context manager; in a notebook :meth:`start` and :meth:`close` do the same, and so does the
    end of this process. Many trainings can run on it, one after another or at once. A copy of
    it is itself, and what another process gets by a pickle are its endpoints.

    Args:
        servers: parameter servers to start.
        processes: processes of the worker; 0 starts no worker.
        folder: where logs go; by default with the sockets, and gone with them.
        wait_s: deadline for the servers to answer.
        program: the server program; by default
            :func:`distbelief.coordinator.cluster.binaries.find`.
        durable: where the servers keep append-only files; None for none.
        say: told when a child that ended is started again.

    Raises:
        ServerError: no server program, or a child ended at once.
        ServerUnreachable: a server did not answer in time.
    """

    def __init__(
        self,
        *,
        servers: int = 2,
        processes: int = 2,
        folder: Path | None = None,
        wait_s: float = 10.0,
        program: binaries.ServerProgram | None = None,
        durable: Path | None = None,
        say: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._n_servers = servers
        self._processes = processes
        self._folder = folder
        self._wait_s = wait_s
        self._program = program
        self._durable = durable
        self._say = say
        #: Worker processes that were started.
        self.processes = 0
        self._keeper = Keeper(self._child, say)
        self._sockets: Path | None = None
        self._arrays: ArrayFolder | None = None
        self._starter: Starter | None = None
        self._held: int | None = None
        self._checking = threading.Lock()
        self._owner = 0
        self.children: list[Child] = []

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def __deepcopy__(self, memo: object) -> Self:
        return self

    def __reduce__(self) -> tuple[type[Endpoints], tuple[str, tuple[str, ...]]]:
        endpoints = self.endpoints
        return Endpoints, (endpoints.broker, endpoints.parameter_servers)

    @property
    def running(self) -> bool:
        """Whether it was started, here, and is not closed."""
        return self._sockets is not None and self._owner == os.getpid()

    @property
    def workers(self) -> int:
        """Celery workers that were started; each has its processes."""
        return max(0, len(self.children) - 1 - self._n_servers)

    @property
    def endpoints(self) -> Endpoints:
        """The URLs of its servers.

        Raises:
            ConfigError: it is not running.
        """
        if self._sockets is None:
            use = "use it in 'with LocalCluster() as cluster:', or call its start()"
            raise ConfigError(f"the local cluster is not running: {use}")
        names = ["control", *(f"parameters{index}" for index in range(self._n_servers))]
        broker, *parameter_servers = (f"unix://{self._sockets}/{name}.sock" for name in names)
        return Endpoints(broker, tuple(parameter_servers))

    @property
    def environment(self) -> dict[str, str]:
        """Variables of the environment for workers of this cluster."""
        return {
            **os.environ,
            ALLOWED_IMPORTS_VARIABLE: ",".join(allowed_imports()),
            ROOTS_VARIABLE: "",  # they open what we have opened ourselves
            OWNER_FILE_VARIABLE: str(self._owner_file),
            BROKER: self.endpoints.broker,
            PARAMETER_SERVERS: ",".join(self.endpoints.parameter_servers),
            KEY_PREFIX: "",  # nobody else is on servers of our own
        }

    def tell_workers(self) -> None:
        """Tell the workers what this process lets them import by now, and where it is found."""
        if self.running:
            tell(self._owner_file)

    def check(self) -> None:
        """Start children again that ended; raise ServerError if one ends again and again."""
        with self._checking:  # several trainings may look at once
            if self.running:
                self._keeper.look(self.children)

    def kept_alive(self) -> AbstractContextManager[None]:
        """Check all the time, on a thread of its own, while this one may wait for a server."""
        return looking(self.check)

    def start_worker(self, processes: int, name: str = "worker") -> Child:
        """Start one more Celery worker; it takes its share of the work at once."""
        # Not from this folder, where a module of the user's may have Celery's name.
        program = f"{__package__}.celery_worker"
        command = [sys.executable, "-P", "-m", program, name, str(processes)]
        # What its processes leave in the folder for temporary files goes with the sockets.
        environment = {
            **self.environment,
            "TMPDIR": str(self._sockets),
            "PYTHONPATH": import_path(),
        }
        worker = self._child(lambda: Child.start(name, command, self._logs, environment))
        self.children.append(worker)
        self.processes += processes
        return worker

    def start(self) -> Self:
        """Start everything; raises as the class says, and then nothing is left behind."""
        try:
            self._start()
        except BaseException:
            self.close()
            raise
        return self

    def close(self) -> None:
        """End everything that was started; signals wait until that is done."""
        atexit.unregister(self.close)
        if self._owner != os.getpid():
            return  # never started, or a fork's copy of its parent's
        with hold_signals(), self._checking:
            # Workers before the servers, which they would try to reach instead of ending. And
            # at once: their run is over, or goes on under a new fence, and to end in order takes
            # Celery two seconds.
            end(self.children[1 + self._n_servers :], 0.0)
            # Servers that keep no file have nothing to write, and take a tenth of a second for it.
            grace_s = STOP_GRACE_S if self._durable is not None else 0.0
            end(self.children[: 1 + self._n_servers], grace_s)
            self.children.clear()
            if self._starter is not None:
                self._starter.close()
            if self._arrays is not None:
                self._arrays.close()
            if self._sockets is not None:
                shutil.rmtree(self._sockets, ignore_errors=True)
            if self._held is not None:
                os.close(self._held)
            self._sockets = self._arrays = self._starter = self._held = None
            self.processes = 0

    @property
    def _owner_file(self) -> Path:
        assert self._sockets is not None
        return self._sockets / "owner.json"

    @property
    def _logs(self) -> Path:
        assert self._sockets is not None
        return self._folder or self._sockets

    def _child(self, make: Callable[[], Child]) -> Child:
        assert self._starter is not None
        return self._starter.start(make)

    def _start(self) -> None:
        if self.running:
            raise ConfigError("the local cluster is running already")
        if self._folder is not None:
            self._folder.mkdir(parents=True, exist_ok=True)
        program = self._program or binaries.find()
        self._owner = os.getpid()
        self._starter = Starter()
        atexit.register(self.close)
        # Not below the run's folder: the path of a Unix socket has room for 107 characters.
        home = tempfile.gettempdir()
        home = home if len(home) <= LONGEST_HOME else "/tmp"  # noqa: S108  (mkdtemp is private)
        sweep_folders(Path(home), HOMES)  # those of coordinators that were killed
        self._sockets = Path(tempfile.mkdtemp(prefix="distbelief-", dir=home))
        self._held = lock(self._sockets / OWNER)
        self._arrays = ArrayFolder(self._sockets)
        try:
            self._bring_up(program, module := native.library())
        except ServerError as error:
            if module is None:
                raise
            self._say(f"the servers do not start with the native engine: {error}")
            end(self.children, STOP_GRACE_S)
            self.children.clear()
            self.processes = 0
            self._bring_up(program, None)

    def _bring_up(self, program: binaries.ServerProgram, module: Path | None) -> None:
        """Start all children, the parameter servers with ``module``, and wait for the servers."""
        urls = self._serve(program, module)
        if self._processes:  # it imports for longer than it takes them to answer
            self.start_worker(self._processes)
        wait_for(urls, self.children, self.check, self._wait_s)

    def _serve(self, program: binaries.ServerProgram, module: Path | None) -> list[str]:
        """Start the servers, and return their URLs."""
        assert self._sockets is not None
        assert self._arrays is not None
        self._keeper = Keeper(self._child, self._say)  # what was given up before counts no more
        urls = [self.endpoints.broker, *self.endpoints.parameter_servers]
        if self._durable is not None:
            forget_other_shapes(self._durable, [Path(url).stem for url in urls])
        environment = {**KEEP_MEMORY, **os.environ}
        for url in urls:
            socket = Path(url.removeprefix("unix://"))
            arguments = server_arguments(socket, self._sockets, self._durable)
            if module is not None and url != self.endpoints.broker:
                arguments += ["--loadmodule", str(module), "shared", str(self._arrays.path)]
            command = [program.path, *arguments]
            start = partial(Child.start, socket.stem, command, self._logs, environment)
            self.children.append(self._child(start))
        return urls
