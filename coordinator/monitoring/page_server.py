"""The server of a training's page: on loopback alone, for this machine's browsers.

A page elsewhere may have a browser ask here by a name of its own that leads to this machine: who
does not ask for this very host is refused.
"""

from __future__ import annotations

import base64
import hashlib
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from html import escape
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.resources import files
from pathlib import Path
from string import Template

from distbelief.app.errors import ConfigError

HOST = "127.0.0.1"

#: A browser that says nothing for so long is not waited for.
SILENT_S = 10.0

#: Given the tag of the page that is known: the tag of the last one, and that, if it is another.
Answer = Callable[[str], tuple[str, bytes | None]]


class PageServer(ThreadingHTTPServer):
    """Serves a shell that asks for the report again and again, and the report."""

    daemon_threads = True

    def __init__(self, port: int, answer: Answer, kept: Path) -> None:
        super().__init__((HOST, port), _Handler)
        self.answer = answer
        self.shell, self.policy = _shell(kept)

    @property
    def hosts(self) -> set[str]:
        """What a browser here may call this server."""
        return {f"{name}:{self.server_port}" for name in (HOST, "localhost")}


class _Handler(BaseHTTPRequestHandler):
    server: PageServer
    timeout = SILENT_S
    server_version, sys_version = "distbelief", ""

    def do_GET(self) -> None:
        if self.headers.get("Host") not in self.server.hosts:
            text = f"this page is for browsers of this machine, at {HOST} or localhost\n"
            self._send(HTTPStatus.MISDIRECTED_REQUEST, text.encode(), "text/plain")
        elif self.path == "/":
            self._send(HTTPStatus.OK, self.server.shell, "text/html")
        elif self.path == "/report":
            self._report()
        else:
            self._send(HTTPStatus.NOT_FOUND, b"there is / and /report\n", "text/plain")

    def do_HEAD(self) -> None:
        self.do_GET()

    def _report(self) -> None:
        tag, page = self.server.answer((self.headers.get("If-None-Match") or "").strip('"'))
        if page is not None:
            self._send(HTTPStatus.OK, page, "text/html", tag)
        else:
            status = HTTPStatus.NOT_MODIFIED if tag else HTTPStatus.NO_CONTENT
            self._send(status, b"", "text/html", tag)

    def _send(self, status: HTTPStatus, content: bytes, kind: str, tag: str = "") -> None:
        self.send_response(status)
        self.send_header("Content-Type", f"{kind}; charset=utf-8")
        self.send_header("Content-Length", str(len(content)))
        self.send_header("Content-Security-Policy", self.server.policy)
        self.send_header("Cache-Control", "no-cache")
        self.send_header("X-Content-Type-Options", "nosniff")
        self.send_header("Cross-Origin-Resource-Policy", "same-origin")
        if tag:
            self.send_header("ETag", f'"{tag}"')
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def log_message(self, format: str, *args: object) -> None:
        """Nothing: the terminal is the training's."""


def _shell(kept: Path) -> tuple[bytes, str]:
    """The page that asks for the report, and the only script that a browser may run in it."""
    folder = files("distbelief.coordinator.monitoring") / "templates"
    script = (folder / "live.js").read_text("utf-8")
    shell = Template((folder / "live.html").read_text("utf-8"))
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    policy = (
        f"default-src 'none'; script-src 'sha256-{digest}'; connect-src 'self'; img-src data:; "
        "style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
    text = shell.substitute(script=script, kept=escape(str(kept.resolve())))
    return text.encode(), policy


@contextmanager
def open_server(port: int, answer: Answer, kept: Path) -> Iterator[int]:
    """Answer browsers on a port (0: any that is free), which is given, as long as this is open.

    ``kept`` is the file in which the last page stays.

    Raises:
        ConfigError: the port is taken.
    """
    try:
        server = PageServer(port, answer, kept)
    except OSError as error:
        raise ConfigError(
            f"page = {port} cannot be used on {HOST}: {error.strerror or error}. Choose another "
            "port, or none (--page alone) for any that is free"
        ) from error
    thread = threading.Thread(target=server.serve_forever, name="page-server", daemon=True)
    thread.start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
