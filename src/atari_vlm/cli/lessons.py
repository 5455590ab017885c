"""`atari-vlm lessons`."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.text import Text

from atari_vlm.cli.console import console, print_line, printable
from atari_vlm.errors import InvalidSetting, setting

if TYPE_CHECKING:
    from atari_vlm.cli.tables import Listing
    from atari_vlm.learning.reflection.listing import Lesson


def lessons(
    run: Annotated[Path, typer.Argument(help="A run folder.")],
    edit: Annotated[
        tuple[int, str] | None,
        typer.Option(help="Give a lesson other words: its number and the words."),
    ] = None,
    forbid: Annotated[
        int | None, typer.Option(help="Number of a lesson that is not to be shown again.")
    ] = None,
    allow: Annotated[
        int | None, typer.Option(help="Number of a lesson that is to be shown again.")
    ] = None,
    add: Annotated[str | None, typer.Option(help="Words of a new lesson.")] = None,
    every: Annotated[
        bool, typer.Option("--all", help="List also the lessons that are no longer shown.")
    ] = False,
) -> None:
    """List what a run has learned in words, or change it for the episodes to come.

    Changes are part of the run's record: who changed what and when. What earlier episodes were
    shown stays as it was.
    """
    from atari_vlm.learning.reflection import edits

    asked = {"edit": edit, "forbid": forbid, "allow": allow, "add": add}
    named = [setting(name) for name, value in asked.items() if value is not None]
    if len(named) > 1:
        raise InvalidSetting(f"Give one of {' and '.join(named)} at a time.")
    if edit is not None:
        _say(edits.edit_lesson(run, *edit))
    elif forbid is not None:
        _say(edits.forbid_lesson(run, forbid))
    elif allow is not None:
        _say(edits.allow_lesson(run, allow))
    elif add is not None:
        _say(edits.add_lesson(run, add))
    else:
        _list(run, every)


def _list(run: Path, every: bool) -> None:
    """Print the lessons of a run, or why it has none."""
    from atari_vlm.cli.scores import proof_line
    from atari_vlm.learning.reflection import edits
    from atari_vlm.learning.reflection.listing import lessons_of, why_no_lessons
    from atari_vlm.runs.run import Run

    with closing(Run.read(run)) as read:
        edits.check_learned(read)
        known, proofs, unused = lessons_of(read), read.proofs(), read.unused_reviews
        why = "" if known else why_no_lessons(read)
    shown = [each for each in known if every or each.state != "dropped"]
    if why:
        print_line(console, why)
    elif shown:
        console.print(_table(shown))
    if left := len(known) - len(shown):
        more = f"{left} more {'is' if left == 1 else 'are'} no longer shown (--all)."
        print_line(console, more)
    if unused:
        print_line(console, printable(unused))
    for episode, proof in proofs:
        print_line(console, f"For episode {episode}: {proof_line(proof)}")


def _say(lesson: Lesson) -> None:
    """Print a lesson that was changed, and what the change means."""
    print_line(console, printable(f"{lesson.number}: {lesson.words}"))
    print_line(
        console,
        "It is forbidden: neither it nor a near copy is shown in the episodes to come."
        if lesson.state == "forbidden"
        else "It is shown in the episodes to come, as it stands here.",
    )
    if (dropped := lesson.made_room) is not None:
        said = f"Lesson {dropped.number} made room for it and is no longer shown: {dropped.words}"
        print_line(console, printable(said))


def _table(shown: list[Lesson]) -> Listing:
    from atari_vlm.cli.tables import Listing

    headings = ("no.", "lesson", "from", "learned", "shown in", "state")
    table = Listing(*headings, right=("no.", "shown in"), fold="lesson")
    for lesson in shown:
        cells = (printable(lesson.words), printable(_source(lesson)), _when(lesson.made))
        proved = _proved(lesson)
        state = ", ".join(filter(None, (lesson.state, *_changed(lesson), proved)))
        row = (str(lesson.number), *cells, str(lesson.shown), state)
        table.add_row(*(Text(cell) for cell in row))
    return table


def _when(made: str) -> str:
    """E.g. "2026-11-27 15:04"."""
    return made[:16].replace("T", " ")


def _source(lesson: Lesson) -> str:
    """E.g. "episode 3", "episodes 2 to 3", "another run", or the person who added it."""
    if any(edit.kind == "add" for edit in lesson.edits):
        return f"added by {lesson.source}"
    if not lesson.source[:1].isdecimal():
        return lesson.source
    return f"episode{'s' * (' to ' in lesson.source)} {lesson.source}"


def _changed(lesson: Lesson) -> list[str]:
    kinds = [edit.kind for edit in lesson.edits]
    episodes = f"{lesson.shown_before} episode{'s' * (lesson.shown_before != 1)}"
    earlier = f" ({episodes} had the old words)" if lesson.shown_before else ""
    return ["added"] * ("add" in kinds) + [f"edited{earlier}"] * ("edit" in kinds)


def _proved(lesson: Lesson) -> str:
    if lesson.proof is None:
        return ""
    if lesson.proof.shown and lesson.proof.shown == lesson.proof.without:
        return "made no difference"
    return "proved" if lesson.proof.kept else "not proved"
