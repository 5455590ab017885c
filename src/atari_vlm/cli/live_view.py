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
from atari_vlm.cli.flags import with_flags
from atari_vlm.runs.progress import Tally
from atari_vlm.stats import counted
from atari_vlm.types import Frame, Step

LINE_EVERY = 5.0
"""Seconds between progress lines if the output is not a terminal."""

WIDEST, LEAST_ROWS, MOST_ROWS = 84, 10, 26
"""Columns of the panel; rows of the screen, which is left out where there is less room."""

_AROUND, _ANSWER = 4, 4
"""Rows of the panel beside screen and answer (frame, numbers, decision), and of the answer."""


class LiveView:
    """Live progress of a run; use as a context manager and pass `watch` to the trainer.

    A terminal shows screen, score, decision and last answer, at most ten times a second. Other
    outputs, and terminals that cannot redraw, get a line every few seconds and at the end of each
    episode.

    Args:
        console: where to print.
        title: of the panel.
        screen: whether to draw the screen of the game, if the console has colours.
    """

    def __init__(self, console: Console, title: str, *, screen: bool = True) -> None:
        self.console, self.title = console, title
        self.screen = screen and console.color_system is not None and not console.no_color
        self._redraws = console.is_terminal and not console.is_dumb_terminal
        self._live = Live(console=console, auto_refresh=False, transient=True)
        self._drawn = time.monotonic()
        self._tally = Tally()
        self._scores: dict[int, float] = {}
        self._sources: Counter[str] = Counter()

    def __enter__(self) -> LiveView:
        if self._redraws:
            self._live.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        if self._redraws:
            self._live.stop()

    def watch(self, episode: int, step: Step) -> None:
        """Count a step, and print or redraw if it is time."""
        if not self._tally.decisions and step.observation.step:
            print_line(
                self.console, f"episode {episode} continues at decision {step.observation.step}"
            )
        first = not self._tally.decisions
        self._tally.add(step)
        self._sources[step.decision.source] += 1
        self._scores[episode] = step.observation.score + step.reward
        now, ended = time.monotonic(), step.terminated or step.truncated
        if self._redraws:
            if first or ended or now - self._drawn > 0.1:
                self._drawn = now
                self._live.update(self._panel(episode, step), refresh=True)
        elif ended or now - self._drawn > LINE_EVERY:
            self._drawn = now
            print_line(self.console, f"{self.title}, {self._numbers(episode, step)}")

    def __call__(self, episode: int, step: Step) -> None:
        """Count a step, as `watch`."""
        self.watch(episode, step)

    def announce(self, text: str) -> None:
        """Show how far games are that are no episodes of the run."""
        if self._redraws:
            width = min(WIDEST, self.console.width)
            panel = Panel(
                Text(printable(text), overflow="fold"),
                title=Text(self.title),
                box=box.ROUNDED,
                width=width,
            )
            self._live.update(panel, refresh=True)
        else:
            print_line(self.console, printable(text))

    def _numbers(self, episode: int, step: Step) -> str:
        fallbacks = self._sources["fallback"]
        said = f", {counted(fallbacks, 'fallback')}" if fallbacks else ""
        return (
            f"episode {episode}: score {self._scores[episode]:.15g} after "
            f"{counted(step.observation.step + 1, 'decision')} "
            f"({self._tally.pace}{said})"
        )

    def _panel(self, episode: int, step: Step) -> RenderableType:
        """Screen, numbers and decision; the answer has what room is left."""
        decision = step.decision
        width = min(WIDEST, self.console.width) - 4
        top = Text.assemble((self._numbers(episode, step), "bold"), overflow="fold")
        played = Text.assemble(
            (f"{decision.action} x{decision.frames}", "bold cyan"),
            (f"  ({decision.source})", "dim"),
        )
        above = len(top.wrap(self.console, width)) - 1
        room = self.console.height - _AROUND - above - 1
        parts: list[RenderableType] = [top, played]
        rows = min(MOST_ROWS, room - _ANSWER, (width - 2) // 3)
        if self.screen and rows >= LEAST_ROWS and step.observation.frames:
            parts.insert(0, half_blocks(step.observation.frames[-1], 3 * rows + 2, rows))
            room -= rows
        answer = printable(decision.reply or with_flags(decision.reason))
        if answer and room > 0:
            parts.append(self._fitted(answer, width, min(_ANSWER, room)))
        return Panel(
            Group(*parts), title=Text(self.title), box=box.ROUNDED, width=min(WIDEST, width + 4)
        )

    def _fitted(self, answer: str, width: int, rows: int) -> Text:
        """An answer of at most so many rows."""
        length = rows * width
        while True:
            text = Text(shortened(answer, length), overflow="fold")
            if length <= 10 or len(text.wrap(self.console, width)) <= rows:
                return text
            length -= max(1, width // 8)


def shortened(text: str, length: int) -> str:
    """A text of at most `length` characters: the middle of a longer one is left out.

    The end of an answer stays, because that is where it names its action.
    """
    if len(text) <= length:
        return text
    head = max(0, length // 3 - 5)
    return f"{text[:head]} ... {text[len(text) - (length - head - 5) :]}"


def half_blocks(frame: Frame, columns: int, rows: int) -> Text:
    """A screen as coloured half-block characters, each two pixels high."""
    small = images.rgb(frame, (columns, rows * 2))
    text = Text(no_wrap=True)
    for top, bottom in zip(small[::2], small[1::2], strict=True):
        pairs = zip(map(tuple, top.tolist()), map(tuple, bottom.tolist()), strict=True)
        for (upper, lower), run in groupby(pairs):
            text.append("▀" * len(list(run)), _two_colours(upper, lower))
        text.append("\n")
    text.right_crop(1)
    return text


@lru_cache(maxsize=4096)
def _two_colours(upper: tuple[int, ...], lower: tuple[int, ...]) -> Style:
    return Style(color=Color.from_rgb(*upper), bgcolor=Color.from_rgb(*lower))
