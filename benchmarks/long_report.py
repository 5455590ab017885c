"""Seconds, megabytes of memory and size of the replay page of one long episode.

Run: python benchmarks/long_report.py [folder]. Two runs of 27,000 decisions, the longest game at 4
frames a decision, are played into the folder first (minutes), or found there; without a folder,
into a temporary one. One is played without a model: its page is made of screens. The other has a
prompt and an answer in words for every decision. The CPU time includes that of processes started.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from atari_vlm.models.scripted import ScriptedModel
from atari_vlm.trainer import VLMTrainer
from atari_vlm.types import Prompt

DECISIONS = 27_000

REPORT = "import sys; from atari_vlm.cli.app import main; sys.argv[0] = 'atari-vlm'; main()"


def wander(prompt: Prompt) -> str:
    """A different answer to every screen, in as many words as a short reply has."""
    seen = int(prompt.frames[-1].pixels.sum(dtype="int64"))
    action = prompt.legal[seen % len(prompt.legal)]
    return f"The screen sums to {seen}, so I choose {action} and look again. ACTION: {action}"


def play(folder: Path) -> dict[str, Path]:
    """The two runs, played where they are not in the folder yet."""
    players = {
        "screens": VLMTrainer(
            "asteroids", "expert", max_decisions=DECISIONS, run_folder=folder / "screens"
        ),
        "texts": VLMTrainer(
            "montezuma_revenge",
            "scripted",
            model=ScriptedModel(wander),
            max_decisions=DECISIONS,
            run_folder=folder / "texts",
        ),
    }
    return {name: player.train(1).folder for name, player in players.items()}


def report(folder: Path, page: Path) -> tuple[float, float, float]:
    """Seconds, CPU seconds, and megabytes of memory of the largest process."""
    begun = time.perf_counter()
    command = [sys.executable, "-c", REPORT, "report", str(folder), "--out", str(page)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0
    seconds = time.perf_counter() - begun
    return seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1e3


def main(folder: Path) -> None:
    for name, run in play(folder).items():
        page = folder / f"{name}.html"
        seconds, cpu, memory = report(run, page)
        print(
            f"report of {DECISIONS:,} decisions, {name}: {seconds:.1f} s, {cpu:.1f} s CPU, "
            f"{memory:.0f} MB in the largest process, a page of {page.stat().st_size / 1e6:.1f} MB",
            flush=True,
        )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, nargs="?", help="default: a temporary one")
    asked = parser.parse_args()
    if asked.folder is not None:
        main(asked.folder)
    else:
        with tempfile.TemporaryDirectory() as place:
            main(Path(place))
