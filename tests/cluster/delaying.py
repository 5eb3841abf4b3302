"""A proxy that delays: ``python delaying.py ADDRESS PORT TARGET_PORT SECONDS``, each way."""

from __future__ import annotations

import asyncio
import sys
from contextlib import suppress

CHUNK = 1 << 16
#: Chunks on their way; beyond that whoever sends has to wait, as on a real line.
MOST = 1024


async def pass_on(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, delay_s: float
) -> None:
    loop = asyncio.get_running_loop()
    on_the_way: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue(MOST)

    async def take() -> None:
        data = b"-"
        while data:
            data = await reader.read(CHUNK)
            await on_the_way.put((loop.time() + delay_s, data))

    taking = asyncio.create_task(take())
    with suppress(OSError):
        while True:
            due, data = await on_the_way.get()
            await asyncio.sleep(max(0.0, due - loop.time()))
            if not data:
                break
            writer.write(data)
            await writer.drain()
    taking.cancel()
    writer.close()


async def main(address: str, port: int, target: int, delay_s: float) -> None:
    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection("127.0.0.1", target)
        await asyncio.gather(pass_on(reader, back, delay_s), pass_on(there, writer, delay_s))

    server = await asyncio.start_server(connected, address, port)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), float(sys.argv[4])))
