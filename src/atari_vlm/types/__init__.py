"""The nouns: what one decision sees, chooses and earns.

Everything here is an immutable value. A policy is given an Observation and the Steps so far and
returns a Decision; the loop plays it and the two become the next Step. Nothing points back. What a
policy, a model or a learner must provide, and may provide, is in `protocols`; what was spent is in
`types.costs`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from atari_vlm.types.costs import Charge as Charge
from atari_vlm.types.costs import Spent as Spent
from atari_vlm.types.costs import Thinking as Thinking
from atari_vlm.types.costs import Usage as Usage

Pixels: TypeAlias = NDArray[np.uint8]
"""Palette indices, shape (height, width); or RGB, shape (height, width, 3)."""

Source: TypeAlias = Literal["parsed", "repaired", "fallback", "searched", "scripted", "scored"]
"""How an action was chosen. `fallback`: the model named no legal action, so NOOP was played.
`scored`: the model gave the probability of every answer instead of words."""

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
    """Number of the episode within the run. Below 0 for a screen that replaying the run cannot
    draw: one of another run, or of an ablation. The run's record keeps the pixels of those."""
    step: int = 0
    """Number of the decision that followed this screen."""
    standard: Literal["ntsc", "pal"] = "ntsc"
    """Television standard of the game, which decides the colours of the indices."""

    def __repr__(self) -> str:
        size = "x".join(map(str, self.pixels.shape[:2]))
        return f"Frame({size}, episode {self.episode}, step {self.step})"

    def foreign(self) -> Frame:
        """The same screen as one of another run."""
        return self if self.episode < 0 else replace(self, episode=-1 - self.episode)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Observation:
    """All a policy may see before it decides."""

    game: str
    """Catalogue name, e.g. "pong"."""
    frames: tuple[Frame, ...]
    """Stacked frames, oldest first, one per decision; `frames[-1]` is the current screen."""
    legal: tuple[str, ...]
    """Legal action names; the index of a name is the environment's integer for it."""
    interval: int
    """Emulator frames (60 a second) until the next decision: the longest plan."""
    step: int = 0
    """Decisions made earlier in the episode."""
    lives: int = 0
    """Lives left; 0 in games that do not count them."""
    score: float = 0.0
    """Sum of raw rewards so far in the episode."""
    repeats: int = 0
    """Latest decisions in a row that played the same action."""
    still: int = 0
    """Latest decisions in a row that left the screen as it was."""
    ram: Pixels | None = None
    """The console's 128 bytes, only for policies with the "ram" privilege."""
    state: Any = None
    """A Snapshot without its random generator, only for policies with the "emulator" privilege."""

    def __repr__(self) -> str:
        return (
            f"Observation({self.game}, step {self.step}, score {self.score:.15g}, lives "
            f"{self.lives}, {_count(self.frames, 'frame')}, {_count(self.legal, 'legal action')})"
        )


def _count(things: Sequence[object], name: str) -> str:
    return f"{len(things):,} {name}{'s' * (len(things) != 1)}"


def _quote(text: str, length: int = 60) -> str:
    return repr(text if len(text) <= length else text[:length] + "...")


@dataclass(frozen=True, slots=True, eq=False)
class Message:
    """One turn of a prompt: text and frames in reading order."""

    role: Literal["system", "user", "assistant"]
    parts: tuple[str | Frame, ...]

    def __repr__(self) -> str:
        texts = [part for part in self.parts if not isinstance(part, Frame)]
        frames = len(self.parts) - len(texts)
        return f"Message({self.role}, {_count(''.join(texts), 'character')}, {frames} frames)"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Prompt:
    """The input of a model for one answer."""

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
    """Whether the answer is one JSON object with its reasoning before its action. Vendors that can
    enforce a schema are asked to."""
    chunk_size: int = 1
    """Most plans the answer may list: the first for this decision, the rest for the next ones."""

    def __repr__(self) -> str:
        return (
            f"Prompt({_count(self.messages, 'message')}, {_count(self.text, 'character')}, "
            f"{_count(self.frames, 'frame')}, {_count(self.legal, 'legal action')})"
        )

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
    """A model's answer and its cost."""

    text: str
    """The model's words, unedited."""
    thinking: str = ""
    """The provider's reasoning text or summary, or else the thoughts between tags in `text`."""
    model: str = ""
    """The model name in the server's response, which can differ from the one requested."""
    finish: str = "stop"
    """Why the answer ended: "stop", "length", "content_filter", ..."""
    request_id: str = ""
    usage: Usage = Usage(calls=1)
    token_ids: tuple[int, ...] = ()
    """Tokens of `text` in the model's vocabulary; empty if they are not known."""
    log_probabilities: tuple[float, ...] = ()
    """Natural logarithm of the probability of each of `token_ids`; empty if not known."""

    def __repr__(self) -> str:
        tokens = f"{self.usage.input_tokens:,} tokens in, {self.usage.output_tokens:,} out"
        return f"Reply({_quote(self.text)}, {tokens})"


@dataclass(frozen=True, slots=True, eq=False)
class Call:
    """One prompt and its answer."""

    prompt: Prompt
    reply: Reply
    seed: int
    """Drawn from the episode's seed and the step, so that a resumed run finds the call again."""
    fault: str = ""
    """Why there is no usable answer; empty if there is one."""

    def __repr__(self) -> str:
        fault = f", fault={_quote(self.fault)}" if self.fault else ""
        return f"Call({self.reply!r}{fault})"


@dataclass(frozen=True, slots=True, eq=False)
class Decision:
    """The plan chosen, and how it was chosen."""

    action: str
    """Always one of `observation.legal`."""
    frames: int
    """Emulator frames the action is held, 1 to `observation.interval`; NOOP for the rest."""
    source: Source = "scripted"
    reason: str = ""
    """Why it was chosen: the fault that was repaired, the reason of a fallback, the objects an
    expert found, the value a search computed."""
    memory: str = ""
    """Words for the prompts of later decisions in the episode, e.g. a reflection."""
    queue: tuple[Plan, ...] = ()
    """Plans for the next decisions, in order; never shown to the model."""
    calls: tuple[Call, ...] = ()
    """Every call made for this decision, in order: the request, then its repair if any."""
    considered: tuple[Decision, ...] = ()
    """The candidates of a vote or a search; empty for a single answer."""
    waited: int = 0
    """Emulator frames that passed while the decision was made; 0 where the game waits for it."""
    thinking: Thinking | None = None
    """What a wrapper that may think longer did and spent; None without one."""

    def __repr__(self) -> str:
        calls = f", {_count(self.calls, 'call')}" if self.calls else ""
        return f"Decision({self.action!r}, frames={self.frames}, source={self.source!r}{calls})"

    @property
    def plan(self) -> Plan:
        """The action and how long it is held."""
        return Plan(self.action, self.frames)

    @property
    def reply(self) -> str:
        """The model's last answer, unedited, or the first of a vote; empty if there is none."""
        if self.calls:
            return self.calls[-1].reply.text
        return next(filter(None, (other.reply for other in self.considered)), "")

    @property
    def usage(self) -> Usage:
        """Cost of this decision, its candidates included."""
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

    def __repr__(self) -> str:
        ended = ", terminated" * self.terminated + ", truncated" * self.truncated
        return f"Step({self.observation.step}: {self.decision!r}, reward {self.reward:.15g}{ended})"

    def without_frames(self) -> Step:
        """The same step without frames and prompts, which the run's record can restore."""
        return replace(
            self,
            observation=replace(
                self.observation, frames=(), ram=None, state=None, repeats=0, still=0
            ),
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

    def __repr__(self) -> str:
        return (
            f"Trajectory({self.game}, {self.policy}: score {self.score:.15g} over "
            f"{_count(self.steps, 'decision')}, seed={self.seed})"
        )

    @property
    def score(self) -> float:
        """Undiscounted sum of raw, unclipped rewards."""
        return sum(step.reward for step in self.steps)

    @property
    def usage(self) -> Usage:
        """Cost of the whole episode."""
        return sum((step.decision.usage for step in self.steps), Usage())

    @property
    def finished(self) -> bool:
        """Whether the episode ended, by the game or by a limit."""
        return bool(self.steps) and (self.steps[-1].terminated or self.steps[-1].truncated)


@dataclass(frozen=True, slots=True)
class Example:
    """A moment of an earlier episode to show in a prompt."""

    text: str
    """What was on the screen, what was played and what it earned."""
    frame: Frame | None = None
    later: tuple[Frame, ...] = ()
    """Screens of the same moment after `frame`, oldest first."""
    source: str = ""
    """Its run, episode and decision, for the record and the page; not shown to the model."""

    @property
    def frames(self) -> tuple[Frame, ...]:
        """All its screens, oldest first."""
        return (() if self.frame is None else (self.frame,)) + self.later

    def __repr__(self) -> str:
        return f"Example({_quote(self.text)}, {self.frame!r})"


@dataclass(frozen=True, slots=True)
class Lessons:
    """What a learner made of earlier episodes; shown to the model and kept in the record."""

    examples: tuple[Example, ...] = ()
    advice: tuple[str, ...] = ()
    """Insights in words, e.g. from reflection."""
    episodes: int = 0
    """Number of earlier episodes."""
    mean_score: float | None = None
    """Mean score of the whole games among them; None if there is none."""
    note: str = ""
    """How they were made, e.g. that the review could not be read; never shown to a model."""

    def __repr__(self) -> str:
        return f"Lessons({_count(self.examples, 'example')}, {_count(self.advice, 'insight')})"


Strategy: TypeAlias = Callable[[Observation, Sequence[Step], Lessons], Prompt]
"""(observation, steps so far, lessons) -> the prompt for one decision; a pure function."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Limits that end an episode before the game does."""

    decisions: int | None = None
    """Most decisions in an episode; None for no limit."""
    frames: int = 108_000
    """Most emulator frames in an episode: 30 minutes at 60 a second, as in ALE v5."""
    fallbacks: int = 20
    """A run is invalid after this many fallbacks in a row."""
