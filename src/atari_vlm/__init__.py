"""Pretrained vision-language models play Atari games, and get better at it.

    from atari_vlm import play

    summary = play("pong", "embedded", max_decisions=200)

Importing the package registers its environments with Gymnasium. The names below load on first use,
so that the import stays fast.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from atari_vlm.cli import end_silently_while_loading

if TYPE_CHECKING:
    from atari_vlm.atari.games import get_game as get_game
    from atari_vlm.bench.matrix import BenchSettings as BenchSettings
    from atari_vlm.bench.matrix import bench as run_bench
    from atari_vlm.env import AtariVLMEnvironment as AtariVLMEnvironment
    from atari_vlm.errors import AtariVLMError as AtariVLMError
    from atari_vlm.protocols import Learner as Learner
    from atari_vlm.protocols import Model as Model
    from atari_vlm.protocols import Policy as Policy
    from atari_vlm.protocols import Study as Study
    from atari_vlm.runs.chat_samples import chat_samples as chat_samples
    from atari_vlm.runs.results import Summary as Summary
    from atari_vlm.runs.run import Run as Run
    from atari_vlm.trainer import VLMTrainer as VLMTrainer
    from atari_vlm.trainer import play as play
    from atari_vlm.types import Decision as Decision
    from atari_vlm.types import Example as Example
    from atari_vlm.types import Frame as Frame
    from atari_vlm.types import Lessons as Lessons
    from atari_vlm.types import Message as Message
    from atari_vlm.types import Observation as Observation
    from atari_vlm.types import Plan as Plan
    from atari_vlm.types import Prompt as Prompt
    from atari_vlm.types import Reply as Reply
    from atari_vlm.types import Step as Step
    from atari_vlm.types import Strategy as Strategy
    from atari_vlm.types import Trajectory as Trajectory

_HOMES = {
    "atari_vlm.atari.games": ("get_game",),
    "atari_vlm.bench.matrix": ("BenchSettings",),
    "atari_vlm.env": ("AtariVLMEnvironment",),
    "atari_vlm.errors": ("AtariVLMError",),
    "atari_vlm.protocols": ("Learner", "Model", "Policy", "Study"),
    "atari_vlm.runs.chat_samples": ("chat_samples",),
    "atari_vlm.runs.results": ("Summary",),
    "atari_vlm.runs.run": ("Run",),
    "atari_vlm.trainer": ("VLMTrainer", "play"),
    "atari_vlm.types": (
        "Decision",
        "Example",
        "Frame",
        "Lessons",
        "Message",
        "Observation",
        "Plan",
        "Prompt",
        "Reply",
        "Step",
        "Strategy",
        "Trajectory",
    ),
}
_HOME = {name: home for home, names in _HOMES.items() for name in names} | {
    "run_bench": "atari_vlm.bench.matrix"
}

__all__ = [
    "AtariVLMEnvironment",
    "AtariVLMError",
    "BenchSettings",
    "Decision",
    "Example",
    "Frame",
    "Learner",
    "Lessons",
    "Message",
    "Model",
    "Observation",
    "Plan",
    "Policy",
    "Prompt",
    "Reply",
    "Run",
    "Step",
    "Strategy",
    "Study",
    "Summary",
    "Trajectory",
    "VLMTrainer",
    "chat_samples",
    "get_game",
    "play",
    "run_bench",
]


def __getattr__(name: str) -> Any:
    """Import a public name from its home."""
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOME[name]), "bench" if name == "run_bench" else name)


def __dir__() -> list[str]:
    return __all__


end_silently_while_loading()
import_module("atari_vlm.atari.registration").register()
