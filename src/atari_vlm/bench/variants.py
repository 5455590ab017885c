"""Which settings all cells have in common, and which tell them apart."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from atari_vlm.bench.cells import Cell
from atari_vlm.report.settings_text import (
    HIDDEN,
    LATER,
    applies_to,
    label_of,
    said,
    text_of,
    worth_saying,
)
from atari_vlm.stats import counted


def applies(name: str, cell: Cell) -> bool:
    """Whether a setting was a choice for a cell: baselines follow those of the game only."""
    return bool(cell.settings) and applies_to(name, cell.settings.get("prompt"))


def common(cells: Sequence[Cell]) -> dict[str, Any]:
    """The settings that are equal in every cell to which they apply, by name."""
    found: dict[str, Any] = {}
    for name in _names(cells):
        values = _values(name, cells)
        if values and all(value == values[0] for value in values):
            found[name] = values[0]
    return found


def variants(cells: Sequence[Cell]) -> list[dict[str, str]]:
    """For each cell what tells it apart: text by label, "" for what does not apply.

    These are the settings whose values differ, and any others that are needed so that no two cells
    of one player and game look alike.
    """
    names = [
        name
        for name in _names(cells)
        if name not in HIDDEN and _differ(_values(name, cells)) and _plain(name, cells)
    ]
    names += [name for name in _names(cells) if name not in names and _needed(name, cells, names)]

    def text(name: str, cell: Cell) -> str:
        return text_of(cell.settings.get(name)) if applies(name, cell) else ""

    return [{label_of(name): text(name, cell) for name in names} for cell in cells]


def names_of(cells: Sequence[Cell]) -> list[str]:
    """Game, player and what tells it apart, for each cell, e.g. "pong, gpt-4o, prompt cot"."""
    return [
        ", ".join((cell.game, cell.player, *(f"{k} {text}" for k, text in chosen.items() if text)))
        for cell, chosen in zip(cells, variants(cells), strict=True)
    ]


def _names(cells: Sequence[Cell]) -> list[str]:
    names = dict.fromkeys(name for cell in cells for name in cell.settings)
    return [name for name in names if name not in LATER] + [n for n in LATER if n in names]


def _values(name: str, cells: Sequence[Cell]) -> list[Any]:
    return [cell.settings.get(name) for cell in cells if applies(name, cell)]


def _differ(values: Sequence[Any]) -> bool:
    return any(value != values[0] for value in values)


def _plain(name: str, cells: Sequence[Cell]) -> bool:
    """Whether the values fit into a table."""
    return not any(isinstance(value, dict) for value in _values(name, cells))


def _needed(name: str, cells: Sequence[Cell], names: Sequence[str]) -> bool:
    """Whether a setting differs between cells that are otherwise alike."""
    alike: dict[str, list[Mapping[str, Any]]] = {}
    for cell in cells:
        key = repr((cell.game, cell.player, [cell.settings.get(known) for known in names]))
        alike.setdefault(key, []).append(cell.settings)
    return any(_differ([s.get(name) for s in group]) for group in alike.values() if len(group) > 1)


def settings_line(cells: Sequence[Cell]) -> str:
    """What all cells have in common; settings that baselines lack have a sentence of their own."""
    same = common(cells)
    every: list[str] = []
    some: list[str] = []
    for name, value in same.items():
        if worth_saying(name, value):
            whole = all(applies(name, cell) for cell in cells if cell.settings)
            (every if whole else some).append(said(name, value))
    of_some = f" Of every model that follows them: {', '.join(some)}." if some else ""
    limit = same.get("max_decisions")
    cut = (
        f" Cut short after {counted(limit, 'decision')}: not scores of whole games."
        if limit
        else ""
    )
    return f"Settings of every cell: {', '.join(every)}.{of_some}{cut}"
