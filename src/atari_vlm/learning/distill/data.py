"""Training data: shards as batches of images, answer tokens and soft targets."""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from atari_vlm.atari.images import motion
from atari_vlm.errors import InvalidSetting
from atari_vlm.learning.distill.answer_schemas.base import clauses, plan_words, plans
from atari_vlm.learning.distill.answer_schemas.table import common_kinds, get_answer_schema
from atari_vlm.learning.distill.architecture import END, IMAGE_SIZE, grammars
from atari_vlm.learning.distill.collect import Row
from atari_vlm.learning.distill.shards import Shard
from atari_vlm.learning.distill.targets import loss_weights, plan_smoothing
from atari_vlm.models.embedded.grammar import Grammar
from atari_vlm.types import Frame

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedTokenizerFast

SIZE = (IMAGE_SIZE, IMAGE_SIZE)


class Field(NamedTuple):
    """A value that answers about a game can state."""

    name: str
    tokens: tuple[int, ...]
    """The tokens of its kind."""
    positions: dict[int, int]
    """Number of a sentence -> position of the value in it."""


@dataclass(frozen=True, slots=True)
class Batch:
    """Decisions of one game as tensors."""

    game: str
    images: torch.Tensor
    """Pictures of motion, (batch, 3, side, side) uint8."""
    answers: torch.Tensor
    """Tokens of the answers, (batch, longest answer), padded with -1."""
    plans: torch.Tensor
    """Soft targets of the plans, (batch, vocabulary)."""
    loss_weights: torch.Tensor
    """Weight of every token of the answers, (batch, longest answer); 0 for padding."""
    sentences: NDArray[np.int64]
    """Number of each answer's sentence in the grammar, (batch,)."""
    words: list[str]
    """The answers as text."""

    @property
    def pixels(self) -> torch.Tensor:
        """The images as the processor gives them, from -1 to 1."""
        return self.images.float().div_(127.5).sub_(1.0)

    def to(self, device: torch.device) -> Batch:
        """The batch on a device."""
        names = ("images", "answers", "plans", "loss_weights")
        return replace(self, **{name: getattr(self, name).to(device) for name in names})


class Dataset:
    """All labelled decisions of one game, in memory."""

    def __init__(self, game: str, tokenizer: PreTrainedTokenizerFast) -> None:
        self.game, self._tokenizer = game, tokenizer
        self.grammar = grammars((game,), tokenizer)[game]
        self.end = int(tokenizer.convert_tokens_to_ids(END))
        schema = get_answer_schema(game)
        self._plan_ids = [tokenizer.encode(plan_words(*plan))[0] for plan in plans(schema)]
        self._smoothing = plan_smoothing(game)
        self.numbers = frozenset(
            tokenizer.encode(word)[0] for words in common_kinds().values() for word in words
        )
        """Tokens of positions and displacements; their neighbours are nearly right."""
        self.grey: list[bytes] = []
        self.moved: list[bytes] = []
        self.before: list[int] = []
        self.tokens: list[NDArray[np.int64]] = []
        self.sentences: list[int] = []
        self.words: list[str] = []
        self.soft_plans: list[NDArray[np.float32]] = []
        self._cumulative_weights = np.zeros(0)
        self._width = max(len(sentence) for sentence in self.grammar.sentences)
        self._loss_weights = loss_weights(self.grammar, schema.loss_weights)
        self.fields = _fields(self.grammar)
        """Every value that an answer can state."""
        self.positions = np.full((len(self.fields), len(self.grammar.sentences)), -1)
        """Position of every field in every sentence; -1 if it is not in it."""
        for row, field in zip(self.positions, self.fields, strict=True):
            row[list(field.positions)] = list(field.positions.values())
        self._clause = lru_cache(2**16)(self._encode)

    def __len__(self) -> int:
        return len(self.grey)

    def add(self, rows: Iterable[Row], *, weight: float = 1.0) -> None:
        """Append decisions in the order in which they were played.

        Args:
            rows: a Shard, or the rows of `collect`.
            weight: factor on the sampling weights of these decisions.

        Raises:
            InvalidSetting: a label is not a sentence of the game's grammar.
        """
        source = rows.path if isinstance(rows, Shard) else "The data"
        weights: list[float] = []
        before: Frame | None = None
        for number, row in enumerate(rows):
            before = None if row.first else before
            self.before.append(len(self) - (before is not None))
            image = motion(before or row.screen, row.screen, SIZE)
            # Compressed in memory: 1 kB a decision and 30 microseconds to read, instead of 51 kB.
            self.grey.append(zlib.compress(image[..., 0].tobytes(), 1))
            self.moved.append(zlib.compress(image[..., 2].tobytes(), 1))
            self._add_answer(row.words, f"{source}, row {number},")
            self.soft_plans.append((row.plans @ self._smoothing).astype(np.float32))
            weights.append(row.weight * weight)
            before = row.screen
        total = float(self._cumulative_weights[-1]) if len(self._cumulative_weights) else 0.0
        self._cumulative_weights = np.concatenate(
            [self._cumulative_weights, total + np.cumsum(weights)]
        )

    @property
    def teaches(self) -> bool:
        """Whether any decision has a weight above 0."""
        return bool(len(self._cumulative_weights)) and bool(self._cumulative_weights[-1] > 0)

    def _add_answer(self, words: str, source: str) -> None:
        answer = self._encode(words)
        sentence = self.grammar.sentence_index(answer)
        if sentence < 0:
            raise InvalidSetting(
                f"{source} holds an answer about {self.game} that its grammar has no sentence "
                f"for: {words!r}. It was labelled by another version; collect it anew."
            )
        tokens = np.full(self._width, -1, np.int64)
        tokens[: len(answer)] = answer
        self.tokens.append(tokens)
        self.sentences.append(sentence)
        self.words.append(words)

    def _encode(self, words: str) -> list[int]:
        # The library under transformers takes a sixth of the time of its `encode`.
        encoded = self._tokenizer.backend_tokenizer.encode(words, add_special_tokens=False)
        return [*encoded.ids, self.end]

    def spread(self, count: int) -> Batch:
        """Up to `count` decisions, evenly spaced among those with a weight above 0."""
        eligible = np.flatnonzero(np.diff(self._cumulative_weights, prepend=0.0) > 0)
        places = np.linspace(0, len(eligible) - 1, min(count, len(eligible))).astype(int)
        return self.batch(eligible[places])

    def sample(self, size: int, rng: np.random.Generator) -> Batch:
        """A random batch, sampled by weight."""
        sums = self._cumulative_weights
        return self.batch(np.searchsorted(sums, rng.random(size) * sums[-1]))

    def batch(self, rows: NDArray[Any]) -> Batch:
        """The batch of the decisions with these numbers."""
        import torch

        pixels = np.empty((len(rows), 3, *SIZE), np.uint8)
        soft_plans = np.zeros((len(rows), len(self._tokenizer)), np.float32)
        for i, row in enumerate(rows.tolist()):
            channels = (self.grey[row], self.grey[self.before[row]], self.moved[row])
            for channel, data in zip(pixels[i], channels, strict=True):
                channel.flat = np.frombuffer(zlib.decompress(data), np.uint8)
            soft_plans[i, self._plan_ids] = self.soft_plans[row]
        answers = np.array([self.tokens[row] for row in rows.tolist()])
        sentences = np.array([self.sentences[row] for row in rows.tolist()])
        return Batch(
            game=self.game,
            images=torch.from_numpy(pixels),
            answers=torch.from_numpy(answers),
            plans=torch.from_numpy(soft_plans),
            loss_weights=torch.from_numpy(self._loss_weights[sentences]),
            sentences=sentences,
            words=[self.words[row] for row in rows.tolist()],
        )

    def object_answers(self, answers: Sequence[str], name: str) -> torch.Tensor:
        """The clauses about one object as tokens, (answers, longest clause), padded with -1."""
        import torch

        tokens = []
        for words in answers:
            about = [c for c in clauses(words) if c.removeprefix("no ").split()[0] == name]
            tokens.append(self._clause((about or [f"no {name}"])[0]))
        longest = max(len(clause) for clause in tokens)
        return torch.tensor([clause + [-1] * (longest - len(clause)) for clause in tokens])


def _fields(grammar: Grammar) -> list[Field]:
    fields: dict[str, Field] = {}
    for number, sentence in enumerate(grammar.sentences):
        for position, slot in enumerate(sentence):
            if slot.name and len(sentence) > 2:
                field = fields.setdefault(slot.name, Field(slot.name, slot.tokens, {}))
                field.positions[number] = position
    return list(fields.values())
