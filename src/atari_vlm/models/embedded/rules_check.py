"""Checks the content of an `answers.json` before anything is made of it."""

from __future__ import annotations

import re
from string import Formatter
from typing import Any

MOST_GAMES, MOST_SENTENCES, MOST_WORDS, LONGEST_TEXT = 200, 2_000, 2_000, 500
"""Of a checkpoint, of a game, of a kind; characters of a sentence or request."""

SIDES = range(16, 1_025)
"""Width and height of the image, in pixels."""

_GAME = re.compile(r"[a-z0-9_]{1,64}")
_PLAN = re.compile(
    r"(NOOP|FIRE|(?=[UDLR])(UP|DOWN)?(LEFT|RIGHT)?(FIRE)?) for [1-9]\d? frames?", re.ASCII
)
_SLOT = re.compile(r"\{(\w+):(\w+)\}")


def check_rules(rules: Any) -> None:
    """Raise ValueError, with a short reason, if `rules` are not what `answer_rules` writes."""
    _require(isinstance(rules, dict), "it is no object")
    side = rules.get("side")
    _require(type(side) is int and side in SIDES, f"its side is {str(side)[:40]}")
    _require(isinstance(rules.get("pool_frames", ""), str), "its pool_frames is no text")
    _check_requests(rules.get("requests"))
    _check_kinds(rules.get("kinds"))
    games = rules.get("games")
    _require(isinstance(games, dict) and 0 < len(games) <= MOST_GAMES, "it has no games")
    for name, entry in games.items():
        _require(bool(_GAME.fullmatch(name)), f"it has a game called {name[:80]!r}")
        _check_game(name, entry, rules["kinds"])


def _check_requests(requests: Any) -> None:
    _require(isinstance(requests, dict), "it has no requests")
    for name, allowed in (("see", {"game"}), ("act", {"game"}), ("look", {"game", "thing"})):
        text = requests.get(name)
        _require(_is_text(text), f"it has no request {name!r}")
        try:
            fields = list(Formatter().parse(text))
        except ValueError:
            fields = [("", "?", "", "")]
        for _, field, form, conversion in fields:
            plain = field is None or (field in allowed and not form and not conversion)
            _require(plain, f"its request {name!r} has a field that is not the game or the thing")


def _check_kinds(kinds: Any) -> None:
    _require(isinstance(kinds, dict) and len(kinds) <= 100, "its kinds are no object")
    for name, words in kinds.items():
        fits = isinstance(words, list) and 0 < len(words) <= MOST_WORDS
        _require(fits and all(map(_is_text, words)), f"its kind {name[:80]!r} is no list of words")


def _check_game(game: str, entry: Any, common: dict[str, list[str]]) -> None:
    _require(isinstance(entry, dict), f"its entry for {game} is no object")
    _check_kinds(entry.get("kinds"))
    kinds = {**common, **entry["kinds"]}
    for words in kinds.get("plan", [""]):
        _require(bool(_PLAN.fullmatch(words)), f"{game} has the plan {words[:80]!r}")
    looks, axis = entry.get("looks"), entry.get("axis", "")
    _require(isinstance(looks, dict) and len(looks) <= 100, f"{game} has no objects to look at")
    for patterns in (entry.get("answers"), *looks.values()):
        fits = isinstance(patterns, list) and 0 < len(patterns) <= MOST_SENTENCES
        _require(fits and all(map(_is_text, patterns)), f"{game} has no list of sentences")
        unknown = [slot[2] for text in patterns for slot in _SLOT.finditer(text)]
        unknown = [kind for kind in unknown if kind not in kinds]
        _require(not unknown, f"{game} has a sentence with words of no known kind")
    for text in entry["answers"]:
        slots = list(_SLOT.finditer(text))
        whole = bool(slots) and slots[-1][2] == "plan" and slots[-1].end() == len(text)
        _require(whole, f"{game} has an answer that ends in no plan: {text[:80]!r}")
    paired = isinstance(axis, list) and len(axis) == 2 and all(map(_is_text, axis))
    _require(axis is None or paired, f"the axis of {game} is no pair of actions")


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and 0 < len(value) <= LONGEST_TEXT


def _require(holds: bool, reason: str) -> None:
    if not holds:
        raise ValueError(reason)
