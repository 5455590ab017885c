"""Real runs with a few changes made by chance: a result or one sentence, in bounded time."""

from __future__ import annotations

import os
import random
import shutil
import sqlite3
import time
from contextlib import closing

import pytest

from atari_vlm.runs.schema import FILE
from tests.fuzzing import TIMES
from tests.runs.hostile_runs import READERS, make_run, outcomes

MUTANTS = 40

TEXTS = [
    "",
    "0",
    "-1",
    "null",
    "[]",
    "{}",
    "[[]]",
    '"x"',
    "1e999",
    "NaN",
    "[[[",
    "\0",
    "\u202e",
    "9" * 5000,
]
NUMBERS = [0, 1, -1, 2**31, 2**62, -(2**63), 0.5, 1e300, float("inf"), -float("inf"), None]


def bytes_changed(rng, folder):
    """Some bytes, anywhere, in the headers of pages above all."""
    blob = bytearray((folder / FILE).read_bytes())
    for _ in range(rng.choice([1, 1, 2, 8, 64])):
        page = rng.randrange(0, len(blob), 4096)
        place = page + rng.choice([rng.randrange(12), rng.randrange(100), rng.randrange(4096)])
        blob[place % len(blob)] = rng.choice(
            [0, 1, 2, 5, 10, 13, 127, 128, 255, rng.randrange(256)]
        )
    (folder / FILE).write_bytes(bytes(blob))


def pages_moved(rng, folder):
    blob = (folder / FILE).read_bytes()
    pages = [blob[start : start + 4096] for start in range(0, len(blob), 4096)]
    first, second = rng.randrange(1, len(pages)), rng.randrange(1, len(pages))
    pages[first] = pages[second]
    cut = rng.choice([len(pages), len(pages), rng.randrange(1, len(pages))])
    (folder / FILE).write_bytes(b"".join(pages[:cut]))


def values_changed(rng, folder):
    """Values of some rows, others of their column, or parts of their texts."""
    with closing(sqlite3.connect(folder / FILE, isolation_level=None)) as db:
        for _ in range(rng.choice([1, 1, 1, 2, 5])):
            tables = [
                name for (name,) in db.execute("SELECT name FROM sqlite_master WHERE sql != ''")
            ]
            table = rng.choice(tables)
            columns = [row[1] for row in db.execute(f"PRAGMA table_info({table})")]
            column = rng.choice(columns)
            found = db.execute(f"SELECT {column} FROM {table}").fetchall()
            if not found:
                continue
            (value,) = rng.choice(found)
            if isinstance(value, str) and rng.random() < 0.7:
                place = rng.randrange(len(value) + 1)
                end = place + rng.choice([0, 1, 1, 3, len(value)])
                middle = rng.choice(TEXTS + list('[]{}",:0-'))
                new = value[:place] + middle + value[end:]
            elif isinstance(value, bytes):
                new = value[: rng.randrange(len(value) + 1)] + bytes(rng.randrange(4))
            else:
                new = rng.choice([*NUMBERS, *TEXTS, b"\xff"])
            try:
                db.execute(f"UPDATE {table} SET {column} = ? WHERE {column} IS ?", (new, value))
            except (sqlite3.Error, OverflowError):
                continue


def log_beside(rng, folder):
    """A log of this file with some bytes changed, as if it had been killed."""
    path = folder / FILE
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("UPDATE steps SET reason = 'changed'")
        log = bytearray(path.with_name(f"{FILE}-wal").read_bytes())
        whole = path.read_bytes()
    for _ in range(rng.choice([0, 1, 4])):
        log[rng.randrange(len(log))] = rng.randrange(256)
    path.write_bytes(whole)
    path.with_name(f"{FILE}-wal").write_bytes(
        bytes(log[: rng.choice([len(log), rng.randrange(len(log))])])
    )


MUTATIONS = [bytes_changed, bytes_changed, pages_moved, values_changed, values_changed, log_beside]


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("made") / "run"
    make_run(folder)
    (folder / "lock").unlink()
    return folder


@pytest.mark.fuzz
def test_no_change_of_a_run_is_more_than_a_sentence(made, tmp_path):
    folder = tmp_path / "pong" / "mine-s0"
    first = int(os.environ.get("FUZZ_SEED", "0"))
    count, refused, slowest = MUTANTS * TIMES, 0, 0.0
    for seed in range(first, first + count):
        rng = random.Random(seed)
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(made, folder)
        names = [mutation.__name__ for mutation in rng.sample(MUTATIONS, rng.choice([1, 1, 2]))]
        for name in names:
            try:
                globals()[name](rng, folder)
            except sqlite3.Error:  # the first mutation left no file that SQLite can change
                continue
        start = time.monotonic()
        try:
            said = outcomes(folder, READERS if TIMES > 1 else ("everything", "cell"))
        except BaseException as error:
            raise AssertionError(f"mutant {seed}: {names}") from error
        slowest = max(slowest, time.monotonic() - start)
        refused += any(said.values())
        for sentence in said.values():
            assert "\n" not in sentence, seed
    assert refused > count / 10
    print(f"{count} mutants, {refused} refused, the slowest took {slowest:.1f} s")
