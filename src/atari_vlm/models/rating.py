"""How likely a model is to give each of some answers, without writing any: exact and fast.

The prompt and its pictures are read once. A 60-token answer costs 60 forward passes; rating the
legal actions costs one, or a few where their names are several tokens long.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Sequence
from typing import Any, TypeAlias

from atari_vlm.models.families import Conversation
from atari_vlm.models.network import Network

AT_ONCE = 16
"""Beginnings read in one forward pass: each needs a copy of the prompt's key-value cache."""

END = -1
"""Stands for the end of an answer, whichever token ends it."""

Path: TypeAlias = tuple[int, ...]
"""Tokens of an answer so far, from where the answers first differ."""


def rate(network: Network, conversation: Conversation, answers: Sequence[str]) -> list[float]:
    """Log-probability of each answer, up to a constant they share; see `rate_tokens`."""
    tokens = network.tokenizer(list(answers), add_special_tokens=False)["input_ids"]
    return rate_tokens(network, conversation, tokens)


def rate_tokens(
    network: Network, conversation: Conversation, answers: Sequence[Sequence[int]]
) -> list[float]:
    """Log-probability of each answer, up to a constant that all answers share.

    Exact: the sum over the tokens in which the answers differ, each given all before it. The
    prompt, its pictures and the tokens with which all answers begin are read in one forward pass;
    where the answers differ in a single token, that is all. Otherwise every distinct beginning is
    read on top of the cache. Where one answer begins another ("UP" and "UPFIRE"), the end of the
    answer counts as its last token.

    Args:
        network: the model.
        conversation: from `families.arrange`.
        answers: tokens of each, none empty.
    """
    import torch

    shared, rests = _split(answers)
    inputs = _extended(network.encode(conversation), shared)
    followers: dict[Path, set[int]] = {}
    for rest in rests:
        for place, token in enumerate(rest):
            followers.setdefault(rest[:place], set()).add(token)
    longer = followers.keys() - {()}
    with torch.inference_mode():
        out = network.model(**inputs, use_cache=bool(longer), logits_to_keep=1)
        chances: dict[Path, dict[int, float]] = {
            (): _chances(network, out.logits[0, -1], followers.get((), ()))
        }
        rows = [path for path in sorted(longer) if not _begins_another(path, longer)]
        for start in range(0, len(rows), AT_ONCE):
            last = start + AT_ONCE >= len(rows)
            cache = out.past_key_values if last else copy.deepcopy(out.past_key_values)
            some = rows[start : start + AT_ONCE]
            logits = _read_on(network, cache, inputs["input_ids"].shape[1], some)
            for row, path in enumerate(some):
                for place in range(len(path)):
                    begun = path[: place + 1]
                    chances[begun] = _chances(network, logits[row, place], followers[begun])
    return [sum(chances[rest[:i]][token] for i, token in enumerate(rest)) for rest in rests]


def _split(answers: Sequence[Sequence[int]]) -> tuple[list[int], list[Path]]:
    """The tokens all answers begin with, and the rest of each, with END where the end counts."""
    every = [tuple(answer) for answer in answers]
    beginnings = {answer[:i] for answer in every for i in range(len(answer))}
    if any(answer in beginnings for answer in every):
        every = [(*answer, END) for answer in every]
    shared = []
    for column in zip(*every, strict=False):
        if len(set(column)) > 1:
            break
        shared.append(column[0])
    return shared, [answer[len(shared) :] for answer in every]


def _begins_another(path: Path, paths: Iterable[Path]) -> bool:
    return any(len(other) > len(path) and other[: len(path)] == path for other in paths)


def _extended(inputs: Any, tokens: Sequence[int]) -> Any:
    """The inputs with more words at their end."""
    import torch

    shape = inputs["input_ids"].shape
    rows = {"input_ids": list(tokens), "attention_mask": [1] * len(tokens)}
    for name, value in list(inputs.items()):
        if tokens and getattr(value, "shape", None) == shape:
            row = rows.get(name, [0] * len(tokens))  # token types: 0 is text
            tail = torch.tensor([row], device=value.device, dtype=value.dtype)
            inputs[name] = torch.cat([value, tail], 1)
    return inputs


def _read_on(network: Network, cache: Any, read: int, rows: Sequence[Path]) -> Any:
    """Logits after every token of every row, each row read after the same prompt."""
    import torch

    count, length = len(rows), max(map(len, rows))
    cache.batch_repeat_interleave(count)
    ids = torch.full((count, length), network.pad)
    mask = torch.ones((count, read + length), dtype=torch.long)
    for row, tokens in enumerate(rows):
        ids[row, : len(tokens)] = torch.tensor(tokens)
        mask[row, read + len(tokens) :] = 0
    device = network.model.device
    positions = torch.arange(read, read + length, device=device)[None].expand(count, -1)
    turned = getattr(getattr(network.model, "model", None), "rope_deltas", None)
    if turned is not None:  # Qwen-VL and GLM-V count time, height and width
        positions = (positions + turned[:1].to(device))[None].expand(3, -1, -1)
    return network.model(
        input_ids=ids.to(device),
        attention_mask=mask.to(device),
        position_ids=positions,
        past_key_values=cache,
        use_cache=True,
    ).logits


def _chances(network: Network, logits: Any, wanted: Iterable[int]) -> dict[int, float]:
    """Token -> log-probability."""
    chances = logits.float().log_softmax(-1)
    return {
        token: float(chances[network.ends].logsumexp(-1) if token == END else chances[token])
        for token in wanted
    }
