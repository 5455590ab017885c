"""A Replay as the data of its page: JSON with plain columns and compressed chunks.

Numbers are columns with one entry a decision, so that the timeline needs no unpacking. Screens and
calls come in chunks of 64 decisions, which the page unpacks when they are shown: screens as palette
indices, each XORed with the one before and deflated twice (30 to 200 bytes a frame), calls as JSON,
deflated once; both in base64. A text used in several chunks is in `texts` once.
"""

from __future__ import annotations

import base64
import json
from collections import Counter
from collections.abc import Sequence
from itertools import groupby
from typing import Any, get_args

from atari_vlm.atari.images import PALETTES
from atari_vlm.report.opening import last_reply, opening
from atari_vlm.report.replay import (
    FrameRef,
    Replay,
    ReplayCall,
    ReplayChoice,
    ReplayDecision,
    ReplayEpisode,
)
from atari_vlm.report.screens import CHUNK, deflate, pack_screens
from atari_vlm.runs.seeds import seed_text
from atari_vlm.types import Source, Thinking, Usage

_SHARED = 3
"""A text used in at least this many chunks goes to the list that all chunks share."""

_CALL_TEXTS = ("reply", "thinking", "model", "request_id", "fault")
"""Fields of a call that hold text."""


def pack(replay: Replay) -> dict[str, Any]:
    """The data of a page, as values that JSON can hold."""
    packed = [_choice_chunks(episode.decisions) for episode in replay.episodes]
    uses = Counter(text for chunks in packed for chunk in chunks for text in chunk["texts"])
    shared = {text: k for k, text in enumerate(t for t, n in uses.items() if n >= _SHARED)}
    return {
        "title": replay.title,
        "game": replay.game,
        "policy": replay.policy,
        "model": replay.model,
        "label": replay.label or replay.model,
        "settings": list(replay.settings.items()),
        "facts": list(replay.facts),
        "random": replay.random_score,
        "human": replay.human_score,
        "meanings": dict(replay.meanings),
        "palette": base64.b64encode(PALETTES[replay.standard].tobytes()).decode(),
        "chunk": CHUNK,
        "sources": get_args(Source),
        "texts": list(shared),
        "stored": [
            {
                "frame": stored.frame,
                "name": stored.name,
                "shape": stored.pixels.shape,
                "screen": deflate(stored.pixels.tobytes()),
            }
            for stored in replay.stored_screens
        ],
        "pictures": dict(replay.pictures),
        "episodes": _episodes(replay.episodes, packed, shared),
    }


def _episodes(
    episodes: Sequence[ReplayEpisode],
    packed: Sequence[Sequence[dict[str, Any]]],
    shared: dict[str, int],
) -> list[dict[str, Any]]:
    told = [_episode(*each, shared) for each in zip(episodes, packed, strict=True)]
    # The screens come last: meanwhile, other processes may be drawing them.
    return [{**values, **_screens(each)} for each, values in zip(episodes, told, strict=True)]


def _screens(episode: ReplayEpisode) -> dict[str, Any]:
    packed = episode.packed() if episode.packed else pack_screens(episode.screens())
    if packed.count - len(episode.decisions) not in (0, 1):
        raise ValueError(f"{len(episode.decisions)} decisions cannot have {packed.count} screens.")
    return {"shape": packed.shape, "count": packed.count, "screens": packed.chunks}


def _episode(
    episode: ReplayEpisode, chunks: Sequence[dict[str, Any]], shared: dict[str, int]
) -> dict[str, Any]:
    decisions, sources = episode.decisions, get_args(Source)
    actions = list(dict.fromkeys(decision.action for decision in decisions))
    for chunk in chunks:
        chunk["texts"] = [shared.get(text, text) for text in chunk["texts"]]
    return {
        "number": episode.number,
        "name": episode.name or str(episode.number),
        "phase": episode.phase,
        "lessons": [
            {"text": each.text, "frames": each.frames, "source": each.source, "mark": each.mark}
            for each in episode.lessons
        ],
        "invalid": episode.invalid,
        "quote": last_reply(decisions) if episode.invalid else "",
        "opening": opening(decisions, invalid=bool(episode.invalid)),
        "seed": seed_text([episode.seed]).removeprefix("seed "),
        "status": episode.status,
        "whole": episode.whole,
        "score": _short(episode.score),
        "names": actions,
        "actions": [actions.index(decision.action) for decision in decisions],
        "frames": [decision.frames for decision in decisions],
        "intervals": [decision.interval for decision in decisions],
        "sources": [sources.index(decision.source) for decision in decisions],
        "rewards": [_short(decision.reward) for decision in decisions],
        "scores": [_short(decision.score) for decision in decisions],
        "lives": [decision.lives for decision in decisions],
        **_stuck(decisions),
        **_thinking(decisions),
        "usage": _cost(sum((_usage(decision) for decision in decisions), Usage())),
        "choices": [deflate(json.dumps(chunk, separators=(",", ":")).encode()) for chunk in chunks],
    }


def _stuck(decisions: Sequence[ReplayDecision]) -> dict[str, list[tuple[int, int]]]:
    """The stretches in which the player was stuck, as (first, last) decision; nothing if none."""
    every = groupby(range(len(decisions)), key=lambda at: bool(decisions[at].stuck))
    stretches = [[*places] for stuck, places in every if stuck]
    return {"stuck": [(places[0], places[-1]) for places in stretches]} if stretches else {}


def _thinking(decisions: Sequence[ReplayDecision]) -> dict[str, Any]:
    """Where thinking went: for each decision why, and what it took; nothing if there was none."""
    if not any(decision.thinking for decision in decisions):
        return {}
    thoughts = [decision.thinking or Thinking() for decision in decisions]
    reasons = list(dict.fromkeys(each.why for each in thoughts))
    place = {why: number for number, why in enumerate(reasons)}
    return {
        "thinking": {
            "reasons": reasons,
            "why": [place[each.why] for each in thoughts],
            "calls": [each.spent.calls for each in thoughts],
            "tokens": [each.spent.tokens for each in thoughts],
            "dollars": [each.spent.dollars for each in thoughts],
            "simulated": [each.spent.frames for each in thoughts],
        }
    }


def _usage(choice: ReplayChoice) -> Usage:
    """Cost of a choice, its candidates included."""
    calls = [
        Usage(
            calls=1,
            input_tokens=call.input_tokens,
            output_tokens=call.output_tokens,
            dollars=call.dollars,
            replayed=int(call.replayed),
            uncertain_dollars=call.uncertain_dollars,
            seconds=call.seconds,
        )
        for call in choice.calls
    ]
    return sum(calls + [_usage(other) for other in choice.considered], Usage())


def _cost(usage: Usage) -> dict[str, float | None]:
    return {
        "calls": usage.calls,
        "input": usage.input_tokens,
        "output": usage.output_tokens,
        "dollars": usage.dollars,
        "seconds": round(usage.seconds, 3),
    }


def _short(number: float | None) -> float | None:
    return int(number) if number is not None and number == int(number) else number


def _choice_chunks(decisions: Sequence[ReplayDecision]) -> list[dict[str, Any]]:
    """The choices in chunks; each text is an index into the chunk's list of texts."""
    chunks = []
    for start in range(0, len(decisions), CHUNK):
        texts: dict[str, int] = {}
        chosen = decisions[start : start + CHUNK]
        chunks.append({"rows": [_choice(choice, texts) for choice in chosen], "texts": texts})
    return chunks


def _choice(choice: ReplayChoice, texts: dict[str, int]) -> dict[str, Any]:
    row: dict[str, Any] = {
        "action": choice.action,
        "frames": choice.frames,
        "source": choice.source,
        "reason": _text_index(choice.reason, texts),
        "memory": _text_index(choice.memory, texts),
        "queue": _text_index(choice.queue, texts),
        "calls": [_call(call, texts) for call in choice.calls],
    }
    if isinstance(choice, ReplayDecision) and choice.stuck:
        row["stuck"] = choice.stuck
    if choice.considered:
        row["considered"] = [_choice(other, texts) for other in choice.considered]
    return row


def _call(call: ReplayCall, texts: dict[str, int]) -> dict[str, Any]:
    return {
        "messages": [
            [message.role, [_text_index(part, texts) for part in message.parts]]
            for message in call.messages
        ],
        "size": call.image_size,
        **{name: _text_index(getattr(call, name), texts) for name in _CALL_TEXTS},
        "tokens": [call.input_tokens, call.output_tokens, call.reasoning_tokens],
        "dollars": call.dollars,
        "uncertain": call.uncertain_dollars,
        "replayed": call.replayed,
        "seconds": round(call.seconds, 4),
    }


def _text_index(part: str | FrameRef, texts: dict[str, int]) -> int | FrameRef:
    """Index of a text in the list of texts, added if new; a frame stays (episode, step)."""
    return texts.setdefault(part, len(texts)) if isinstance(part, str) else part
