"""The words of a checkpoint of the project's own, and text as their numbers.

Reads the tokenizer.json that `atari-vlm distill` writes, which is a list of whole words: what the
tokenizers library makes of it, without the 30 MB that library brings. A test holds the two to the
same tokens of Latin text; other letters are unknown words to both.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from pathlib import Path


class Vocabulary:
    """Text -> token ids and back.

    Args:
        path: of a tokenizer.json with a WordLevel model.

    Raises:
        OSError: the file cannot be read.
        ValueError: it is damaged, or of another kind.
        KeyError: something is missing in it.
    """

    def __init__(self, path: Path) -> None:
        file = json.loads(path.read_text(encoding="utf-8"))
        model, split = file["model"], file["pre_tokenizer"]
        if model["type"] != "WordLevel" or split["type"] != "Split":
            raise ValueError(f"{path.name} is not a list of whole words.")
        added = {token["content"]: token["id"] for token in file["added_tokens"]}
        self._control = {token["id"] for token in file["added_tokens"] if token["special"]}
        self._ids: dict[str, int] = {**model["vocab"], **added}
        self._unknown = self._ids[model["unk_token"]]
        self._texts = {token: text for text, token in self._ids.items()}
        # Added tokens first, wherever they stand, and the longest where several begin at a place.
        longest = sorted(map(re.escape, added), key=len, reverse=True)
        self._added = re.compile("|".join(longest))
        self._word = re.compile(split["pattern"]["Regex"])

    def encode(self, text: str) -> list[int]:
        """Text -> token ids; a word it does not know becomes the unknown one."""
        return [self._ids.get(piece, self._unknown) for piece in self._split(text)]

    def decode(self, tokens: Sequence[int]) -> str:
        """Token ids -> text, without control tokens."""
        return "".join(self._texts[token] for token in tokens if token not in self._control)

    def strange(self, text: str) -> list[str]:
        """The words of a text that it does not know."""
        return [piece.strip() for piece in self._split(text) if piece not in self._ids]

    def _split(self, text: str) -> Iterator[str]:
        """Added tokens, the words between them, and whatever stands between those."""
        for piece in _isolated(self._added, text):
            if self._added.fullmatch(piece):
                yield piece
            else:
                yield from _isolated(self._word, piece)


def _isolated(pattern: re.Pattern[str], text: str) -> Iterator[str]:
    """The matches of a pattern and the stretches between them, in order; nothing is lost."""
    at = 0
    for match in pattern.finditer(text):
        if match.start() > at:
            yield text[at : match.start()]
        yield match[0]
        at = match.end()
    if at < len(text):
        yield text[at:]
