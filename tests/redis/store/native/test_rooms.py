"""What a large call of the native engine needs beside its arguments is given back to the server."""

from __future__ import annotations

import time
from pathlib import Path

import redis

from distbelief.coordinator.cluster.binaries import ServerProgram
from tests.redis.private import PrivateServer

MB = 1 << 20
BLOCK = bytes(64 << 10)
BLOCKS = 640  # 40 MB together
PATIENCE_S = 60.0


def test_a_large_room_is_given_back_and_a_small_one_kept(
    program: ServerProgram, native_module: Path
) -> None:
    with (
        PrivateServer(program, options=["--loadmodule", str(native_module)]) as server,
        redis.Redis(unix_socket_path=str(server.socket)) as client,
    ):
        client.hset("meta", "clock", 1)
        client.hset("vector", mapping={str(each): BLOCK for each in range(BLOCKS)})

        def fetch(blocks: int) -> None:
            got = client.execute_command(
                "distbelief.fetch", 2, "meta", "vector", 0, 0, 0, 0, blocks - 1, ""
            )
            assert len(got[3]) == blocks * len(BLOCK)

        def used() -> int:
            return int(client.info("memory")["used_memory"])

        fetch(1)
        before = used()
        for _ in range(3):
            fetch(BLOCKS)
        assert used() > before + BLOCKS * len(BLOCK), "from one call to the next it is kept"
        deadline = time.monotonic() + PATIENCE_S
        while used() > before + MB and time.monotonic() < deadline:
            time.sleep(0.1)
        assert used() < before + MB
        fetch(16)
        kept = used()
        time.sleep(2.5)  # longer than large rooms stay
        assert used() >= kept - MB / 4
