"""The table of scripted experts, by game."""

from __future__ import annotations

from atari_vlm.policies.experts.asteroids import ASTEROIDS
from atari_vlm.policies.experts.base import ExpertPolicy
from atari_vlm.policies.experts.breakout import BREAKOUT
from atari_vlm.policies.experts.enduro import ENDURO
from atari_vlm.policies.experts.freeway import FREEWAY
from atari_vlm.policies.experts.montezuma_revenge import MONTEZUMA_REVENGE
from atari_vlm.policies.experts.ms_pacman import MS_PACMAN
from atari_vlm.policies.experts.pitfall import PITFALL
from atari_vlm.policies.experts.pong import PONG
from atari_vlm.policies.experts.private_eye import PRIVATE_EYE
from atari_vlm.policies.experts.qbert import QBERT
from atari_vlm.policies.experts.seaquest import SEAQUEST
from atari_vlm.policies.experts.space_invaders import SPACE_INVADERS

EXPERTS: dict[str, ExpertPolicy] = {
    expert.game: expert
    for expert in (
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
"""Game -> its expert."""
