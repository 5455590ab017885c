"""The settings in the record of a run: their versions, defaults, and when two runs are one."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any

from atari_vlm.atari import pooling
from atari_vlm.atari.games import get_game
from atari_vlm.atari.options import GameOptions
from atari_vlm.atari.repetition import STUCK_AFTER
from atari_vlm.errors import StoreError, setting
from atari_vlm.files.untrusted import json_of
from atari_vlm.models.hosted.options import HostedOptions
from atari_vlm.models.options import AnswerOptions
from atari_vlm.options import abouts
from atari_vlm.policies.options import ThinkOptions
from atari_vlm.prompts.options import PromptOptions
from atari_vlm.prompts.strategies import VERSIONS as PROMPTS
from atari_vlm.runs.seeds import seed_text

SETTINGS_VERSION = 2
"""1: without the keys below. Recorded as "settings_version"."""

VERSIONS: dict[str, tuple[int, ...]] = {
    "prompt_version": PROMPTS,
    "reply_version": (1,),
    "pooling_version": (1,),
    "learner_version": (1, 2, 3),
}
"""Versions that this package can still play, the newest last: of the words of the prompts, of
reading replies, of the rules in `atari.pooling`, and of those that choose examples
(`learning.examples`; recorded only by runs that show some). A run that was recorded
with another version opens, replays and reports; it cannot be continued. A run is continued with the
words of its own prompts, and a training run is evaluated with them. One exception: with
`decisions_per_call` above 1, prompts of settings version 1 could show the queued plans as a note.
Such a run is continued, and its later prompts show no queue."""

DEFAULTS: dict[str, Any] = {
    "settings_version": 1,
    **dict.fromkeys(VERSIONS, 1),
    "mode": None,
    "difficulty": None,
    "pool_frames": "brighter",
    "decide": "words",
    "decisions_per_call": 1,
    "plans": True,
    "local": None,
    "video": False,
    "nudge": False,
    "stuck_after": STUCK_AFTER,
    "example_tokens": 2_000,
    "example_pictures": True,
    "examples_from": None,
    "examples_of_own": False,
    "lessons_from": None,
    "reflect": False,
    "max_lessons": 8,
    "lesson_length": 200,
    "review_frames": 6,
    "prove_lessons": False,
    "lesson_edits": 0,
    "think_budget": None,
    "think_budget_decision": None,
}
"""What an absent key means: it was added after the run was begun, or only differs from this."""

SOURCES = ("examples_from", "lessons_from")
"""Settings that name the runs whose examples and lessons are shown."""

OPTIONS = {
    *SOURCES,
    *(
        name
        for group in (GameOptions, PromptOptions, AnswerOptions, ThinkOptions, HostedOptions)
        for name in abouts(group)
    ),
}
"""Recorded settings that the user chooses by an option of the same name."""

IDENTITY_FREE = frozenset(
    {
        "format",
        "settings_version",
        "privileges",
        "ale_py",
        "atari_vlm",
        "python",
        "base_url",
        "later_servers",
        "short_waves",
        "estimate",
        "pictures",
        "source_runs",
    }
)
"""Settings that may differ when a run is continued: a server may move, see `servers.moved`, and a
call may ask for fewer episodes than make a wave, see `waves`."""


def current_versions() -> dict[str, int]:
    """The versions that a new run is played with."""
    of_all = {name: each for name, each in VERSIONS.items() if name != "learner_version"}
    newest = {name: supported[-1] for name, supported in of_all.items()}
    return {"settings_version": SETTINGS_VERSION, **newest}


def completed(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Settings with defaults for absent keys and today's names for values that were renamed."""
    known = {**DEFAULTS, **settings}
    if known.get("prompt") == "specialist":
        known["prompt"] = "embedded"
    return known


# --- what a run says -----------------------------------------------------------------------------

MOST_SETTING = 2**20
"""The longest setting that is read, in characters of its JSON."""


def check_recorded(recorded: Mapping[str, str]) -> dict[str, Any]:
    """The settings of a run, from the JSON in its record, which may come from anyone.

    Raises:
        ValueError: one has a value that it cannot have; the message names it.
        UnknownName, UnsafeGame: this version does not know the game.
    """
    if len(recorded) > 1000:
        raise ValueError(f"it has {len(recorded):,} settings")
    settings = {name: json_of(text, most=MOST_SETTING) for name, text in recorded.items()}
    for name, can_be in _CAN_BE.items():
        value = settings.get(name)
        if not can_be(value) and (name in settings or name in _REQUIRED):
            raise ValueError(f"its setting {name!r} is {str(value)[:60]!r}")
    return settings


def _whole(least: int = 0, most: int = 2**63 - 1) -> Callable[[Any], bool]:
    return lambda value: type(value) is int and least <= value <= most


def _number(least: float, most: float) -> Callable[[Any], bool]:
    return lambda value: type(value) in (int, float) and least <= value <= most


def _text(value: Any) -> bool:
    return type(value) is str and len(value) <= 10_000


def _flag(value: Any) -> bool:
    return type(value) is bool


def _unset_or(can_be: Callable[[Any], bool]) -> Callable[[Any], bool]:
    return lambda value: value is None or can_be(value)


def _texts(value: Any) -> bool:
    return type(value) is list and len(value) <= 100 and all(map(_text, value))


def _estimate(value: Any) -> bool:
    """Whether it can be an estimate, see `advice.records.record_of`; an empty one is none."""
    if value == {}:
        return True
    shares = value.get("per_decision") if type(value) is dict else None
    return type(shares) is dict and all(
        _unset_or(_number(0, 1e15))(shares.get(name))
        and (name == "dollars" or shares.get(name) is not None)
        for name in {*shares, "calls", "input_tokens", "output_tokens", "dollars"}
    )


def _servers(value: Any) -> bool:
    """Whether it can be the servers at which a run went on, see `servers.moved`."""
    return type(value) is list and all(
        type(server) is dict
        and _unset_or(_text)(server.get("base_url"))
        and _whole()(server.get("earlier_answers"))
        for server in value[:1000]
    )


def _wave_ends(value: Any) -> bool:
    """Whether it can be where waves ended, see `waves`."""
    return type(value) is list and len(value) <= 10**6 and all(map(_whole(1, 10**6), value))


def _places(value: Any) -> bool:
    """Whether it can be the folders of runs, see `source_runs`."""
    return type(value) is dict and len(value) <= 10 and all(map(_text, value.values()))


def _game(value: Any) -> bool:
    return _text(value) and bool(get_game(value))


_REQUIRED = frozenset({"game", "model"})

_CAN_BE: dict[str, Callable[[Any], bool]] = {
    "game": _game,
    "model": _text,
    **dict.fromkeys(("settings_version", *VERSIONS), _whole(0, 10**6)),
    "prompt": _unset_or(_text),
    "purpose": _text,
    "privileges": _unset_or(_texts),
    "frame_skip": _whole(1, 10_000),
    "frame_stack": _whole(1, 10_000),
    "repeat_action_probability": _number(0, 1),
    "full_action_space": _flag,
    "pool_frames": _text,
    "mode": _unset_or(_whole(0, 10**6)),
    "difficulty": _unset_or(_whole(0, 10**6)),
    "max_decisions": _unset_or(_whole(1)),
    "max_frames": _unset_or(_whole(1, 2**31)),
    "decisions_per_call": _whole(1, 10_000),
    "first_seed": _unset_or(_whole()),
    "taught_by_episodes": _unset_or(_whole(0, 10**6)),
    "estimate": _unset_or(_estimate),
    "pictures": _unset_or(lambda value: type(value) is dict),
    "video": _flag,
    "nudge": _flag,
    "stuck_after": _whole(1, 10_000),
    "base_url": _unset_or(_text),
    "later_servers": _servers,
    "short_waves": _unset_or(_wave_ends),
    "local": _unset_or(_text),
    "learner": _unset_or(_text),
    **dict.fromkeys(("reflect", "prove_lessons"), _flag),
    **dict.fromkeys(("max_lessons", "lesson_length", "review_frames"), _whole(0, 10_000)),
    "lesson_edits": _whole(0, 10**6),
    "examples_from": _unset_or(_text),
    "lessons_from": _unset_or(_text),
    "source_runs": _unset_or(_places),
}
"""Setting -> whether it can have a value; of those that reading or replaying a run relies on."""


# --- when two runs are one -----------------------------------------------------------------------


def must_match(
    folder: Path,
    recorded: Mapping[str, Any],
    asked: Mapping[str, Any],
    given: Collection[str] = (),
) -> None:
    """Raise StoreError unless a run can be continued with these settings.

    Args:
        folder: of the run, for the message.
        recorded: the settings of the run.
        asked: the settings to play with.
        given: names of settings that the caller chose; the others may be defaults.
    """
    before, now = completed(recorded), completed(json.loads(json.dumps(dict(asked))))
    if not {"pool_frames"} & {*recorded, *given} and now["pool_frames"] == pooling.DEFAULT:
        now["pool_frames"] = before["pool_frames"]  # a run of before goes on as it was begun
    for name, supported in VERSIONS.items():
        if before[name] not in supported:
            raise StoreError(
                f"{folder} was recorded with {name.replace('_', ' ')} {before[name]}, which this "
                "version of atari_vlm no longer plays: it can be replayed and reported, but not "
                "continued. Use another folder for a new run."
            )
    for values in (before, now):  # in the user's unit
        if "first_seed" in values:
            text = seed_text([values.pop("first_seed")]).removeprefix("seed ")
            values["seed"] = int(text) if text.isdecimal() else text
    names = {*before, *now} - IDENTITY_FREE - {*VERSIONS}
    if before.get("taught_by_episodes") == now.get("taught_by_episodes") == 0:
        names -= {*SOURCES}  # nothing of them is shown before a training
    different = {
        name: f"{setting(name) if name in OPTIONS else name} {before.get(name)!r}, "
        f"not {now.get(name)!r}{_decided_by(name, before, now)}"
        for name in sorted(names)
        if before.get(name) != now.get(name)
    }
    advice = "Give the same settings to continue it, or another folder for a new run."
    if {*different} == {"version"} and str(now.get("model")).split("+")[0] == "embedded":
        advice = (
            "The weights of `embedded` are others now, so it cannot be continued with them. Its "
            f"record and page stay (`atari-vlm report {folder}`); name another folder for a new "
            "run."
        )
    if different and {*different} <= {*SOURCES}:
        advice = (
            f"What {' and '.join(map(setting, different))} names has changed since, or is another "
            "run: name another folder for a new run with it."
        )
    if different:
        raise StoreError(
            f"{folder} holds another run: it has {'; '.join(different.values())}. {advice}"
        )


def _decided_by(name: str, before: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    """The option that decides a setting with another name, in brackets; "" if none is known."""
    given = before.get("examples_from") or now.get("examples_from")
    own = name == "examples_of_own" or (name == "examples" and not given)
    return f" ({setting('use_in_context_learning')})" if own else ""


def folder_identity(settings: Mapping[str, Any]) -> dict[str, Any]:
    """The settings that a default folder's name is made of.

    Keys that were added later count only if they differ from their default, so that a folder of an
    earlier version is found again.
    """
    added = {"settings_version", *VERSIONS, "mode", "difficulty"}
    kept = {
        name: value
        for name, value in settings.items()
        if name not in added or completed(settings)[name] != DEFAULTS[name]
    }
    # A run is continued with the words of its prompts, so it is looked for in the same folder.
    for name in ("settings_version", "privileges", "pictures", "prompt_version", "learner_version"):
        kept.pop(name, None)
    usual = DEFAULTS["pool_frames"] if kept.get("prompt") == "embedded" else pooling.DEFAULT
    if kept.get("pool_frames") == usual:
        del kept["pool_frames"]
    if kept.get("prompt") == "embedded":
        kept["prompt"] = "specialist"
    return {**kept, "base_url": None}  # a server may move


def settings_digest(settings: Mapping[str, Any], *more: Any) -> str:
    """Eight digits that tell settings apart, as `folder_identity` has them.

    Args:
        settings: of a run.
        more: what else counts.
    """
    identity = folder_identity(settings)
    text = json.dumps([identity, *more] if more else identity, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:8]
