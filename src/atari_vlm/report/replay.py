"""What a replay page shows, as plain values.

`run_page` makes a Replay from a run folder, `packing` compresses it, and `render` writes the page.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

from atari_vlm.report.screens import PackedScreens
from atari_vlm.types import Pixels, Source, Thinking

FrameRef: TypeAlias = tuple[int, int]
"""(episode, step): the screen before that decision of that episode.

An episode below 0 refers to one of `Replay.stored_screens`.
"""


@dataclass(frozen=True, kw_only=True)
class ReplayMessage:
    """One turn of a prompt: text and frames in reading order."""

    role: str
    parts: tuple[str | FrameRef, ...]


@dataclass(frozen=True, kw_only=True)
class ReplayCall:
    """One prompt and the answer to it."""

    messages: tuple[ReplayMessage, ...]
    reply: str
    """The model's words, unedited. Untrusted: the page shows them as text, never as markup."""
    image_size: tuple[int, int] | None = None
    """(width, height) the frames were scaled to, as by `images.to_pil_image`; None for native."""
    thinking: str = ""
    model: str = ""
    """The model name in the server's response."""
    request_id: str = ""
    """The server's number of the answer, for questions to the vendor."""
    fault: str = ""
    """Why there is no usable answer; empty if there is one."""
    input_tokens: int = 0
    output_tokens: int = 0
    reasoning_tokens: int = 0
    """Tokens of hidden reasoning; part of `output_tokens`."""
    dollars: float | None = None
    """None if the price is unknown."""
    uncertain_dollars: float | None = 0.0
    """The most that failed requests may have cost, not included in `dollars`; None if unknown."""
    replayed: bool = False
    """Whether the answer came from the response cache."""
    seconds: float = 0.0


@dataclass(frozen=True, kw_only=True)
class ReplayChoice:
    """A plan and how it was chosen: the decision, or a candidate that was considered."""

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
    """A choice that was played, and the state of the game before it."""

    interval: int
    """Emulator frames (60 a second) until the next decision."""
    reward: float | None
    """Raw reward of the step; None if the record ends before it was played."""
    score: float
    """Sum of rewards before this decision."""
    lives: int = 0
    """Lives before this decision; always 0 in games that do not count them."""
    stuck: str = ""
    """How the player was stuck before it, e.g. "action x12, screen x9"; empty if it was not."""
    thinking: Thinking | None = None
    """What thinking longer took; None if the player does not think longer."""


@dataclass(frozen=True, kw_only=True)
class StoredScreen:
    """A screen in prompts that replaying the page's episodes does not show."""

    frame: FrameRef
    pixels: Pixels
    """Palette indices of the replay's television standard."""
    name: str
    """What it is, e.g. "training episode 3, decision 120"."""


@dataclass(frozen=True, kw_only=True)
class ReplayLesson:
    """Something learned from earlier episodes and shown to the model."""

    text: str
    frames: Sequence[FrameRef] = ()
    """The screens shown with it, oldest first."""
    source: str = ""
    """Where an example comes from: run, episode and decision."""
    mark: str = ""
    """What is to be said of a lesson in words: "new", "edited", "added", or "forbidden": it is
    not shown any more."""


@dataclass(frozen=True, kw_only=True)
class ReplayEpisode:
    """One episode: its decisions and screens."""

    number: int
    """Unique in the page; the number in the run, except for an evaluation beside its training."""
    name: str = ""
    """What people call it and links contain; empty for the number."""
    phase: str = ""
    """"Training", "Evaluation", or empty for any other run."""
    lessons: Sequence[ReplayLesson] = ()
    """What had been learned when it was played; empty if nothing was recorded."""
    invalid: str = ""
    """Why the episode has no score, as a sentence; empty if it has one."""
    seed: int
    status: str
    """How it ended, in a few words: "game over", "interrupted", ..."""
    whole: bool = True
    """Whether the game was played to its end. Only then is the score compared with a human's."""
    score: float
    decisions: Sequence[ReplayDecision]
    screens: Callable[[], Iterable[Pixels]]
    """Makes the screen before each decision, then the one after the last; palette indices.

    Called once and read one screen at a time, so that a long episode (0.9 GB for 27,000 decisions)
    is never in memory as a whole. There is no last screen if the last decision was not played.
    """
    packed: Callable[[], PackedScreens] | None = None
    """Gives them packed; None if nobody else packs them. Called once, instead of `screens`."""


@dataclass(frozen=True, kw_only=True)
class Replay:
    """Everything one page shows."""

    title: str
    game: str
    """Title of the game."""
    policy: str
    """Description of the prompt, e.g. "cot prompt"; empty for players without one."""
    model: str
    label: str = ""
    """The player as it stands beside a score; empty for the name of the model alone."""
    settings: dict[str, str]
    facts: Sequence[tuple[str, str]] = ()
    """Further (label, value) pairs about the run."""
    random_score: float | None = None
    human_score: float | None = None
    standard: Literal["ntsc", "pal"] = "ntsc"
    """Television standard of the game, which decides the colours of the indices."""
    meanings: Mapping[str, str] = field(default_factory=dict)
    """What each action does in the game, e.g. {"RIGHT": "paddle up"}; empty if not on record."""
    episodes: Sequence[ReplayEpisode]
    stored_screens: Sequence[StoredScreen] = ()
    pictures: Mapping[str, Any] = field(default_factory=dict)
    """How the frames of a prompt became the model's pictures; see `protocols.Depicting`."""
