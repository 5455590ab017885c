"""The nouns: what one decision sees, says and earns.

Everything here is an immutable value. A policy is given an Observation and the Steps so far and
answers with a Decision; the loop plays it and the two become the next Step. Nothing points back.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal, NamedTuple, Protocol, TypeAlias, runtime_checkable

import numpy as np
from numpy.typing import NDArray

Pixels: TypeAlias = NDArray[np.uint8]
"""Palette indices, shape (height, width); or RGB, shape (height, width, 3)."""

Source: TypeAlias = Literal["parsed", "repaired", "fallback", "searched", "scripted", "scored"]
"""How an action came about. `fallback`: the model named no legal action, so NOOP was played.
`scored`: it was not asked for words, but for the probability of every answer."""

Privilege: TypeAlias = Literal["ram", "emulator"]
"""What a policy reads beyond the screen; printed beside every score it earns."""


class Plan(NamedTuple):
    """An action and how long to hold it."""

    action: str
    """A legal action name."""
    frames: int
    """Emulator frames to hold it; NOOP is played for the rest of the decision interval."""


@dataclass(frozen=True, slots=True, eq=False)
class Frame:
    """One emulator screen and its place in the record. Compared by identity."""

    pixels: Pixels
    """Palette indices, shape (height, width), read-only. `images` colours and encodes them."""
    episode: int = 0
    """Number of the episode within the run; below 0 for frames of another run."""
    step: int = 0
    """The frame is what the screen showed before this decision of the episode."""
    standard: Literal["ntsc", "pal"] = "ntsc"
    """Television standard of the game, which decides the colours of the indices."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Observation:
    """All a policy may see before it decides."""

    game: str
    """Catalogue name, e.g. "pong"."""
    frames: tuple[Frame, ...]
    """Stacked frames, oldest first, one a decision; `frames[-1]` is the current screen."""
    legal: tuple[str, ...]
    """Legal action names; the place of a name is the environment's integer for it."""
    interval: int
    """Emulator frames (60 a second) until the next decision: the longest plan."""
    step: int = 0
    """How many decisions came before this one in the episode."""
    lives: int = 0
    """Lives left; 0 in games that do not count them."""
    score: float = 0.0
    """Sum of raw rewards so far in the episode."""
    ram: Pixels | None = None
    """The console's 128 bytes, only for policies with the "ram" privilege."""
    state: Any = None
    """An emulator.Snapshot without its dice, only for policies with the "emulator" privilege."""


@dataclass(frozen=True, slots=True)
class Usage:
    """What answering cost. Add usages with +."""

    calls: int = 0
    input_tokens: int = 0
    """All tokens read, cached ones included."""
    cached_tokens: int = 0
    output_tokens: int = 0
    """All tokens written, reasoning included."""
    dollars: float | None = 0.0
    """None when the price of the model is unknown: unknown is not free."""
    seconds: float = 0.0
    """Wall-clock time spent waiting for the answers; of replayed ones, that of their recording."""
    reasoning_tokens: int = 0
    """Tokens written before the answer and not shown; part of `output_tokens`."""
    replayed: int = 0
    """Calls answered from the response cache: their tokens are those of the recording, which were
    paid then, and their dollars are 0."""
    uncertain: int = 0
    """Requests beside the counted ones of which nobody knows whether they were charged: no answer
    came (timeout, dropped connection, garbage), or one without a count of tokens."""
    uncertain_tokens: int = 0
    """The most those may have cost."""
    uncertain_dollars: float | None = 0.0
    """The same in dollars, not in `dollars`; None when the price is unknown."""

    def __add__(self, other: Usage) -> Usage:
        """Sum two usages; an unknown price makes the sum unknown."""
        return Usage(
            self.calls + other.calls,
            self.input_tokens + other.input_tokens,
            self.cached_tokens + other.cached_tokens,
            self.output_tokens + other.output_tokens,
            _both(self.dollars, other.dollars),
            self.seconds + other.seconds,
            self.reasoning_tokens + other.reasoning_tokens,
            self.replayed + other.replayed,
            self.uncertain + other.uncertain,
            self.uncertain_tokens + other.uncertain_tokens,
            _both(self.uncertain_dollars, other.uncertain_dollars),
        )


def _both(one: float | None, other: float | None) -> float | None:
    return None if one is None or other is None else one + other


@dataclass(frozen=True, slots=True, eq=False)
class Message:
    """One turn of a prompt: text and frames in reading order."""

    role: Literal["system", "user", "assistant"]
    parts: tuple[str | Frame, ...]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Prompt:
    """Everything a model is given for one answer."""

    messages: tuple[Message, ...]
    legal: tuple[str, ...]
    """The action names the answer may use."""
    longest: int
    """The most frames a plan may hold its action."""
    plans: bool = True
    """Whether the answer is (action, frames) or an action alone, held for the interval."""
    image_size: tuple[int, int] | None = None
    """(width, height) frames are scaled to; None sends them at native size."""
    json: bool = False
    """Whether one JSON object is asked for, its reasoning before its action; a vendor that can
    enforce a schema is then held to it."""
    chunk_size: int = 1
    """How many plans the answer may list: the first for now, the rest for the decisions after."""

    @property
    def text(self) -> str:
        """All text of the prompt, with <frame> where a picture stands."""
        parts = [part for message in self.messages for part in message.parts]
        return "\n".join("<frame>" if isinstance(part, Frame) else part for part in parts)

    @property
    def frames(self) -> tuple[Frame, ...]:
        """The frames of the prompt in reading order."""
        parts = [part for message in self.messages for part in message.parts]
        return tuple(part for part in parts if isinstance(part, Frame))

    def followed_by(self, *messages: Message) -> Prompt:
        """The same prompt with more turns at its end."""
        return replace(self, messages=(*self.messages, *messages))


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """What a model answered, and what the answer cost."""

    text: str
    """The model's words, unedited."""
    thinking: str = ""
    """The provider's reasoning text or summary, where it gives one."""
    model: str = ""
    """The name the server says it answered with, which is not always the one asked for."""
    finish: str = "stop"
    """Why the answer ended: "stop", "length", "content_filter", ..."""
    request_id: str = ""
    usage: Usage = Usage(calls=1)


@dataclass(frozen=True, slots=True, eq=False)
class Call:
    """One prompt and its answer; `fault` says what failed when there was none."""

    prompt: Prompt
    reply: Reply
    seed: int
    """Drawn from the episode's seed and the step: names the call across restarts."""
    fault: str = ""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Decision:
    """The plan chosen, and the evidence of how it was chosen."""

    action: str
    """Always one of `observation.legal`."""
    frames: int
    """Emulator frames the action is held, 1 to `observation.interval`; NOOP for the rest."""
    source: Source
    reason: str = ""
    """Why the source is what it is: the fault that was repaired, or why the model fell back."""
    note: str = ""
    """What later decisions of the episode should remember: a plan, a reflection."""
    calls: tuple[Call, ...] = ()
    """Every call made for this decision, in order: the question, then its repair if any."""
    considered: tuple[Decision, ...] = ()
    """The candidates a vote or a search chose between; empty for a single answer."""

    @property
    def reply(self) -> str:
        """The model's last words, unedited; empty when no model was asked."""
        return self.calls[-1].reply.text if self.calls else ""

    @property
    def usage(self) -> Usage:
        """What this decision cost, its candidates included."""
        own = [call.reply.usage for call in self.calls]
        return sum(own + [other.usage for other in self.considered], Usage())


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Step:
    """One decision and the reward it earned; spans `observation.interval` emulator frames."""

    observation: Observation
    decision: Decision
    reward: float
    """Raw, unclipped reward, summed over the emulator frames of the step."""
    terminated: bool = False
    """The game is over."""
    truncated: bool = False
    """A limit ended the episode before the game did."""

    def without_frames(self) -> Step:
        """The same step without its pictures and prompts, which the store has, or can draw."""
        return replace(
            self,
            observation=replace(self.observation, frames=(), ram=None, state=None),
            decision=replace(self.decision, calls=(), considered=()),
        )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Trajectory:
    """The record of one episode, whole or cut short."""

    game: str
    episode: int
    seed: int
    policy: str
    steps: tuple[Step, ...]

    @property
    def score(self) -> float:
        """Undiscounted sum of raw, unclipped rewards."""
        return sum(step.reward for step in self.steps)

    @property
    def usage(self) -> Usage:
        """What the whole episode cost."""
        return sum((step.decision.usage for step in self.steps), Usage())

    @property
    def finished(self) -> bool:
        """Whether the game ended or a limit ended it."""
        return bool(self.steps) and (self.steps[-1].terminated or self.steps[-1].truncated)


@dataclass(frozen=True, slots=True)
class Example:
    """A moment of past play worth showing again."""

    text: str
    """What was seen and done, and what it earned, in words."""
    frame: Frame | None = None


@dataclass(frozen=True, slots=True)
class Lessons:
    """What earlier episodes taught: shown to the model, never hidden from the report."""

    examples: tuple[Example, ...] = ()
    advice: tuple[str, ...] = ()
    """Insights in words, e.g. from reflection."""
    episodes: int = 0
    """How many episodes were played before this one."""
    mean_score: float | None = None
    """Mean score of those that were whole games; None without one."""


Strategy: TypeAlias = Callable[[Observation, Sequence[Step], Lessons], Prompt]
"""Words and frames for one decision; a pure function."""


class Policy(Protocol):
    """Chooses plans. Holds settings only: the same arguments give the same decision."""

    @property
    def name(self) -> str:
        """Short name for tables and folders."""
        ...

    @property
    def privileges(self) -> frozenset[Privilege]:
        """What it reads beyond the screen; empty for honest players."""
        ...

    async def decide(
        self, observation: Observation, history: Sequence[Step], rng: np.random.Generator
    ) -> Decision:
        """Choose a plan; `history` is every earlier step of this episode, oldest first."""
        ...


class Model(Protocol):
    """Answers prompts."""

    @property
    def name(self) -> str:
        """The name it is asked for by, e.g. "gpt-4o"."""
        ...

    @property
    def prompt_type(self) -> str:
        """The prompt strategy to use when none is asked for."""
        ...

    async def answer(self, prompt: Prompt, *, seed: int) -> Reply:
        """Answer once. Raises ModelFault (counted) or ModelUnusable (stops the run)."""
        ...

    async def close(self) -> None:
        """Release connections and sessions; a later answer opens new ones."""
        ...


@runtime_checkable
class Scorer(Protocol):
    """A model that can also rate every plan in one forward pass."""

    async def score(self, prompt: Prompt) -> dict[tuple[str, int], float]:
        """Probabilities over (action, frames); they sum to 1."""
        ...


class Learner(Protocol):
    """Turns experience into lessons for the episodes to come."""

    @property
    def name(self) -> str:
        """Short name for settings and tables."""
        ...

    def learn(
        self, experience: Sequence[Trajectory], picture: Callable[[int, int], Frame]
    ) -> Lessons:
        """What to show from now on.

        Args:
            experience: every finished episode so far, in order, their steps without frames.
            picture: draws the frame that was shown at (episode, step).
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What ends an episode before the game does, counted in decisions and emulator frames."""

    decisions: int | None = None
    """Most decisions in an episode; None for no limit."""
    frames: int = 108_000
    """Most emulator frames in an episode: 30 minutes at 60 a second, as in ALE v5."""
    fallbacks: int = field(default=20)
    """This many fallbacks in a row make the run invalid."""
