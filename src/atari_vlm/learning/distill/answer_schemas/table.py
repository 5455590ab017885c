"""The table of answer schemas, and the kinds of words in their answers.

A new game needs one file in this package and an expert in `policies.experts`.
"""

from __future__ import annotations

from atari_vlm.errors import unknown
from atari_vlm.learning.distill.answer_schemas.asteroids import ASTEROIDS
from atari_vlm.learning.distill.answer_schemas.base import AnswerSchema, plan_words, plans
from atari_vlm.learning.distill.answer_schemas.breakout import BREAKOUT
from atari_vlm.learning.distill.answer_schemas.enduro import ENDURO
from atari_vlm.learning.distill.answer_schemas.freeway import FREEWAY
from atari_vlm.learning.distill.answer_schemas.montezuma_revenge import MONTEZUMA_REVENGE
from atari_vlm.learning.distill.answer_schemas.ms_pacman import MS_PACMAN
from atari_vlm.learning.distill.answer_schemas.pitfall import PITFALL
from atari_vlm.learning.distill.answer_schemas.pong import PONG
from atari_vlm.learning.distill.answer_schemas.private_eye import PRIVATE_EYE
from atari_vlm.learning.distill.answer_schemas.qbert import QBERT
from atari_vlm.learning.distill.answer_schemas.seaquest import SEAQUEST
from atari_vlm.learning.distill.answer_schemas.space_invaders import SPACE_INVADERS
from atari_vlm.policies.experts.base import MAX_DISPLACEMENT

ANSWER_SCHEMAS: dict[str, AnswerSchema] = {
    schema.game: schema
    for schema in (
        PONG,
        BREAKOUT,
        FREEWAY,
        ASTEROIDS,
        ENDURO,
        MONTEZUMA_REVENGE,
        MS_PACMAN,
        PITFALL,
        PRIVATE_EYE,
        QBERT,
        SEAQUEST,
        SPACE_INVADERS,
    )
}
"""Game -> its answer schema."""


def get_answer_schema(game: str) -> AnswerSchema:
    """The answer schema of a game.

    Raises:
        UnknownName: there is none; the message lists the games.
    """
    if game not in ANSWER_SCHEMAS:
        raise unknown("game that can be taught", game, ANSWER_SCHEMAS, cutoff=0.75)
    return ANSWER_SCHEMAS[game]


def common_kinds() -> dict[str, tuple[str, ...]]:
    """Kind -> its words in order, each with the space before it, for kinds of every game."""
    far = range(MAX_DISPLACEMENT, 0, -1)
    return {
        "x": tuple(f" {n}" for n in range(160)),
        "y": tuple(f" {n}" for n in range(210)),
        "across": (
            *(f" left {n}" for n in far),
            " straight",
            *(f" right {n}" for n in reversed(far)),
        ),
        "along": (*(f" up {n}" for n in far), " level", *(f" down {n}" for n in reversed(far))),
    }


def game_kinds(schema: AnswerSchema) -> dict[str, tuple[str, ...]]:
    """Kind -> its words, for kinds of one game only: its plans and those of its schema."""
    special = {kind: tuple(f" {word}" for word in words) for kind, words in schema.kinds.items()}
    return {"plan": tuple(plan_words(*plan) for plan in plans(schema)), **special}


def kinds(schema: AnswerSchema) -> dict[str, tuple[str, ...]]:
    """Kind -> its words, for all kinds in a game's answers."""
    return {**common_kinds(), **game_kinds(schema)}
