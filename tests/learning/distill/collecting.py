"""Helpers of the data tests: collect a small data set, here or in another process."""

from __future__ import annotations

import json
import os
import subprocess
import sys

from atari_vlm.learning.distill.collection import CollectSettings, collect_dataset
from atari_vlm.models.embedded.checkpoints import weights

COLLECT = """
import json, sys
from pathlib import Path
from atari_vlm.learning.distill.collection import CollectSettings, collect_dataset
settings = json.loads(sys.argv[2])
if room := settings.pop("room", 0):
    import resource
    resource.setrlimit(resource.RLIMIT_FSIZE, (room, room))
if __name__ == "__main__":
    collect_dataset(CollectSettings(out=Path(sys.argv[1]), **settings))
"""


def start(out, **settings):
    source = os.path.dirname(os.path.dirname(weights().parent))
    return subprocess.Popen(
        [sys.executable, "-c", COLLECT, str(out), json.dumps(settings)],
        env={**os.environ, "PYTHONPATH": source},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def gather(out, **settings):
    reported = []
    small = {"games": ("pong",), "decisions": 120, "shard_size": 50}
    done = collect_dataset(CollectSettings(out=out, **{**small, **settings}), reported.append)
    return done, reported


def contents(folder):
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}
