"""How likely a model is to give each of some answers, without writing any: exact and fast.

The prompt and its pictures are read once. A 60-token answer costs 60 forward passes; rating the
legal actions costs one, or a few where their names are several tokens long.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

from atari_vlm.models.families import Conversation

if TYPE_CHECKING:
    from atari_vlm.models.network import Network

AT_ONCE = 16
"""Beginnings of a prompt's answers read in one forward pass: each needs a copy of the prompt's
key-value cache."""

END = -1
"""Stands for the end of an answer, whichever token ends it."""

Path: TypeAlias = tuple[int, ...]
"""Tokens of an answer so far, from where the answers first differ."""


def rate_tokens(
    network: Network, conversations: Sequence[Conversation], answers: Sequence[Sequence[int]]
) -> list[list[float]]:
    """Log-probability of each answer to each conversation, up to a constant that answers share.

    Exact: the sum over the tokens in which the answers differ, each given all before it. The
    prompts, their pictures and the tokens with which all answers begin are read in one forward
    pass; where the answers differ in a single token, that is all. Otherwise every distinct
    beginning is read on top of the cache. Where one answer begins another ("UP" and "UPFIRE"), the
    end of the answer counts as its last token.

    Args:
        network: the model.
        conversations: from `families.arrange`; one batch.
        answers: tokens of each, none empty; the same for all conversations.
    """
    import torch

    shared, rests = split(answers)
    inputs = _extended(network.encode(conversations), shared)
    mask = inputs["attention_mask"]
    followers: dict[Path, set[int]] = {}
    for rest in rests:
        for place, token in enumerate(rest):
            followers.setdefault(rest[:place], set()).add(token)
    longer = followers.keys() - {()}
    many = range(len(conversations))
    with torch.inference_mode():
        out = network.model(
            **inputs, **_positions(network, mask), use_cache=bool(longer), logits_to_keep=1
        )
        known: list[dict[Path, dict[int, float]]] = [
            {(): chances(out.logits[talk, -1], followers.get((), ()), network.ends)}
            for talk in many
        ]
        rows = [path for path in sorted(longer) if not _begins_another(path, longer)]
        for start in range(0, len(rows), AT_ONCE):
            last = start + AT_ONCE >= len(rows)
            cache = out.past_key_values if last else copy.deepcopy(out.past_key_values)
            some = rows[start : start + AT_ONCE]
            logits = _read_on(network, cache, mask, some)
            for talk in many:
                for row, path in enumerate(some, talk * len(some)):
                    for place in range(len(path)):
                        begun = path[: place + 1]
                        known[talk][begun] = chances(
                            logits[row, place], followers[begun], network.ends
                        )
    return [
        [sum(one[rest[:i]][token] for i, token in enumerate(rest)) for rest in rests]
        for one in known
    ]


def _positions(network: Network, mask: Any) -> dict[str, Any]:
    """Positions that count from each prompt's own beginning, where padding shifts them.

    Families that count time, height and width work theirs out from the padding themselves.
    """
    if bool(mask.all()) or hasattr(getattr(network.model, "model", None), "rope_deltas"):
        return {}
    return {"position_ids": (mask.cumsum(-1) - 1).clamp(min=0)}


def split(answers: Sequence[Sequence[int]]) -> tuple[list[int], list[Path]]:
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


def _extended(inputs: dict[str, Any], tokens: Sequence[int]) -> dict[str, Any]:
    """The inputs with more words at the end of every prompt."""
    import torch

    shape = inputs["input_ids"].shape
    rows = {"input_ids": list(tokens), "attention_mask": [1] * len(tokens)}
    longer = dict(inputs)
    for name, value in inputs.items():
        if tokens and getattr(value, "shape", None) == shape:
            row = rows.get(name, [0] * len(tokens))  # token types: 0 is text
            tail = torch.tensor([row] * shape[0], device=value.device, dtype=value.dtype)
            longer[name] = torch.cat([value, tail], 1)
    return longer


def _read_on(network: Network, cache: Any, read: Any, rows: Sequence[Path]) -> Any:
    """Logits after every token of every row, each row read after every prompt.

    Args:
        network: the model.
        cache: of the prompts; it is used up.
        read: attention mask of the prompts, (prompts, tokens).
        rows: the same for all prompts.
    """
    import torch

    prompts, count, length = len(read), len(rows), max(map(len, rows))
    cache.batch_repeat_interleave(count)
    device = network.model.device
    ids = torch.full((count, length), network.pad)
    mask = torch.ones((count, length), dtype=read.dtype)
    for row, tokens in enumerate(rows):
        ids[row, : len(tokens)] = torch.tensor(tokens)
        mask[row, len(tokens) :] = 0
    ids, mask = (part.to(device).repeat(prompts, 1) for part in (ids, mask))
    begin = read.sum(-1).repeat_interleave(count)[:, None]
    positions = begin + torch.arange(length, device=device)
    turned = getattr(getattr(network.model, "model", None), "rope_deltas", None)
    if turned is not None:  # Qwen-VL and GLM-V count time, height and width
        turned = turned.to(device).expand(prompts, 1).repeat_interleave(count, 0)
        positions = (positions + turned)[None].expand(3, -1, -1)
    return network.model(
        input_ids=ids,
        attention_mask=torch.cat([read.repeat_interleave(count, 0), mask], 1),
        position_ids=positions,
        past_key_values=cache,
        use_cache=True,
    ).logits


def chances(logits: Any, wanted: Iterable[int], ends: Sequence[int]) -> dict[int, float]:
    """Token -> log-probability; END is any of the tokens that end an answer."""
    logs = logits.float().log_softmax(-1)
    return {
        token: float(logs[list(ends)].logsumexp(-1) if token == END else logs[token])
        for token in wanted
    }
