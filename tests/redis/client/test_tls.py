"""TLS with an authority of one's own, which asks for a client's certificate, too."""

from __future__ import annotations

import shutil
import socket
import socketserver
import ssl
import subprocess
import threading
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from pathlib import Path

import pytest

from distbelief.app.client.commands import Command
from distbelief.app.client.servers import Servers
from distbelief.app.errors import ServerUnreachable
from distbelief.coordinator.cluster import binaries
from distbelief.coordinator.cluster.binaries import ServerProgram
from distbelief.coordinator.runs.messages import Messages
from tests.redis.private import PrivateServer, free_port
from tests.redis.programs import existing
from tests.redis.topologies import Node, PrivateSentinels, until

DEADLINE_S = 60.0


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with ca.pem, and the certificates and keys of a server and of a client."""
    folder = tmp_path_factory.mktemp("certificates")
    program = shutil.which("openssl")
    if program is None:
        pytest.skip("there is no openssl to make certificates with")

    def openssl(*words: str) -> None:
        subprocess.run([program, *words], cwd=folder, check=True, capture_output=True)

    kind = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")
    openssl("req", "-x509", *kind, "-keyout", "ca.key", "-out", "ca.pem", "-subj", "/CN=Ours")
    (folder / "names").write_text("subjectAltName=IP:127.0.0.1\n")
    for name in ("server", "client"):
        files = ("-keyout", f"{name}.key", "-out", f"{name}.csr")
        openssl("req", *kind, *files, "-subj", f"/CN={name}")
        signed = ("-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-extfile", "names")
        openssl("x509", "-req", "-in", f"{name}.csr", "-out", f"{name}.pem", *signed)
    return folder


@contextmanager
def encrypted(certificates: Path, port: int) -> Iterator[int]:
    """A port that speaks TLS with who has a certificate, and plainly with a server's ``port``.

    The bundled server has no TLS of its own.
    """
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=certificates / "ca.pem")
    context.load_cert_chain(certificates / "server.pem", certificates / "server.key")
    context.verify_mode = ssl.CERT_REQUIRED
    ends = list[socket.socket]()

    class Inside(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            with ExitStack() as stack:
                stack.enter_context(suppress(OSError))
                outer = stack.enter_context(context.wrap_socket(self.request, server_side=True))
                inner = stack.enter_context(socket.create_connection(("127.0.0.1", port)))
                ends.extend((outer, inner))
                back = threading.Thread(target=pass_on, args=(inner, outer))
                back.start()
                stack.callback(back.join)
                pass_on(outer, inner)

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Inside) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield int(server.server_address[1])
        finally:
            server.shutdown()
            for end in ends:
                with suppress(OSError):
                    end.shutdown(socket.SHUT_RDWR)
            thread.join()


def pass_on(source: socket.socket, target: socket.socket) -> None:
    """Pass on what comes until nothing does, and then say so."""
    with suppress(OSError):
        while data := source.recv(1 << 16):
            target.sendall(data)
    with suppress(OSError):
        target.shutdown(socket.SHUT_RDWR)


@pytest.fixture(scope="module")
def encrypting() -> ServerProgram:
    """A server program with TLS of its own."""
    for program in binaries.installed():
        command = [program.path, "--port", "0", "--tls-port", str(free_port())]
        said = subprocess.run(command, timeout=20, check=False, capture_output=True, text=True)
        if "Failed to configure TLS" in said.stdout:  # it lacks a certificate, and nothing else
            return program
    pytest.skip("there is no server with TLS on the PATH (Debian's redis-server has it)")


def as_client(certificates: Path) -> str:
    """The options of an address for a client with a certificate."""
    names = {"ssl_ca_certs": "ca.pem", "ssl_certfile": "client.pem", "ssl_keyfile": "client.key"}
    return "&".join(f"{option}={certificates}/{name}" for option, name in names.items())


def test_both_clients_show_their_certificate_and_trust_our_authority(certificates: Path) -> None:
    with (
        PrivateServer(existing(binaries.bundled())) as server,
        encrypted(certificates, server.port) as port,
    ):
        url = f"rediss://127.0.0.1:{port}?ssl_ca_certs={certificates}/ca.pem"
        ours = f"rediss://127.0.0.1:{port}?{as_client(certificates)}"
        with (
            closing(Servers([ours], deadline_s=DEADLINE_S)) as servers,
            closing(Messages(ours, DEADLINE_S)) as messages,
        ):
            assert servers.one("PING") == b"PONG"
            messages.enable_events()
        refused = {url: r"certificate required|gave no answer", url.partition("?")[0]: "VERIFY"}
        for stranger, complaint in refused.items():
            with (
                closing(Servers([stranger], deadline_s=0.2)) as servers,
                pytest.raises(ServerUnreachable, match=complaint),
            ):
                servers.one("PING")


def test_so_they_do_at_the_nodes_that_a_cluster_names(certificates: Path) -> None:
    bus, program = free_port(), existing(binaries.bundled())
    options = ["--cluster-enabled", "yes", "--cluster-port", str(bus)]
    with Node(program, options, bus=bus) as node, encrypted(certificates, node.port) as port:
        node.ask("CONFIG", "SET", "cluster-announce-port", port)
        node.ask("CLUSTER", "ADDSLOTSRANGE", 0, 16_383)
        until(lambda: node.told("CLUSTER", "INFO")["cluster_state"] == "ok", "a cluster")
        url = f"rediss+cluster://127.0.0.1:{port}?{as_client(certificates)}"
        with (
            closing(Servers([url], deadline_s=DEADLINE_S)) as servers,
            closing(Messages(url, DEADLINE_S)) as messages,
        ):
            found = servers.call([Command(0, ("SET", f"ps:{{{each}}}", each)) for each in "abc"])
            assert len(found) == 3
            messages.enable_events()


@pytest.mark.slow
def test_so_they_do_at_sentinels_and_at_the_masters_that_these_name(
    certificates: Path, encrypting: ServerProgram
) -> None:
    files = {"tls-cert-file": "server.pem", "tls-key-file": "server.key"}
    named = {option: f"{certificates}/{name}" for option, name in files.items()}
    named |= {"tls-ca-cert-file": f"{certificates}/ca.pem", "tls-replication": "yes"}
    with PrivateSentinels(encrypting, password="secret", tls=named) as servers:
        url = f"{servers.url}?{as_client(certificates)}"
        with (
            closing(Servers([url], deadline_s=DEADLINE_S)) as control,
            closing(Messages(url, DEADLINE_S)) as messages,
        ):
            control.one("SET", "key", "before")
            assert control.one("WAIT", 1, 5000) == 1
            servers.fail()
            assert control.one("GET", "key") == b"before"
            messages.enable_events()
        stranger = f"{servers.url}?ssl_ca_certs={certificates}/ca.pem"
        with (
            closing(Servers([stranger], deadline_s=0.5)) as control,
            pytest.raises(ServerUnreachable, match="No master found"),
        ):
            control.one("PING")
