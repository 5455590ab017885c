"""How Freeway is talked about."""

from __future__ import annotations

from atari_vlm.learning.distill.subjects.base import FRAME_SKIP, Subject, within

FREEWAY = Subject(
    game="freeway",
    answers=(
        "chicken {chicken:y}, car {car:x} {dx:across}, next {next:x} {next_dx:across}: {plan:plan}",
        "{plan:plan}",
    ),
    actions=("UP", "DOWN"),
    lengths=(FRAME_SKIP,),
    stress={"plan": 3.0},
    scatter=within({14: (6, 180)} | {byte: (3, 162) for byte in range(108, 118)}),
    length=(300, 1_200),
)
