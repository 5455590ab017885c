"""Which words may follow which: the sentences a specialist's answer can be.

Every value in a sentence is the model's choice. The grammar only keeps it to sentences, and spares
the model a forward pass where a single word can follow.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

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

    def allowed(self, said: Sequence[int]) -> tuple[int, ...]:
        """The tokens that may follow; empty when the answer is complete."""
        live = [
            sentence
            for sentence in self.sentences
            if len(sentence) > len(said)
            and all(token in place.tokens for token, place in zip(said, sentence, strict=False))
        ]
        return tuple(dict.fromkeys(t for sentence in live for t in sentence[len(said)].tokens))

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
