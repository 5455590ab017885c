"""Which words may follow which: the sentences a specialist's answer can be.

Every value in a sentence is the model's choice. The grammar only keeps it to sentences, and spares
the model a forward pass where a single word can follow.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

_Live: TypeAlias = tuple[int, ...]
"""Numbers of the sentences that an answer can still become."""

_SLOT = re.compile(r"\{(\w+):(\w+)\}")


@dataclass(frozen=True, slots=True)
class Slot:
    """One place of a sentence: the tokens that may stand there."""

    name: str
    """Name of the value, e.g. "ball_x"; empty for a fixed word."""
    kind: str
    """Kind of the value, e.g. "x"; empty for a fixed word."""
    tokens: tuple[int, ...]


@dataclass(frozen=True)
class Grammar:
    """The sentences of one game, as places with their tokens."""

    sentences: tuple[tuple[Slot, ...], ...]
    # Worked out before: sentences and places are few, decisions are many.
    steps: dict[tuple[_Live, int, int], _Live] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )
    choices: dict[tuple[_Live, int], tuple[tuple[int, ...], tuple[str, ...]]] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )

    @staticmethod
    def parse(
        patterns: Sequence[str],
        kinds: Mapping[str, Sequence[str]],
        encode: Callable[[str], Sequence[int]],
        end: int,
    ) -> Grammar:
        """Read patterns such as "ball {ball_x:x} {ball_y:y}".

        Args:
            patterns: sentences; {name:kind} stands for one word of a kind.
            kinds: kind -> its words, each one token, with the space before it.
            encode: text -> token ids.
            end: the token that ends an answer.
        """
        tokens = {kind: tuple(encode(word)[0] for word in words) for kind, words in kinds.items()}
        spaced = {kind for kind, words in kinds.items() if words[0].startswith(" ")}
        return Grammar(tuple(_places(text, tokens, spaced, encode, end) for text in patterns))

    def walk(self) -> Walk:
        """A sentence with no word yet."""
        return Walk(self, tuple(range(len(self.sentences))))

    def allowed(self, said: Sequence[int]) -> tuple[int, ...]:
        """The tokens that may follow; empty when the answer is complete."""
        walk = self.walk()
        for token in said:
            walk.say(token)
        return walk.allowed

    def which(self, said: Sequence[int]) -> int:
        """Which sentence a whole answer is, its end included; -1 for none."""
        for number, sentence in enumerate(self.sentences):
            if len(said) == len(sentence) and all(
                token in place.tokens for token, place in zip(said, sentence, strict=True)
            ):
                return number
        return -1

    def values(self, said: Sequence[int]) -> dict[str, int]:
        """Name -> token of every value in an answer."""
        for sentence in self.sentences:
            pairs = list(zip(said, sentence, strict=False))
            if len(said) >= len(sentence) - 1 and all(t in place.tokens for t, place in pairs):
                return {place.name: token for token, place in pairs if place.name}
        return {}


class Walk:
    """A sentence on its way.

    Args:
        grammar: what it may become.
        live: the sentences it can still be.
        said: the tokens so far.
    """

    __slots__ = ("_grammar", "_live", "said")

    def __init__(self, grammar: Grammar, live: _Live, said: Sequence[int] = ()) -> None:
        self._grammar, self._live = grammar, live
        self.said = list(said)

    def copy(self) -> Walk:
        """The same sentence, to go on in another way."""
        return Walk(self._grammar, self._live, self.said)

    @property
    def allowed(self) -> tuple[int, ...]:
        """The tokens that may follow; empty when the end was said too."""
        return self._next()[0]

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the values that may follow, e.g. ("ball_x",); of fixed words, the tokens."""
        return self._next()[1]

    def _next(self) -> tuple[tuple[int, ...], tuple[str, ...]]:
        place, grammar = len(self.said), self._grammar
        known = grammar.choices.get((self._live, place))
        if known is None:
            slots = [grammar.sentences[n][place] for n in self._longer()]
            tokens = dict.fromkeys(token for slot in slots for token in slot.tokens)
            known = (
                tuple(tokens),
                tuple(dict.fromkeys(slot.name or str(slot.tokens[0]) for slot in slots)),
            )
            grammar.choices[self._live, place] = known
        return known

    def say(self, token: int) -> None:
        """Go on with a token."""
        place, grammar = len(self.said), self._grammar
        key = (self._live, place, token)
        live = grammar.steps.get(key)
        if live is None:
            fits = (n for n in self._longer() if token in grammar.sentences[n][place].tokens)
            live = grammar.steps[key] = tuple(fits)
        self._live = live
        self.said.append(token)

    def middling(self) -> int:
        """A token that may follow, for want of a better guess: halfway through a kind's words."""
        tokens = self._grammar.sentences[self._longer()[0]][len(self.said)].tokens
        return tokens[len(tokens) // 2]

    def _longer(self) -> list[int]:
        place, sentences = len(self.said), self._grammar.sentences
        return [n for n in self._live if len(sentences[n]) > place]


def _places(
    pattern: str,
    tokens: Mapping[str, tuple[int, ...]],
    spaced: set[str],
    encode: Callable[[str], Sequence[int]],
    end: int,
) -> tuple[Slot, ...]:
    places: list[Slot] = []
    at = 0
    for match in _SLOT.finditer(pattern):
        fixed = pattern[at : match.start()]
        if match[2] in spaced:
            fixed = fixed.removesuffix(" ")
        places += [Slot("", "", (token,)) for token in encode(fixed)]
        places.append(Slot(match[1], match[2], tokens[match[2]]))
        at = match.end()
    places += [Slot("", "", (token,)) for token in encode(pattern[at:])]
    return (*places, Slot("", "", (end,)))
