"""Shards as tensors: pictures put together on the fly, answers as tokens with soft targets."""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from atari_vlm.atari.images import motion
from atari_vlm.errors import InvalidSetting
from atari_vlm.learning.distill.architecture import END, SIDE, grammars
from atari_vlm.learning.distill.collect import Row
from atari_vlm.learning.distill.curriculum import common_kinds, get_subject
from atari_vlm.learning.distill.shards import Shard
from atari_vlm.learning.distill.subjects.base import clauses, plan_words, plans
from atari_vlm.models.embedded.grammar import Grammar
from atari_vlm.types import Frame

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedTokenizerFast

SIZE = (SIDE, SIDE)

SPREAD = {"x": 1.2, "y": 1.2, "across": 0.6, "along": 0.6}
"""Kind -> standard deviation, in words, of the soft target around the true word."""
PLAN_SPREAD = 0.5
"""The same for plans along the game's axis."""


@dataclass(frozen=True, slots=True)
class Batch:
    """Decisions of one game, ready for the student."""

    game: str
    pixels: torch.Tensor
    """(batch, 3, side, side), within -1 and 1."""
    answers: torch.Tensor
    """Tokens of the answers, (batch, longest), padded with -1."""
    plans: torch.Tensor
    """Soft plan targets over the vocabulary, (batch, vocabulary)."""
    stress: torch.Tensor
    """How much each word of the answers counts, (batch, longest); 0 where there is none."""
    shapes: NDArray[np.int64]
    """Which sentence of the grammar each answer is, (batch,)."""
    words: list[str]
    """The answers as they read."""

    def to(self, device: torch.device) -> Batch:
        """The batch on a device."""
        names = ("pixels", "answers", "plans", "stress")
        return replace(self, **{name: getattr(self, name).to(device) for name in names})


class Dataset:
    """Every labelled decision of one game."""

    def __init__(self, game: str, tokenizer: PreTrainedTokenizerFast) -> None:
        self.game, self._tokenizer = game, tokenizer
        self.grammar = grammars((game,), tokenizer)[game]
        self.end = int(tokenizer.convert_tokens_to_ids(END))
        self._plan_ids = [tokenizer.encode(plan_words(*p))[0] for p in plans(get_subject(game))]
        self._blur = plan_blur(game)
        self.numbers = frozenset(
            tokenizer.encode(word)[0] for words in common_kinds().values() for word in words
        )
        """Tokens of positions and displacements, whose neighbours are nearly right."""
        self.grey: list[bytes] = []
        self.moved: list[bytes] = []
        self.before: list[int] = []
        self.tokens: list[NDArray[np.int64]] = []
        self.shapes: list[int] = []
        self.words: list[str] = []
        self.soft: list[NDArray[np.float32]] = []
        self._sums = np.zeros(0)
        self._width = max(len(places) for places in self.grammar.sentences)
        self._stress = _stress(self.grammar, get_subject(game).stress)
        self.fields = _fields(self.grammar)
        """(name, its tokens, sentence -> place) of every value an answer can state."""

    def __len__(self) -> int:
        return len(self.grey)

    def add(self, rows: Iterable[Row], *, weight: float = 1.0) -> None:
        """Take in decisions in the order they were played.

        Args:
            rows: a Shard, or what `collect` yields.
            weight: makes these decisions more or less likely to be drawn.

        Raises:
            InvalidSetting: a label is no sentence of the game's grammar.
        """
        source = rows.path if isinstance(rows, Shard) else "The data"
        weights: list[float] = []
        before: Frame | None = None
        for row in rows:
            before = None if row.first else before
            self.before.append(len(self) - (before is not None))
            shown = motion(before or row.screen, row.screen, SIZE)
            # Compressed in memory: 1 kB a decision and 30 microseconds to read, instead of 51 kB.
            self.grey.append(zlib.compress(shown[..., 0].tobytes(), 1))
            self.moved.append(zlib.compress(shown[..., 2].tobytes(), 1))
            self._learn_words(row.words, source)
            self.soft.append((row.plans @ self._blur).astype(np.float32))
            weights.append(row.weight * weight)
            before = row.screen
        total = float(self._sums[-1]) if len(self._sums) else 0.0
        self._sums = np.concatenate([self._sums, total + np.cumsum(weights)])

    def _learn_words(self, words: str, source: Path | str) -> None:
        answer = [*self._tokenizer.encode(words), self.end]
        shape = self.grammar.sentence_index(answer)
        if shape < 0:
            raise InvalidSetting(
                f"{source} holds an answer about {self.game} that its grammar has no sentence "
                f"for: {words!r}. It was labelled by another version; collect it anew."
            )
        tokens = np.full(self._width, -1, np.int64)
        tokens[: len(answer)] = answer
        self.tokens.append(tokens)
        self.shapes.append(shape)
        self.words.append(words)

    def some(self, count: int) -> Batch:
        """Up to `count` decisions spread evenly over those that can be drawn."""
        shown = np.flatnonzero(np.diff(self._sums, prepend=0.0) > 0)
        return self.take(shown[np.linspace(0, len(shown) - 1, min(count, len(shown))).astype(int)])

    def sample(self, size: int, rng: np.random.Generator) -> Batch:
        """A random batch, by weight."""
        sums = self._sums
        return self.take(np.searchsorted(sums, rng.random(size) * sums[-1]))

    def take(self, rows: NDArray[Any]) -> Batch:
        """The batch of these decisions."""
        import torch

        pixels = np.empty((len(rows), 3, *SIZE), np.uint8)
        soft = np.zeros((len(rows), len(self._tokenizer)), np.float32)
        for i, row in enumerate(rows.tolist()):
            screens = (self.grey[row], self.grey[self.before[row]], self.moved[row])
            for channel, screen in zip(pixels[i], screens, strict=True):
                channel.flat = np.frombuffer(zlib.decompress(screen), np.uint8)
            soft[i, self._plan_ids] = self.soft[row]
        answers = np.array([self.tokens[row] for row in rows.tolist()])
        scaled = torch.from_numpy(pixels).float().div_(127.5).sub_(1.0)
        shapes = np.array([self.shapes[row] for row in rows.tolist()])
        return Batch(
            game=self.game,
            pixels=scaled,
            answers=torch.from_numpy(answers),
            plans=torch.from_numpy(soft),
            stress=torch.from_numpy(self._stress[shapes]),
            shapes=shapes,
            words=[self.words[row] for row in rows.tolist()],
        )

    def looks(self, answers: Sequence[str], thing: str) -> torch.Tensor:
        """Where a thing is by these answers, as tokens (answers, longest), padded with -1."""
        import torch

        said = []
        for words in answers:
            about = [c for c in clauses(words) if c.removeprefix("no ").split()[0] == thing]
            said.append([*self._tokenizer.encode((about or [f"no {thing}"])[0]), self.end])
        longest = max(len(answer) for answer in said)
        return torch.tensor([answer + [-1] * (longest - len(answer)) for answer in said])


def _fields(grammar: Grammar) -> list[tuple[str, tuple[int, ...], dict[int, int]]]:
    fields: dict[str, tuple[tuple[int, ...], dict[int, int]]] = {}
    for number, sentence in enumerate(grammar.sentences):
        for place, slot in enumerate(sentence):
            if slot.name and len(sentence) > 2:
                fields.setdefault(slot.name, (slot.tokens, {}))[1][number] = place
    return [(name, tokens, places) for name, (tokens, places) in fields.items()]


def _stress(grammar: Grammar, stress: Mapping[str, float]) -> NDArray[np.float32]:
    """(sentences, longest): how much each place counts; 0 behind a sentence's end."""
    width = max(len(sentence) for sentence in grammar.sentences)
    table = np.zeros((len(grammar.sentences), width), np.float32)
    for row, sentence in zip(table, grammar.sentences, strict=True):
        row[: len(sentence)] = [stress.get(place.name, 1.0) for place in sentence]
    return table


def plan_blur(game: str) -> NDArray[np.float64]:
    """(plans, plans): how much of each plan's probability its neighbours on the axis share."""
    subject = get_subject(game)
    every = plans(subject)
    blur = np.eye(len(every))
    if subject.axis is None:
        return blur
    sign = {subject.axis[0]: -1, subject.axis[1]: 1, "NOOP": 0}
    on = [i for i, (action, _) in enumerate(every) if action in sign]
    at = np.array([sign[every[i][0]] * every[i][1] for i in on])
    near = np.exp(-((at[:, None] - at[None]) ** 2) / (2 * PLAN_SPREAD**2))
    blur[np.ix_(on, on)] = near / near.sum(1, keepdims=True)
    return blur


def soft_words(tokenizer: PreTrainedTokenizerFast) -> torch.Tensor:
    """(vocabulary, vocabulary): the soft target of every word; neighbours of a number share it."""
    import torch

    target = torch.eye(len(tokenizer))
    by_kind = common_kinds()
    for kind, spread in SPREAD.items():
        ids = torch.tensor([tokenizer.encode(word)[0] for word in by_kind[kind]])
        steps = torch.arange(len(ids), dtype=torch.float32)
        near = torch.exp(-((steps[:, None] - steps[None]) ** 2) / (2 * spread**2))
        target[ids[:, None], ids[None]] = near / near.sum(1, keepdim=True)
    return target
