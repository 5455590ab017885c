"""Live progress of a run: on a terminal the screen and the last answer, in a log a line."""

from __future__ import annotations

import time
from collections import Counter
from functools import lru_cache
from itertools import groupby
from types import TracebackType

from rich import box
from rich.color import Color
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.panel import Panel
from rich.style import Style
from rich.text import Text

from atari_vlm.atari import images
from atari_vlm.cli.console import print_line, printable
from atari_vlm.types import Frame, Step

LINE_EVERY = 5.0
"""Seconds between progress lines if the output is not a terminal."""


class LiveView:
    """Live progress of a run; use as a context manager and pass `watch` to the trainer.

    A terminal shows screen, last answer and score, at most ten times a second. Other outputs get a
    line every few seconds and at the end of each episode.

    Args:
        console: where to print.
        title: of the panel.
        screen: whether to draw the screen of the game.
    """

    def __init__(self, console: Console, title: str, *, screen: bool = True) -> None:
        self.console, self.title, self.screen = console, title, screen
        self._live = Live(console=console, auto_refresh=False, transient=True)
        self._drawn = self._started = time.monotonic()
        self._scores: dict[int, float] = {}
        self._sources: Counter[str] = Counter()
        self._decisions = 0

    def __enter__(self) -> LiveView:
        if self.console.is_terminal:
            self._live.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        if self.console.is_terminal:
            self._live.stop()

    def watch(self, episode: int, step: Step) -> None:
        """Count a step, and print or redraw if it is time."""
        if not self._decisions and step.observation.step:
            print_line(
                self.console, f"episode {episode} continues at decision {step.observation.step}"
            )
        self._decisions += 1
        self._sources[step.decision.source] += 1
        self._scores[episode] = step.observation.score + step.reward
        now, ended = time.monotonic(), step.terminated or step.truncated
        if self.console.is_terminal:
            if ended or now - self._drawn > 0.1:
                self._drawn = now
                self._live.update(self._panel(episode, step), refresh=True)
        elif ended or now - self._drawn > LINE_EVERY:
            self._drawn = now
            self.console.print(
                f"episode {episode}: {self._numbers(episode, step)}", highlight=False
            )

    def _numbers(self, episode: int, step: Step) -> str:
        rate = self._decisions / max(1e-9, time.monotonic() - self._started)
        fallbacks = self._sources["fallback"]
        return (
            f"score {self._scores[episode]:g} after {step.observation.step + 1} decisions "
            f"({rate:.0f}/s{f', {fallbacks} fallbacks' if fallbacks else ''})"
        )

    def _panel(self, episode: int, step: Step) -> RenderableType:
        decision = step.decision
        lines = Text()
        lines.append(f"episode {episode}: {self._numbers(episode, step)}\n", "bold")
        lines.append(f"{decision.action} x{decision.frames}", "bold cyan")
        lines.append(f"  ({decision.source})\n", "dim")
        lines.append(printable(decision.reply or decision.reason)[:300])
        parts: list[RenderableType] = [lines]
        rows = min(26, self.console.height - 9)
        if self.screen and rows >= 10 and step.observation.frames:
            parts.insert(0, half_blocks(step.observation.frames[-1], 3 * rows + 2, rows))
        return Panel(Group(*parts), title=Text(self.title), box=box.ROUNDED, width=84)


def half_blocks(frame: Frame, columns: int, rows: int) -> Text:
    """A screen as coloured half-block characters, each two pixels high."""
    small = images.rgb(frame, (columns, rows * 2))
    text = Text(no_wrap=True)
    for top, bottom in zip(small[::2], small[1::2], strict=True):
        pairs = zip(map(tuple, top.tolist()), map(tuple, bottom.tolist()), strict=True)
        for (upper, lower), run in groupby(pairs):
            text.append("▀" * len(list(run)), _two_colours(upper, lower))
        text.append("\n")
    return text


@lru_cache(maxsize=4096)
def _two_colours(upper: tuple[int, ...], lower: tuple[int, ...]) -> Style:
    return Style(color=Color.from_rgb(*upper), bgcolor=Color.from_rgb(*lower))
