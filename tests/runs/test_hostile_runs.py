"""A run folder from anyone is data: one sentence, bounded time and memory, nothing executed."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys

import pytest

from atari_vlm.runs.rules import RULES
from atari_vlm.runs.schema import FILE
from tests.fuzzing import TIMES
from tests.runs.hostile_runs import (
    READ,
    READERS,
    REFUSED,
    loosely,
    make_run,
    outcomes,
)

QUICK = [reader for reader in READERS if reader != "film"]


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("made") / "run"
    make_run(folder)
    return folder


@pytest.fixture
def folder(made, tmp_path):
    copy = tmp_path / "pong" / "mine-s0"
    shutil.copytree(made, copy)
    (copy / "lock").unlink()
    return copy


def state(folder):
    return {each.name: (each.read_bytes(), each.stat().st_mtime_ns) for each in folder.iterdir()}


@pytest.mark.parametrize("name", REFUSED)
def test_a_crafted_run_is_one_sentence_to_whoever_reads_it(folder, name):
    REFUSED[name](folder)
    said = outcomes(folder, READERS if TIMES > 1 else QUICK)
    assert any(said.values()), "it was read as if nothing were wrong"
    for sentence in said.values():
        assert "\n" not in sentence
        assert len(sentence) < 900


@pytest.mark.parametrize("name", READ)
def test_an_odd_run_is_read(folder, name):
    READ[name](folder)
    said = outcomes(folder)
    assert {reader: said[reader] for reader in READERS if reader != "continue"} == dict.fromkeys(
        ("page", "film", "everything", "cell"), ""
    )


COLUMNS = [(table, column) for table, rules in RULES.items() for column in rules]
VALUES = ["text", b"\0\xff", -(2**63), 2**63 - 1, float("inf"), None, 0.5, ""]
TRIED = list(enumerate(COLUMNS))
if TIMES > 1:
    TRIED = [(k, column) for column in COLUMNS for k in range(len(VALUES))]


@pytest.mark.parametrize(("k", "place"), TRIED, ids=lambda value: str(value))
def test_any_column_may_hold_any_value(folder, k, place):
    table, column = place
    value = VALUES[k % len(VALUES)]
    try:
        loosely(table, f"UPDATE OR REPLACE {table} SET {column} = ?", value)(folder)
    except Exception:  # SQLite itself keeps to INTEGER PRIMARY KEY
        loosely(table, f"UPDATE OR REPLACE {table} SET {column} = ?", -5)(folder)
    outcomes(folder, READERS if TIMES > 1 else ("everything", "cell"))


LIMITED = """
import resource, sys
from pathlib import Path
from tests.fuzzing import TIMES
from tests.runs.hostile_runs import outcomes
resource.setrlimit(resource.RLIMIT_AS, (3 * 2**30, 3 * 2**30))
for folder in sys.argv[1:]:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    said = outcomes(Path(folder))
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(any(said.values()), (after - before) // 1024)
"""


def test_a_run_that_would_fill_the_memory_does_not(made, tmp_path):
    names = ["a picture that inflates to 256 MB", "endless steps", "an answer nested without end"]
    places = []
    for k, name in enumerate(names):
        places.append(tmp_path / str(k) / "pong" / "mine-s0")
        shutil.copytree(made, places[-1])
        REFUSED[name](places[-1])
    done = subprocess.run(
        [sys.executable, "-c", LIMITED, *map(str, places)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    for line in done.stdout.splitlines():
        refused, megabytes = line.split()
        assert refused == "True"
        assert int(megabytes) < 300


@pytest.mark.parametrize("name", ["as it was", "a newer format", "a score that does not fit"])
def test_reading_changes_neither_bytes_nor_times_nor_names(folder, name):
    {**REFUSED, **READ}[name](folder)
    before, times = state(folder), folder.stat().st_mtime_ns
    said = outcomes(folder, [reader for reader in READERS if reader != "continue"])
    assert any(said.values()) == (name != "as it was")
    assert state(folder) == before
    assert folder.stat().st_mtime_ns == times


@pytest.mark.parametrize("beside", ["-wal", "-journal", "-shm"])
def test_a_log_of_another_file_beside_it_is_no_part_of_it(folder, beside):
    (folder / f"{FILE}{beside}").write_bytes(os.urandom(8192))
    said = outcomes(folder)
    assert said["page"] == ""
