"""The answers about Pong."""

from __future__ import annotations

from atari_vlm.learning.distill.answer_schemas.base import AnswerSchema, within

PONG = AnswerSchema(
    game="pong",
    answers=(
        "ball {ball_x:x} {ball_y:y} moving {dx:across} {dy:along}, "
        "paddle {paddle:y}, aim {aim:y}: {plan:plan}",
        "ball {ball_x:x} {ball_y:y} new, paddle {paddle:y}, aim {aim:y}: {plan:plan}",
        "no ball, paddle {paddle:y}, aim {aim:y}: {plan:plan}",
        "{plan:plan}",
    ),
    actions=("RIGHT", "LEFT"),
    axis=("RIGHT", "LEFT"),
    loss_weights={"aim": 3.0, "plan": 2.0},
    perturb=within({54: (48, 203)}),
)
