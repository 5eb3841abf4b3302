"""The endpoint that Prometheus asks for the figures of a training."""

from __future__ import annotations

import base64
import hmac
import platform
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, version
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

from prometheus_client import CollectorRegistry, ProcessCollector, start_http_server
from prometheus_client.core import Metric
from prometheus_client.registry import Collector

from distbelief.app.client.loopback import is_loopback
from distbelief.app.errors import ConfigError
from distbelief.app.settings.environment import METRICS_PASSWORD, metrics_password
from distbelief.coordinator.monitoring.gauges import Families, Sums, metrics
from distbelief.coordinator.problem.problem import Problem
from distbelief.coordinator.progress.callbacks import Callbacks
from distbelief.coordinator.progress.events import Event
from distbelief.coordinator.progress.scores import ScoreFormatter
from distbelief.coordinator.progress.status import Status

#: The user as whom Prometheus asks where there is a password.
USER = "prometheus"


class Watched(Collector):
    """A training as it was told last. Prometheus asks on a thread of its own.

    Args:
        run: its id, a label of every metric.
        facts: of the run, which do not change.
        score_formatter: names the measures.
    """

    def __init__(self, run: str, facts: dict[str, str], score_formatter: ScoreFormatter) -> None:
        self._families = Families(run)
        self._facts = facts
        self._score_formatter = score_formatter
        self._sums = Sums()
        self._status: Status | None = None
        self._lock = threading.Lock()

    def show(self, status: Status) -> None:
        """Take the latest status."""
        self._status = status

    def hear(self, event: Event) -> None:
        """Add an event."""
        with self._lock:
            self._sums.add(event)

    def collect(self) -> Iterator[Metric]:
        """Give all metrics that there are."""
        yield self._families.info("build", "This program.", _build())
        yield self._families.info("run", "What is trained, and how.", self._facts)
        with self._lock:
            found = list(metrics(self._families, self._sums, self._status, self._score_formatter))
        yield from found


def facts(problem: Problem) -> dict[str, str]:
    """The run in words, for the labels of ``distbelief_run_info``."""
    config = problem.config
    return {
        "algorithm": config.algorithm,
        "model": config.model,
        "data": config.data,
        "optimizer": config.optimizer if "downpour" in config.stages else "",
        "replicas": str(config.replicas),
        "parameters": str(problem.n_parameters),
        "metric": problem.score_formatter.metric,
    }


def _build() -> dict[str, str]:
    try:
        found = version("distbelief")
    except PackageNotFoundError:  # run from a folder, not installed
        found = "unknown"
    return {"version": found, "python": platform.python_version()}


@contextmanager
def serving(
    address: tuple[str, int], problem: Problem, run: str, say: Callable[[str], None]
) -> Iterator[Callbacks]:
    """Answer Prometheus at an address and port (0: any that is free) as long as this is open.

    Raises:
        ConfigError: the port is taken, there is no such address, or others reach it and there is no
            password.
    """
    (host, port), password = address, metrics_password()
    if password is None and not is_loopback(host):
        raise ConfigError(
            f"metrics_address = {host} is reached from other machines, and needs a password: let "
            f"{METRICS_PASSWORD}_FILE name a file with it; Prometheus asks as the user {USER}"
        )
    watched = Watched(run, facts(problem), problem.score_formatter)
    registry = CollectorRegistry()
    try:
        server, thread = start_http_server(port, host, registry)
    except OSError as error:
        raise ConfigError(
            f"metrics_port = {port} cannot be used on {host}: {error.strerror or error}. Choose "
            "another one, or 0 for any that is free"
        ) from error
    if password is not None and (app := server.get_app()) is not None:
        server.set_app(_guarded(app, password))
    registry.register(watched)
    ProcessCollector(registry=registry)
    say(f"metrics: http://{host}:{server.server_port}/metrics")
    try:
        yield Callbacks(lambda _: None, watched.show, watched.hear)
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _guarded(answer: WSGIApplication, password: str) -> WSGIApplication:
    """Answer those who have the password, by HTTP's basic authentication."""
    wanted = b"Basic " + base64.b64encode(f"{USER}:{password}".encode())

    def guarded(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        said = environ.get("HTTP_AUTHORIZATION", "").encode("latin-1", "replace")
        if hmac.compare_digest(said, wanted):
            return answer(environ, start_response)
        start_response("401 Unauthorized", [("WWW-Authenticate", 'Basic realm="metrics"')])
        return []

    return guarded
