"""How likely a model is to give each of some answers, without writing any: exact and fast.

The prompt and its pictures are read once. A 60-token answer costs 60 forward passes; rating the
legal actions costs one, or a few where their names are several tokens long.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any, TypeAlias

from atari_vlm.models.local.families import Conversation

if TYPE_CHECKING:
    from atari_vlm.models.local.generation import TransformersBackend

AT_ONCE = 64
"""Beginnings of answers read in one forward pass, of all prompts together, but at least `LEAST` of
each: every one needs a copy of its prompt's key-value cache."""

LEAST = 4

END = -1
"""Stands for the end of an answer, whichever token ends it."""

Path: TypeAlias = tuple[int, ...]
"""Tokens of an answer so far, from where the answers first differ."""


@dataclass(frozen=True, slots=True)
class Candidates:
    """Answers to choose from, and what has to be read to rate them."""

    shared: Path
    """The tokens all answers begin with."""
    rests: tuple[Path, ...]
    """What follows in each, with END where the end of an answer counts."""
    followers: dict[Path, tuple[int, ...]]
    """Beginning -> the tokens that may come next in some answer."""
    rows: tuple[Path, ...]
    """The beginnings that no other contains: all that has to be read on top of the prompt."""

    def rated(self, known: dict[tuple[Path, int], float]) -> list[float]:
        """Log-probability of each answer, from that of each token after each beginning."""
        return [
            sum(known[rest[:place], token] for place, token in enumerate(rest))
            for rest in self.rests
        ]


@lru_cache(maxsize=256)
def build_candidates(answers: tuple[Path, ...]) -> Candidates:
    """The tokens of answers as something to rate.

    Where one answer begins another ("UP" and "UPFIRE"), the end of the answer counts as its last
    token.
    """
    beginnings = {answer[:i] for answer in answers for i in range(len(answer))}
    if any(answer in beginnings for answer in answers):
        answers = tuple((*answer, END) for answer in answers)
    shared: list[int] = []
    for column in zip(*answers, strict=False):
        if len(set(column)) > 1:
            break
        shared.append(column[0])
    rests = tuple(answer[len(shared) :] for answer in answers)
    followers: dict[Path, dict[int, None]] = {}
    for rest in rests:
        for place, token in enumerate(rest):
            followers.setdefault(rest[:place], {})[token] = None
    longer = followers.keys() - {()}
    inner = {path[:place] for path in longer for place in range(len(path))}
    return Candidates(
        shared=tuple(shared),
        rests=rests,
        followers={path: tuple(tokens) for path, tokens in followers.items()},
        rows=tuple(sorted(longer - inner)),
    )


def score_candidates(
    backend: TransformersBackend, conversations: Sequence[Conversation], answers: Candidates
) -> list[list[float]]:
    """Log-probability of each answer to each conversation, up to a constant that answers share.

    Exact: the sum over the tokens in which the answers differ, each given all before it. The
    prompts, their pictures and the tokens with which all answers begin are read in one forward
    pass; where the answers differ in a single token, that is all. Otherwise every distinct
    beginning is read on top of the cache.

    Args:
        backend: the model.
        conversations: from `families.build_conversation`; one batch.
        answers: the same for all conversations.
    """
    import torch

    inputs = _extended(backend.encode(conversations), answers.shared)
    mask, rows = inputs["attention_mask"], answers.rows
    many = len(conversations)
    known: list[dict[tuple[Path, int], float]] = [{} for _ in conversations]
    with torch.inference_mode():
        out = backend.model(
            **inputs, **_positions(backend, mask), use_cache=bool(rows), logits_to_keep=1
        )
        _note(known, out.logits[:, -1:], ((),), answers, backend.ends)
        step = max(LEAST, AT_ONCE // many)
        for start in range(0, len(rows), step):
            last = start + step >= len(rows)
            cache = out.past_key_values if last else copy.deepcopy(out.past_key_values)
            some = rows[start : start + step]
            logits = _read_on(backend, cache, mask, some)
            _note(known, logits, some, answers, backend.ends)
    return [answers.rated(one) for one in known]


def _note(
    known: list[dict[tuple[Path, int], float]],
    logits: Any,
    rows: Sequence[Path],
    answers: Candidates,
    ends: Sequence[int],
) -> None:
    """Add what a pass says of the tokens that may follow its beginnings.

    Args:
        known: (beginning, token) -> log-probability, for each prompt.
        logits: (prompts x rows, places, vocabulary), of the token after each place of a row; for
            the row () its only place is before its first token.
        rows: read after every prompt.
        answers: say which tokens matter.
        ends: tokens that end an answer.
    """
    import torch

    wanted = [
        (number, place, row[: place + 1], token)
        for number, row in enumerate(rows)
        for place in range(max(1, len(row)))
        for token in answers.followers.get(row[: place + 1], ())
    ]
    if not wanted:
        return
    whole = logits.float()
    norms, ended = whole.logsumexp(-1), whole[..., list(ends)].logsumexp(-1)
    places, tokens = (
        torch.tensor([one[part] for one in wanted], device=whole.device) for part in (1, 3)
    )
    for number, one in enumerate(known):
        start = number * len(rows)
        at = torch.tensor([start + item[0] for item in wanted], device=whole.device)
        logs = whole[at, places, tokens.clamp(min=0)].where(tokens != END, ended[at, places])
        values = (logs - norms[at, places]).tolist()
        one.update(zip([(path, token) for _, _, path, token in wanted], values, strict=True))


def _positions(backend: TransformersBackend, mask: Any) -> dict[str, Any]:
    """Positions that count from each prompt's own beginning, where padding shifts them.

    Families that count time, height and width work theirs out from the padding themselves.
    """
    if bool(mask.all()) or hasattr(getattr(backend.model, "model", None), "rope_deltas"):
        return {}
    return {"position_ids": (mask.cumsum(-1) - 1).clamp(min=0)}


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


def _read_on(backend: TransformersBackend, cache: Any, read: Any, rows: Sequence[Path]) -> Any:
    """Logits after every token of every row, each row read after every prompt.

    Args:
        backend: the model.
        cache: of the prompts; it is used up.
        read: attention mask of the prompts, (prompts, tokens).
        rows: the same for all prompts.
    """
    import torch

    prompts, count, length = len(read), len(rows), max(map(len, rows))
    cache.batch_repeat_interleave(count)
    device = backend.model.device
    ids = torch.full((count, length), backend.pad)
    mask = torch.ones((count, length), dtype=read.dtype)
    for row, tokens in enumerate(rows):
        ids[row, : len(tokens)] = torch.tensor(tokens)
        mask[row, len(tokens) :] = 0
    ids, mask = (part.to(device).repeat(prompts, 1) for part in (ids, mask))
    begin = read.sum(-1).repeat_interleave(count)[:, None]
    positions = begin + torch.arange(length, device=device)
    turned = getattr(getattr(backend.model, "model", None), "rope_deltas", None)
    if turned is not None:  # Qwen-VL and GLM-V count time, height and width
        turned = turned.to(device).expand(prompts, 1).repeat_interleave(count, 0)
        positions = (positions + turned)[None].expand(3, -1, -1)
    return backend.model(
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
