"""Two versions of `atari-vlm distill` on the CPU, in turn: the same data, the same minutes.

    git worktree add ../other f3a5751
    atari-vlm collect --games seaquest,qbert --decisions 20000 --seed 1 --out my-data
    python benchmarks/distill_versions.py ../other/src --data my-data --games seaquest,qbert

The other version, and this one with each architecture, train in slices, one after the other, so
that a busy machine hurts all alike; each is a process that lives on between its slices. Prints
decisions a second of each, by the clock and by the time of the processor, and the accuracy of each
on the same held-out decisions. With `--clock processor` the minutes are those of the processor, for
a machine that has other work too. The data set, and what is held out, must be readable by both:
collect with the older one.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).parents[1] / "src"

TRAIN = """
import json, sys, time
from pathlib import Path
from types import SimpleNamespace
import numpy as np
from atari_vlm.learning.distill import train
from atari_vlm.learning.distill.collect import HELD_OUT_SEED, collect
from atari_vlm.learning.distill.data import Dataset
from atari_vlm.learning.distill.evaluate import held_out_accuracy
from atari_vlm.learning.distill.rounds import StudentRounds
from atari_vlm.learning.distill.settings import DistillSettings
from atari_vlm.learning.distill.shard_header import ShardHeader
from atari_vlm.learning.distill.shards import open_dataset, open_shard, write_shard
from atari_vlm.learning.distill.train import Trainer

def main():
    asked = json.loads(sys.argv[1])
    out, held = Path(asked["out"]), Path(asked["held"])
    (out / "data").mkdir(parents=True, exist_ok=True)
    settings = DistillSettings(games=tuple(asked["games"]), minutes=asked["minutes"], out=out,
                               data=Path(asked["data"]), precision=asked["precision"],
                               **asked["more"])
    if asked["clock"] == "processor":
        train.time = SimpleNamespace(perf_counter=time.process_time)
    trainer = Trainer(settings)
    for shard in open_dataset(settings.data, settings.games):
        trainer.data[shard.game].add(shard)
    for game in settings.games:
        path = held / f"{game}.parquet"
        if not path.exists():
            rows = collect(game, 2_000, seed=HELD_OUT_SEED)
            write_shard(path, rows, ShardHeader.of(game, seed=HELD_OUT_SEED))
    rounds, rng = StudentRounds(trainer, lambda line: None), np.random.default_rng(0)
    print(json.dumps({}), flush=True)
    for line in sys.stdin:
        busy = time.process_time()
        while trainer.seconds < min(float(line), trainer.total_seconds):
            trainer.step(rng)
            rounds.add(rounds.poll())
        said = {"steps": trainer.steps, "seconds": trainer.seconds,
                "busy": time.process_time() - busy, "loss": float(np.mean(trainer.losses))}
        print(json.dumps(said), flush=True)
    rounds.stop()
    found = {}
    for game in settings.games:
        data = Dataset(game, trainer.tokenizer)
        data.add(open_shard(held / f"{game}.parquet"))
        accuracy = held_out_accuracy(trainer, data.spread(1_000))
        found.update({f"{game}/{name}": share for name, share in accuracy.items()})
    print(json.dumps(found), flush=True)

if __name__ == "__main__":
    main()
"""


class Version:
    """A version in training.

    Args:
        name: for the table.
        source: its folder `src`.
        asked: settings of TRAIN.
    """

    def __init__(self, name: str, source: Path, asked: dict[str, object], folder: Path) -> None:
        self.name, self.busy, self.last = name, 0.0, {}
        script = folder / f"{name}.py"
        script.write_text(TRAIN)
        command = [sys.executable, str(script), json.dumps({**asked, "out": str(folder / name)})]
        environment = {**os.environ, "PYTHONPATH": str(source.resolve()), "OMP_NUM_THREADS": "1"}
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
        self._process = subprocess.Popen(command, env=environment, text=True, **pipes)
        self._hear()

    def _hear(self) -> dict[str, float]:
        line = self._process.stdout.readline()
        if not line:
            sys.exit(f"{self.name} ended with exit code {self._process.wait()}.")
        return dict(json.loads(line))

    def train(self, until: float) -> None:
        """Train until so many seconds of training are over."""
        self._process.stdin.write(f"{until}\n")
        self._process.stdin.flush()
        self.last = self._hear()
        self.busy += self.last["busy"]

    def accuracy(self) -> dict[str, float]:
        """Field -> share of correct held-out values."""
        self._process.stdin.close()
        found = self._hear()
        self._process.wait()
        return found

    def rates(self, batch: int) -> tuple[float, float]:
        """Decisions for each second of the clock, and for each of the processor."""
        decisions = batch * self.last["steps"]
        return decisions / self.last["seconds"], decisions / self.busy


def main() -> None:
    """Train the versions in turn and print all."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("other", type=Path, help="the folder src of the other version")
    parser.add_argument("--data", type=Path, required=True, help="what `collect` wrote")
    parser.add_argument("--games", default="seaquest,qbert")
    parser.add_argument("--minutes", type=float, default=10.0, help="of each version")
    parser.add_argument("--slice", type=float, default=1.0, help="minutes of a turn")
    parser.add_argument("--precision", default="fp32")
    parser.add_argument("--architectures", default="fine", help="of this version: fine,coarse")
    parser.add_argument("--clock", default="wall", choices=("wall", "processor"))
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        asked = {
            "games": options.games.split(","),
            "minutes": options.minutes,
            "data": str(options.data),
            "precision": options.precision,
            "held": name,
            "clock": options.clock,
        }
        other = Version("other", options.other, {**asked, "more": {}}, folder)
        own = [
            Version(f"this-{each}", HERE, {**asked, "more": {"architecture": each}}, folder)
            for each in options.architectures.split(",")
        ]
        versions = [other, *own]
        until = 0.0
        while until < 60 * options.minutes:
            until = min(until + 60 * options.slice, 60 * options.minutes)
            for version in versions:
                version.train(until)
                clock, busy = version.rates(64)
                print(
                    f"{version.name}: {version.last['seconds']:.0f} s, step "
                    f"{version.last['steps']}, loss {version.last['loss']:.3f}, {clock:.1f} "
                    f"decisions/s by the clock, {busy:.1f} by the processor",
                    flush=True,
                )
            versions.reverse()
        before = other.accuracy()
        for this in own:
            clocks, busies = zip(other.rates(64), this.rates(64), strict=True)
            print(f"{this.name} / other: {clocks[1] / clocks[0]:.2f} by the clock, ", end="")
            print(f"{busies[1] / busies[0]:.2f} by the processor")
            now = this.accuracy()
            for field, share in now.items():
                print(f"{field}: {before[field]:.3f} -> {share:.3f}")
            means = [sum(each.values()) / len(each) for each in (before, now)]
            print(f"mean of {len(now)} fields: {means[0]:.3f} -> {means[1]:.3f}")


if __name__ == "__main__":
    main()
