"""Score against computation: votes and lookahead of the embedded model, beside searches without it.

Run: python benchmarks/think.py [--out evidence-think] [--processes 2] [--part scores|literature]
(`make evidence-think`). About five hours on two cores; it prints a line an episode, and the same
command continues what was stopped. `--table` only prints the tables of what was played so far.

Scores: five games, ten paired seeds, at most 400 decisions each, as differences from a random
player on the same seeds with 95% intervals. Literature: Breakout and Ms. Pac-Man with 1,200
frames a decision of 15 frames, no sticky actions, 18,000 frames, three games each, beside rollout
IW(1) with 0.5 s (Bandres, Bonet and Geffner 2018, arXiv:1801.03354).
"""

from __future__ import annotations

import argparse
import json
import re
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

from atari_vlm import BenchSettings, Run, run_bench
from atari_vlm.bench.cells import Cell
from atari_vlm.bench.results import read_results
from atari_vlm.errors import AtariVLMError
from atari_vlm.files.writing import write_whole
from atari_vlm.protocols import labelled
from atari_vlm.stats import Interval, mean_interval
from atari_vlm.types import Decision

GAMES = ("pong", "breakout", "ms_pacman", "space_invaders", "montezuma_revenge")
FRAMES = (150, 600, 1200)
DECISIONS = 400
EPISODES = 10

MODEL = "embedded"
VOTES = [f"{MODEL}+vote:{count}" for count in (3, 9)]
AHEAD = [f"{MODEL}+lookahead:{frames}" for frames in FRAMES]
UNIFORM = [f"{name}:uniform" for name in AHEAD]
ADAPTIVE = f"{MODEL}+adaptive:lookahead:600"
ALONE = [f"{kind}-{frames}" for frames in FRAMES for kind in ("iw", "uct")]
TIMED = ["iw-60ms", "uct-60ms"]
"""As much CPU time as a decision of `AHEAD[1]` takes (`benchmarks/decision_time.py`)."""
RANDOM = "random"

RIW = {"breakout": 79.8, "ms_pacman": 13747.0}
"""Rollout IW(1) on pixels, 0.5 s: table 2 of Bandres et al. 2018, five episodes."""


@dataclass(frozen=True)
class Row:
    """What a player came to in one game."""

    game: str
    player: str
    label: str
    """The player, and what it uses beyond the screen."""
    scores: tuple[float, ...]
    frames: float
    """Simulated emulator frames of a decision, on average."""
    milliseconds: float
    """Of a decision, on average; the machine may have done other things too."""


def play_scores(out: Path, processes: int, episodes: int) -> None:
    # The cheap and the telling first, so that a table is there early.
    rounds = [
        [RANDOM, MODEL],
        [AHEAD[1], ADAPTIVE, "iw-600", "uct-600"],
        VOTES,
        [AHEAD[0], "iw-150", "uct-150"],
        TIMED,
        [UNIFORM[1], UNIFORM[0]],
        [AHEAD[2], "iw-1200", "uct-1200", UNIFORM[2]],
    ]
    for players in rounds:
        settings = BenchSettings(
            games=GAMES,
            players=tuple(players),
            episodes=episodes,
            max_decisions=DECISIONS,
            processes=processes,
            out=out / "scores",
        )
        run_bench(settings, _line)


def play_literature(out: Path, processes: int) -> None:
    settings = BenchSettings(
        games=tuple(RIW),
        players=("iw-1200", "uct-1200"),
        episodes=3,
        frame_skip=15,
        repeat_action_probability=0,
        max_decisions=1200,
        processes=processes,
        out=out / "literature",
    )
    run_bench(settings, _line)


def _line(text: str) -> None:
    print(text, flush=True)


# --- tables --------------------------------------------------------------------------------------


def rows_of(folder: Path) -> list[Row]:
    cells = [cell for cell in read_results(folder) if cell.scores] if folder.is_dir() else []
    return [_row(folder, cell) for cell in cells]


def _row(folder: Path, cell: Cell) -> Row:
    frames, seconds = [], []
    label = labelled(cell.player, cell.privileges)
    with closing(Run.read(folder / cell.folder)) as run:
        for row in run.episodes():
            seconds += [each or 0.0 for each in run.latencies(row.episode)]
            for step in run.trajectory(row.episode).steps:
                frames.append(_frames(step.decision))
    return Row(cell.game, cell.player, label, cell.scores, fmean(frames), 1000 * fmean(seconds))


def _frames(decision: Decision) -> int:
    """Simulated for a decision; a search without a model says it in its reason."""
    if decision.thinking:
        return decision.thinking.spent.frames
    found = re.search(r"([0-9]+) frames simulated$", decision.reason)
    return int(found[1]) if found else 0


def beyond(one: Row, other: Row) -> Interval:
    """The mean of paired differences."""
    return mean_interval(differences(one, other))


def differences(one: Row, other: Row) -> list[float]:
    return [mine - its for mine, its in zip(one.scores, other.scores, strict=False)]


ORDER = [MODEL, *VOTES, *AHEAD, ADAPTIVE, *UNIFORM, *ALONE, *TIMED]


def together(rows: Sequence[Row]) -> Iterator[str]:
    """One table of all games: points beyond a random player on the same seeds; whole cells only."""
    found = {(row.game, row.player): row for row in rows}
    games = [game for game in GAMES if (game, RANDOM) in found]
    yield "\n### Points beyond random\n"
    yield "| player | " + " | ".join(games) + " |"
    yield "|---" * (len(games) + 1) + "|"
    for name in ORDER:
        whole = [
            game for game in games if seeds(found.get((game, name))) >= seeds(found[game, RANDOM])
        ]
        if whole:
            cells = [
                str(beyond(found[game, name], found[game, RANDOM]))
                if game in whole
                else "not played"
                for game in games
            ]
            yield f"| {found[whole[0], name].label} | " + " | ".join(cells) + " |"


def seeds(row: Row | None) -> int:
    return len(row.scores) if row else 0


def tables(rows: Sequence[Row]) -> Iterator[str]:
    for game in dict.fromkeys(row.game for row in rows):
        found = {row.player: row for row in rows if row.game == game}
        yield f"\n### {game}\n"
        yield "| player | beyond random | seeds | frames a decision | ms a decision |"
        yield "|---|---|---|---|---|"
        for name in (name for name in ORDER if name in found and RANDOM in found):
            row = found[name]
            yield (
                f"| {row.label} | {beyond(row, found[RANDOM])} | {len(row.scores)} "
                f"| {row.frames:,.0f} | {row.milliseconds:,.0f} |"
            )
        yield ""
        yield from comparisons(found)


def comparisons(found: dict[str, Row]) -> Iterator[str]:
    """Where thinking helps, and where it only costs."""
    for vote in VOTES:
        yield from _compared(found, vote, MODEL)
    for frames in FRAMES:
        ahead = f"{MODEL}+lookahead:{frames}"
        alone = _best(found, (f"iw-{frames}", f"uct-{frames}"))
        timed = _best(found, TIMED) if ahead == AHEAD[1] else ""
        for other in (MODEL, alone, timed, f"{ahead}:uniform"):
            yield from _compared(found, ahead, other)
    full = found.get(AHEAD[1])
    if ADAPTIVE in found and full and RANDOM in found:
        gained, whole = (
            fmean(differences(found[each], found[RANDOM])) for each in (ADAPTIVE, AHEAD[1])
        )
        yield (
            f"- {ADAPTIVE}: {gained / whole:.0%} of what {AHEAD[1]} gains over random, with "
            f"{found[ADAPTIVE].frames / full.frames:.0%} of its frames"
        )


def _best(found: dict[str, Row], names: Sequence[str]) -> str:
    """The player with the best mean score, of those that played; empty if none did."""
    played = [name for name in names if name in found]
    return max(played, key=lambda name: fmean(found[name].scores), default="")


def _compared(found: dict[str, Row], one: str, other: str) -> Iterator[str]:
    if one in found and other in found:
        difference = beyond(found[one], found[other])
        same = not any(differences(found[one], found[other]))
        words = "the same score on every seed" if same else verdict(difference)
        yield f"- {one} beyond {other}: {difference}: {words}"


def verdict(difference: Interval) -> str:
    if difference.low is None or difference.high is None:
        return "too few seeds to tell"
    if difference.low > 0:
        return "better"
    return "worse" if difference.high < 0 else "not clearly different"


def literature(rows: Sequence[Row]) -> Iterator[str]:
    yield "\n### Beside the literature\n"
    yield "| game | player | scores | mean | RIW(1) 0.5 s | ratio |"
    yield "|---|---|---|---|---|---|"
    for row in rows:
        scores = ", ".join(f"{score:,g}" for score in row.scores)
        mean, published = fmean(row.scores), RIW[row.game]
        yield (
            f"| {row.game} | {row.player} | {scores} | {mean:,.0f} | {published:,.0f} "
            f"| {mean / published:.2f} |"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("evidence-think"), help="folder")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--episodes", type=int, default=EPISODES, help="seeds of each player")
    parser.add_argument("--part", choices=("scores", "literature"), help="only this part")
    parser.add_argument("--table", action="store_true", help="play nothing")
    asked = parser.parse_args()
    if not asked.table and asked.part != "literature":
        play_scores(asked.out, asked.processes, asked.episodes)
    if not asked.table and asked.part != "scores":
        play_literature(asked.out, asked.processes)
    scored, published = (rows_of(asked.out / name) for name in ("scores", "literature"))
    lines = [
        *(together(scored) if scored else ()),
        *tables(scored),
        *(literature(published) if published else ()),
    ]
    if not lines:
        raise AtariVLMError(f"Nothing was played in {asked.out} yet.")
    print("\n".join(lines))
    write_whole(asked.out / "think.md", "\n".join(lines) + "\n")
    values = [vars(row) for row in (*scored, *published)]
    write_whole(asked.out / "think.json", json.dumps(values, indent=1) + "\n")


if __name__ == "__main__":
    try:
        main()
    except AtariVLMError as error:
        raise SystemExit(f"Error: {error}") from None
