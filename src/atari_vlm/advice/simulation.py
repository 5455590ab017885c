"""How much a player simulates, and how long that takes: searches and lookahead, before a run."""

from __future__ import annotations

from dataclasses import dataclass

from atari_vlm.costs.episode_lengths import episode_length
from atari_vlm.errors import AtariVLMError, setting
from atari_vlm.models.hosted.model import HostedModel
from atari_vlm.players import Options, Player, resolve
from atari_vlm.policies.search.policy import SearchPolicy
from atari_vlm.policies.think.budgets import Budgeted
from atari_vlm.policies.think.effort import Range, effort_of
from atari_vlm.policies.think.samples import base_of

RATES = (7_000, 17_000)
"""Emulator frames that one core simulates in a second, with the work of the search: the slowest and
the fastest of the twelve suggested games (`python benchmarks/simulation_rate.py`)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Simulation:
    """What the decisions of a player simulate in a second emulator."""

    frames: Range
    """Emulator frames a decision."""
    seconds: float | None
    """CPU time of a decision, where that is its budget and not frames."""
    decisions: int | None
    """Of an episode: as long as random play, or as allowed; None if neither is known."""
    cut: bool = False
    """Whether it ends there by `max_decisions`."""
    budget: int | None = None
    """Most frames of an episode."""

    @property
    def marked(self) -> str:
        """In a sentence, with settings marked as by `errors.setting`."""
        if self.seconds is not None:
            each = f"Searches {self.seconds:g} s of CPU time a decision"
            if self.decisions is None:
                return f"{each}."
            whole = _time(self.seconds * self.decisions)
            return f"{each}: {whole} in {self._episode}."
        return f"Simulates {self._a_decision}{self._an_episode}. {_RESTS_ON}"

    @property
    def line(self) -> str:
        """The same, with settings as Python arguments."""
        return str(AtariVLMError(self.marked))

    @property
    def _a_decision(self) -> str:
        usual, most = round(self.frames.usual), round(self.frames.most)
        at_most = f" ({most:,} at most)" if most > usual else ""
        return f"about {usual:,} emulator frames a decision{at_most}, {_took(usual)} of one core"

    @property
    def _an_episode(self) -> str:
        if self.decisions is None:
            return ""
        frames, limit = round(self.frames.usual * self.decisions), ""
        if self.budget is not None and self.budget < frames:
            frames, limit = self.budget, f" ({setting('think_budget')})"
        return f"; {frames:,}{limit} in {self._episode}, {_took(frames)}"

    @property
    def _episode(self) -> str:
        if self.cut:
            return f"an episode of {self.decisions:,} decisions"
        longer = "a better player's is longer"
        return f"an episode as long as random play ({self.decisions:,} decisions; {longer})"


_RESTS_ON = (
    f"That is at {RATES[0]:,} to {RATES[1]:,} frames a second, as in the suggested games; the time "
    "of a model comes on top."
)


def simulation_of(player: Player) -> Simulation | None:
    """What a player simulates; None if it simulates nothing."""
    base, seconds = base_of(player.policy), None
    frames = effort_of(player.policy).frames
    if isinstance(base, SearchPolicy):
        budget, seconds = base.settings.budget, base.settings.seconds
        frames = Range(0, budget or 0, budget or 0)
    if not frames.most and seconds is None:
        return None
    settings = player.settings
    length, most = episode_length(player.game.name), settings["max_decisions"]
    mean = None if length is None else length.at_frame_skip(settings["frame_skip"]).mean
    cut = most is not None and (mean is None or most <= mean)
    within = player.policy.episode if isinstance(player.policy, Budgeted) else None
    return Simulation(
        frames=frames,
        seconds=seconds if not frames.most else None,
        decisions=most if cut else mean,
        cut=cut,
        budget=within.frames if within else None,
    )


def simulated_line(game: str, model: str, options: Options) -> str:
    """What a player that nobody bills simulates, in a sentence; empty if it simulates nothing.

    Args:
        game: any spelling of a game.
        model: a player by name.
        options: of its run.
    """
    try:
        player = resolve(game, model, options)
    except AtariVLMError:  # a run of it says why
        return ""
    made = None if isinstance(player.model, HostedModel) else simulation_of(player)
    about = f"{player.game.name}, {player.name}: nobody bills it."
    return "" if made is None else f"{about} {made.marked}"


def _took(frames: int) -> str:
    """How long one core takes to simulate frames: "0.04 to 0.09 s"."""
    fast, slow = (_time(frames / each) for each in reversed(RATES))
    amount, unit = fast.split()
    return f"{amount if slow.endswith(f' {unit}') else fast} to {slow}"


def _time(seconds: float) -> str:
    """A time in words.

    >>> _time(0.0375), _time(75), _time(9000)
    ('0.04 s', '75 s', '2.5 h')
    """
    if seconds < 100:
        return f"{seconds:.2f} s" if seconds < 1 else f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"
