"""Prompts, decisions and lessons as JSON for a run's file, and back."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from atari_vlm.types import (
    Call,
    Decision,
    Example,
    Frame,
    Lessons,
    Message,
    Plan,
    Prompt,
    Reply,
    Source,
)

_NO_PIXELS = np.zeros((0, 0), np.uint8)

Place = tuple[int, int]
"""(episode, step) under which a frame can be found again."""


def own_place(frame: Frame) -> Place:
    """Where a frame is found that replaying its run draws."""
    return (frame.episode, frame.step)


def prompt_to_json(
    prompt: Prompt, text_id: Callable[[str], int], place: Callable[[Frame], Place] = own_place
) -> str:
    """A prompt with its texts as numbers and its frames as [episode, step]."""
    messages = [
        [
            message.role,
            [
                list(place(part)) if isinstance(part, Frame) else text_id(part)
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
    """The prompt that `prompt_to_json` wrote; its frames have their place and no pixels."""
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
    """The text with what UTF-8 cannot hold (half a surrogate pair in a model's JSON) escaped."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def queue_to_json(queue: Sequence[Plan]) -> str:
    """Plans as [[action, frames], ...]; empty for none."""
    return json.dumps([list(plan) for plan in queue]) if queue else ""


def queue_from_json(blob: str) -> tuple[Plan, ...]:
    """The plans that `queue_to_json` wrote."""
    return tuple(Plan(*plan) for plan in json.loads(blob)) if blob else ()


def call_from_row(
    seed: int, prompt: str, fault: str, texts: Mapping[int, str], reply: Reply | None
) -> Call:
    """One stored call."""
    return Call(prompt_from_json(prompt, texts), reply or Reply(text=""), seed, fault)


def considered_to_json(
    decisions: Sequence[Decision],
    text_id: Callable[[str], int],
    place: Callable[[Frame], Place] = own_place,
) -> str:
    """The candidates of a decision and theirs; replies are stored under their calls' seeds."""

    def candidate(decision: Decision) -> list[Any]:
        calls = [
            [call.seed, prompt_to_json(call.prompt, text_id, place), call.fault]
            for call in decision.calls
        ]
        return [
            decision.action,
            decision.frames,
            decision.source,
            decision.reason,
            decision.memory,
            calls,
            [candidate(other) for other in decision.considered],
            [list(plan) for plan in decision.queue],
        ]

    return json.dumps([candidate(decision) for decision in decisions])


def considered_from_json(
    blob: str, texts: Mapping[int, str], recall: Callable[[int], Reply | None]
) -> tuple[Decision, ...]:
    """The candidates that `considered_to_json` wrote; formats 1 to 3 had no queue."""

    def candidate(
        action: str,
        frames: int,
        source: Source,
        reason: str,
        memory: str,
        calls: list[Any],
        considered: list[Any],
        queue: Sequence[tuple[str, int]] = (),
    ) -> Decision:
        return Decision(
            action=action,
            frames=frames,
            source=source,
            reason=reason,
            memory=memory,
            queue=tuple(Plan(*plan) for plan in queue),
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


def lessons_to_json(lessons: Lessons, place: Callable[[Frame], Place] = own_place) -> str:
    """Lessons with their frames as [episode, step]."""
    examples = [
        [storable(example.text), None if example.frame is None else list(place(example.frame))]
        for example in lessons.examples
    ]
    advice = [storable(words) for words in lessons.advice]
    return json.dumps([examples, advice, lessons.episodes, lessons.mean_score])


def lessons_from_json(blob: str, frame: Callable[[int, int], Frame]) -> Lessons:
    """The lessons that `lessons_to_json` wrote; `frame` draws the screen of (episode, step)."""
    examples, advice, episodes, mean = json.loads(blob)
    return Lessons(
        examples=tuple(Example(text, place and frame(*place)) for text, place in examples),
        advice=tuple(advice),
        episodes=episodes,
        mean_score=mean,
    )
