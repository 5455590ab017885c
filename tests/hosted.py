"""Hosted models on the loopback server, for the tests of every vendor's API."""

from __future__ import annotations

import asyncio
import base64
from dataclasses import dataclass
from typing import Any

from atari_vlm.atari.emulator import Emulator
from atari_vlm.atari.games import get_game
from atari_vlm.models.hosted.model import HostedModel
from atari_vlm.models.hosted.settings import HostedSettings
from atari_vlm.types import Frame, Message, Prompt, Reply
from tests.servers import Server

KEY = "sk-planted-0123456789abcdef"
LEGAL = ("NOOP", "FIRE", "RIGHT", "LEFT")


@dataclass(frozen=True)
class VendorApi:
    """Reads the requests of one vendor's API."""

    provider: str
    model_id: str

    def address(self, server: Server) -> str:
        return server.base_url if self.provider.startswith("openai") else server.url

    def schema(self, body: dict[str, Any]) -> dict[str, Any]:
        if self.provider == "anthropic":
            return body["output_config"]["format"]["schema"]
        if self.provider == "google":
            return body["generationConfig"]["responseJsonSchema"]
        return body["response_format"]["json_schema"]["schema"]

    def parts(self, body: dict[str, Any]) -> list[Any]:
        """The parts of all turns of a request, in order."""
        turns = body.get("contents") or body.get("messages") or body["input"]
        return [part for turn in turns for part in turn.get("parts") or turn["content"]]

    def image_files(self, body: dict[str, Any]) -> list[bytes]:
        """The image and video files of a request, in order."""
        found = [self._image(part) for part in self.parts(body) if isinstance(part, dict)]
        return [base64.b64decode(data, altchars=b"-_") for data in found if data]

    @staticmethod
    def _image(part: dict[str, Any]) -> str | None:
        address = part.get("image_url", "")
        address = address.get("url", "") if isinstance(address, dict) else address
        data = (
            address.partition(",")[2]
            or part.get("source", {}).get("data")
            or part.get("inlineData", {}).get("data")
        )
        return data.replace("+", "-").replace("/", "_") if data else None


OPENAI = VendorApi("openai", "gpt-4o")
COMPATIBLE = VendorApi("openai-compatible", "Qwen/Qwen2-VL-7B-Instruct")
ANTHROPIC = VendorApi("anthropic", "claude-sonnet-5-5")
GOOGLE = VendorApi("google", "gemini-3.5-flash-lite")
APIS = (OPENAI, COMPATIBLE, ANTHROPIC, GOOGLE)


class FakeClock:
    """A clock on which sleeping takes no time.

    Args:
        waits: receives the seconds of each sleep.
    """

    def __init__(self, waits: list[float]) -> None:
        self.waits = waits

    def now(self) -> float:
        return sum(self.waits)

    async def sleep(self, seconds: float) -> None:
        self.waits.append(seconds)


def breakout_frames(count: int) -> tuple[Frame, ...]:
    emulator = Emulator(get_game("breakout"))
    emulator.reset(seed=1)
    frames = []
    for step in range(count):
        emulator.play(1, 4, 4)
        frames.append(Frame(emulator.screen(), step=step))
    return tuple(frames)


FRAMES = breakout_frames(4)


def make_prompt(*messages: Message, **more: Any) -> Prompt:
    turns = messages or (
        Message("system", ("You play Breakout.",)),
        Message("user", (*FRAMES[:2], "Which action?")),
    )
    return Prompt(messages=turns, **{"legal": LEGAL, "longest": 4, "json": True} | more)


def make_settings(api: VendorApi, server: Server, **more: Any) -> HostedSettings:
    values = {"name": "model", "model_id": api.model_id, "provider": api.provider}
    return HostedSettings(**values | {"base_url": api.address(server)} | more)


def ask(api: VendorApi, server: Server, prompt: Prompt | None = None, **more: Any) -> Reply:
    return asyncio.run(_ask(make_settings(api, server, **more), prompt or make_prompt()))


async def _ask(settings: HostedSettings, prompt: Prompt) -> Reply:
    model = HostedModel(settings, api_key=KEY)
    try:
        return await model.answer(prompt, seed=7)
    finally:
        await model.close()


def body_of(api: VendorApi, prompt: Prompt | None = None, **more: Any) -> dict[str, Any]:
    """The body of the one request for a prompt."""
    with Server() as server:
        ask(api, server, prompt, **more)
    assert len(server.requests) == 1
    return server.requests[0].body
