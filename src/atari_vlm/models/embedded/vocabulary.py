"""The tokenizer of an embedded checkpoint, without the tokenizers library.

The tokenizer.json that `atari-vlm distill` writes is a list of whole words, so this module replaces
a dependency of 30 MB. A test compares its tokens of Latin text with those of the library; words in
other scripts are unknown to both.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any

WORD = r" ?\w+| ?[^\w\s]"
"""The pattern that splits a text into words. No other is used: some take years to match."""

MOST_TOKENS = 100_000


class Vocabulary:
    """Text -> token ids and back.

    Args:
        file: content of a tokenizer.json with a WordLevel model.

    Raises:
        ValueError: it is damaged, or has another kind of model.
    """

    def __init__(self, file: Any) -> None:
        try:
            model, split = file["model"], file["pre_tokenizer"]
            kind = model["type"], split["type"], split["pattern"]["Regex"]
            added = {token["content"]: token["id"] for token in file["added_tokens"]}
            self._control = {token["id"] for token in file["added_tokens"] if token["special"]}
            self.tokens: dict[str, int] = {**model["vocab"], **added}
            self.unknown: int = self.tokens[model["unk_token"]]
        except (KeyError, TypeError) as error:
            raise ValueError(f"it lacks an entry, or has one of another kind ({error})") from error
        if kind != ("WordLevel", "Split", WORD):
            raise ValueError("it is not the list of whole words that `atari-vlm distill` writes")
        ids = self.tokens.values()
        if not added or "" in added or not all(type(one) is int for one in ids):
            raise ValueError("its tokens are no numbers")
        if not 0 <= min(ids) <= max(ids) < MOST_TOKENS:
            raise ValueError(f"a token is not between 0 and {MOST_TOKENS:,}")
        self._texts = {token: text for text, token in self.tokens.items()}
        # Added tokens are matched first, the longest before those that it begins with.
        longest = sorted(map(re.escape, added), key=len, reverse=True)
        self._added = re.compile("|".join(longest))
        self._word = re.compile(WORD)

    @property
    def largest(self) -> int:
        """The largest token."""
        return max(self._texts)

    def encode(self, text: str) -> list[int]:
        """Text -> token ids; words that are not in the vocabulary become the unknown token."""
        return [self.tokens.get(piece, self.unknown) for piece in self._split(text)]

    def decode(self, tokens: Sequence[int]) -> str:
        """Token ids -> text, without control tokens."""
        return "".join(self._texts[token] for token in tokens if token not in self._control)

    def unknown_words(self, text: str) -> list[str]:
        """The words of a text that are not in the vocabulary."""
        return [piece.strip() for piece in self._split(text) if piece not in self.tokens]

    def _split(self, text: str) -> Iterator[str]:
        """Split a text into added tokens, words, and the pieces between them."""
        for piece in _isolated(self._added, text):
            if self._added.fullmatch(piece):
                yield piece
            else:
                yield from _isolated(self._word, piece)


def _isolated(pattern: re.Pattern[str], text: str) -> Iterator[str]:
    """The matches of a pattern and the pieces between them, in order."""
    position = 0
    for match in pattern.finditer(text):
        if match.start() > position:
            yield text[position : match.start()]
        yield match[0]
        position = match.end()
    if position < len(text):
        yield text[position:]
