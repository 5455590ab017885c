"""The four APIs of hosted models, each with its honest answer; and a server that lies about it."""

from __future__ import annotations

import asyncio
import gzip
import json
import zlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import pytest

from atari_vlm.costs.prices import Price
from atari_vlm.errors import AtariVLMError
from atari_vlm.models.hosted.model import HostedModel
from atari_vlm.models.hosted.settings import HostedSettings
from atari_vlm.types import Message, Prompt, Reply
from tests.hosted import KEY, FakeClock
from tests.servers import Request, Server
from tests.vendor_apis import Answer, Anthropic, Api, Google, OpenAI, Responses

PROMPT = Prompt(messages=(Message("user", ("Act.",)),), legal=("NOOP", "LEFT"), longest=4)
TEXT, THOUGHT = "ACTION: LEFT x2", "It falls."


@dataclass(frozen=True)
class Wire:
    """One API and a model that is asked by it."""

    name: str
    api: Api
    provider: str
    model_id: str
    more: dict[str, Any] = field(default_factory=dict)
    """Further settings of the model."""

    def body(self, **answer: Any) -> dict[str, Any]:
        """The JSON of an honest answer."""
        return self.api.render(Answer(**{"text": TEXT, "thinking": THOUGHT} | answer), "m", 0)

    def settings(self, server: Server, **more: Any) -> HostedSettings:
        base_url = server.base_url if self.provider.startswith("openai") else server.url
        values: dict[str, Any] = {
            "name": "model",
            "model_id": self.model_id,
            "provider": self.provider,
            "tries": 2,
        }
        values["price"] = Price(1, 1, 1)
        return HostedSettings(**values | {"base_url": base_url} | self.more | more)


WIRES = (
    Wire("chat", OpenAI, "openai-compatible", "served"),
    Wire("responses", Responses, "openai", "gpt-6-luna", {"effort": "low"}),
    Wire("messages", Anthropic, "anthropic", "claude-sonnet-5-5"),
    Wire("generate", Google, "google", "gemini-3.5-flash-lite"),
)
PACKAGES = {"anthropic": "anthropic", "google": "google.genai"}


@dataclass
class Outcome:
    """What came of asking: a reply or an error."""

    reply: Reply | None = None
    error: AtariVLMError | None = None

    @property
    def text(self) -> str:
        """Everything that may be printed or stored."""
        return repr(self.reply) if self.reply else str(self.error)


def available(wire: Wire) -> Wire:
    """The wire; the test is skipped if the client of its vendor is not installed."""
    if wire.provider in PACKAGES:
        pytest.importorskip(PACKAGES[wire.provider], reason="an optional extra")
    return wire


def ask(
    wire: Wire, server: Server, *, times: int = 1, prompt: Prompt = PROMPT, **more: Any
) -> Outcome:
    """The last of `times` answers, or the first error; anything else is a traceback."""
    available(wire)
    outcome = Outcome()

    async def go() -> None:
        model = HostedModel(wire.settings(server, **more), api_key=KEY, clock=FakeClock([]))
        try:
            for _ in range(times):
                outcome.reply = await model.answer(prompt, seed=7)
        except AtariVLMError as error:
            outcome.reply, outcome.error = None, error
        finally:
            await model.close()

    asyncio.run(go())
    return outcome


def ask_raw(wire: Wire, body: Any, **answer: Any) -> Outcome:
    """What comes of a body with status 200, after an honest answer."""
    raw = body if isinstance(body, str) else json.dumps(body)
    with Server([Answer(), Answer(raw=raw, **answer)]) as server:
        return ask(wire, server, times=2)


# -- a server that lies ---------------------------------------------------------------------------

Lie = Callable[["Liar", asyncio.StreamWriter, Wire], Awaitable[None]]


class Liar(Server):
    """Answers every request, after `honest` honest ones, as a Lie writes it to the socket."""

    def __init__(self, lie: Lie, wire: Wire, *, honest: int = 0) -> None:
        super().__init__()
        self._lie, self._wire, self._honest = lie, wire, honest
        self.slow = False
        """Whether only a time-out ends the lie."""

    async def _exchange(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        headers = {k.lower(): v.strip() for k, _, v in (line.partition(":") for line in head[1:])}
        await reader.readexactly(int(headers.get("content-length", 0)))
        number, self.count = self.count, self.count + 1
        self.requests.append(Request(head[0].split(" ")[1], headers, {}))
        if number < self._honest:
            writer.write(http(json.dumps(self._wire.body()).encode()))
            await writer.drain()
            return False
        await self._lie(self, writer, self._wire)
        return False


def head(status: str, *lines: str) -> bytes:
    """Of a response after which the server closes; unsaid, the client may ask again on it."""
    return "\r\n".join([f"HTTP/1.1 {status}", "connection: close", *lines, "", ""]).encode()


def http(
    body: bytes, status: str = "200 OK", kind: str = "application/json", **headers: str
) -> bytes:
    """A response, with its length."""
    lines = [f"content-length: {len(body)}", f"content-type: {kind}"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return head(status, *lines) + body


def fixed(make: Callable[[Wire], bytes]) -> Lie:
    """A lie that is one response."""

    async def lie(server: Liar, writer: asyncio.StreamWriter, wire: Wire) -> None:
        writer.write(make(wire))
        await writer.drain()

    return lie


def endless(head: str, piece: bytes, pause: float = 0.0) -> Lie:
    """A response that begins so and never ends."""

    async def lie(server: Liar, writer: asyncio.StreamWriter, wire: Wire) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\n" + head.encode())
        while True:
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(pause)

    return lie


def good(wire: Wire) -> bytes:
    return json.dumps(wire.body()).encode()


@cache
def deflated_zeros(size: int, wbits: int) -> bytes:
    """Compressed zeros, about a thousandth of `size` bytes."""
    packer, piece = zlib.compressobj(9, zlib.DEFLATED, wbits), bytes(2**20)
    return b"".join(packer.compress(piece) for _ in range(size >> 20)) + packer.flush()


BOMB = 1 << 26
CHUNK = b"10000\r\n" + b" " * 0x10000 + b"\r\n"
JSON = "content-type: application/json\r\n"
CHUNKED = JSON + "transfer-encoding: chunked\r\n\r\n"

LIES: dict[str, Lie] = {
    "gzip bomb": fixed(lambda wire: http(deflated_zeros(BOMB, 31), content_encoding="gzip")),
    "deflate bomb": fixed(lambda wire: http(deflated_zeros(BOMB, 15), content_encoding="deflate")),
    "twice zipped": fixed(
        lambda wire: http(
            gzip.compress(deflated_zeros(BOMB, 31)), content_encoding="gzip, gzip"
        )
    ),
    "bomb in an error": fixed(
        lambda wire: http(deflated_zeros(BOMB, 31), "500 X", content_encoding="gzip")
    ),
    "no gzip": fixed(lambda wire: http(good(wire), content_encoding="gzip")),
    "unknown encoding": fixed(lambda wire: http(b"\x28\xb5\x2f\xfd", content_encoding="zstd")),
    "endless body": endless(CHUNKED, CHUNK),
    "endless error": fixed(lambda wire: http(b"x" * 10**7, "500 X", "text/plain")),
    "endless headers": endless("", b"x-a: " + b"b" * 10_000 + b"\r\n"),
    "endless header": endless("x-a: ", b"b" * 10_000),
    "drip": endless(CHUNKED, b"1\r\n \r\n", 0.05),
    "drip of headers": endless("", b"x", 0.05),
    "silence": endless(JSON + "content-length: 10\r\n\r\n", b"", 0.5),
    "too short": fixed(lambda wire: http(good(wire))[:-20]),
    "length lies": fixed(
        lambda wire: head("200 OK", "content-length: 30", JSON.strip()) + good(wire)
    ),
    "two lengths": fixed(
        lambda wire: b"HTTP/1.1 200 OK\r\ncontent-length: 30\r\n" + http(good(wire))[17:]
    ),
    "negative length": fixed(lambda wire: head("200 OK", "content-length: -5") + b"{}"),
    "no HTTP": fixed(lambda wire: b"SSH-2.0-OpenSSH_9.6\r\n"),
    "closed at once": fixed(lambda wire: b""),
    "empty": fixed(lambda wire: http(b"")),
    "204": fixed(lambda wire: head("204 No Content")),
    "304": fixed(lambda wire: head("304 Not Modified")),
    "999": fixed(lambda wire: http(good(wire), "999 X")),
    "101": fixed(lambda wire: head("101 Switching", "upgrade: x")),
    "page": fixed(
        lambda wire: http(b"<html><title>Sign in</title></html>", kind="text/html")
    ),
    "page of an error": fixed(
        lambda wire: http(b"<html><b>Bad gateway</b></html>", "502 X", "text/html")
    ),
    "deep": fixed(lambda wire: http(b"[" * 200_000)),
    "deep object": fixed(lambda wire: http(b'{"a":' * 200_000 + b"1" + b"}" * 200_000)),
    "deep error": fixed(lambda wire: http(b"[" * 200_000, "500 X")),
    "deep refusal": fixed(lambda wire: http(b'{"a":' * 60_000, "429 X")),
    "huge number": fixed(lambda wire: http(b'{"usage": ' + b"9" * 100_000 + b"}")),
    "twice": fixed(lambda wire: http(good(wire)[:-1] + b', "id": 1, "id": 2}')),
    "twice in an error": fixed(lambda wire: http(b'{"error": 1, "error": 2}', "500 X")),
    "redirect": fixed(
        lambda wire: http(b"", "307 X", location="http://127.0.0.1:1/v1?token=SECRET")
    ),
    "redirect to a file": fixed(lambda wire: http(b"", "302 X", location="file:///etc/passwd")),
    "redirect nowhere": fixed(lambda wire: http(b"", "302 X", location="http://[")),
    "wait for NaN": fixed(lambda wire: http(b"{}", "429 X", retry_after="nan")),
    "wait for ever": fixed(lambda wire: http(b"{}", "429 X", retry_after="1e999")),
    "wait backwards": fixed(lambda wire: http(b"{}", "503 X", retry_after="-10")),
}  # fmt: skip
"""What a server can send in the place of an answer."""


async def _informational(server: Liar, writer: asyncio.StreamWriter, wire: Wire) -> None:
    while True:
        writer.write(b"HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n")
        await writer.drain()


LIES["endless 103"] = _informational
SLOW = {"drip", "drip of headers", "silence", "endless 103"}
"""Lies that end only by the time-out."""
