"""Tables that stay readable on any screen: where the columns do not fit, each row is a short list.

game     random   human          pong
pong      -20.7    14.6            random: -20.7
human: 14.6
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain

from rich import box
from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.measure import Measurement
from rich.padding import Padding
from rich.style import Style
from rich.table import Column, Table
from rich.text import Text

LEAST_FOLDED = 24
"""Characters that a folded column needs, unless its texts are shorter."""

_INDENT = (0, 0, 0, 2)


class Listing(Table):
    """A table that no screen cuts.

    Columns are never cropped: cells stay whole, and only a folded column is wrapped. If that does
    not fit, each row is printed as its first cell and one "heading: value" line for each other
    cell that is not empty.

    Args:
        headings: of the columns.
        title: above the table; plain text, unlike cells and caption, which may have markup.
        right: the headings of columns that are right-aligned.
        fold: the heading of the column that is wrapped; None for the last one.
    """

    def __init__(
        self,
        *headings: str,
        title: str = "",
        right: Sequence[str] = (),
        fold: str | None = None,
    ) -> None:
        super().__init__(
            box=box.SIMPLE_HEAD,
            title=Text(title) if title else None,
            title_justify="left",
            pad_edge=False,
        )
        folded = headings.index(fold) if fold is not None else len(headings) - 1
        for index, heading in enumerate(headings):
            self.add_column(
                heading,
                justify="right" if heading in right else "left",
                no_wrap=index != folded,
                overflow="fold",
            )

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """The table, or the lists."""
        if self._fits(console, options):
            yield from super().__rich_console__(console, options)
        else:
            yield from self._lists()

    def __rich_measure__(self, console: Console, options: ConsoleOptions) -> Measurement:
        """The table's measure; the lists fit any width."""
        if self._fits(console, options):
            return super().__rich_measure__(console, options)
        return Measurement(1, options.max_width)

    def _fits(self, console: Console, options: ConsoleOptions) -> bool:
        """Whether the columns fit, three characters apart or, where there is less room, two."""
        unbounded = options.update(width=10_000)
        widths = [_least(column, console, unbounded) for column in self.columns]
        spare = options.max_width - sum(widths) - 2  # one character at each edge
        gaps = len(widths) - 1
        self.collapse_padding = spare < 3 * gaps
        return spare >= 2 * gaps

    def _lists(self) -> RenderResult:
        if self.title:
            yield Text(str(self.title), style="italic", overflow="fold")
        headings = [str(column.header) for column in self.columns]
        cells = [list(column.cells) for column in self.columns]
        for number, row in enumerate(self.rows):
            first, *rest = (column[number] for column in cells)
            style = row.style or ""
            if not self._is_empty(first):
                yield self._line("", first, style)
            for heading, cell in zip(headings[1:], rest, strict=True):
                if not self._is_empty(cell):
                    yield Padding(self._line(heading, cell, ""), _INDENT, expand=False)
        if self.caption:
            yield Text.from_markup(str(self.caption), style="dim italic", overflow="fold")

    @staticmethod
    def _is_empty(cell: RenderableType) -> bool:
        return isinstance(cell, str | Text) and not str(cell).strip()

    @staticmethod
    def _line(heading: str, cell: RenderableType, style: str | Style) -> RenderableType:
        text = Text.from_markup(cell) if isinstance(cell, str) else cell
        if not isinstance(text, Text):
            return text
        start = Text(f"{heading}: " if heading else "", style=style, overflow="fold")
        return start.append_text(text)


def _least(column: Column, console: Console, options: ConsoleOptions) -> int:
    """Characters that a column needs so that no cell of it is cut."""
    cells = chain([column.header], column.cells)
    measures = [console.measure(cell, options=options) for cell in cells]
    if column.no_wrap:
        return max(measure.maximum for measure in measures)
    words = max(measure.minimum for measure in measures)
    return max(words, min(LEAST_FOLDED, max(measure.maximum for measure in measures)))
