"""Reading single columns of the decisions of a run."""

from __future__ import annotations

from typing import Any

from atari_vlm.runs import records
from atari_vlm.runs.table_reader import TableReader, readable
from atari_vlm.types import Plan, Thinking


class StepReader(TableReader):
    """Reads the table of decisions, a few columns at a time."""

    @readable
    def plans(self, episode: int) -> list[Plan]:
        """The plan of each decision: with the seed, the whole episode."""
        return [Plan(action, frames) for action, frames in self._steps("action, frames", episode)]

    @readable
    def plays(self, episode: int) -> list[tuple[str, int, float | None]]:
        """The (action, frames, reward) of each decision, read at one moment."""
        found = self._steps("action, frames, reward", episode)
        return [(action, frames, reward) for action, frames, reward in found]

    @readable
    def rewards(self, episode: int) -> list[float | None]:
        """The reward of each decision; None if the run was stopped before it was stored."""
        return [reward for (reward,) in self._steps("reward", episode)]

    @readable
    def latencies(self, episode: int) -> list[float | None]:
        """Seconds that each decision took; None for decisions of formats 1 to 3."""
        return [latency for (latency,) in self._steps("latency", episode)]

    @readable
    def stuck(self, episode: int) -> list[str]:
        """How the player was stuck before each decision, e.g. "action x12, screen x9".

        Empty where it was not, and in runs of formats 1 to 5; see `atari.repetition.stuck_text`.
        """
        return [text for (text,) in self._steps("stuck", episode)]

    @readable
    def thought(self, episode: int) -> list[Thinking | None]:
        """What thinking longer took, for each decision; None where nothing was to think."""
        found = self._steps("thinking", episode)
        return [records.thinking_from_json(text) for (text,) in found]

    @readable
    def reasons(self, episode: int) -> list[str]:
        """Why each decision was made as it was."""
        return [text for (text,) in self._steps("reason", episode)]

    def _steps(self, columns: str, episode: int) -> list[tuple[Any, ...]]:
        """Columns of the decisions of an episode, in order."""
        self._check("steps", "episode = ?", episode)
        query = f"SELECT {columns} FROM steps WHERE episode = ? ORDER BY step"
        return self._all(query, episode)
