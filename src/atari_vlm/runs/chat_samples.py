"""A run as chat samples for fine-tuning: one for each call that was answered and used."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from PIL.Image import Image

from atari_vlm.atari.images import to_pil_image
from atari_vlm.runs.playback import full_trajectory
from atari_vlm.runs.reader import RunReader
from atari_vlm.types import Frame, Prompt, Source, Step


class ChatSample(NamedTuple):
    """One prompt, its answer, and what it earned."""

    messages: list[dict[str, Any]]
    """Turns in the format of Hugging Face chat templates: a role and a list of content parts,
    {"type": "text", "text": ...} or {"type": "image", "image": a Pillow image}."""
    answer: str
    """The model's words."""
    reward: float
    """Raw reward from this decision until the model was asked again: of several decisions, if the
    answer planned several."""
    return_: float
    """Sum of raw rewards from this decision to the end of the episode, undiscounted."""
    source: Source
    """How the decision was chosen; "parsed" for an answer that needed no repair."""
    episode: int
    step: int


def chat_samples(run: RunReader) -> Iterator[ChatSample]:
    """The last call of every decision that a model was asked for, in order of play.

    Left out are fallbacks, whose answer could not be used, decisions played from a queue, which
    belong to an earlier answer, and scored ones, for which nothing was written. Episodes are drawn
    one at a time.

    Args:
        run: open for reading; unfinished episodes are included.
    """
    for row in run.episodes():
        steps = full_trajectory(run, row.episode).steps
        for step, (reward, returns) in zip(steps, _earned(steps), strict=True):
            decision = step.decision
            if not decision.calls or decision.source == "fallback":
                continue
            call = decision.calls[-1]
            if not call.reply.text:
                continue
            yield ChatSample(
                messages=chat_messages(call.prompt),
                answer=call.reply.text,
                reward=reward,
                return_=returns,
                source=decision.source,
                episode=row.episode,
                step=step.observation.step,
            )


def _earned(steps: Sequence[Step]) -> list[tuple[float, float]]:
    """For each step: rewards until the next one with a call, and to the end of the episode."""
    earned: list[tuple[float, float]] = []
    reward = returns = 0.0
    for step in reversed(steps):
        reward, returns = reward + step.reward, returns + step.reward
        earned.append((reward, returns))
        if step.decision.calls:
            reward = 0.0
    return earned[::-1]


def chat_messages(prompt: Prompt) -> list[dict[str, Any]]:
    """A prompt as turns for a chat template, its frames as pictures of the size they were sent."""
    return [
        {
            "role": message.role,
            "content": [
                {"type": "image", "image": _image(part, prompt)}
                if isinstance(part, Frame)
                else {"type": "text", "text": part}
                for part in message.parts
            ],
        }
        for message in prompt.messages
    ]


def _image(frame: Frame, prompt: Prompt) -> Image:
    image: Image = to_pil_image(frame, prompt.image_size).convert("RGB")
    return image
