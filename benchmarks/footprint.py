"""Import time, and disk space of a base install (no extras).

The import time is the CPU time of new processes minus that of processes that import nothing. The
size is that of a new virtual environment after `pip install .`, bytecode included, minus that of an
empty one. Pass --no-size to skip it.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def cpu_seconds(code: str) -> float:
    """CPU time of a new process that runs the code."""
    process = subprocess.Popen([sys.executable, "-c", code])
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0
    return usage.ru_utime + usage.ru_stime


def import_seconds(rounds: int = 9) -> float:
    pairs = [(cpu_seconds("import atari_vlm"), cpu_seconds("pass")) for _ in range(rounds)]
    return statistics.median(package - bare for package, bare in pairs)


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
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--no-size", action="store_true", help="measure the import time alone")
    asked = parser.parse_args()
    print(f"import: {import_seconds():.3f} s CPU more than a bare interpreter")
    if not asked.no_size:
        print(f"footprint: {installed_megabytes():.0f} MB installed")
