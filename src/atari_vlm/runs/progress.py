"""Progress of a run in one line, which a terminal or a notebook overwrites; a log gets several."""

from __future__ import annotations

import os
import shutil
import sys
import time
from collections.abc import Callable
from types import TracebackType
from typing import TextIO

from atari_vlm.types import Step

EVERY, LOG_EVERY = 0.2, 10.0
"""Seconds between two updates of a line that is overwritten, and between two lines of a log."""

BAR = 10
"""Characters of the bar."""


class Tally:
    """Decisions and dollars so far, and the pace."""

    def __init__(self) -> None:
        self.decisions = 0
        self.dollars: float | None = 0.0
        """None once a price was not known."""
        self._start = time.monotonic()

    def add(self, step: Step) -> None:
        """Count a step."""
        self.decisions += 1
        dollars = step.decision.usage.dollars
        self.dollars = None if self.dollars is None or dollars is None else self.dollars + dollars

    @property
    def pace(self) -> str:
        """Decisions a second, or a minute if they are slow, and the dollars so far."""
        rate = self.decisions / max(time.monotonic() - self._start, 1e-9)
        return pace_text(rate) + (f", ${self.dollars:.4f}" if self.dollars else "")


def pace_text(rate: float) -> str:
    """A number of decisions a second in words.

    >>> pace_text(230.4), pace_text(0.05)
    ('230/s', '3.0/min')
    """
    return f"{rate:.0f}/s" if rate >= 1 else f"{60 * rate:.1f}/min"


class Progress:
    """Prints progress; use as a context manager and pass `watch` to the runner.

    Args:
        title: what is played.
        episodes: of the run.
        wanted: None shows it on a terminal and in a notebook only, True in a log too, False never.
        done: episodes that were finished before.
        longest: most decisions of an episode; None if it has no limit.
        opening: makes the line that is printed first; "" for none.
        file: where to; None for standard error.
    """

    def __init__(
        self,
        title: str,
        episodes: int,
        *,
        wanted: bool | None = None,
        done: int = 0,
        longest: int | None = None,
        opening: Callable[[], str] = str,
        file: TextIO | None = None,
    ) -> None:
        self._title, self._episodes, self._longest = title, episodes, longest
        self._file: TextIO | None = file or sys.stderr  # None in a daemon
        self._over = is_redrawn(self._file)
        self._shows = self._file is not None and (self._over if wanted is None else wanted)
        self._shown = time.monotonic()
        self._tally = Tally()
        self._ended, self._width = done, 0
        self._opening = opening

    def __enter__(self) -> Progress:
        if self._shows and (line := self._opening()):
            print(line, file=self._file, flush=True)
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
        if not self._shows:
            return
        self._tally.add(step)
        ended = step.terminated or step.truncated
        self._ended += ended
        now = time.monotonic()
        if ended or now - self._shown > (EVERY if self._over else LOG_EVERY):
            self._shown = now
            self._print(episode, step)

    def announce(self, text: str) -> None:
        """Say how far games are that are no episodes of the run."""
        if self._shows:
            self._write(f"{self._title}: {text}")

    def _print(self, episode: int, step: Step) -> None:
        number, score = step.observation.step + 1, step.observation.score + step.reward
        now = f"decision {number}, score {score:.15g} ({self._tally.pace})"
        if not self._over:
            counted = f"{self._ended} of {self._episodes} episodes; episode {episode}"
            self._write(f"{self._title}: {counted}, {now}")
            return
        running = 0.0 if step.terminated or step.truncated else self._share(number)
        bar = self._bar(self._ended + running)
        self._write(f"{self._title} {bar} {self._ended}/{self._episodes}, {now}")

    def _write(self, line: str) -> None:
        if not self._over:
            print(line, file=self._file, flush=True)
            return
        line = line[: shutil.get_terminal_size().columns - 1]  # a longer one cannot be overwritten
        print("\r" + line.ljust(self._width), end="", file=self._file, flush=True)
        self._width = len(line)

    def _share(self, decisions: int) -> float:
        return min(1.0, decisions / self._longest) if self._longest else 0.0

    def _bar(self, episodes: float) -> str:
        full = min(BAR, int(BAR * episodes / max(1, self._episodes)))
        return f"[{'#' * full}{'.' * (BAR - full)}]"


def is_redrawn(file: TextIO | None) -> bool:
    """Whether a line on this output can be written over: on a terminal, or in a notebook."""
    if file is None:
        return False
    terminal = file.isatty() and os.environ.get("TERM") != "dumb"
    return terminal or "ipykernel" in sys.modules
