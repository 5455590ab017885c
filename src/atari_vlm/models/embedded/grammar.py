"""Constrained decoding: the sentences that an embedded model can answer with.

The model chooses every value in a sentence. The grammar only restricts each next token to those
that continue a sentence, and saves a forward pass where a single token can follow.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

_Candidates: TypeAlias = tuple[int, ...]
"""Numbers of the sentences that the tokens so far can still become."""

_SLOT = re.compile(r"\{(\w+):(\w+)\}")


@dataclass(frozen=True, slots=True)
class Slot:
    """One position of a sentence."""

    name: str
    """Name of the value, e.g. "ball_x"; empty for a fixed word."""
    kind: str
    """Kind of the value, e.g. "x"; empty for a fixed word."""
    tokens: tuple[int, ...]
    """The tokens allowed at this position."""


@dataclass(frozen=True)
class Grammar:
    """The sentences of one game, each a sequence of slots."""

    sentences: tuple[tuple[Slot, ...], ...]
    # Caches of GrammarMatcher: a grammar has few states and is used at every decision.
    transitions: dict[tuple[_Candidates, int, int], _Candidates] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )
    options: dict[tuple[_Candidates, int], tuple[tuple[int, ...], tuple[str, ...]]] = field(
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
            patterns: sentences, in which {name:kind} stands for one word of a kind.
            kinds: kind -> its words. Each word is one token and includes the space before it.
            encode: text -> token ids.
            end: the token that ends an answer.
        """
        tokens = {kind: tuple(encode(word)[0] for word in words) for kind, words in kinds.items()}
        spaced = {kind for kind, words in kinds.items() if words[0].startswith(" ")}
        return Grammar(tuple(_parse_slots(text, tokens, spaced, encode, end) for text in patterns))

    def matcher(self) -> GrammarMatcher:
        """A matcher at the start of an answer."""
        return GrammarMatcher(self, tuple(range(len(self.sentences))))

    def allowed_tokens(self, tokens: Sequence[int]) -> tuple[int, ...]:
        """The tokens that may follow; empty if the answer is complete or fits no sentence."""
        matcher = self.matcher()
        for token in tokens:
            matcher.accept(token)
        return matcher.allowed_tokens

    def sentence_index(self, tokens: Sequence[int]) -> int:
        """Index of the sentence that a whole answer, with its end token, matches; -1 for none."""
        for number, sentence in enumerate(self.sentences):
            if len(tokens) == len(sentence) and all(
                token in slot.tokens for token, slot in zip(tokens, sentence, strict=True)
            ):
                return number
        return -1

    def values(self, tokens: Sequence[int]) -> dict[str, int]:
        """Name -> token of every value in an answer; empty if it matches no sentence."""
        for sentence in self.sentences:
            pairs = list(zip(tokens, sentence, strict=False))
            if len(tokens) >= len(sentence) - 1 and all(t in slot.tokens for t, slot in pairs):
                return {slot.name: token for token, slot in pairs if slot.name}
        return {}


class GrammarMatcher:
    """Follows one answer through a grammar, token by token.

    Args:
        grammar: the sentences.
        candidates: the numbers of the sentences that still fit.
        tokens: the tokens so far.
    """

    __slots__ = ("_candidates", "_grammar", "tokens")

    def __init__(
        self, grammar: Grammar, candidates: _Candidates, tokens: Sequence[int] = ()
    ) -> None:
        self._grammar, self._candidates = grammar, candidates
        self.tokens = list(tokens)

    def copy(self) -> GrammarMatcher:
        """An independent matcher in the same state."""
        return GrammarMatcher(self._grammar, self._candidates, self.tokens)

    @property
    def allowed_tokens(self) -> tuple[int, ...]:
        """The tokens that may follow; empty after the end token."""
        return self._options()[0]

    @property
    def slot_names(self) -> tuple[str, ...]:
        """Names of the values that may follow, e.g. ("ball_x",); for fixed words, their tokens."""
        return self._options()[1]

    def _options(self) -> tuple[tuple[int, ...], tuple[str, ...]]:
        position, grammar = len(self.tokens), self._grammar
        options = grammar.options.get((self._candidates, position))
        if options is None:
            slots = [grammar.sentences[n][position] for n in self._unfinished()]
            tokens = dict.fromkeys(token for slot in slots for token in slot.tokens)
            options = (
                tuple(tokens),
                tuple(dict.fromkeys(slot.name or str(slot.tokens[0]) for slot in slots)),
            )
            grammar.options[self._candidates, position] = options
        return options

    def accept(self, token: int) -> None:
        """Append a token."""
        position, grammar = len(self.tokens), self._grammar
        key = (self._candidates, position, token)
        candidates = grammar.transitions.get(key)
        if candidates is None:
            fits = (n for n in self._unfinished() if token in grammar.sentences[n][position].tokens)
            candidates = grammar.transitions[key] = tuple(fits)
        self._candidates = candidates
        self.tokens.append(token)

    def middle_token(self) -> int:
        """An allowed token to draft without a better guess: the middle word of its kind."""
        tokens = self._grammar.sentences[self._unfinished()[0]][len(self.tokens)].tokens
        return tokens[len(tokens) // 2]

    def _unfinished(self) -> list[int]:
        position, sentences = len(self.tokens), self._grammar.sentences
        return [n for n in self._candidates if len(sentences[n]) > position]


def _parse_slots(
    pattern: str,
    tokens: Mapping[str, tuple[int, ...]],
    spaced: set[str],
    encode: Callable[[str], Sequence[int]],
    end: int,
) -> tuple[Slot, ...]:
    slots: list[Slot] = []
    position = 0
    for match in _SLOT.finditer(pattern):
        fixed = pattern[position : match.start()]
        if match[2] in spaced:
            fixed = fixed.removesuffix(" ")
        slots += [Slot("", "", (token,)) for token in encode(fixed)]
        slots.append(Slot(match[1], match[2], tokens[match[2]]))
        position = match.end()
    slots += [Slot("", "", (token,)) for token in encode(pattern[position:])]
    return (*slots, Slot("", "", (end,)))
