"""What is taught: every subject by game, and the words their answers are made of.

Growing to a new game means one file in `subjects` and an expert in `policies.experts`.
"""

from __future__ import annotations

from atari_vlm.errors import unknown
from atari_vlm.learning.distill.subjects.asteroids import ASTEROIDS
from atari_vlm.learning.distill.subjects.base import Subject, plan_words, plans
from atari_vlm.learning.distill.subjects.breakout import BREAKOUT
from atari_vlm.learning.distill.subjects.enduro import ENDURO
from atari_vlm.learning.distill.subjects.freeway import FREEWAY
from atari_vlm.learning.distill.subjects.montezuma_revenge import MONTEZUMA_REVENGE
from atari_vlm.learning.distill.subjects.ms_pacman import MS_PACMAN
from atari_vlm.learning.distill.subjects.pitfall import PITFALL
from atari_vlm.learning.distill.subjects.pong import PONG
from atari_vlm.learning.distill.subjects.private_eye import PRIVATE_EYE
from atari_vlm.learning.distill.subjects.qbert import QBERT
from atari_vlm.learning.distill.subjects.seaquest import SEAQUEST
from atari_vlm.learning.distill.subjects.space_invaders import SPACE_INVADERS
from atari_vlm.policies.experts.base import MAX_DISPLACEMENT

SUBJECTS: dict[str, Subject] = {
    subject.game: subject
    for subject in (
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
"""Game -> what can be taught about it."""


def get_subject(game: str) -> Subject:
    """The subject of a game, or an UnknownName that lists what can be taught."""
    if game not in SUBJECTS:
        raise unknown("game that can be taught", game, SUBJECTS)
    return SUBJECTS[game]


def common_kinds() -> dict[str, tuple[str, ...]]:
    """Kind -> its words in order, each with the space before it; the same in every game."""
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


def own_kinds(subject: Subject) -> dict[str, tuple[str, ...]]:
    """Kinds of one game: its plans, and whatever only it talks about."""
    own = {kind: tuple(f" {word}" for word in words) for kind, words in subject.kinds.items()}
    return {"plan": tuple(plan_words(*plan) for plan in plans(subject)), **own}


def kinds(subject: Subject) -> dict[str, tuple[str, ...]]:
    """Every kind of word a game's answers are made of."""
    return {**common_kinds(), **own_kinds(subject)}
