"""What the terminal shows: live play, score tables, the catalogue."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from functools import lru_cache
from itertools import groupby
from types import TracebackType

from rich import box
from rich.color import Color
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.markup import escape
from rich.padding import Padding
from rich.panel import Panel
from rich.style import Style
from rich.table import Table
from rich.text import Text

from atari_vlm.atari import images
from atari_vlm.bench.results import Cell
from atari_vlm.costs.bill import compare
from atari_vlm.runs.results import Summary
from atari_vlm.stats import Interval, format_score
from atari_vlm.types import Frame, Step, Usage

LINE_EVERY = 5.0
"""Seconds between progress lines where there is no terminal to redraw."""


class Board:
    """Live progress of a run; use as a context manager and pass `watch` to the trainer.

    On a terminal the newest screen, the model's last words and the score are redrawn ten times a
    second; in a log a line is printed every few seconds and at the end of each episode.
    """

    def __init__(self, console: Console, title: str, *, screen: bool = True) -> None:
        self.console, self.title, self.screen = console, title, screen
        self._live = Live(console=console, auto_refresh=False, transient=True)
        self._drawn = self._started = time.monotonic()
        self._scores: dict[int, float] = {}
        self._sources: Counter[str] = Counter()
        self._decisions = 0

    def __enter__(self) -> Board:
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
        """Take note of a step, and redraw if it is time."""
        if not self._decisions and step.observation.step:
            say(self.console, f"episode {episode} continues at decision {step.observation.step}")
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
        lines.append(shown(decision.reply or decision.reason)[:300])
        parts: list[RenderableType] = [lines]
        rows = min(26, self.console.height - 9)
        if self.screen and rows >= 10 and step.observation.frames:
            parts.insert(0, blocks(step.observation.frames[-1], 3 * rows + 2, rows))
        return Panel(Group(*parts), title=Text(self.title), box=box.ROUNDED, width=84)


def blocks(frame: Frame, columns: int, rows: int) -> Text:
    """A screen as coloured half-block characters, two pixels high each."""
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


def shown(words: str) -> str:
    """A model's words on one line, without what would steer or break a terminal."""
    line = " ".join(words.split())
    return "".join(
        letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in line
    )


def score_table(summary: Summary) -> Table:
    """The score of a run beside random and human, with everything needed to read it."""
    game = summary.game
    table = _scores(escape(f"{game.title}: {summary.model}"), "player")
    table.caption = escape(conditions(summary))
    table.caption_justify = "left"
    if game.random_score is not None:
        table.add_row("random (table)", format_score(game.random_score), "", "", "0")
    uses = f" (uses {', '.join(summary.privileges)})" if summary.privileges else ""
    table.add_row(
        escape(summary.model + uses),
        *_cells(summary.mean, len(summary.scores), summary.human_normalised),
        style="bold",
    )
    if game.human_score is not None:
        table.add_row("human (table)", format_score(game.human_score), "", "", "1")
    return table


def conditions(summary: Summary) -> str:
    """The settings a score depends on, in a sentence."""
    settings = summary.settings
    seeds = [row.seed for row in summary.episodes]
    parts = [
        f"{settings['frame_skip']} frames a decision",
        f"sticky {settings['repeat_action_probability']:g}",
        f"prompt {summary.prompt}" if summary.prompt != "none" else "",
        "" if settings.get("plans", True) else "no plans",
        "all 18 actions" if settings["full_action_space"] else "",
        f"{ahead} decisions planned a call"
        if (ahead := settings.get("decisions_per_call"))
        else "",
        f"seeds {min(seeds)} to {max(seeds)}" if len(seeds) > 1 else f"seed {seeds[0]}",
    ]
    cut = settings.get("max_decisions")
    warning = f" Cut short after {cut} decisions: not scores of whole games." if cut else ""
    if summary.cut:
        short = f"{summary.cut} of {len(summary.episodes)} episodes"
        warning += f" The budget cut {short} short: not scores of whole games."
    return ", ".join(part for part in parts if part) + "." + warning


def _scores(title: str, whose: str) -> Table:
    """A table of scores; the column that says whose makes room for them on a narrow screen."""
    table = Table(box=box.SIMPLE_HEAD, title=title, pad_edge=False)
    table.add_column(whose, overflow="fold")
    for heading in ("mean", "95% interval", "episodes", "human-norm."):
        table.add_column(heading, justify="right", no_wrap=True)
    return table


def _cells(mean: Interval, episodes: int, normalised: float | None) -> tuple[str, str, str, str]:
    interval = (
        ""
        if mean.low is None or mean.high is None
        else f"{format_score(mean.low)} to {format_score(mean.high)}"
    )
    human = "" if normalised is None else f"{normalised:.2f}"
    return format_score(mean.value), interval, str(episodes), human


def print_summary(console: Console, summary: Summary) -> None:
    """The score table, then what the play cost and how the decisions came about."""
    console.print(score_table(summary))
    if len(summary.scores) > 1:
        scores = ", ".join(f"{score:g}" for score in summary.scores)
        console.print(f"Scores: {scores}", highlight=False)
    decisions = sum(row.decisions or 0 for row in summary.episodes)
    sources = ", ".join(f"{count} {source}" for source, count in sorted(summary.sources.items()))
    say(console, f"Decisions: {decisions} ({sources})")
    if summary.played:
        say(console, f"Played now: {summary.played} decisions in {summary.seconds:.1f} s")
    else:
        say(console, "This run was complete: nothing was played now. Another --seed plays anew.")
    if summary.taught_by == 0:
        say(console, "Nothing was trained yet, so no lesson was shown.")
    usage = summary.usage
    if usage.calls:
        console.print(bill(usage), highlight=False)
    if compared := compare(summary.settings, sum(summary.sources.values()), usage):
        for name, words in compared.lines():
            say(console, f"  {name}: {words}")
    say(console, f"Run folder: {summary.folder}")


def bill(usage: Usage) -> str:
    """What asking cost, in a line."""
    thoughts = f" ({usage.reasoning_tokens} of them thoughts)" if usage.reasoning_tokens else ""
    parts = [
        f"Calls: {usage.calls}",
        f"tokens {usage.input_tokens} in ({usage.cached_tokens} cached), "
        f"{usage.output_tokens} out{thoughts}",
        "price unknown" if usage.dollars is None else f"${usage.dollars:.4f}",
    ]
    if usage.replayed:
        parts.append(f"{usage.replayed} replayed from the cache, free")
    if usage.uncertain:
        known = usage.uncertain_dollars
        most = "" if known is None else f", at most ${known:.4f} more"
        parts.append(f"{usage.uncertain} requests broke off and may have been charged{most}")
    return "; ".join(parts)


def say(console: Console, text: str) -> None:
    """Print a line as it is: whole, uncoloured, and with brackets that mean nothing."""
    console.print(text, highlight=False, markup=False, soft_wrap=True)


def bench_table(cells: Sequence[Cell]) -> Table:
    """A row for each player of a game: raw scores with intervals, then human-normalised."""
    table = _scores("", "game and player")
    game = ""
    for cell in cells:
        uses = f"uses {', '.join(cell.privileges)}" if cell.privileges else ""
        lost = f"{cell.fallbacks} fallbacks" if cell.fallbacks else ""
        notes = ", ".join(part for part in (uses, lost, cell.note) if part)
        if cell.game != game:
            table.add_row(cell.game, style="bold")
        table.add_row(
            Padding(escape(f"{cell.player} ({notes})" if notes else cell.player), (0, 0, 0, 2)),
            *_cells(cell.mean, len(cell.scores), cell.normalised),
        )
        game = cell.game
    return table
