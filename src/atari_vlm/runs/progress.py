"""Progress of a run in one line, which a terminal or a notebook overwrites; a log gets several."""

from __future__ import annotations

import sys
import time
from types import TracebackType
from typing import TextIO

from atari_vlm.types import Step

EVERY, LOG_EVERY = 0.2, 10.0
"""Seconds between two updates of a line that is overwritten, and between two lines of a log."""


class Progress:
    """Prints progress; use as a context manager and pass `watch` to the runner.

    Args:
        title: what is played.
        episodes: of the run.
        file: where to; None for standard error.
    """

    def __init__(self, title: str, episodes: int, file: TextIO | None = None) -> None:
        self._title, self._episodes = title, episodes
        self._file = file or sys.stderr
        self._over = self._file.isatty() or "ipykernel" in sys.modules
        self._start = self._shown = time.monotonic()
        self._decisions = self._ended = self._width = 0
        self._dollars: float | None = 0.0

    def __enter__(self) -> Progress:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        if self._over and self._width:
            print(file=self._file, flush=True)

    def watch(self, episode: int, step: Step) -> None:
        """Take note of a step."""
        self._decisions += 1
        dollars = step.decision.usage.dollars
        self._dollars = (
            None if self._dollars is None or dollars is None else self._dollars + dollars
        )
        ended = step.terminated or step.truncated
        self._ended += ended
        now = time.monotonic()
        if ended or now - self._shown > (EVERY if self._over else LOG_EVERY):
            self._shown = now
            self._print(self._line(episode, step, now - self._start))

    def _line(self, episode: int, step: Step, seconds: float) -> str:
        score = step.observation.score + step.reward
        rate = self._decisions / max(seconds, 1e-9)
        pace = f"{rate:.0f}/s" if rate >= 1 else f"{60 * rate:.1f}/min"
        cost = f", ${self._dollars:.4f}" if self._dollars else ""
        return (
            f"{self._title}: {self._ended} of {self._episodes} episodes; episode {episode}, "
            f"decision {step.observation.step + 1}, score {score:g} ({pace}{cost})"
        )

    def _print(self, line: str) -> None:
        if not self._over:
            print(line, file=self._file, flush=True)
            return
        print("\r" + line.ljust(self._width), end="", file=self._file, flush=True)
        self._width = len(line)
