"""The answers about Freeway."""

from __future__ import annotations

from atari_vlm.learning.distill.answer_schemas.base import FRAME_SKIP, AnswerSchema, within

FREEWAY = AnswerSchema(
    game="freeway",
    answers=(
        "chicken {chicken:y}, car {car:x} {dx:across}, next {next:x} {next_dx:across}: {plan:plan}",
        "{plan:plan}",
    ),
    actions=("UP", "DOWN"),
    plan_frames=(FRAME_SKIP,),
    loss_weights={"plan": 3.0},
    perturb=within({14: (6, 180)} | {byte: (3, 162) for byte in range(108, 118)}),
    episode_length=(300, 1_200),
)
