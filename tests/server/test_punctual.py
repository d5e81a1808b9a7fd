"""Whoever sends too slowly is hung up on; whoever is only idle, or waits for an answer, is not."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest
import uvicorn
from narrows_server.punctual import PunctualProtocol
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.types import Receive, Scope, Send

HEAD = b"POST / HTTP/1.1\r\nHost: x\r\n"


class Impatient(PunctualProtocol):
    head_seconds_max = 0.3
    body_seconds_max = 0.3


async def application(scope: Scope, receive: Receive, send: Send) -> None:
    body = await Request(scope, receive).body()
    await asyncio.sleep(0.6 if scope["path"] == "/slow" else 0)
    await PlainTextResponse(f"{len(body)}")(scope, receive, send)


def talk(conversation: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[bytes]]) -> bytes:
    """What a client has heard at the end of *conversation*."""

    async def everything() -> bytes:
        config = uvicorn.Config(application, http=Impatient, lifespan="off", log_level="critical", port=0)
        server = uvicorn.Server(config)
        running = asyncio.create_task(server.serve())
        while not server.started:
            await asyncio.sleep(0.01)
        port = server.servers[0].sockets[0].getsockname()[1]
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        try:
            return await asyncio.wait_for(conversation(reader, writer), 30)
        finally:
            writer.close()
            server.should_exit = True
            await running

    return asyncio.run(everything())


@pytest.mark.parametrize(
    ("begun", "dripped"),
    [(HEAD, b"a: b\r\n"), (HEAD + b"Content-Length: 99\r\n\r\n", b"x")],
    ids=["head", "body"],
)
def test_a_request_that_drips_in_is_cut_off(begun: bytes, dripped: bytes) -> None:
    async def drip(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bytes:
        writer.write(begun)
        heard = asyncio.create_task(reader.read())
        while not heard.done():
            writer.write(dripped)
            await asyncio.sleep(0.05)
        return heard.result()

    assert talk(drip).startswith(b"HTTP/1.1 408")


def test_an_answer_may_take_longer_than_a_request() -> None:
    async def ask(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bytes:
        writer.write(b"POST /slow HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 3\r\n\r\nabc")
        return await reader.read()

    heard = talk(ask)
    assert heard.startswith(b"HTTP/1.1 200")
    assert heard.endswith(b"3")
