"""Measures the table of `learning.settled`: how long before an event nothing changes it any more.

    python benchmarks/settled_moments.py                 # all twelve games
    python benchmarks/settled_moments.py pong breakout --episodes 1 --decisions 1000

Random and the scripted expert play. Before each reward and each loss, other actions are played from
earlier and earlier states, in a console of its own: the earliest state from which all of them meet
the event says when it was settled. It prints the rows of the table, medians in emulator frames, and
after each how many rewards and losses were seen.
"""

from __future__ import annotations

import argparse
import tempfile
from collections import deque
from contextlib import closing
from pathlib import Path
from statistics import median

from atari_vlm import play
from atari_vlm.atari.games import SUGGESTED, get_game
from atari_vlm.atari.simulator import Simulator, SimulatorState
from atari_vlm.runs.playback import recording
from atari_vlm.runs.replaying import moments
from atari_vlm.runs.run import Run

BACK = (1, 2, 3, 4, 6, 8, 12, 16, 20, 25, 30, 40, 50, 60)
"""Decisions before the event that are tried."""

SLACK = 2
"""Decisions by which the event may come earlier than it did."""

MOST = 8
"""Events of a kind in an episode, from its start on."""

OTHER_ACTIONS = (0, 1, 2, -1)
"""Held to the end, one after the other: NOOP, the next two and the last one of all 18."""


def happened(loss: bool, reward: float, lives_lost: int) -> bool:
    """Whether a decision brought an event."""
    return lives_lost > 0 or reward < 0 if loss else reward > 0


def met(console: Simulator, state: SimulatorState, back: int, interval: int, loss: bool) -> bool:
    """Whether every other way to play on from a state meets the event all the same."""
    for seed, action in enumerate(OTHER_ACTIONS):
        console.restore(state, seed=seed)
        last = -1
        for number in range(back):
            if console.terminated:
                break
            lives = console.lives
            reward = console.play(action % len(console.legal), interval)
            if happened(loss, reward, lives - console.lives):
                last = number
        if last < max(0, back - 1 - SLACK):
            return False
    return True


def settled(run: Run, episode: int, console: Simulator, found: dict[bool, list[int]]) -> None:
    """Add the frames for which the events of an episode were settled, by whether it is a loss."""
    record = recording(run, episode)
    interval = int(record.settings["frame_skip"])
    states: deque[SimulatorState] = deque(maxlen=max(BACK))
    count = {True: 0, False: 0}
    replay = moments(record)
    env = next(replay)
    for _, _, reward in record.plays:
        states.append(SimulatorState.of(env.emulator.save()))
        lives = env.emulator.lives
        next(replay)
        loss = happened(True, reward or 0.0, lives - env.emulator.lives)
        event = loss or happened(False, reward or 0.0, 0)
        if not event or len(states) < max(BACK) or count[loss] == MOST:
            continue
        count[loss] += 1
        longest = 0
        for back in BACK:
            if not met(console, states[-back], back, interval, loss):
                break
            longest = back
        found[loss].append(longest * interval)


def row(game: str, episodes: int, decisions: int) -> str:
    """The row of a game, as it stands in the table."""
    found: dict[bool, list[int]] = {False: [], True: []}
    with tempfile.TemporaryDirectory() as place:
        for player in ("random", "expert"):
            folder = Path(place) / player
            play(game, player, episodes=episodes, max_decisions=decisions, run_folder=folder)
            with closing(Run.read(folder)) as run:
                sticky = float(run.settings["repeat_action_probability"])
                console = Simulator(get_game(game), repeat_action_probability=sticky)
                for each in run.episodes():
                    settled(run, each.episode, console, found)
    gain, loss = (int(median(found[kind] or [0])) for kind in (False, True))
    seen = f"{len(found[False])} rewards, {len(found[True])} losses"
    return f'    "{game}": ({gain}, {loss}),  # {seen}'


def main() -> None:
    """Print the rows of the games named."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("games", nargs="*", default=SUGGESTED)
    parser.add_argument("--episodes", type=int, default=2)
    parser.add_argument("--decisions", type=int, default=1_500, help="most in an episode")
    asked = parser.parse_args()
    for game in asked.games:
        print(row(get_game(game).name, asked.episodes, asked.decisions), flush=True)


if __name__ == "__main__":
    main()
