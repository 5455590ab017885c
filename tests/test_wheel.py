"""A wheel built from the tree has everything that play and the replay page need."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent

PLAYS = """
import sys
from pathlib import Path

wheel, folder = sys.argv[1:]
# The installed packages, without the paths of an editable install.
installed = [path for path in sys.path if path.startswith((sys.base_prefix, sys.prefix))]
sys.path[:] = [wheel, *(path for path in installed if Path(path).name != "src")]

import atari_vlm
import atari_vlm_env
import train_atari_vlm

assert all(m.__file__.startswith(wheel) for m in (atari_vlm, atari_vlm_env, train_atari_vlm))
summary = atari_vlm.play("pong", "embedded", max_decisions=40, run_folder=folder, progress=False)
assert summary.episodes[0].decisions == 40
assert set(summary.sources) == {"parsed"}

from importlib.metadata import version

from atari_vlm.cli.app import main
from atari_vlm.report.run_page import write_replay

assert summary.settings["atari_vlm"] == version("atari-vlm")
assert write_replay(Path(folder)).stat().st_size > 10_000
"""


def test_a_wheel_plays_pong(tmp_path):
    pytest.importorskip(
        "hatchling", reason="hatchling is not installed: pip install -c constraints.txt '.[dev]'"
    )
    build = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation"]
    build += ["--disable-pip-version-check", "--no-index", "-w", str(tmp_path / "dist"), "."]
    built = subprocess.run(build, cwd=ROOT, capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stderr
    (wheel,) = (tmp_path / "dist").glob("*.whl")
    content = tmp_path / "content"
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(content)
    assert (content / "atari_vlm" / "py.typed").exists()
    assert not list(content.rglob("test_*.py"))
    program = [sys.executable, "-I", "-W", "error", "-c", PLAYS]
    done = subprocess.run(
        [*program, str(content), str(tmp_path / "run")],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
