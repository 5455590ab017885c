"""How much a player simulates, and how long that takes: searches and lookahead, before a run."""

from __future__ import annotations

from dataclasses import dataclass, replace

from atari_vlm.costs.episode_lengths import episode_length
from atari_vlm.errors import AtariVLMError, setting
from atari_vlm.models.hosted.model import HostedModel
from atari_vlm.models.hosted.options import SpendOptions
from atari_vlm.options import values
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
    """Emulator frames a decision, where those are its budget; at most, as a search also ends
    when there is no more to search."""
    searched: int
    """Those of them that are a search's own, which no budget of an episode limits."""
    seconds: float | None
    """CPU time of a search for a decision, at most, where that is its budget and not frames."""
    decisions: int | None
    """Of an episode: as long as random play, or as allowed; None if neither is known."""
    cut: bool = False
    """Whether it ends there by `max_decisions`."""
    budget: int | None = None
    """Most frames of an episode beyond those of a search."""
    asks: bool = False
    """Whether the player has a model, which takes time too."""

    @property
    def marked(self) -> str:
        """In a sentence, with settings marked as by `errors.setting`."""
        said = [] if self.seconds is None else [self._searches(self.seconds)]
        if self.frames.most:
            rests_on = _RESTS_ON + ("; the time of a model comes on top" if self.asks else "")
            said.append(f"Simulates {self._a_decision}{self._an_episode}. {rests_on}.")
        return " ".join(said)

    @property
    def line(self) -> str:
        """The same, with settings as Python arguments."""
        return str(AtariVLMError(self.marked))

    def _searches(self, seconds: float) -> str:
        each = f"Searches at most {seconds:g} s of CPU time a decision"
        if self.decisions is None:
            return f"{each}."
        return f"{each}: {_time(seconds * self.decisions)} in {self._episode}."

    @property
    def _a_decision(self) -> str:
        usual, most = round(self.frames.usual), round(self.frames.most)
        frames = f"{usual:,} emulator frames a decision"
        frames = f"about {frames} ({most:,} at most)" if most > usual else f"at most {frames}"
        return f"{frames}, {_took(usual)} of one core"

    @property
    def _an_episode(self) -> str:
        if self.decisions is None:
            return ""
        frames, limit = round(self.frames.usual * self.decisions), ""
        searched = self.searched * self.decisions
        if self.budget is not None and searched + self.budget < frames:
            frames, limit = searched + self.budget, f" ({setting('think_budget')})"
        return f"; {frames:,}{limit} in {self._episode}, {_took(frames)}"

    @property
    def _episode(self) -> str:
        if self.cut:
            return f"an episode of {self.decisions:,} decisions"
        longer = "a better player's is longer"
        return f"an episode as long as random play ({self.decisions:,} decisions; {longer})"


_RESTS_ON = f"That is at {RATES[0]:,} to {RATES[1]:,} frames a second, as in the suggested games"


def simulation_of(player: Player) -> Simulation | None:
    """What a player simulates; None if it simulates nothing."""
    base = base_of(player.policy)
    searched, seconds = 0, None
    if isinstance(base, SearchPolicy):
        searched, seconds = base.settings.budget or 0, base.settings.seconds
    frames = effort_of(player.policy).frames.plus(Range(0, searched, searched))
    if not frames.most and seconds is None:
        return None
    settings = player.settings
    length, most = episode_length(player.game.name), settings["max_decisions"]
    mean = None if length is None else length.at_frame_skip(settings["frame_skip"]).mean
    cut = most is not None and (mean is None or most <= mean)
    within = player.policy.episode if isinstance(player.policy, Budgeted) else None
    return Simulation(
        frames=frames,
        searched=searched,
        seconds=seconds,
        decisions=most if cut else mean,
        cut=cut,
        budget=within.frames if within else None,
        asks=player.model is not None,
    )


def simulated_line(game: str, model: str, options: Options) -> str:
    """What a player that nobody bills simulates, in a sentence; empty if it simulates nothing.

    Args:
        game: any spelling of a game.
        model: a player by name.
        options: of its run.

    Raises:
        AtariVLMError: it cannot play.
    """
    # A cap on spending is compared with what all players cost together.
    player = resolve(game, model, replace(options, **values(SpendOptions())))
    made = None if isinstance(player.model, HostedModel) else simulation_of(player)
    about = f"{player.game.name}, {player.name}: nobody bills it."
    return "" if made is None else f"{about} {made.marked}"


def _took(frames: int) -> str:
    """How long one core takes to simulate frames: "35 to 86 ms"."""
    fast, slow = (_time(frames / each) for each in reversed(RATES))
    amount, unit = fast.split()
    return f"{amount if slow.endswith(f' {unit}') else fast} to {slow}"


def _time(seconds: float) -> str:
    """A time in words.

    >>> _time(0.0375), _time(0.25), _time(75), _time(9000)
    ('38 ms', '0.25 s', '75 s', '2.5 h')
    """
    if seconds < 0.0995:  # from there on, two digits of milliseconds would be three
        return f"{seconds * 1000:.2g} ms"
    if seconds < 100:
        return f"{seconds:.2f} s" if seconds < 1 else f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"
