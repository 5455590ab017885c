"""The settings that scores depend on, in words: of one run, and the parts that a bench uses too."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from atari_vlm.options import abouts
from atari_vlm.players import EMBEDDED, NO_PROMPT, Options
from atari_vlm.runs.results import Summary
from atari_vlm.runs.seeds import seed_text
from atari_vlm.stats import counted

_RENAMED = {
    "examples": "icl examples",
    "base_url": "server",
    "atari_vlm": "atari-vlm",
    "ale_py": "ale-py",
    "prompt_version": "prompt version",
    "pooling_version": "pooling version",
    "reply_version": "reply version",
}

LATER = ("atari_vlm", "ale_py", "python")
"""Settings that are named after all others."""

HIDDEN = frozenset({"settings_version", "max_frames", "python", "version", "frame_stack"})
"""Settings that are named only if they alone tell two runs apart."""

_OF_EMBEDDED = frozenset({"decide", "temperature", "version"})
"""Settings that an embedded model follows, beside those of the game."""

_OF_THE_GAME = frozenset(
    {"seed", "frame_skip", "repeat_action_probability", "full_action_space", "mode"}
) | {"difficulty", "max_decisions", "max_frames", "pooling_version", "pool_frames", "frame_stack"}
"""Settings of every player."""

_ALWAYS = ("seed", "frame_skip", "repeat_action_probability", "prompt", "prompt_version", *LATER)

_WORDED = frozenset(
    {"plans", "full_action_space", "decisions_per_call", "think_budget", "think_budget_decision"}
) | {"max_decisions", "parallel", "model", "pool_frames", *_ALWAYS}
"""Settings that the line of a run has in words of its own, or leaves out."""


def worth_saying(name: str, value: Any) -> bool:
    """Whether a setting belongs in a sentence about scores; the files have all of them."""
    defaults = {field.name: field.default for field in fields(Options)}
    if name in HIDDEN or value is None or (value is False and defaults.get(name) is not True):
        return False
    return (
        name in _ALWAYS
        or (name in defaults and value != defaults[name])
        or (name in ("base_url", "examples"))
    )


def applies_to(name: str, prompt: Any) -> bool:
    """Whether a setting was a choice for a player: baselines follow those of the game only.

    Args:
        name: of the setting.
        prompt: of the player, as its record has it.
    """
    if name in _OF_THE_GAME or name in LATER:
        return True
    return bool(prompt != NO_PROMPT and (prompt != EMBEDDED or name in _OF_EMBEDDED))


def label_of(name: str) -> str:
    """The name of a setting in tables: its flag without dashes, if it has one."""
    about = abouts(Options).get(name)
    flag = about.flag if about else ""
    return _RENAMED.get(name) or flag.partition("/")[0].removeprefix("--") or name.replace("_", "-")


def text_of(value: Any) -> str:
    """The value of a setting in a table."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, list):
        return "x".join(map(str, value))
    return str(value)


def said(name: str, value: Any) -> str:
    """A setting in a sentence: "history 6", "nudge", "no plans"."""
    label = label_of(name)
    if isinstance(value, bool):
        return label if value else f"no {label.replace('-', ' ')}"
    return f"{label} {text_of(value)}"


def settings_line(summary: Summary) -> str:
    """The settings that the score depends on, in one line."""
    settings = summary.settings
    parts = [
        f"{settings['frame_skip']} frames a decision",
        f"sticky {settings['repeat_action_probability']:g}",
        f"prompt {summary.prompt}" if summary.prompt != "none" else "",
        "" if settings.get("plans", True) else "no plans",
        "all 18 actions" if settings["full_action_space"] else "",
        f"{chunk_size} decisions planned a call"
        if (chunk_size := settings.get("decisions_per_call"))
        else "",
        f"thinking at most {budget} an episode" if (budget := settings.get("think_budget")) else "",
        f"{budget} a decision" if (budget := settings.get("think_budget_decision")) else "",
        *_chosen(settings),
        seed_text([row.seed for row in summary.episodes]),
    ]
    cut = settings.get("max_decisions")
    warning = (
        f" Cut short after {counted(cut, 'decision')}: not scores of whole games." if cut else ""
    )
    if summary.cut:
        short = f"{summary.cut} of {len(summary.episodes)} episodes"
        warning += f" The budget cut {short} short: not scores of whole games."
    return ", ".join(part for part in parts if part) + "." + warning


def _chosen(settings: Mapping[str, Any]) -> list[str]:
    """The other settings that were chosen."""
    asked = {name: settings[name] for name in settings if name not in _WORDED}
    return [
        said(name, value)
        for name, value in asked.items()
        if worth_saying(name, value) and applies_to(name, settings["prompt"])
    ]
