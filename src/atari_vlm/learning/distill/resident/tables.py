"""What the loss has to know about every game, as tensors that the device looks up."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch

from atari_vlm.learning.distill.answer_schemas.base import plan_words, plans
from atari_vlm.learning.distill.answer_schemas.table import get_answer_schema
from atari_vlm.learning.distill.architecture import IMAGE, IMAGE_TOKENS, prompt_text
from atari_vlm.learning.distill.data import Dataset
from atari_vlm.learning.distill.row_arrays import LONGEST_CLAUSE, MOST_OBJECTS, MOST_PLANS
from atari_vlm.learning.distill.targets import loss_weights, soft_targets
from atari_vlm.prompts.embedded import ACT, LOOK, SEE

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

QUANTILES = 512
"""Neighbours of each token to draw from, as often as they are likely."""

_MULTIPLE = 64
"""Columns of the heads of a game are padded to a multiple of this, which suits matrix units."""


class Tables:
    """Tensors by number of the game, and by token.

    The heads of a game stand side by side as columns: those of its first field, of its second, and
    so on. `segments` says which columns belong to which field.

    Args:
        games: catalogue names.
        tokenizer: of the students.
        device: where the tensors live.
    """

    def __init__(
        self, games: Sequence[str], tokenizer: PreTrainedTokenizerFast, device: torch.device
    ) -> None:
        data = [Dataset(game, tokenizer) for game in games]
        self.vocabulary = len(tokenizer)
        self.longest_answer = max(len(s) for each in data for s in each.grammar.sentences)
        """Tokens of the longest answer of these games, with its end."""
        self.soft = soft_targets(tokenizer)
        """Soft target of every token, (vocabulary, vocabulary)."""
        self.neighbours = _quantiles(self.soft)
        """Tokens that may stand in the place of each, (vocabulary, QUANTILES)."""
        self._sentences(games, data, tokenizer)
        self._heads(data)
        self._prompts(games, tokenizer)
        for name, value in vars(self).items():
            if isinstance(value, torch.Tensor):
                setattr(self, name, value.to(device))

    def _sentences(
        self, games: Sequence[str], data: list[Dataset], tokenizer: PreTrainedTokenizerFast
    ) -> None:
        schemas = [get_answer_schema(game) for game in games]
        most = max(len(each.grammar.sentences) for each in data)
        self.plan_tokens = torch.full((len(games), MOST_PLANS), self.vocabulary)
        """Tokens of each game's plans in their order; `vocabulary` where there are fewer."""
        self.is_plan = torch.zeros(self.vocabulary, dtype=torch.bool)
        self.loss_weights = torch.zeros(len(games), most, self.longest_answer)
        """Weight of each token of each sentence; see `targets.loss_weights`."""
        for game, (schema, each) in enumerate(zip(schemas, data, strict=True)):
            tokens = [tokenizer.encode(plan_words(*plan))[0] for plan in plans(schema)]
            self.plan_tokens[game, : len(tokens)] = torch.tensor(tokens)
            self.is_plan[tokens] = True
            weights = torch.from_numpy(loss_weights(each.grammar, schema.loss_weights))
            self.loss_weights[game, : len(weights), : weights.shape[1]] = weights

    def _heads(self, data: list[Dataset]) -> None:
        columns = max(sum(len(field.tokens) for field in each.fields) for each in data)
        columns = -(-columns // _MULTIPLE) * _MULTIPLE
        fields = max(len(each.fields) for each in data)
        sentences = self.loss_weights.shape[1]
        games = len(data)
        self.field_position = torch.full((games, sentences, fields), -1)
        """Position of each field in each sentence; -1 where it has none."""
        self.column_field = torch.zeros(games, columns, dtype=torch.long)
        self.column_token = torch.full((games, columns), self.vocabulary)
        """Token of each column; `vocabulary` for columns that only pad."""
        self.column_is_plan = torch.zeros(games, columns, dtype=torch.bool)
        self.segments = torch.zeros(games, columns, fields)
        """1 where a column belongs to a field."""
        self.columns: list[dict[str, slice]] = []
        """Of each game: field -> its columns."""
        for game, each in enumerate(data):
            end, found = 0, {}
            for number, field in enumerate(each.fields):
                found[field.name] = place = slice(end, end + len(field.tokens))
                end = place.stop
                for sentence, position in field.positions.items():
                    self.field_position[game, sentence, number] = position
                self.column_field[game, place] = number
                self.column_token[game, place] = torch.tensor(field.tokens)
                self.column_is_plan[game, place] = field.name == "plan"
                self.segments[game, place, number] = 1
            self.columns.append(found)

    def _prompts(self, games: Sequence[str], tokenizer: PreTrainedTokenizerFast) -> None:
        image = int(tokenizer.convert_tokens_to_ids(IMAGE))

        def tokens(request: str) -> list[int]:
            """The prompt without its image tokens."""
            prompt: list[int] = tokenizer.encode(prompt_text(request))
            assert prompt.index(image) == self.image_start
            return prompt[: self.image_start] + prompt[self.image_start + IMAGE_TOKENS :]

        self.image_start: int = tokenizer.encode(prompt_text("")).index(image)
        """Position of the image in every prompt."""
        self.see = _stacked([tokens(SEE.format(game=game)) for game in games])
        """Prompt for a whole answer without its image tokens, (games, tokens)."""
        self.act = _stacked([tokens(ACT.format(game=game)) for game in games])
        """Prompt for a plan."""
        objects = [get_answer_schema(game).objects for game in games]
        self.objects = torch.tensor([len(names) for names in objects])
        """Objects of each game."""
        asked = [
            [tokens(LOOK.format(game=game, thing=name)) for name in names]
            for game, names in zip(games, objects, strict=True)
        ]
        # Objects that a game lacks are never asked for: any prompt stands in their place.
        padded = [(prompts * MOST_OBJECTS)[:MOST_OBJECTS] for prompts in asked]
        flat = _stacked([prompt for prompts in padded for prompt in prompts])
        self.look = flat.view(len(games), MOST_OBJECTS, -1)
        """Prompt for each object, (games, MOST_OBJECTS, tokens)."""
        self.longest_clause = LONGEST_CLAUSE


def _stacked(prompts: list[list[int]]) -> torch.Tensor:
    if len({len(prompt) for prompt in prompts}) > 1:
        raise ValueError("prompts of one kind have as many tokens in every game")
    return torch.tensor(prompts)


def _quantiles(soft: torch.Tensor) -> torch.Tensor:
    """The token at each of QUANTILES evenly spaced shares of every soft target."""
    shares = (torch.arange(QUANTILES, dtype=torch.float64) + 0.5) / QUANTILES
    sums = soft.double().cumsum(1)
    sums /= sums[:, -1:].clone()
    return torch.searchsorted(sums, shares.expand(len(soft), -1).contiguous())
