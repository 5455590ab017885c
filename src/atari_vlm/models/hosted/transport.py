"""The HTTP transport below every vendor's client: bounded, and suspicious of what a server sends.

It reads an answer whole and within limits, follows no redirect, and hands the vendor's client a
body that was checked and written anew (`answers`). What cannot be used is raised as an
`UnusableAnswer` or a ModelUnusable, which the client finds among the causes of the vendor's error.

    answers    at most `MOST_ANSWER` bytes, also when decompressed, `DEEPEST` levels of JSON
    errors     the first `MOST_ERROR` bytes
    headers    at most 100 kB, a limit of httpcore
    time       the time-out covers a request from its first byte to the last of its answer
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Mapping
from contextlib import aclosing
from functools import partial
from typing import Any, NoReturn

import httpx2

from atari_vlm.errors import ModelUnusable, setting
from atari_vlm.files.untrusted import json_of, storable
from atari_vlm.models.hosted.addresses import without_secrets
from atari_vlm.models.hosted.answer_fields import UnusableAnswer, error_body
from atari_vlm.models.hosted.answers import cleaned
from atari_vlm.models.hosted.compression import ACCEPTED, Incompressible, decompressed
from atari_vlm.models.hosted.deadline import CONNECT_S, answered_within, with_patience
from atari_vlm.models.hosted.event_streams import is_stream, joined
from atari_vlm.models.hosted.network import Network

MOST_ANSWER = 8 * 2**20
"""Most bytes of an answer, decompressed: twice what 128,000 tokens take in escaped JSON."""

MOST_ERROR = 64 * 2**10
"""Bytes of an error that are read; the rest is left out."""

DEEPEST = 64
"""Most levels of lists and objects in an answer."""

_KEPT = ("retry-after", "retry-after-ms", "x-request-id", "request-id")
"""Headers of an answer that the vendors' clients may see."""


class BoundedTransport(httpx2.AsyncBaseTransport):
    """Sends requests, and returns answers that were read whole and checked.

    Args:
        chosen: what the user set that must be in the body of a request, by the name of the
            setting: any of these fields, e.g. {"temperature": ("temperature",)}. A vendor's client
            may drop a setting that it thinks a model does not take. The first request is checked;
            the others have the same settings.
        name: of the model, for messages.
        timeout_s: seconds to wait for an answer, from the first byte of its request on.
    """

    def __init__(self, chosen: Mapping[str, tuple[str, ...]], name: str, timeout_s: float) -> None:
        self._network, self._timeout_s = Network(), timeout_s
        self._chosen, self._name = dict(chosen), name

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """Send a request and return the answer.

        Raises:
            UnusableAnswer: the answer is not one, or it states an error.
            ModelUnusable: a proxy or certificates cannot be used, the server redirects to another
                address, or a setting would not be sent.
            ProxyFailed: the proxy does not connect.
            TooSlow: the answer was not there in time.
            Shortage: this process cannot connect, for a reason of its own.
        """
        if self._chosen:
            self._check_sent(request.content)
        request.headers["accept-encoding"] = ACCEPTED
        waits = {"connect": CONNECT_S, "read": None, "write": None, "pool": None}
        async with answered_within(self._timeout_s) as trace:
            request.extensions = {**request.extensions, "timeout": waits, "trace": trace}
            response = await with_patience(lambda: self._network.send(request))
            try:
                return await self._checked(request, response)
            finally:
                await response.aclose()

    async def aclose(self) -> None:
        """Close all connections."""
        await self._network.aclose()

    def _check_sent(self, body: bytes) -> None:
        """Raise ModelUnusable unless every chosen setting is in the body.

        In a JSON body these quotes can only enclose a key: those in texts are escaped.
        """
        for name, keys in self._chosen.items():
            if not any(b'"%s":' % key.encode() in body for key in keys):
                raise ModelUnusable(
                    f"{self._name} takes no {setting(name)}, which would be left out of the "
                    f"request without a word; leave it out of the settings."
                )
        self._chosen = {}

    async def _checked(self, request: httpx2.Request, response: httpx2.Response) -> httpx2.Response:
        status = response.status_code
        if 300 <= status < 400 and "location" in response.headers:
            _refuse_redirect(request, response)
        if 400 <= status < 600:
            return _rebuilt(response, await _error(response), request)
        if not 200 <= status < 300:
            raise UnusableAnswer(f"its status was {status}")
        sent, whole = await _read(response, MOST_ANSWER)
        try:
            body, all_of_it = await _decompressed(sent, response, MOST_ANSWER)
        except Incompressible as error:
            raise UnusableAnswer(str(error)) from None
        if not (whole and all_of_it):
            raise UnusableAnswer(f"it had more than {MOST_ANSWER // 2**20} MB")
        payload = await _parsed(_text(body), status, request.url.path)
        return _rebuilt(response, cleaned(request.url.path, payload, response.headers), request)


async def _read(response: httpx2.Response, most: int) -> tuple[bytearray, bool]:
    """The first `most` bytes of a body as they were sent; whether they are all."""
    body = bytearray()
    async with aclosing(response.aiter_raw()) as pieces:
        async for piece in pieces:
            body += piece
            if len(body) > most:
                del body[most:]
                return body, False
    return body, True


async def _decompressed(
    sent: bytearray, response: httpx2.Response, most: int
) -> tuple[bytes | bytearray, bool]:
    if len(sent) > _MUCH:
        return await asyncio.to_thread(decompressed, sent, response.headers, most)
    return decompressed(sent, response.headers, most)


async def _error(response: httpx2.Response) -> dict[str, Any]:
    """The body of an error; one that cannot be read says nothing, and its status counts."""
    sent, whole = await _read(response, MOST_ERROR)
    try:
        body, all_of_it = await _decompressed(sent, response, MOST_ERROR)
    except Incompressible:
        return error_body("", True)
    return error_body(_text(body), whole and all_of_it)


def _text(body: bytes | bytearray) -> str:
    return body.decode("utf-8-sig", errors="replace")


_MUCH = 2**18
"""Bytes or characters from which on a body is read in another thread."""


async def _parsed(text: str, status: int, path: str) -> Any:
    """The JSON value of an answer; a long one is parsed in another thread."""
    if not text.strip():
        raise UnusableAnswer(f"the answer was empty, with status {status}")
    if re.match(r"\s*<", text):
        title = re.search(r"<title[^>]*>([^<]{1,80})", text[:5000], re.IGNORECASE)
        raise UnusableAnswer("it sent a page of HTML" + (f', "{title[1]}"' if title else ""))
    read = partial(joined, path, text, _json) if is_stream(text) else partial(_json, text)
    try:
        return await asyncio.to_thread(read) if len(text) > _MUCH else read()
    except ValueError as error:
        reason = str(error).partition(";")[0]
        raise UnusableAnswer(f"its JSON cannot be used: {reason}") from None


def _json(text: str) -> Any:
    return json_of(text, most=MOST_ANSWER, deepest=DEEPEST, finite=False, unique=True)


def _rebuilt(
    response: httpx2.Response, body: dict[str, Any], request: httpx2.Request
) -> httpx2.Response:
    """A response with that body, and of its headers those that are `_KEPT` and plain ASCII."""
    stated = {name: response.headers.get(name, "") for name in _KEPT}
    headers = {name: text for name, text in stated.items() if text and text.isascii()}
    return httpx2.Response(
        response.status_code,
        headers=headers | {"content-type": "application/json"},
        content=json.dumps(body).encode(),
        request=request,
    )


def _refuse_redirect(request: httpx2.Request, response: httpx2.Response) -> NoReturn:
    """Redirects are not followed, because the key would go along."""
    try:
        target = request.url.join(storable(response.headers["location"]))
        where = without_secrets(str(target)) or "another address"
        if target.scheme not in ("http", "https"):
            where = "something that is no server"
    except (httpx2.InvalidURL, ValueError):
        where = "something that is no address"
    raise ModelUnusable(
        f"{without_secrets(str(request.url))} redirects to {where[:200]} ({response.status_code})."
        f" Requests carry the key and follow no redirect: if you trust that address, set "
        f"{setting('base_url')} to it.",
        "server",
    )
