"""Errors name arguments of the Python interface; who typed flags is told of flags."""

from __future__ import annotations

import re

FLAGS = {
    "use_in_context_learning": "--icl",
    "prompt_type": "--prompt",
    "num_examples": "--num-examples",
    "frames_in_prompt": "--frames",
    "resize_shape": "--image-size",
    "repeat_action_probability": "--sticky",
    "plans=False": "--no-plans",
    **{
        name: "--" + name.replace("_", "-")
        for name in (
            "frame_stack",
            "frame_skip",
            "max_decisions",
            "max_tokens",
            "max_frames",
            "decisions_per_call",
            "base_url",
            "api_key",
            "shard_size",
            "round_minutes",
            "round_decisions",
        )
    },
}
"""Argument of the Python interface -> the flag a user typed."""


def as_typed(sentence: str, flags: dict[str, str]) -> str:
    """A sentence about arguments, in the words of who typed flags."""
    names = "|".join(re.escape(name) for name in sorted(flags, key=len, reverse=True))
    return re.sub(rf"(?<![\w'\"/.-])(?:{names})(?![\w=/])", lambda m: flags[m[0]], sentence)
