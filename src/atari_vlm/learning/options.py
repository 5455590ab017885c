"""Options of what a player learns between episodes."""

from __future__ import annotations

from dataclasses import dataclass

from atari_vlm.options import option


@dataclass(frozen=True)
class LearningOptions:
    """What the lessons of a model are made of."""

    use_in_context_learning: bool | None = option(
        False, "Show the best moments of earlier episodes.", flag="--icl/--no-icl"
    )
