"""The replay page: one HTML file with which a person scrubs through what a model saw and did.

`render` turns a Replay into a page that needs nothing but a browser: no network, no server, no
fonts. It knows neither the store nor the emulator; `run_page` fills the Replay in.
"""

from __future__ import annotations

import base64
import hashlib
import html
import json
import os
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal, TypeAlias

from atari_vlm.errors import InvalidSetting, StoreError
from atari_vlm.report.packing import pack
from atari_vlm.types import Pixels, Source

FrameRef: TypeAlias = tuple[int, int]
"""(episode, step): the screen before that decision of that episode.

Below 0 the episode is one of the training run whose play the prompt tells of: -1 - k for its k.
"""


@dataclass(frozen=True, kw_only=True)
class ReplayMessage:
    """One turn of a prompt, its text and frames in reading order."""

    role: str
    parts: tuple[str | FrameRef, ...]


@dataclass(frozen=True, kw_only=True)
class ReplayCall:
    """One prompt and what came back."""

    messages: tuple[ReplayMessage, ...]
    reply: str
    """The model's words, unedited. Untrusted: the page only ever shows them as text."""
    image_size: tuple[int, int] | None = None
    """(width, height) the frames were scaled to as `images.to_pil_image` does; None: native."""
    thinking: str = ""
    model: str = ""
    """The name the server said it answered with."""
    request_id: str = ""
    """The server's own number of the answer, to ask the vendor about."""
    fault: str = ""
    """What failed, when there was no answer."""
    input_tokens: int = 0
    output_tokens: int = 0
    reasoning_tokens: int = 0
    """Those of `output_tokens` that were thoughts."""
    dollars: float | None = None
    """None when the price is unknown."""
    uncertain_dollars: float | None = 0.0
    """What requests that broke off may have cost besides, at most; None when that is unknown."""
    replayed: bool = False
    """Whether the answer came from the response cache."""
    seconds: float = 0.0


@dataclass(frozen=True, kw_only=True)
class ReplayChoice:
    """A plan and how it came about: what was decided, or a candidate that was considered."""

    action: str
    frames: int
    """Emulator frames the action is held; NOOP until the interval ends."""
    source: Source
    reason: str = ""
    memory: str = ""
    """Words for the prompts of later decisions."""
    queue: str = ""
    """Plans for the next decisions, e.g. "LEFT x2, NOOP x4"."""
    calls: tuple[ReplayCall, ...] = ()
    considered: tuple[ReplayChoice, ...] = ()


@dataclass(frozen=True, kw_only=True)
class ReplayDecision(ReplayChoice):
    """A choice that was played, and the moment it was made in."""

    interval: int
    """Emulator frames (60 a second) until the next decision."""
    reward: float | None
    """What it earned; None when the record stops before it was played."""
    score: float
    """Sum of rewards before this decision."""
    lives: int = 0
    """Lives before this decision; 0 throughout in games that do not count them."""


@dataclass(frozen=True, kw_only=True)
class ReplayEpisode:
    """One episode: its decisions, and the screens they were made at."""

    number: int
    seed: int
    status: str
    """How it ended, in a word or two for the reader: "game over", "interrupted", ..."""
    whole: bool = True
    """Whether the game was played to its end: only then is the score held against a human's."""
    score: float
    decisions: Sequence[ReplayDecision]
    screens: Callable[[], Iterable[Pixels]]
    """Makes the screen before each decision, then the one after the last; palette indices.

    Called once and read one screen at a time, so that a whole episode (0.9 GB for 27,000
    decisions) can be drawn again from its log without ever being held. The last screen is missing
    where the last decision was never played.
    """


@dataclass(frozen=True, kw_only=True)
class Replay:
    """Everything one page shows."""

    title: str
    game: str
    """The game's title as people write it."""
    policy: str
    model: str
    settings: dict[str, str]
    facts: Sequence[tuple[str, str]] = ()
    """(label, value) pairs that say more about the run."""
    random_score: float | None = None
    human_score: float | None = None
    standard: Literal["ntsc", "pal"] = "ntsc"
    """Television standard of the game, which decides the colours of the indices."""
    episodes: Sequence[ReplayEpisode]
    borrowed: Sequence[tuple[FrameRef, Pixels]] = ()
    """The screens of the training run that prompts show, as palette indices of `standard`."""


def write(replay: Replay, path: Path) -> None:
    """Write the page; the file is whole or absent.

    Raises:
        StoreError: the file cannot be written.
    """
    page = render(replay)
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            draft.write_text(page, "utf-8")
            os.replace(draft, path)
        except BaseException:
            draft.unlink(missing_ok=True)
            raise
    except OSError as error:
        raise StoreError(
            f"The replay page cannot be written to {path}: {error.strerror}. "
            "Name a file that may be written, on a disk with room."
        ) from error


def render(replay: Replay) -> str:
    """The page as text.

    Raises:
        InvalidSetting: there is no episode to show.
    """
    if not replay.episodes:
        raise InvalidSetting("No decision has been played yet, so there is nothing to replay.")
    folder = files("atari_vlm.report") / "page"
    style = (folder / "page.css").read_text("utf-8")
    script = "\n".join((folder / name).read_text("utf-8") for name in _SCRIPTS)
    parts = {
        "title": html.escape(replay.title.encode("utf-8", "replace").decode()),
        "policy": (
            # Even if a text found its way into the markup, nothing could run or leave the page.
            f"default-src 'none'; img-src data:; base-uri 'none'; form-action 'none'; "
            f"script-src '{_digest(script)}'; style-src '{_digest(style)}'"
        ),
        "style": style,
        "script": script,
        "data": _inert(pack(replay)),
    }
    template = (folder / "page.html").read_text("utf-8")
    return re.sub(r"\{\{(\w+)\}\}", lambda found: parts[found[1]], template)


_SCRIPTS = (
    "data.js",
    "picture.js",
    "prompt.js",
    "timeline.js",
    "page.js",
    "panels.js",
    "about.js",
    "controls.js",
)


def _digest(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def _inert(value: Any) -> str:
    """JSON that cannot end the script block it stands in, whatever its strings say."""
    text = json.dumps(value, separators=(",", ":"), allow_nan=False)
    return text.translate({ord(sign): f"\\u{ord(sign):04x}" for sign in "<>&"})
