"""What the other keys of a JSON answer say of its action: cancelled, an example, of someone else.

A key with a yes or a no is about the game ("ball_visible": false), or about the answer ("valid":
true). Of those about the answer the harmless ones are listed; any other makes the answer unclear.
"""

from __future__ import annotations

import re
from typing import Any

from atari_vlm.replies.contradiction import rejects
from atari_vlm.replies.explanations import STATUS, explains, is_ruled_out
from atari_vlm.replies.patterns import pattern

_THINGS = pattern(
    r"ball|paddle|brick|enem(?:y|ies)_|shark|diver|oxygen|alien|ghost|danger|threat|hazard"
    r"|obstacle|traffic|lane|ship|submarine|surface|missile|bullet|torpedo|projectile|bomb|fuel"
    r"|shield|game|score|level|lives|life|episode|player|in_play|think|thought|stream|parallel"
    r"|puck|frog|river|pellet|maze|opponent_\w"
)
"""What a key about the game is about."""
_ABOUT_THE_GAME = pattern(
    r"enem|opponent|\bair|car\b|cars|sub\b|terminal|terminated|done|over|started|serve|launch"
    r"|moving|movement|visible|seen|near|close|far|above|below|left|right|up\b|down|fire|shoot"
    r"|firing|shot|dead|alive|urgent|emergency|need|can_|has_|low\b|high|falling|rising|changed"
    r"|same|repeat|aligned|moves|wall|edge|screen|collision|target|noop|hold|wait|stuck|clear"
    r"|blocked|log|road|bird|fish|ice|tank|plane|jet|radar|power|fruit|paused"
)
_GOOD = pattern(
    r"valid|legal|allow|approv|accept|final|execut|play|enabl|confirm|active|commit|apply|proceed"
    r"|ok\b|okay|success|possible|available|feasible|safe|recommend|correct|chosen|select|best"
    r"|sure|certain|confident|ready|permit|press|act\b|go\b|do\b|should|is_answer|continue|optimal"
    r"|good|ideal"
)
_BAD = pattern(
    r"cancel|reject|refus|den(?:y|ied)|skip|avoid|invalid|illegal|negat|ignor|forbid|example"
    r"|hypothe|draft|abort|withdraw|revok|retract|void|disabl|dry|test|placeholder|error|fail"
    r"|unsafe|risk|uncertain|unsure|blocked|prohibit|ban|veto|overrid|overrul|not_|undo|discard"
    r"|dismiss|exclud|sample|demo|tentative|pending|mistake|wrong|bad\b|truncat|repair|fallback"
    r"|stop|hesit|doubt|question|interrupt|never|dont|do_not|conditional|later|defer|postpon|not\b"
)
_STATUS_KEYS = frozenset(
    {
        "status",
        "verdict",
        "validity",
        "approval",
        "outcome",
        "disposition",
        "legality",
        "judgement",
        "judgment",
        "review",
        "decision_status",
        "action_status",
        "result_status",
    }
)
_FINE_STATUS = pattern(
    r"\W*(?:ok|okay|success\w*|final\w*|valid\w*|legal|ready|complete\w*|done|chosen|confirmed"
    r"|active|accepted|approved|play\w*|safe|alive|selected|submitted|go|in[ _]progress|running"
    r"|normal|good|decided"
    r"|executed?|moving|yes|true|allowed)\b",
    re.I,
)
_KIND_KEYS = frozenset({"type", "kind", "purpose", "mode", "category", "label", "tag", "scope"})
_CONDITION_KEY = pattern(
    r"(?:^|_)(?:if|when|unless|until|once|after|conditions?|conditional|conditionals"
    r"|preconditions?|trigger|delay|delayed|postponed?|scheduled?|timing|depends|prerequisites?"
    r"|wait|starts?_at)(?:_|$)"
)
_AT_ONCE = pattern(
    r"\W*(?:now|immediate(?:ly)?|always|none|true|yes|current|this|at once|asap|right away|n/?a|no"
    r"|null|0|(?:this|current) (?:frame|step|turn|decision))\W*",
    re.I,
)
_NOTE_KEYS = frozenset({"note", "notes", "comment", "remark", "correction", "warning"})
_SPEAKER_KEYS = frozenset(
    {
        "role",
        "speaker",
        "from",
        "author",
        "sender",
        "source",
        "player",
        "who",
        "by",
        "agent",
        "actor",
        "side",
        "owner",
        "subject",
    }
)
_ANOTHER = pattern(
    r"\b(?:user|human|system|tool|developer|opponent|enem\w+|cpu|computer|other\w*|environment|env"
    r"|player[ _-]?(?:2|b|two)|rival|adversary|prompt|example|previous|instructions?)\b",
    re.I,
)
_OTHER_TIME = pattern(r"last|previous|prior|old|other|alternative|considered|reject")
_HARMLESS = frozenset({"action", "frames", "reasoning", "actions", "name", "arguments"})
"""Keys of an ordinary answer."""
_NONE = frozenset({"", "none", "null", "no", "n/a", "false", "nothing", "0", "no error", "ok"})


def is_of_another(value: dict[str, Any]) -> bool:
    """Whether an object says what somebody else does: {"role": "user", "content": "ACTION: UP"}."""
    if _SPEAKER_KEYS.isdisjoint(value):
        return False
    return any(
        isinstance(value[key], str) and _ANOTHER.search(value[key][:40])
        for key in _SPEAKER_KEYS.intersection(value)
    )


def objection_in(value: dict[str, Any]) -> str:
    """The key of an object by which its action is not, or not now, to be played; empty if none."""
    for key, item in value.items():
        if key not in _HARMLESS and _objects(key, item):
            return key
    return ""


def _objects(key: str, item: Any) -> bool:
    if isinstance(item, bool):
        return _denies(key, item)
    if key in ("confidence", "certainty", "probability"):
        return str(item).strip(" %") in ("0", "0.0", "0.00", "none", "zero")
    return isinstance(item, str) and _speaks_against(key, item)


def _speaks_against(key: str, item: str) -> bool:
    """Whether the words of a key reject the answer, put it off or make it depend on something."""
    if key in _STATUS_KEYS:
        return not _FINE_STATUS.match(item) and item.strip().lower() not in _NONE
    if _CONDITION_KEY.search(key):
        return not _AT_ONCE.fullmatch(item) and bool(item.strip())
    if key in ("error", "errors", "rejection", "rejection_reason", "refusal_reason"):
        return item.strip().lower() not in _NONE
    if key in _NOTE_KEYS:
        return rejects(item)
    if key in _KIND_KEYS:
        return len(item) < 60 and is_ruled_out(item) and not explains(item)
    if len(item) > 40:
        return False
    word = item.strip(" .!").lower()
    if " " in word:
        return False
    if word in ("true", "yes", "false", "no"):
        return _denies(key, word in ("true", "yes"))
    return bool(STATUS.fullmatch(word)) and not _OTHER_TIME.search(key)


def _denies(key: str, item: bool) -> bool:
    """Whether a yes or a no to a key is not known to leave the action standing."""
    if _THINGS.search(key):
        return False
    good, bad = _GOOD.search(key), _BAD.search(key)
    if bad:  # also "not_valid"
        return item
    if good:
        return not item
    return not _ABOUT_THE_GAME.search(key)
