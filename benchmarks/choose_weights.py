"""Which of several weights ship, game by game: those with the best mean score.

Run: python benchmarks/choose_weights.py FOLDER [FOLDER ...]. The folders are those of `atari-vlm
bench`, in any number, e.g. one for each set of weights, or one for each game; all of one seed.
The choice favours scores that were lucky, so the scores to print come from a bench of another seed.
The weights that ship were chosen on seed 78 and are printed on seed 77.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from atari_vlm.bench.cells import Cell
from atari_vlm.bench.results import read_results
from atari_vlm.bench.settings import BASELINES
from atari_vlm.errors import AtariVLMError


def main(folders: list[Path]) -> None:
    found = [cell for folder in folders for cell in read_results(folder)]
    cells = [cell for cell in found if cell.player not in BASELINES]
    if not cells:
        raise AtariVLMError(f"There are no scores of a model in {', '.join(map(str, folders))}.")
    check(cells)
    for game in dict.fromkeys(cell.game for cell in cells):
        ranked = sorted((cell for cell in cells if cell.game == game), key=_mean, reverse=True)
        scores = "; ".join(
            f"{cell.player} {cell.mean} in {len(cell.scores)} episodes" for cell in ranked
        )
        print(f"{game}: {ranked[0].player} ({scores})")


def check(cells: list[Cell]) -> None:
    """Raise AtariVLMError unless all cells are whole, and of the same seed and protocol."""
    for cell in cells:
        if not cell.scores or cell.settings.get("max_decisions"):
            reason = cell.problem or "its games were cut short, or it has no scores"
            raise AtariVLMError(f"{cell.game}, {cell.player} cannot be compared: {reason}.")
    for name in ("seed", "frame_skip", "repeat_action_probability"):
        values = {str(cell.settings.get(name)) for cell in cells}
        if len(values) > 1:
            raise AtariVLMError(f"The cells differ in {name}: {', '.join(sorted(values))}.")
    for game in {cell.game for cell in cells}:
        counts = {len(cell.scores) for cell in cells if cell.game == game}
        if len(counts) > 1:
            raise AtariVLMError(f"{game} was not played in equally many episodes: {counts}.")


def _mean(cell: Cell) -> float:
    assert cell.mean is not None
    return cell.mean.value


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folders", type=Path, nargs="+", metavar="FOLDER", help="of a bench")
    try:
        main(parser.parse_args().folders)
    except AtariVLMError as error:
        sys.exit(error.message)
