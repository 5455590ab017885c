"""A run as chat samples for fine-tuning: one for each call that was answered and used."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from PIL.Image import Image

from atari_vlm.atari.images import to_pil_image
from atari_vlm.models.hosted.video import Clip, arranged
from atari_vlm.runs.playback import full_trajectory
from atari_vlm.runs.reader import RunReader
from atari_vlm.runs.settings import completed
from atari_vlm.types import Frame, Prompt, Source, Step


class ChatSample(NamedTuple):
    """One prompt, its answer, and what it earned."""

    messages: list[dict[str, Any]]
    """Turns in the format of Hugging Face chat templates: a role and a list of content parts,
    {"type": "text", "text": ...}, {"type": "image", "image": a Pillow image}, or, of a run whose
    hosted model was shown videos, {"type": "video", "video": Pillow images, "fps": ...}."""
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
    video = completed(run.settings)["video"]
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
                messages=chat_messages(call.prompt, video=video),
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


def chat_messages(prompt: Prompt, *, video: bool = False) -> list[dict[str, Any]]:
    """A prompt as turns for a chat template, its frames as pictures of the size they were sent.

    Args:
        prompt: with its frames.
        video: whether its newest screens are one video, as a hosted model is shown them.
    """
    turns = arranged(prompt) if video else ((m.role, m.parts) for m in prompt.messages)
    return [
        {"role": role, "content": [_content(part, prompt.image_size) for part in parts]}
        for role, parts in turns
    ]


def _content(part: str | Frame | Clip, size: tuple[int, int] | None) -> dict[str, Any]:
    if isinstance(part, str):
        return {"type": "text", "text": part}
    if isinstance(part, Frame):
        return {"type": "image", "image": _image(part, size)}
    frames = [_image(frame, size) for frame in part.frames]
    return {"type": "video", "video": frames, "fps": float(part.rate)}


def _image(frame: Frame, size: tuple[int, int] | None) -> Image:
    image: Image = to_pil_image(frame, size).convert("RGB")
    return image
