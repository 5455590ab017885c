"""SQLite files are data: what is read stays as it is, and what could run is refused."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import sys
import time
from contextlib import closing

import pytest

from atari_vlm.files import databases
from atari_vlm.files.databases import check_tables, layout, open_to_read, open_to_write, rows

OURS = layout(
    "CREATE TABLE notes(id INTEGER PRIMARY KEY, text TEXT NOT NULL DEFAULT '');"
    "CREATE TABLE marks(a INTEGER, b INTEGER, mark REAL, PRIMARY KEY(a, b)) WITHOUT ROWID;"
)


def made(path, script):
    with closing(sqlite3.connect(path)) as db:
        db.executescript(script)
    return path


@pytest.fixture
def notes(tmp_path):
    folder = tmp_path / "folder"
    folder.mkdir()
    return made(
        folder / "notes.sqlite",
        "PRAGMA journal_mode = WAL; CREATE TABLE notes(id INTEGER PRIMARY KEY, text TEXT NOT NULL"
        " DEFAULT ''); INSERT INTO notes(text) VALUES('one');",
    )


def state(folder):
    """Names, contents and times of everything in a folder, and its own time."""
    files = {each.name: (each.read_bytes(), each.stat().st_mtime_ns) for each in folder.iterdir()}
    return files, folder.stat().st_mtime_ns


def read(path, query="SELECT text FROM notes"):
    with closing(open_to_read(path)) as db:
        return rows(db, query)


KILLED = """
import os, sqlite3, sys
db = sqlite3.connect(sys.argv[1], isolation_level=None)
db.execute("PRAGMA synchronous = OFF")
for number in range(300):
    db.execute("INSERT INTO notes(text) VALUES(?)", (str(number),))
os.kill(os.getpid(), 9)
"""


def test_reading_a_file_at_rest_changes_nothing(notes):
    before = state(notes.parent)
    assert read(notes) == [("one",)]
    assert state(notes.parent) == before


def test_what_a_killed_program_left_in_the_log_is_read_without_changing_a_byte(notes):
    subprocess.run([sys.executable, "-c", KILLED, str(notes)], check=False)
    before = state(notes.parent)
    assert {"notes.sqlite-wal", "notes.sqlite-shm"} <= set(before[0])
    assert len(read(notes)) == 301
    assert state(notes.parent) == before


def test_a_file_that_is_written_to_is_read_as_it_was_at_one_moment(notes):
    with closing(sqlite3.connect(notes, isolation_level=None)) as writer:
        writer.execute("INSERT INTO notes(text) VALUES('two')")
        with closing(open_to_read(notes)) as db:
            writer.execute("PRAGMA synchronous = OFF")
            for number in range(2000):
                writer.execute("INSERT INTO notes(text) VALUES(?)", (str(number),))
            writer.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            assert rows(db, "SELECT text FROM notes") == [("one",), ("two",)]
            assert not db.outdated


def test_it_is_seen_when_a_file_at_rest_is_written_to_after_all(notes):
    with closing(open_to_read(notes)) as db:
        assert not db.outdated
        with closing(sqlite3.connect(notes, isolation_level=None)) as writer:
            writer.execute("INSERT INTO notes(text) VALUES('two')")
            assert db.outdated
        assert db.outdated


def test_many_readers_beside_a_writer_each_see_whole_transactions(notes):
    """Each transaction adds a pair; the log is written back and started anew all the time."""
    program = """
import sqlite3, sys
db = sqlite3.connect(sys.argv[1], isolation_level=None)
db.execute("PRAGMA wal_autocheckpoint = 10")
db.execute("DELETE FROM notes")
print("ready", flush=True)
number = 0
while True:
    number += 1
    db.execute("BEGIN")
    db.execute("INSERT INTO notes(text) VALUES(?)", (str(number) * 500,))
    db.execute("INSERT INTO notes(text) VALUES(?)", (str(number) * 500,))
    db.execute("COMMIT")
    if number % 300 == 0:
        db.execute("DELETE FROM notes")
"""
    command = [sys.executable, "-c", program, str(notes)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as writer:
        try:
            assert writer.stdout.readline() == "ready\n"
            seen = set()
            for _ in range(25):
                with closing(open_to_read(notes)) as db:
                    texts = [text for (text,) in rows(db, "SELECT text FROM notes ORDER BY id")]
                    assert rows(db, "PRAGMA integrity_check") == [("ok",)]
                assert texts[::2] == texts[1::2]
                seen.add(len(texts))
                time.sleep(0.005)
            assert len(seen) > 3
        finally:
            writer.kill()


def test_no_copy_is_left_behind(notes, tmp_path, monkeypatch):
    place = tmp_path / "temporary"
    place.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(place))
    with closing(sqlite3.connect(notes, isolation_level=None)) as writer:
        writer.execute("INSERT INTO notes(text) VALUES('two')")
        assert len(read(notes)) == 2
        shutil.copytree(notes.parent, tmp_path / "broken")
    (tmp_path / "broken" / "notes.sqlite").write_bytes(b"SQLite format 3\0" + bytes(5000))
    with pytest.raises(sqlite3.Error):
        read(tmp_path / "broken" / "notes.sqlite")
    assert not list(place.iterdir())


@pytest.mark.parametrize("opened", [open_to_read, open_to_write])
@pytest.mark.parametrize("name", ["notes.sqlite", "notes.sqlite-wal"])
def test_a_pipe_is_refused_and_not_waited_for(notes, name, opened):
    place = notes.with_name(name)
    place.unlink(missing_ok=True)
    os.mkfifo(place)
    with pytest.raises(ValueError, match="no regular file"):
        opened(notes)


@pytest.mark.parametrize("name", ["notes.sqlite", *(f"notes.sqlite-{k}" for k in ("wal", "shm"))])
@pytest.mark.parametrize("link", ["symlink_to", "hardlink_to"])
def test_a_link_is_not_written_through(notes, tmp_path, name, link):
    target, place = tmp_path / "target", notes.with_name(name)
    shutil.copy(notes, target) if name == "notes.sqlite" else target.write_text("mine")
    before = target.read_bytes()
    place.unlink(missing_ok=True)
    getattr(place, link)(target)
    with pytest.raises(ValueError, match="link"):
        open_to_write(notes)
    assert target.read_bytes() == before


def test_a_folder_may_be_a_link(notes, tmp_path):
    (tmp_path / "elsewhere").symlink_to(notes.parent)
    with closing(open_to_write(tmp_path / "elsewhere" / "notes.sqlite")) as db:
        db.execute("INSERT INTO notes(text) VALUES('two')")
    assert len(read(tmp_path / "elsewhere" / "notes.sqlite")) == 2


def test_a_new_file_is_never_made_at_the_end_of_a_link(tmp_path):
    (tmp_path / "cache").symlink_to(tmp_path / "target")
    with pytest.raises(ValueError, match="link"):
        open_to_write(tmp_path / "cache", create=True)
    assert not (tmp_path / "target").exists()
    with pytest.raises(FileNotFoundError):
        open_to_write(tmp_path / "other")
    open_to_write(tmp_path / "other", create=True).close()
    open_to_write(tmp_path / "other", create=True).close()


def test_a_journal_that_names_a_file_to_delete_is_refused(notes, tmp_path):
    """SQLite deletes the "super-journal" that a hot journal names once it is rolled back."""
    victim = tmp_path / "victim"
    victim.write_bytes(b"nothing-of-that-name\0")
    name = str(victim).encode()
    with closing(sqlite3.connect(notes)) as db:
        db.execute("PRAGMA journal_mode = DELETE")
    pages = notes.stat().st_size // 4096
    magic = bytes.fromhex("d9d505f920a163d7")
    header = magic + b"".join(n.to_bytes(4, "big") for n in (0, 0, pages, 512, 4096))
    checksum = (sum(name) & 0xFFFFFFFF).to_bytes(4, "big")
    tail = (2**30 // 4096 + 1).to_bytes(4, "big") + name
    journal = header.ljust(512, b"\0") + tail + len(name).to_bytes(4, "big") + checksum + magic
    notes.with_name("notes.sqlite-journal").write_bytes(journal)
    copy = tmp_path / "copy"
    shutil.copytree(notes.parent, copy)
    with closing(sqlite3.connect(copy / "notes.sqlite")) as db:
        db.execute("SELECT * FROM notes").fetchall()
    assert not victim.exists(), "SQLite itself follows the name"
    victim.write_bytes(b"nothing-of-that-name\0")
    assert read(notes) == [("one",)]
    with pytest.raises(ValueError, match="names another file"):
        open_to_write(notes)
    assert victim.exists()


REFUSED = {
    "a view": "DROP TABLE notes; CREATE VIEW notes(id, text) AS SELECT 1, 'x'",
    "a trigger": "CREATE TRIGGER t AFTER INSERT ON notes BEGIN DELETE FROM notes; END",
    "an index": "CREATE INDEX i ON notes(abs(id))",
    "a partial index": "CREATE INDEX i ON notes(text) WHERE id > abs(id)",
    "a virtual table": "DROP TABLE notes; CREATE VIRTUAL TABLE notes USING fts5(id, text)",
    "another table": "CREATE TABLE more(id INTEGER)",
    "another column": "ALTER TABLE notes ADD COLUMN more TEXT",
    "a computed column": "DROP TABLE notes; CREATE TABLE notes(id INTEGER PRIMARY KEY,"
    " text TEXT NOT NULL AS (id || id))",
    "a check": "DROP TABLE notes; CREATE TABLE notes(id INTEGER PRIMARY KEY,"
    " text TEXT NOT NULL DEFAULT '' CHECK(length(text) < 9))",
    "a computed default": "DROP TABLE notes; CREATE TABLE notes(id INTEGER PRIMARY KEY,"
    " text TEXT NOT NULL DEFAULT (randomblob(10)))",
    "an order of its own": "DROP TABLE notes; CREATE TABLE notes(id INTEGER PRIMARY KEY,"
    " text TEXT NOT NULL DEFAULT '' COLLATE nocase)",
    "no key": "DROP TABLE notes; CREATE TABLE notes(id INTEGER, text TEXT NOT NULL DEFAULT '')",
    "another type": "DROP TABLE notes; CREATE TABLE notes(id INTEGER PRIMARY KEY, text INTEGER)",
    "quoted names": 'DROP TABLE notes; CREATE TABLE notes("id" INTEGER PRIMARY KEY, text TEXT)',
}


@pytest.mark.parametrize("script", REFUSED.values(), ids=REFUSED)
@pytest.mark.parametrize("opened", [open_to_read, open_to_write])
def test_what_could_compute_something_is_refused(notes, script, opened):
    made(notes, script)
    with closing(opened(notes)) as db, pytest.raises(ValueError, match=r"it holds|its table"):
        check_tables(db, OURS)


def test_plain_tables_are_ours_and_others_can_be_passed_over(notes):
    made(notes, "CREATE TABLE marks(a INTEGER, b INTEGER, mark REAL, PRIMARY KEY(a, b))")
    with closing(open_to_read(notes)) as db:
        assert check_tables(db, OURS) == OURS
        assert set(check_tables(db, {"notes": OURS["notes"]}, others=True)) == {"notes"}


def test_a_table_may_lack_what_was_added_later(notes):
    made(notes, "DROP TABLE notes; CREATE TABLE notes(id INTEGER PRIMARY KEY)")
    with closing(open_to_read(notes)) as db:
        assert set(check_tables(db, OURS)["notes"]) == {"id"}


def test_endless_rows_end(notes, monkeypatch):
    monkeypatch.setattr(databases, "MOST_WORK", 2_000_000)
    endless = "WITH RECURSIVE k(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM k) SELECT {} FROM k"
    with closing(open_to_read(notes)) as db:
        with pytest.raises(ValueError, match="more than 1,000 rows"):
            rows(db, endless.format("n"), most=1000)
        with pytest.raises(ValueError, match="bytes of one kind"):
            rows(db, endless.format("zeroblob(1000000)"))
        with pytest.raises(sqlite3.Error, match="too big"):
            rows(db, "SELECT zeroblob(1000000000)")
        with pytest.raises(ValueError, match="too much work"):
            rows(db, endless.format("count(*)"))
        assert rows(db, "SELECT text FROM notes") == [("one",)]


def test_a_table_whose_pages_repeat_without_end_ends(tmp_path):
    """Inner pages that point to the same page again and again: 10^9 rows in a few kilobytes."""
    path = made(
        tmp_path / "bomb.sqlite",
        "PRAGMA page_size = 512; CREATE TABLE notes(id INTEGER PRIMARY KEY, text TEXT NOT NULL"
        " DEFAULT '');"
        " WITH RECURSIVE k(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM k WHERE n < 60000)"
        " INSERT INTO notes(text) SELECT 'x' FROM k",
    )
    blob = bytearray(path.read_bytes())
    for start in range(512, len(blob), 512):
        if blob[start] == 5:  # an inner page: all its cells lead where the first one does
            cells = int.from_bytes(blob[start + 3 : start + 5], "big")
            places = [
                int.from_bytes(blob[start + 12 + 2 * k : start + 14 + 2 * k], "big")
                for k in range(cells)
            ]
            for place in places[1:]:
                blob[start + place : start + place + 4] = blob[
                    start + places[0] : start + places[0] + 4
                ]
            blob[start + 8 : start + 12] = blob[start + places[0] : start + places[0] + 4]
    path.write_bytes(bytes(blob))
    with closing(open_to_read(path)) as db:
        check_tables(db, OURS)
        with pytest.raises((ValueError, sqlite3.Error)):
            rows(db, "SELECT id, text FROM notes", most=10_000)


def test_a_file_of_many_gigabytes_is_refused(notes):
    with notes.open("r+b") as file:
        file.truncate(5 * 2**30)  # a hole: it takes no room
    for opened in (open_to_read, open_to_write):
        with pytest.raises(ValueError, match=r"5,368,709,120 bytes; 4,294,967,296 are read"):
            opened(notes)
