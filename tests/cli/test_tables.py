"""Tables are whole at any width: as columns where they fit, else as lists."""

from __future__ import annotations

from io import StringIO

import pytest
from rich.console import Console

from atari_vlm.cli.tables import Listing

ROWS = (
    ("montezuma_revenge", "3", "4753.3", "Requires long-term planning and multi-objective care"),
    ("pong[/x]", "1", "-20.7", ""),
)


def listing() -> Listing:
    table = Listing("game", "tier", "human", "what it asks for", title="[b]t[/b]", right=("human",))
    for game, *rest in ROWS:
        table.add_row(game.replace("[", r"\["), *rest, style="bold")
    return table


def shown(width: int, table: Listing | None = None, **console) -> list[str]:
    out = StringIO()
    Console(file=out, width=width, **console).print(table or listing())
    return out.getvalue().splitlines()


@pytest.mark.parametrize("width", range(10, 100, 3))
def test_nothing_is_cut_at_any_width(width):
    lines = shown(width)
    assert max(map(len, lines)) <= width
    text = "".join("".join(lines).split())
    assert "…" not in text
    for word in ("4753.3", "-20.7", "pong[/x]", "[b]t[/b]"):
        assert word in text
    if width >= 24:
        assert "multi-objective" in text


def test_a_row_becomes_a_list_where_the_columns_do_not_fit():
    assert [line.rstrip() for line in shown(40)] == [
        "[b]t[/b]",
        "montezuma_revenge",
        "  tier: 3",
        "  human: 4753.3",
        "  what it asks for: Requires long-term",
        "  planning and multi-objective care",
        "pong[/x]",
        "  tier: 1",
        "  human: -20.7",
    ]


def test_columns_stay_as_long_as_they_fit():
    table = Listing("name", "a", "b")
    table.add_row("x" * 10, "y" * 10, "z" * 10)
    for width, columns in ((38, True), (36, True), (35, False)):
        lines = [line.split() for line in shown(width, table)]
        assert (["x" * 10, "y" * 10, "z" * 10] in lines) is columns


def test_an_output_that_knows_only_ascii_gets_ascii():
    class Ascii(StringIO):
        encoding = "ascii"

    out = Ascii()
    Console(file=out, width=80).print(listing())
    assert out.getvalue().isascii()
