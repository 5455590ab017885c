"""Prompts and decisions as JSON for the store, and back; replies are `journal`'s."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from atari_vlm.types import (
    Call,
    Decision,
    Frame,
    Message,
    Observation,
    Prompt,
    Reply,
    Source,
    Step,
)

_NO_PIXELS = np.zeros((0, 0), np.uint8)


def prompt_to_json(prompt: Prompt, text_id: Callable[[str], int]) -> str:
    """A prompt with its texts as numbers and its frames as [episode, step]."""
    messages = [
        [
            message.role,
            [
                [part.episode, part.step] if isinstance(part, Frame) else text_id(part)
                for part in message.parts
            ],
        ]
        for message in prompt.messages
    ]
    rest = [list(prompt.legal), prompt.longest, prompt.plans, prompt.image_size, prompt.json]
    if prompt.chunk_size > 1:
        rest.append(prompt.chunk_size)
    return json.dumps([messages, text_id(json.dumps(rest))], separators=(",", ":"))


def prompt_from_json(blob: str, texts: Mapping[int, str]) -> Prompt:
    """The prompt `prompt_to_json` wrote; its frames carry their place and no pixels."""
    messages, rest = json.loads(blob)
    legal, longest, plans, size, structured, *chunk_size = json.loads(texts[rest])
    return Prompt(
        messages=tuple(
            Message(
                role,
                tuple(
                    Frame(_NO_PIXELS, *part) if isinstance(part, list) else texts[part]
                    for part in parts
                ),
            )
            for role, parts in messages
        ),
        legal=tuple(legal),
        longest=longest,
        plans=plans,
        image_size=tuple(size) if size else None,
        json=structured,
        chunk_size=chunk_size[0] if chunk_size else 1,
    )


def storable(text: str) -> str:
    """The text with what UTF-8 cannot hold (half a surrogate pair in a model's JSON) spelt out."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def call_from_row(
    seed: int, prompt: str, fault: str, texts: Mapping[int, str], reply: Reply | None
) -> Call:
    """One stored call."""
    return Call(prompt_from_json(prompt, texts), reply or Reply(text=""), seed, fault)


def considered_to_json(decisions: Sequence[Decision], text_id: Callable[[str], int]) -> str:
    """The candidates of a decision, theirs included; replies are kept under their calls' seeds."""
    return json.dumps([_candidate(decision, text_id) for decision in decisions])


def _candidate(decision: Decision, text_id: Callable[[str], int]) -> list[Any]:
    return [
        decision.action,
        decision.frames,
        decision.source,
        decision.reason,
        decision.note,
        [[call.seed, prompt_to_json(call.prompt, text_id), call.fault] for call in decision.calls],
        [_candidate(other, text_id) for other in decision.considered],
    ]


def considered_from_json(
    blob: str, texts: Mapping[int, str], recall: Callable[[int], Reply | None]
) -> tuple[Decision, ...]:
    """The candidates `considered_to_json` wrote."""

    def candidate(
        action: str,
        frames: int,
        source: Source,
        reason: str,
        note: str,
        calls: list[Any],
        considered: list[Any],
    ) -> Decision:
        return Decision(
            action=action,
            frames=frames,
            source=source,
            reason=reason,
            note=note,
            calls=tuple(
                call_from_row(seed, prompt, fault, texts, recall(seed))
                for seed, prompt, fault in calls
            ),
            considered=tuple(candidate(*other) for other in considered),
        )

    return tuple(candidate(*row) for row in json.loads(blob))


def all_calls(decision: Decision) -> Iterator[Call]:
    """The calls of a decision and of its candidates."""
    yield from decision.calls
    for other in decision.considered:
        yield from all_calls(other)


def step_from_row(
    settings: Mapping[str, Any],
    number: int,
    action: str,
    frames: int,
    source: Source,
    reason: str,
    note: str,
    lives: int,
    score: float,
    reward: float | None,
    terminated: int,
    truncated: int,
) -> Step:
    """One stored step, without frames and calls."""
    observation = Observation(
        game=settings["game"],
        frames=(),
        legal=(),
        interval=settings["frame_skip"],
        step=number,
        lives=lives,
        score=score,
    )
    return Step(
        observation=observation,
        decision=Decision(action=action, frames=frames, source=source, reason=reason, note=note),
        reward=reward or 0.0,
        terminated=bool(terminated),
        truncated=bool(truncated),
    )
