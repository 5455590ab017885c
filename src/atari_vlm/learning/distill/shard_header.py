"""The header of a shard, and the check that the shard fits the present answer schemas."""

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
from atari_vlm.learning.distill.answer_schemas.base import FRAME_SKIP, plan_words, plans
from atari_vlm.learning.distill.answer_schemas.table import game_kinds, get_answer_schema
from atari_vlm.learning.distill.collect import FIRST_EVALUATION_SEED, Disturbance
from atari_vlm.policies.experts.table import EXPERTS

FORMAT = 1
"""Version of the columns and the header."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ShardHeader:
    """Properties of all decisions of a shard; stored as JSON in the file's schema metadata."""

    format: int
    version: str
    """Of atari-vlm."""
    ale_py: str
    """Version of the emulator."""
    game: str
    width: int
    height: int
    standard: str
    """Colour palette of the screens, "ntsc" or "pal"."""
    teacher: str
    """Name of the expert that labelled."""
    reads: tuple[str, ...]
    """Data that the teacher reads besides the screen."""
    student: str
    """Digest of the student's weights; empty if only the teacher played."""
    sticky: float
    """Probability that the emulator repeats the last action."""
    frame_skip: int
    """Emulator frames of a decision, at 60 a second."""
    plans: tuple[str, ...]
    """The plans of the probabilities in the column `plans`, in order."""
    answers: tuple[str, ...]
    """The sentences of the labels; see `AnswerSchema.answers`."""
    kinds: dict[str, tuple[str, ...]]
    """Kinds of words of this game only."""
    seed: int
    number: int
    """Number of the shard; it and the seed decide every decision."""
    episode_seeds: tuple[int, int]
    """Range of the emulator seeds; the second number is excluded."""
    disturbance: dict[str, Any]
    """Of `Disturbance.to_json`."""

    @staticmethod
    def of(
        game: str,
        *,
        seed: int,
        number: int = 0,
        student: str = "",
        disturbance: Disturbance | None = None,
    ) -> ShardHeader:
        """The header of the rows of `collect` with the same arguments."""
        schema, teacher = get_answer_schema(game), EXPERTS[game]
        width, height, standard, sticky = _console(game)
        header = ShardHeader(
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
            plans=tuple(plan_words(*plan) for plan in plans(schema)),
            answers=schema.answers,
            kinds=game_kinds(schema),
            seed=seed,
            number=number,
            episode_seeds=(0, FIRST_EVALUATION_SEED),
            disturbance=(disturbance or Disturbance()).to_json(),
        )
        # Convert to JSON and back, so that headers can be compared.
        return ShardHeader(**json.loads(json.dumps(asdict(header))))

    @staticmethod
    def read(found: dict[str, Any]) -> ShardHeader:
        """The header in a file.

        Raises:
            ValueError: a field is missing, unknown or of another kind.
        """
        if set(found) != set(_FIELDS):
            other = sorted(set(found) ^ set(_FIELDS))[0]
            raise ValueError(f"its header lacks, or should not have, {str(other)[:80]!r}")
        for name, kind in _FIELDS.items():
            value = found[name]
            fits = _holds_texts(value) if kind is list else type(value) is kind
            if not fits and kind is not object and not (kind is float and type(value) is int):
                raise ValueError(f"its {name} is {_short(value)}")
        seeds = found["episode_seeds"]
        if type(seeds) is not list or len(seeds) != 2 or {type(seed) for seed in seeds} != {int}:
            raise ValueError(f"its episode_seeds is {_short(seeds)}")
        if not all(map(_holds_texts, found["kinds"].values())):
            raise ValueError("its kinds are no words")
        return ShardHeader(**found)

    def differs(self, other: ShardHeader) -> str:
        """The first field that differs from another header, in words; empty if none does."""
        for name in self.__slots__:
            value, expected = getattr(self, name), getattr(other, name)
            if value != expected:
                return f"{name} {_short(value)}, not {_short(expected)}"
        return ""


_FIELDS: dict[str, type] = {
    **dict.fromkeys(("format", "width", "height", "frame_skip", "seed", "number"), int),
    **dict.fromkeys(("version", "ale_py", "game", "standard", "teacher", "student"), str),
    **dict.fromkeys(("reads", "plans", "answers"), list),
    **dict.fromkeys(("kinds", "disturbance"), dict),
    "sticky": float,
    "episode_seeds": object,
}
"""Field -> its type in JSON; `list` is one of texts."""


def _holds_texts(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(one, str) for one in value)


def _short(value: object) -> str:
    text = json.dumps(value)
    return text if len(text) < 60 else text[:56] + " ..."


@lru_cache
def _console(game: str) -> tuple[int, int, str, float]:
    console = Emulator(get_game(game))
    return console.width, console.height, console.game.standard, console.repeat_action_probability


def check(header: ShardHeader, path: Path) -> None:
    """Check that the screens and labels of a shard fit the present answer schema.

    Raises:
        InvalidSetting: they do not; the message names the file and the difference.
    """
    present = ShardHeader.of(header.game, seed=0)
    for name in ("width", "height", "standard", "frame_skip", "plans", "kinds", "episode_seeds"):
        value, expected = getattr(header, name), getattr(present, name)
        if value != expected:
            raise InvalidSetting(
                f"{path} cannot teach {header.game}: its {name} is {_short(value)}, "
                f"not {_short(expected)}. Collect it anew with `atari-vlm collect`."
            )
    other = [answer for answer in header.answers if answer not in present.answers]
    if other:
        raise InvalidSetting(
            f"{path} has labels that {header.game} is not taught with: {other[0]!r}. "
            "Collect it anew with `atari-vlm collect`."
        )
