"""An echo server in a process of its own: ``python -m tests.echo_server [CERTIFICATE]``.

It prints its port, and ends with its standard input.  It is asynchronous because a threaded
server has, under TLS, the very race that the tests look for in the client.
"""

from __future__ import annotations

import asyncio  # noqa: TID251 - in a process of its own
import contextlib
import ssl
import subprocess
import sys
from collections.abc import Iterator

from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed


async def echo(link: ServerConnection) -> None:
    with contextlib.suppress(ConnectionClosed):
        async for message in link:
            await link.send(message)


async def main(certificate: str | None) -> None:
    context = None
    if certificate is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
    async with serve(
        echo,
        "127.0.0.1",
        0,
        ssl=context,
        compression=None,
        max_size=None,
        ping_interval=None,
        close_timeout=1,
    ) as server:
        print(next(iter(server.sockets)).getsockname()[1], flush=True)
        await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)


@contextlib.contextmanager
def echoing(certificate: str | None = None) -> Iterator[int]:
    """Run the server; gives its port."""
    command = [sys.executable, "-m", "tests.echo_server", *([certificate] if certificate else [])]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            yield int(process.stdout.readline())
        finally:
            process.stdin.close()
            try:
                process.wait(10)
            finally:
                process.kill()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1] if sys.argv[1:] else None))
