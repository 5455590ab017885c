"""What a shard says about itself, and whether that is what is taught today."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from functools import lru_cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

from atari_vlm.atari.emulator import Emulator
from atari_vlm.atari.games import get_game
from atari_vlm.errors import InvalidSetting
from atari_vlm.learning.distill.collect import FRESH, Disturbance
from atari_vlm.learning.distill.curriculum import get_subject, own_kinds
from atari_vlm.learning.distill.subjects.base import FRAME_SKIP, plan_words, plans
from atari_vlm.policies.experts.table import EXPERTS

FORMAT = 1
"""Version of the columns and the header."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Header:
    """What is true of every decision of a shard; kept as JSON in the file's schema metadata."""

    format: int
    version: str
    """Of atari-vlm."""
    ale_py: str
    """Version of the emulator."""
    game: str
    width: int
    height: int
    standard: str
    """Television standard of the screens' colours, "ntsc" or "pal"."""
    teacher: str
    """Who labelled."""
    reads: tuple[str, ...]
    """What the teacher reads beyond the screen."""
    student: str
    """Digest of the weights that played along; empty where the teacher played alone."""
    sticky: float
    frame_skip: int
    """Emulator frames (60 a second) of a decision."""
    plans: tuple[str, ...]
    """The plans that the column `plans` gives probabilities of, in order."""
    answers: tuple[str, ...]
    """The sentences that labels are made of; see `Subject.answers`."""
    kinds: dict[str, tuple[str, ...]]
    """Kinds of words of this game alone, for those sentences."""
    seed: int
    number: int
    """Of the shard; with the seed it decides every decision."""
    episode_seeds: tuple[int, int]
    """Emulator seeds are drawn from the first up to, but not including, the second."""
    disturbance: dict[str, Any]

    @staticmethod
    def of(
        game: str,
        *,
        seed: int,
        number: int = 0,
        student: str = "",
        disturbance: Disturbance | None = None,
    ) -> Header:
        """The header of what `collect` plays with the same arguments."""
        subject, teacher = get_subject(game), EXPERTS[game]
        width, height, standard, sticky = _console(game)
        header = Header(
            format=FORMAT,
            version=version("atari-vlm"),
            ale_py=version("ale-py"),
            game=game,
            width=width,
            height=height,
            standard=standard,
            teacher=teacher.name,
            reads=tuple(sorted(teacher.privileges)),
            student=student,
            sticky=sticky,
            frame_skip=FRAME_SKIP,
            plans=tuple(plan_words(*plan) for plan in plans(subject)),
            answers=subject.answers,
            kinds=own_kinds(subject),
            seed=seed,
            number=number,
            episode_seeds=(0, FRESH),
            disturbance=asdict(disturbance or Disturbance()),
        )
        # As JSON gives it back, so that headers can be compared.
        return Header(**json.loads(json.dumps(asdict(header))))

    def differs(self, other: Header) -> str:
        """The first field in which this header differs from another, in words; or nothing."""
        for name in self.__slots__:
            own, wanted = getattr(self, name), getattr(other, name)
            if own != wanted:
                return f"{name} {_short(own)}, not {_short(wanted)}"
        return ""


def _short(value: object) -> str:
    text = json.dumps(value)
    return text if len(text) < 60 else text[:56] + " ..."


@lru_cache
def _console(game: str) -> tuple[int, int, str, float]:
    console = Emulator(get_game(game))
    return console.width, console.height, console.game.standard, console.repeat_action_probability


def check(header: Header, path: Path) -> None:
    """Refuse decisions whose screens or labels are not those that are taught today.

    Raises:
        InvalidSetting: which file it is, and what differs.
    """
    today = Header.of(header.game, seed=0)
    for name in ("width", "height", "standard", "frame_skip", "plans", "kinds"):
        own, wanted = getattr(header, name), getattr(today, name)
        if own != wanted:
            raise InvalidSetting(
                f"{path} cannot teach {header.game}: its {name} is {_short(own)}, "
                f"not {_short(wanted)}. Collect it anew with `atari-vlm collect`."
            )
    other = [answer for answer in header.answers if answer not in today.answers]
    if other:
        raise InvalidSetting(
            f"{path} has labels that {header.game} is not taught with: {other[0]!r}. "
            "Collect it anew with `atari-vlm collect`."
        )
