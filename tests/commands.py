"""The two command lines, in processes of their own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
SECRET = "sk-planted-key-0123456789"


def command(*arguments, cwd, seed_command=False, **environment):
    program = [str(ROOT / "train_atari_vlm.py")] if seed_command else ["-m", "atari_vlm.cli.app"]
    return subprocess.run(
        [sys.executable, *program, *map(str, arguments)],
        cwd=cwd,
        env={**os.environ, "COLUMNS": "200", "NO_COLOR": "1", **environment},
        capture_output=True,
        text=True,
        check=False,
    )


def play(*arguments, cwd, **environment):
    return command("play", *arguments, cwd=cwd, **environment)
