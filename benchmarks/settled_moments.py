"""Measures `learning.settled`: how long before a reward or a loss nothing changes it any more.

    python benchmarks/settled_moments.py pong breakout

Plays random and the scripted expert, and from saved states before each event other actions: the
earliest state from which all of them meet the same event says when it was settled.
"""

from __future__ import annotations

import sys
import tempfile
from collections import deque
from contextlib import closing
from pathlib import Path
from statistics import median

from atari_vlm import play
from atari_vlm.runs.playback import environment
from atari_vlm.runs.run import Run

BACK = (1, 2, 3, 4, 6, 8, 12, 16, 20, 25, 30, 40, 50, 60)
"""Decisions before the event that are tried."""

MOST = 8
"""Events of a kind in an episode."""


def _met(env, saved, back, loss):
    """Whether four other ways to play on meet the event all the same, at most 2 decisions early."""
    for action in (0, 1, 2, -1):
        env.restore(saved)
        met = None
        for number in range(back):
            lives = env.emulator.lives
            if env.emulator.terminated:
                break
            reward = env.advance(action % len(env.legal), env.frame_skip)
            happened = (env.emulator.lives < lives or reward < 0) if loss else reward > 0
            met = number if happened else met
        if met is None or met < back - 2:
            return False
    return True


def settled(run: Run, episode: int, seed: int, found: dict[bool, list[int]]) -> None:
    """Add the frames for which the events of an episode were settled, by whether it is a loss."""
    env = environment(run.settings)
    env.begin(seed=seed, episode=episode)
    states: deque = deque(maxlen=max(BACK) + 4)
    count = {True: 0, False: 0}
    for action, frames in run.plans(episode):
        states.append(env.save())
        lives = env.emulator.lives
        reward = env.advance(env.legal.index(action), frames)
        loss = env.emulator.lives < lives or reward < 0
        if not (loss or reward > 0) or len(states) < states.maxlen or count[loss] == MOST:
            continue
        count[loss] += 1
        here, longest = env.save(), 0
        for back in BACK:
            if not _met(env, states[-back], back, loss):
                break
            longest = back
        found[loss].append(longest * env.frame_skip)
        env.restore(here)


def main() -> None:
    """Print the medians in emulator frames for the games named."""
    for game in sys.argv[1:]:
        found: dict[bool, list[int]] = {False: [], True: []}
        with tempfile.TemporaryDirectory() as place:
            for player in ("random", "expert"):
                folder = Path(place) / player
                play(game, player, episodes=2, max_decisions=1_500, run_folder=folder)
                with closing(Run.read(folder)) as run:
                    for row in run.episodes():
                        settled(run, row.episode, row.seed, found)
        gain, loss = (int(median(found[kind])) if found[kind] else "none" for kind in (False, True))
        print(f"{game}: reward {gain}, loss {loss} ({len(found[False])}, {len(found[True])} seen)")


if __name__ == "__main__":
    main()
