"""The newest screens of a prompt as one video, for vendors that take video.

A video is an MP4 file with H.264 in 4:2:0, which keeps one colour for four pixels. Every pixel of a
screen is therefore drawn as 2 x 2, so that none loses its colour. Over 30 screens of Breakout, Ms.
Pac-Man, Enduro and Seaquest no pixel was off by more than 11 of 255 after decoding.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from itertools import groupby
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np

from atari_vlm.atari import images
from atari_vlm.costs.prompt_tokens import newest_screens
from atari_vlm.errors import MissingExtra, ModelUnusable, install_advice, setting
from atari_vlm.types import Frame, Pixels, Prompt

if TYPE_CHECKING:
    from numpy.typing import NDArray

CODEC, SETTINGS = "libx264", {"preset": "ultrafast", "crf": "10"}
"""This preset takes 0.5 to 1 ms a screen, and its profile (Constrained Baseline) is one that every
decoder reads."""

MOST_FPS = 24
"""Most frames a second that Gemini looks at. Source: VideoMetadata.fps of the Gemini API."""

MOST_BYTES = 14_000_000
"""Largest file that is sent: requests with their data in Base64 may have 20 MB.

Source: ai.google.dev/gemini-api/docs/video-understanding.
"""

_SCALE = 2
"""Width and height, in the video, of a pixel of a screen."""

_TO_YUV = np.array(
    [[65.481, 128.553, 24.966], [-37.797, -74.203, 112.0], [112.0, -93.786, -18.214]]
)
"""ITU-R BT.601, for colours of 0 to 1."""

_BT601, _SMPTE170M, _LIMITED = 5, 6, 1
"""FFmpeg's numbers for the matrix, for primaries and transfer, and for the range of the colours."""


@dataclass(frozen=True, slots=True)
class Clip:
    """Screens as one video."""

    frames: tuple[Frame, ...]
    """Oldest first."""
    interval: int
    """Emulator frames (60 a second) from each screen to the next."""
    image_size: tuple[int, int] | None = None
    """(width, height) of a screen; None for its native size."""

    @property
    def rate(self) -> Fraction:
        """Screens a second: as in the game, or `MOST_FPS` if the game shows more."""
        return min(Fraction(60, self.interval), Fraction(MOST_FPS))

    @property
    def caption(self) -> str:
        """What the video shows, for the model."""
        apart = "1 frame" if self.interval == 1 else f"{self.interval} frames"
        slow = f", slowed down to {MOST_FPS} screens a second" if 60 / self.interval > 24 else ""
        return (
            f"The video shows screens 1 to {len(self.frames)}, oldest first, {apart} of the game "
            f"apart{slow}."
        )


Turn: TypeAlias = tuple[Literal["system", "user", "assistant"], tuple[str | Frame | Clip, ...]]


def arranged(prompt: Prompt) -> Iterator[Turn]:
    """The turns of a prompt with its newest screens (`newest_screens`) as one video.

    The video opens its turn, and its caption and a text in the place of each screen follow, joined
    to the texts around them. Screens of examples stay pictures, and so does a single screen.
    """
    screens = newest_screens(prompt)
    pictures = len(prompt.frames) - len(screens)
    if len(screens) < 2:
        yield from ((message.role, message.parts) for message in prompt.messages)
        return
    clip, seen = Clip(screens, prompt.longest, prompt.image_size), 0
    for message in prompt.messages:
        before, parts = seen, list[str | Frame | Clip]()
        for part in message.parts:
            seen += isinstance(part, Frame)
            filmed = isinstance(part, Frame) and seen > pictures
            parts.append(f"[screen {seen - pictures}]" if filmed else part)
        if before <= pictures < seen:
            yield message.role, tuple(_joined([clip, clip.caption, *parts]))
        else:
            yield message.role, tuple(parts)


def _joined(parts: Sequence[str | Frame | Clip]) -> Iterator[str | Frame | Clip]:
    """The parts with consecutive texts as one."""
    for text, group in groupby(parts, key=lambda part: isinstance(part, str)):
        if text:
            yield "\n".join(part for part in group if isinstance(part, str) and part)
        else:
            yield from group


def check_encoder(name: str) -> None:
    """Raise MissingExtra unless videos can be encoded.

    Args:
        name: of the model, for the message.
    """
    try:
        from av.codec import Codec

        Codec(CODEC, "w")
    except (ImportError, ValueError):  # ValueError: built without this encoder
        raise MissingExtra(
            f"To show {name} a video needs av with an H.264 encoder. "
            f"{install_advice('video')}. Or show pictures ({setting('video', 'False')})."
        ) from None


@lru_cache(maxsize=8)
def video_file(clip: Clip) -> bytes:
    """The clip as an MP4 file without sound. The last 8 results are cached, for repairs.

    Raises:
        ModelUnusable: the file is larger than `MOST_BYTES`.
    """
    import av

    file = io.BytesIO()
    with av.open(file, "w", format="mp4") as container:
        stream = container.add_stream(CODEC, rate=clip.rate, options=SETTINGS)
        _describe(stream, clip)
        for frame in clip.frames:
            picture = av.VideoFrame(stream.width, stream.height, stream.pix_fmt)
            for plane, values in zip(picture.planes, _planes(frame, clip.image_size), strict=True):
                rows = np.frombuffer(plane, np.uint8).reshape(plane.height, plane.line_size)
                rows[:, : plane.width] = values
            container.mux(stream.encode(picture))
        container.mux(stream.encode(None))
    content = file.getvalue()
    if len(content) > MOST_BYTES:
        raise ModelUnusable(
            f"A video of these {len(clip.frames)} screens has {len(content) / 1e6:.0f} MB, and one "
            f"request takes {MOST_BYTES / 1e6:.0f}: lower {setting('frames_in_prompt')} or "
            f"{setting('resize_shape')}."
        )
    return content


def _describe(stream: Any, clip: Clip) -> None:
    """Set the size and the colours of a stream."""
    height, width = _planes(clip.frames[0], clip.image_size)[0].shape
    stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
    context = stream.codec_context
    context.thread_count = 1
    context.colorspace, context.color_range = _BT601, _LIMITED
    context.color_primaries = context.color_trc = _SMPTE170M


def _planes(frame: Frame, size: tuple[int, int] | None) -> tuple[Pixels, Pixels, Pixels]:
    """Brightness, shape (2 height, 2 width), and two planes of colour, shape (height, width)."""
    image = images.to_pil_image(frame, size)
    if image.mode == "P":
        yuv = _palette(frame.standard)[np.asarray(image)]
    else:
        yuv = _to_yuv(np.asarray(image))
    y, u, v = np.moveaxis(yuv, -1, 0)
    return y.repeat(_SCALE, 0).repeat(_SCALE, 1), u, v


@lru_cache
def _palette(standard: str) -> Pixels:
    return _to_yuv(images.PALETTES[standard])


def _to_yuv(rgb: Pixels) -> Pixels:
    """RGB as BT.601 in its limited range, in the last axis."""
    yuv: NDArray[np.float64] = rgb / 255 @ _TO_YUV.T + (16, 128, 128)
    return np.rint(yuv).astype(np.uint8)
