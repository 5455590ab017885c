"""Whether two short sentences say the same, decided without a model.

Two lessons are alike if most of their words are the same, endings and small words aside, and if
they agree on the words that turn a meaning around: names of actions, directions, negations,
numbers. "Move UP when the ball is above" and "Move DOWN when the ball is below" are not alike.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Sequence
from difflib import SequenceMatcher
from functools import lru_cache

from atari_vlm.replies.patterns import pattern

ALIKE = 0.6
"""Share of the words of two sentences together that both must have."""

ALIKE_LETTERS = 0.85
"""Likeness of the letters from which sentences of few words are alike."""

_WORD = pattern(r"[^\W_]+(?:['\u2019][^\W\d_]+)?")
_SMALL_WORDS = """
a an the to of is are be been am was were it its your you and or so then at in on with as that this
these those there will would can could should must for by from into me my i we our they them their
do does did just very more most also when whenever if while once each every try make sure always
"""
_SMALL = frozenset(_SMALL_WORDS.split())
_NEGATIONS = """
no not never without avoid stop don't dont nothing none cannot can't cant shouldn't mustn't refrain
"""
_NEGATION = frozenset(_NEGATIONS.split())
_DIRECTIONS = """
before after above below over under left right up down fire noop upfire downfire leftfire rightfire
upleft upright downleft downright high low higher lower near far first last less slow fast early
late away toward towards top bottom
"""
_TURNING = frozenset(_DIRECTIONS.split())
_ENDINGS = ("ing", "ies", "ied", "es", "ed", "s", "ly")


def alike(one: str, other: str) -> bool:
    """Whether two sentences say the same.

    >>> alike("Stay near the middle of the screen.", "stay near the screen's middle!")
    True
    >>> alike("Always press FIRE at the start.", "Never press FIRE at the start.")
    False
    """
    if one == other:
        return True
    first, second = _words(one), _words(other)
    if first.turning != second.turning:
        return False
    both, any_ = first.plain & second.plain, first.plain | second.plain
    if len(any_) < 3:
        return (first.plain == second.plain != set()) or _similar(first.letters, second.letters)
    return len(both) >= ALIKE * len(any_) or _similar(first.letters, second.letters)


def without_copies(sentences: Iterable[str], of: Sequence[str] = ()) -> list[str]:
    """The sentences that are alike to none before them, and to none of some others.

    Args:
        sentences: in order.
        of: the others.
    """
    kept: list[str] = []
    for sentence in sentences:
        if not any(alike(sentence, earlier) for earlier in (*of, *kept)):
            kept.append(sentence)
    return kept


class _Words:
    """The words of a sentence.

    Args:
        text: the sentence.
    """

    def __init__(self, text: str) -> None:
        plain = unicodedata.normalize("NFKC", text).casefold()
        words = [word.replace("\u2019", "'").removesuffix("'s") for word in _WORD.findall(plain)]
        self.letters = " ".join(words)
        turning = {word for word in words if word in _TURNING or word[:1].isdecimal()}
        negated = {"not"} if _NEGATION.intersection(words) else set[str]()
        self.turning = frozenset(turning | negated)
        """The words that turn a meaning around; all negations are one."""
        plain_words = {*words} - _SMALL - _NEGATION - turning
        self.plain = frozenset(map(_stem, plain_words))


@lru_cache(maxsize=1024)
def _words(text: str) -> _Words:
    return _Words(text)


def _stem(word: str) -> str:
    """A word without its ending."""
    for ending in _ENDINGS:
        if word.endswith(ending) and len(word) - len(ending) >= 3:
            return word.removesuffix(ending)
    return word


def _similar(one: str, other: str) -> bool:
    return SequenceMatcher(None, one, other, autojunk=False).ratio() >= ALIKE_LETTERS
