"""The text of `--help`: options under the headings of their groups, readable at any width.

Typer's own grouped help draws boxes, which needs rich (slower to start) and has no room for the
descriptions at 80 columns.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from typing import Any

from typer.core import TyperCommand, TyperGroup

from atari_vlm.cli.stopping import uninterrupted
from atari_vlm.errors import InvalidSetting

WIDEST, NARROW = 100, 60
"""Columns: the longest lines, and below what a description goes under its flag."""

_FLAGS = 28
"""Characters of the column of flags; a longer one has a line of its own."""

OPTIONS = "Options"
"""Heading of the options that belong to no group."""

PROMPT, ANSWERS, HOSTED = "Prompt and learning", "Answers", "Hosted models and servers"
THINKING = "Thinking longer"
SPENDING, LOCAL, GAME, RUN = "Spending", "Models in this process", "Game", "Run"
PANELS = (PROMPT, ANSWERS, THINKING, HOSTED, SPENDING, LOCAL, GAME, RUN)
"""The headings of the groups, in their order."""


class Command(TyperCommand):
    """A command that can be stopped, takes no empty values, and groups its options in its help.

    An empty value is nearly always a variable of the shell that is not set.
    """

    def invoke(self, ctx: Any) -> Any:
        """Run the command; see `stopping.uninterrupted`."""
        return uninterrupted(lambda: super(Command, self).invoke(ctx))

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Read the arguments.

        Raises:
            InvalidSetting: a value is empty.
        """
        for before, each in zip(["", *args], args, strict=False):
            flag, equals, value = each.partition("=") if each.startswith("--") else ("", "", each)
            if not each.strip():
                flag, equals = before, "="
            if equals and not value.strip():
                name = flag if flag.startswith("-") else "An argument"
                raise InvalidSetting(f"{name} is empty; leave it out, or say what it should be.")
        return super().parse_args(ctx, args)

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Write the help at the width of the terminal."""
        _fit(formatter)
        super().format_help(ctx, formatter)

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Write the arguments, the command's own options, then each group."""
        headings = ("Arguments", OPTIONS, *PANELS)
        sections: dict[str, list[tuple[str, str]]] = {heading: [] for heading in headings}
        for parameter in self.get_params(ctx):
            record = parameter.get_help_record(ctx)
            if record is None:
                continue
            argument = parameter.param_type_name == "argument"
            panel = getattr(parameter, "rich_help_panel", None) or OPTIONS
            sections["Arguments" if argument else panel].append(record)
        for heading, rows in sections.items():
            _write_section(formatter, heading, rows)


class Group(TyperGroup):
    """A group whose help has the whole first line of each command's."""

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Write the help at the width of the terminal."""
        _fit(formatter)
        super().format_help(ctx, formatter)

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """Write the commands, none of them shortened."""
        commands = ((name, self.get_command(ctx, name)) for name in self.list_commands(ctx))
        rows = [
            (name, (command.help or "").strip().partition("\n\n")[0])
            for name, command in commands
            if command is not None and not command.hidden
        ]
        _write_section(formatter, "Commands", rows)


def _fit(formatter: Any) -> None:
    formatter.width = max(20, min(WIDEST, shutil.get_terminal_size().columns) - 1)


def _write_section(formatter: Any, heading: str, rows: Iterable[tuple[str, str]]) -> None:
    rows = list(rows)
    if not rows:
        return
    with formatter.section(heading):
        if formatter.width >= NARROW:
            widest = _FLAGS if heading != "Commands" else max(len(name) for name, _ in rows)
            aligned = [(name.ljust(widest), text) for name, text in rows]
            formatter.write_dl(aligned, col_max=widest)
            return
        for name, text in rows:
            formatter.write_text(name)
            with formatter.indentation():
                formatter.write_text(text)
