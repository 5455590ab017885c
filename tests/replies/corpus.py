r"""The corpus of replies: each with the plans or the fault that a careful person reads in it.

The files of `corpus/` are text. A line `=== EXPECTED` begins a case, and the lines below it, up to
the next such line, are the reply. EXPECTED is one of

    LEFT 3                   hold LEFT for 3 frames
    LEFT                     hold LEFT for the whole decision
    LEFT 3, NOOP 4           two decisions; a fault where a prompt asks for one
    fault                    nothing was chosen
    refused                  the model refuses, which is a fault of its own

and ` | thinking: WORDS` behind it says what the thoughts of the reply contain. `\u{D83D}` is the
character of that number. Lines that begin with `@` are for the reader of the file: `@ # comment`,
`@ game NAME` (its legal actions hold for the cases below), `@ times N` (the replies below are
repeated so often).

To add a case, write what a person would read before trying what the parser reads.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from atari_vlm.types import Plan
from tests.replies.legal_actions import GAMES

FOLDER = Path(__file__).parent / "corpus"
LONGEST = 4
"""Frames of a decision in every case."""
MOST = 4
"""Plans that a reply with several may have."""


@dataclass(frozen=True)
class Case:
    """A reply and what it means."""

    place: str
    """File and line."""
    group: str
    game: str
    reply: str
    plans: tuple[Plan, ...] = ()
    """Empty for a fault."""
    refused: bool = False
    thinking: str = ""

    @property
    def legal(self) -> tuple[str, ...]:
        """The legal actions of its game."""
        return GAMES[self.game]


def cases() -> list[Case]:
    """All cases of the corpus."""
    return [case for path in sorted(FOLDER.glob("*.txt")) for case in _of_file(path)]


def _of_file(path: Path) -> Iterator[Case]:
    game, times = "", 1
    lines = path.read_text(encoding="utf-8").split("\n")[:-1]
    begins = [at for at, line in enumerate(lines) if line.startswith(("===", "@ "))]
    for at, end in zip(begins, [*begins[1:], len(lines)], strict=True):
        head, reply = lines[at], "\n".join(lines[at + 1 : end])
        if head.startswith("==="):
            expected, _, thinking = head[3:].partition("| thinking:")
            yield Case(
                place=f"{path.name}:{at + 1}",
                group=path.stem,
                game=game,
                reply=_unescaped(reply) * times,
                plans=_plans(expected.strip()),
                refused=expected.strip() == "refused",
                thinking=thinking.strip(),
            )
        else:
            assert not reply.strip(), f"{path.name}:{at + 2} belongs to no case"
            _, word, *value = head.split()
            game = value[0] if word == "game" else game
            times = int(value[0]) if word == "times" else times


def _unescaped(reply: str) -> str:
    return re.sub(r"\\u\{([0-9A-F]+)\}", lambda found: chr(int(found[1], 16)), reply)


def _plans(expected: str) -> tuple[Plan, ...]:
    if expected in ("fault", "refused"):
        return ()
    plans = []
    for words in expected.split(", "):
        action, frames = (*words.split(), str(LONGEST))[:2]
        plans.append(Plan(action, int(frames)))
    return tuple(plans)
