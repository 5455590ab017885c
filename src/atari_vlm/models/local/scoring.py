"""Exact probabilities of candidate answers, without generating any.

The prompt and its images are read once. A 60-token answer costs 60 forward passes; scoring the
legal actions costs one, or a few if their names are several tokens long.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, TypeAlias

MAX_ROWS = 64
"""Prefixes read in one forward pass, over all prompts, but at least `MIN_PREFIXES` of each prompt.
Each prefix needs a copy of its prompt's key-value cache."""

MIN_PREFIXES = 4

EOS = -1
"""Stands for the end of an answer, whichever token ends it."""

TokenIds: TypeAlias = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Candidates:
    """The token ids of answers to choose from, and the prefixes that have to be read."""

    shared: TokenIds
    """The tokens that all answers begin with."""
    suffixes: tuple[TokenIds, ...]
    """What follows `shared` in each answer, with a final EOS if the end of an answer counts."""
    next_tokens: dict[TokenIds, tuple[int, ...]]
    """Prefix of a suffix -> the tokens that come next in some answer."""
    prefixes: tuple[TokenIds, ...]
    """The keys of `next_tokens` that begin no other key: all that is read after the prompt."""

    def log_probs(self, known: dict[tuple[TokenIds, int], float]) -> list[float]:
        """Log-probability of each answer.

        Args:
            known: (prefix, next token) -> log-probability.
        """
        return [
            sum(known[suffix[:place], token] for place, token in enumerate(suffix))
            for suffix in self.suffixes
        ]


@lru_cache(maxsize=256)
def build_candidates(answers: tuple[TokenIds, ...]) -> Candidates:
    """Prepare answers for scoring.

    If one answer begins another ("UP" and "UPFIRE"), the end of an answer counts as its last token.
    """
    beginnings = {answer[:i] for answer in answers for i in range(len(answer))}
    if any(answer in beginnings for answer in answers):
        answers = tuple((*answer, EOS) for answer in answers)
    shared: list[int] = []
    for column in zip(*answers, strict=False):
        if len(set(column)) > 1:
            break
        shared.append(column[0])
    suffixes = tuple(answer[len(shared) :] for answer in answers)
    next_tokens: dict[TokenIds, dict[int, None]] = {}
    for suffix in suffixes:
        for place, token in enumerate(suffix):
            next_tokens.setdefault(suffix[:place], {})[token] = None
    nonempty = next_tokens.keys() - {()}
    inner = {prefix[:place] for prefix in nonempty for place in range(len(prefix))}
    return Candidates(
        shared=tuple(shared),
        suffixes=suffixes,
        next_tokens={prefix: tuple(tokens) for prefix, tokens in next_tokens.items()},
        prefixes=tuple(sorted(nonempty - inner)),
    )


def score_candidates(
    model: Any,
    inputs: dict[str, Any],
    candidates: Candidates,
    *,
    eos_token_ids: Sequence[int],
    pad_token_id: int,
) -> list[list[float]]:
    """Log-probability of each candidate for each prompt, up to a constant per prompt.

    Exact: the sum over the tokens in which the answers differ, each given all tokens before it. One
    forward pass reads the prompts, their images and the tokens that all answers begin with. If the
    answers differ in a single token, that is all; otherwise every distinct prefix is read on top of
    the key-value cache.

    Args:
        model: a generative model of transformers.
        inputs: of a batch of prompts, padded on the left.
        candidates: the same for all prompts.
        eos_token_ids: tokens that end an answer.
        pad_token_id: fills prefixes of different lengths.
    """
    import torch

    batch_size = len(inputs["input_ids"])
    inputs = _append(inputs, candidates.shared)
    mask, prefixes = inputs["attention_mask"], candidates.prefixes
    known: list[dict[tuple[TokenIds, int], float]] = [{} for _ in range(batch_size)]
    with torch.inference_mode():
        out = model(
            **inputs, **_position_ids(model, mask), use_cache=bool(prefixes), logits_to_keep=1
        )
        _collect(known, out.logits[:, -1:], ((),), candidates, eos_token_ids)
        step = max(MIN_PREFIXES, MAX_ROWS // batch_size)
        for start in range(0, len(prefixes), step):
            last = start + step >= len(prefixes)
            cache = out.past_key_values if last else copy.deepcopy(out.past_key_values)
            chunk = prefixes[start : start + step]
            logits = _read_prefixes(model, cache, mask, chunk, pad_token_id)
            _collect(known, logits, chunk, candidates, eos_token_ids)
    return [candidates.log_probs(one) for one in known]


def _collect(
    known: list[dict[tuple[TokenIds, int], float]],
    logits: Any,
    prefixes: Sequence[TokenIds],
    candidates: Candidates,
    eos_token_ids: Sequence[int],
) -> None:
    """Add the log-probabilities of one forward pass.

    Args:
        known: for each prompt, (prefix, next token) -> log-probability; added to.
        logits: (prompts x prefixes, places, vocabulary), of the token after each place of a prefix;
            for the prefix () its only place is before its first token.
        prefixes: read after every prompt.
        candidates: whose next tokens matter.
        eos_token_ids: tokens that end an answer.
    """
    import torch

    wanted = [
        (row, place, prefix[: place + 1], token)
        for row, prefix in enumerate(prefixes)
        for place in range(max(1, len(prefix)))
        for token in candidates.next_tokens.get(prefix[: place + 1], ())
    ]
    if not wanted:
        return
    whole = logits.float()
    norms, ended = whole.logsumexp(-1), whole[..., list(eos_token_ids)].logsumexp(-1)
    places, tokens = (
        torch.tensor([one[part] for one in wanted], device=whole.device) for part in (1, 3)
    )
    for number, one in enumerate(known):
        start = number * len(prefixes)
        rows = torch.tensor([start + item[0] for item in wanted], device=whole.device)
        chosen = whole[rows, places, tokens.clamp(min=0)].where(tokens != EOS, ended[rows, places])
        values = (chosen - norms[rows, places]).tolist()
        one.update(zip([(prefix, token) for _, _, prefix, token in wanted], values, strict=True))


def _position_ids(model: Any, mask: Any) -> dict[str, Any]:
    """Positions that start at each prompt's first token, if padding shifts them.

    Families with positions in time, height and width compute theirs from the mask themselves.
    """
    if bool(mask.all()) or hasattr(getattr(model, "model", None), "rope_deltas"):
        return {}
    return {"position_ids": (mask.cumsum(-1) - 1).clamp(min=0)}


def _append(inputs: dict[str, Any], token_ids: Sequence[int]) -> dict[str, Any]:
    """The inputs with text tokens at the end of every prompt."""
    import torch

    shape = inputs["input_ids"].shape
    tails = {"input_ids": list(token_ids), "attention_mask": [1] * len(token_ids)}
    longer = dict(inputs)
    for name, value in inputs.items():
        if token_ids and getattr(value, "shape", None) == shape:
            tail = tails.get(name, [0] * len(token_ids))  # token types: 0 is text
            rows = torch.tensor([tail] * shape[0], device=value.device, dtype=value.dtype)
            longer[name] = torch.cat([value, rows], 1)
    return longer


def _read_prefixes(
    model: Any, cache: Any, prompt_mask: Any, prefixes: Sequence[TokenIds], pad_token_id: int
) -> Any:
    """Logits after every token of every prefix, each read after every prompt.

    Args:
        model: a generative model of transformers.
        cache: key-value cache of the prompts; it is consumed.
        prompt_mask: attention mask of the prompts, (prompts, tokens).
        prefixes: the same for all prompts.
        pad_token_id: fills shorter prefixes.

    Returns:
        (prompts x prefixes, longest prefix, vocabulary).
    """
    import torch

    prompts, count, length = len(prompt_mask), len(prefixes), max(map(len, prefixes))
    cache.batch_repeat_interleave(count)
    device = model.device
    ids = torch.full((count, length), pad_token_id)
    mask = torch.ones((count, length), dtype=prompt_mask.dtype)
    for row, prefix in enumerate(prefixes):
        ids[row, : len(prefix)] = torch.tensor(prefix)
        mask[row, len(prefix) :] = 0
    ids, mask = (part.to(device).repeat(prompts, 1) for part in (ids, mask))
    first = prompt_mask.sum(-1).repeat_interleave(count)[:, None]
    position_ids = first + torch.arange(length, device=device)
    rope_deltas = getattr(getattr(model, "model", None), "rope_deltas", None)
    if rope_deltas is not None:  # Qwen-VL and GLM-V: positions in time, height and width
        rope_deltas = rope_deltas.to(device).expand(prompts, 1).repeat_interleave(count, 0)
        position_ids = (position_ids + rope_deltas)[None].expand(3, -1, -1)
    return model(
        input_ids=ids,
        attention_mask=torch.cat([prompt_mask.repeat_interleave(count, 0), mask], 1),
        position_ids=position_ids,
        past_key_values=cache,
        use_cache=True,
    ).logits


def token_log_probs(
    logits: Any, token_ids: Iterable[int], eos_token_ids: Sequence[int]
) -> dict[int, float]:
    """Token -> log-probability; EOS is any of the tokens that end an answer.

    Args:
        logits: (vocabulary,).
        token_ids: the tokens asked about.
        eos_token_ids: tokens that end an answer.
    """
    logs = logits.float().log_softmax(-1)
    return {
        token: float(logs[list(eos_token_ids)].logsumexp(-1) if token == EOS else logs[token])
        for token in token_ids
    }
