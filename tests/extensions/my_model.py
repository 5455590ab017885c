"""A model as a user writes it: its answers depend on every pixel and word that it is shown."""

from __future__ import annotations

import os
import zlib
from dataclasses import dataclass
from pathlib import Path

from atari_vlm import Reply


@dataclass(frozen=True)
class Checksum:
    """Plays the action that a checksum of the prompt picks.

    `log` counts its answers; the process ends without a word before answer number `dies_at`.
    """

    salt: int = 0
    version: str = "1"
    name: str = "checksum"
    prompt_type: str = "basic"
    log: Path | None = None
    dies_at: Path | None = None

    @property
    def settings(self):
        return {"salt": self.salt}

    async def answer(self, prompt, *, seed):
        if self.log is not None:
            with self.log.open("a") as calls:
                calls.write(".")
            if self.dies_at is not None and self.log.stat().st_size == int(
                self.dies_at.read_text()
            ):
                os._exit(9)
        number = zlib.crc32(prompt.text.encode(), self.salt)
        for frame in prompt.frames:
            number = zlib.crc32(frame.pixels.tobytes(), number)
        if not prompt.legal:
            return Reply(text=f"Advice {number}.")
        return Reply(text=f"ACTION: {prompt.legal[number % len(prompt.legal)]} x2")

    async def close(self):
        pass
