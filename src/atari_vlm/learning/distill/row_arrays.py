"""Labelled rows as arrays: what training needs of them, in plain numbers.

A process that plays makes them; whoever trains only copies them. Nothing here needs torch.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from atari_vlm.atari.images import grayscale
from atari_vlm.errors import InvalidSetting
from atari_vlm.learning.distill.answer_schemas.base import clauses
from atari_vlm.learning.distill.answer_schemas.table import get_answer_schema
from atari_vlm.learning.distill.architecture import END, IMAGE_SIZE, grammars
from atari_vlm.learning.distill.collect import Row
from atari_vlm.learning.distill.targets import plan_smoothing

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

PIXELS = IMAGE_SIZE * IMAGE_SIZE
MOST_PLANS = 16
"""Plans of a game, at most."""
LONGEST_ANSWER = 21
"""Tokens of an answer with its end, at most."""
MOST_OBJECTS = 7
"""Objects of a game that a request can ask for, at most."""
LONGEST_CLAUSE = 7
"""Tokens of a clause about one object with its end, at most."""


class Column(NamedTuple):
    """One array of RowArrays: its name, type, and shape without the rows."""

    name: str
    dtype: str
    shape: tuple[int, ...]

    @property
    def row_bytes(self) -> int:
        """Bytes of a row."""
        return int(np.prod(self.shape, dtype=int)) * np.dtype(self.dtype).itemsize


COLUMNS = (
    Column("grey", "uint8", (PIXELS,)),
    Column("weight", "float32", ()),
    Column("plans", "float32", (MOST_PLANS,)),
    Column("before", "int32", ()),
    Column("answers", "int16", (LONGEST_ANSWER,)),
    Column("looks", "int16", (MOST_OBJECTS, LONGEST_CLAUSE)),
    Column("sentence", "uint8", ()),
)
"""The arrays in their order in a buffer, where each begins at a multiple of its item's size."""

ROW_BYTES = sum(column.row_bytes for column in COLUMNS)
"""Bytes of a row in a buffer."""


@dataclass(frozen=True, slots=True, eq=False)
class RowArrays:
    """Consecutive rows of one game."""

    grey: NDArray[np.uint8]
    """Luminance of the screens, (rows, 160 * 160)."""
    before: NDArray[np.int32]
    """Index of the row with the screen before, (rows,); the row itself where there is none."""
    weight: NDArray[np.float32]
    """Sampling weights, (rows,)."""
    plans: NDArray[np.float32]
    """Soft targets of the game's plans in their order, (rows, MOST_PLANS), padded with 0."""
    answers: NDArray[np.int16]
    """Tokens of the answers, (rows, LONGEST_ANSWER), padded with -1."""
    looks: NDArray[np.int16]
    """Tokens of the clauses about every object of the game in the order of its schema,
    (rows, MOST_OBJECTS, LONGEST_CLAUSE), padded with -1."""
    sentence: NDArray[np.uint8]
    """Number of each answer's sentence in the grammar, (rows,)."""

    def __len__(self) -> int:
        return len(self.before)

    def to_buffer(self) -> NDArray[np.uint8]:
        """All arrays one after the other as bytes, (rows * ROW_BYTES,)."""
        arrays = (np.ascontiguousarray(getattr(self, column.name)) for column in COLUMNS)
        return np.concatenate([array.reshape(-1).view(np.uint8) for array in arrays])

    @staticmethod
    def from_buffer(buffer: NDArray[np.uint8]) -> RowArrays:
        """The rows in the bytes of `to_buffer`, which they share.

        Raises:
            ValueError: the number of bytes is not that of whole rows.
        """
        rows, rest = divmod(len(buffer), ROW_BYTES)
        if rest:
            raise ValueError(f"{len(buffer):,} bytes are no whole number of rows")
        found: dict[str, Any] = {}
        start = 0
        for column in COLUMNS:
            end = start + rows * column.row_bytes
            part = buffer[start:end].view(column.dtype)
            found[column.name] = part.reshape(rows, *column.shape)
            start = end
        return RowArrays(**found)


class Labeller:
    """Turns the rows of one game, in the order in which they were played, into arrays.

    Args:
        game: catalogue name.
        tokenizer: of the student.
    """

    def __init__(self, game: str, tokenizer: PreTrainedTokenizerFast) -> None:
        self.game = game
        self._objects = get_answer_schema(game).objects
        self._smoothing = plan_smoothing(game)
        self._grammar = grammars((game,), tokenizer)[game]
        self._end = int(tokenizer.convert_tokens_to_ids(END))
        # The library under transformers takes a sixth of the time of its `encode`.
        self._encoder = tokenizer.backend_tokenizer
        self._clause = lru_cache(2**16)(self._encode_clause)
        self._last: Row | None = None

    def chunk(self, rows: Iterator[Row], size: int) -> RowArrays:
        """Up to `size` rows; fewer, or none, where `rows` end.

        If the first row has a screen before it, which was in the chunk before, then the arrays
        begin with that row again, with weight 0.

        Raises:
            InvalidSetting: a label is not a sentence of the game's grammar, or `size` is below 2.
        """
        if size < 2:
            raise InvalidSetting(f"A chunk has at least 2 rows, not {size}.")
        first = next(rows, None)
        if first is None:
            return self._arrays(())
        again = [] if self._last is None or first.first else [self._last]
        taken = [*again, first, *islice(rows, size - len(again) - 1)]
        self._last = taken[-1]
        arrays = self._arrays(taken)
        if again:
            arrays.weight[0] = 0.0
        return arrays

    def _arrays(self, rows: Iterable[Row]) -> RowArrays:
        rows = list(rows)
        count = len(rows)
        grey = np.empty((count, PIXELS), np.uint8)
        plans = np.zeros((count, MOST_PLANS), np.float32)
        answers = np.full((count, LONGEST_ANSWER), -1, np.int16)
        looks = np.full((count, MOST_OBJECTS, LONGEST_CLAUSE), -1, np.int16)
        sentence = np.zeros(count, np.uint8)
        before = np.arange(count, dtype=np.int32)
        for number, row in enumerate(rows):
            grey[number] = grayscale(row.screen, (IMAGE_SIZE, IMAGE_SIZE)).reshape(-1)
            before[number] -= number > 0 and not row.first
            answer = self._encode(row.words)
            sentence[number] = self._sentence(row.words, answer)
            answers[number, : len(answer)] = answer
            about = {clause.removeprefix("no ").split()[0]: clause for clause in _first(row.words)}
            for place, name in enumerate(self._objects):
                clause = self._clause(about.get(name, f"no {name}"))
                looks[number, place, : len(clause)] = clause
        if count:
            smooth = np.stack([row.plans for row in rows]) @ self._smoothing
            plans[:, : smooth.shape[1]] = smooth
        weight = np.array([row.weight for row in rows], np.float32)
        return RowArrays(grey, before, weight, plans, answers, looks, sentence)

    def _encode(self, text: str) -> list[int]:
        return [*self._encoder.encode(text, add_special_tokens=False).ids, self._end]

    def _encode_clause(self, text: str) -> tuple[int, ...]:
        return tuple(self._encode(text))

    def _sentence(self, words: str, answer: list[int]) -> int:
        found = self._grammar.sentence_index(answer)
        if found < 0:
            raise InvalidSetting(
                f"An answer about {self.game} is no sentence of its grammar: {words!r}. It was "
                "labelled by another version; collect it anew."
            )
        return found


def _first(words: str) -> list[str]:
    """The clauses of an answer, the last first, so that a dict keeps the first about an object."""
    return clauses(words)[::-1]
