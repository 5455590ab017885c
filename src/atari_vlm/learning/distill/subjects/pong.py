"""How Pong is talked about."""

from __future__ import annotations

from atari_vlm.learning.distill.subjects.base import Subject, within

PONG = Subject(
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
    stress={"aim": 3.0, "plan": 2.0},
    scatter=within({54: (48, 203)}),
)
