"""Import time, and what a base install (no extras) puts on the disk.

The import is the CPU time of fresh processes over that of processes that import nothing. The size
is that of a new virtual environment with `pip install .`, over an empty one; pass --no-size to
leave it out. Compiled bytecode counts.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def seconds(code: str) -> float:
    process = subprocess.Popen([sys.executable, "-c", code])
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0
    return usage.ru_utime + usage.ru_stime


def import_seconds(rounds: int = 9) -> float:
    pairs = [(seconds("import atari_vlm"), seconds("pass")) for _ in range(rounds)]
    return statistics.median(with_it - without for with_it, without in pairs)


def megabytes(folder: Path) -> float:
    files = (path for path in folder.rglob("*") if path.is_file() and not path.is_symlink())
    return sum(path.stat().st_size for path in files) / 1e6


def installed_megabytes() -> float:
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place) / "venv"
        venv.create(folder, with_pip=True)
        empty = megabytes(folder)
        pip = [str(folder / "bin" / "python"), "-m", "pip", "install", "--quiet"]
        subprocess.run([*pip, "-c", str(ROOT / "constraints.txt"), str(ROOT)], check=True)
        return megabytes(folder) - empty


if __name__ == "__main__":
    print(f"import: {import_seconds():.3f} s CPU more than a bare interpreter")
    if "--no-size" not in sys.argv:
        print(f"footprint: {installed_megabytes():.0f} MB installed")
