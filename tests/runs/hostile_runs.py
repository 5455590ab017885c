"""Run folders as a stranger may make them, and everything of ours that reads one."""

from __future__ import annotations

import json
import signal
import sqlite3
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from atari_vlm.bench.cells import read_cell
from atari_vlm.errors import AtariVLMError
from atari_vlm.models.scripted import ScriptedModel
from atari_vlm.report.film import write_film
from atari_vlm.report.run_page import write_replay
from atari_vlm.runs.chat_samples import chat_samples
from atari_vlm.runs.results import summarise
from atari_vlm.runs.run import Run
from atari_vlm.runs.schema import FILE
from atari_vlm.trainer import VLMTrainer

DECISIONS = 6


def trainer(folder: Path) -> VLMTrainer:
    model = ScriptedModel(lambda prompt: "ACTION: RIGHT x2", name="mine")
    options = {"use_in_context_learning": True, "prompt_type": "cot", "max_decisions": DECISIONS}
    return VLMTrainer("pong", "mine", model=model, run_folder=folder, progress=False, **options)


def make_run(folder: Path) -> None:
    """A small run with something in every table, its second episode stopped in the middle."""
    trainer(folder).train(2)
    candidate = ["NOOP", 1, "parsed", "why", "", [], [], [["LEFT", 2]]]
    with closing(sqlite3.connect(folder / FILE)) as db:
        db.execute("INSERT INTO candidates VALUES(0, 0, ?)", (json.dumps([candidate]),))
        blob = zlib.compress(bytes(4))
        db.execute("INSERT INTO pictures VALUES(-1, 0, 2, 2, 'ntsc', ?)", (blob,))
        db.execute("INSERT INTO lost VALUES(0, 1, 100, 0.5)")
        db.execute("INSERT INTO parent VALUES('elsewhere', 0, 3)")
        for table in ("steps", "calls"):
            db.execute(f"DELETE FROM {table} WHERE episode = 1 AND step > 3")
        db.execute("UPDATE episodes SET status = 'playing', score = NULL WHERE episode = 1")
        db.commit()


# --- readers -------------------------------------------------------------------------------------


def read_everything(folder: Path) -> None:
    with closing(Run.read(folder)) as run:
        for row in run.episodes():
            for method in (run.decisions, run.plans, run.plays, run.rewards, run.latencies):
                method(row.episode)
            run.trajectory(row.episode)
            run.lessons(row.episode, lambda episode, step: None)
            run.spent(row.episode)
        summarise(run)
        run.adopted()
        run.learning_calls()
        run.parent()
        run.usage()
        for sample in chat_samples(run):
            assert sample.answer


def read_as_a_cell(folder: Path) -> None:
    cell = read_cell(folder.parent.parent, f"{folder.parent.name}/{folder.name}")
    if cell.status == "unreadable":
        raise AtariVLMError(cell.problem)


READERS: dict[str, Callable[[Path], object]] = {
    "page": lambda folder: write_replay(folder, folder.parent / "page.html"),
    "film": lambda folder: write_film(folder, folder.parent / "film.gif"),
    "everything": read_everything,
    "cell": read_as_a_cell,
    "continue": lambda folder: trainer(folder).train(2),
}
"""What reads a run. The last one writes to it, too."""


class TooLong(BaseException):
    """No code of ours catches it."""


@contextmanager
def within(seconds: float) -> Iterator[None]:
    """Raise TooLong when the time is up."""

    def stop(number: int, frame: object) -> None:
        raise TooLong(f"still running after {seconds} s")

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def outcomes(folder: Path, names: Iterable[str] = READERS, seconds: float = 60) -> dict[str, str]:
    """What each reader says of a run: its sentence, or "" if it reads it.

    Every other error than one of ours is raised.
    """
    said = {}
    for name in names:
        try:
            with within(seconds):
                READERS[name](folder)
            said[name] = ""
        except AtariVLMError as error:
            said[name] = str(error)
    return said


# --- variants ------------------------------------------------------------------------------------


def sql(*statements: str | tuple[str, tuple[object, ...]]) -> Callable[[Path], None]:
    """A change of what the file holds."""

    def apply(folder: Path) -> None:
        with closing(sqlite3.connect(folder / FILE, isolation_level=None)) as db:
            for statement in statements:
                query, values = statement if isinstance(statement, tuple) else (statement, ())
                db.execute(query, values)

    return apply


def loosely(table: str, change: str, *values: object) -> Callable[[Path], None]:
    """A change that the definition of the table forbids; the definition stays as it was."""

    def apply(folder: Path) -> None:
        def define(definition: str) -> None:
            with closing(sqlite3.connect(folder / FILE, isolation_level=None)) as db:
                db.execute("PRAGMA writable_schema = ON")
                db.execute("UPDATE sqlite_master SET sql = ? WHERE name = ?", (definition, table))

        with closing(sqlite3.connect(folder / FILE)) as db:
            query = "SELECT sql FROM sqlite_master WHERE name = ?"
            (definition,) = db.execute(query, (table,)).fetchone()
        define(definition.replace(" NOT NULL", ""))
        with closing(sqlite3.connect(folder / FILE, isolation_level=None)) as db:
            db.execute(change, values)
        define(definition)

    return apply


def content(change: Callable[[bytes], bytes]) -> Callable[[Path], None]:
    """A change of the bytes of the file."""
    return lambda folder: (folder / FILE).write_bytes(change((folder / FILE).read_bytes())) and None


def setting(name: str, value: str) -> Callable[[Path], None]:
    return sql(("INSERT OR REPLACE INTO settings VALUES(?, ?)", (name, value)))


def reply(text: str) -> Callable[[Path], None]:
    return sql(("UPDATE replies SET reply = ?", (text,)))


def usage(**changed: object) -> Callable[[Path], None]:
    return reply(json.dumps({"text": "ACTION: UP", "usage": {"calls": 1, **changed}}))


def replaced(table: str, select: str) -> Callable[[Path], None]:
    return sql(f"DROP TABLE {table}", f"CREATE VIEW {table} AS {select}")


DEEP = "[" * 200_000
BOMB = zlib.compress(bytes(2**30 // 4), 9)
MANY = "WITH RECURSIVE k(n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM k{}) SELECT "

REFUSED: dict[str, Callable[[Path], None]] = {
    # settings
    "settings that are no JSON": setting("frame_skip", "{"),
    "settings nested without end": setting("frame_skip", DEEP),
    "an unknown game": setting("game", '"nosuchgame"'),
    "a game that ends the process": setting("game", '"warlords"'),
    "a game that is a number": setting("game", "5"),
    "no game": sql("DELETE FROM settings WHERE name = 'game'"),
    "no model": sql("DELETE FROM settings WHERE name = 'model'"),
    "a model that is a list": setting("model", "[1]"),
    "a frame skip of a billion": setting("frame_skip", "1000000000"),
    "a frame skip of NaN": setting("frame_skip", "NaN"),
    "a frame skip that is a text": setting("frame_skip", '"4"'),
    "a frame skip below 0": setting("frame_skip", "-4"),
    "a frame stack of a billion": setting("frame_stack", "1000000000"),
    "sticky actions of 2": setting("repeat_action_probability", "2"),
    "an estimate that is a list": setting("estimate", "[1]"),
    "an estimate of texts": setting("estimate", '{"per_decision": {"calls": "x"}}'),
    "an estimate without end": setting(
        "estimate", '{"per_decision": {"calls": 1e999, "input_tokens": 1, "output_tokens": 1}}'
    ),
    "pictures that are a text": setting("pictures", '"each"'),
    "privileges that are numbers": setting("privileges", "[1, 2]"),
    "versions that are texts": setting("prompt_version", '"two"'),
    "a newer format": setting("format", "99"),
    "a format that is a text": setting("format", '"4"'),
    "a format of NaN": setting("format", "NaN"),
    "100,000 settings": sql(
        "INSERT INTO settings " + MANY.format(" WHERE n < 100000") + "'s' || n, '1' FROM k"
    ),
    # tables
    "endless settings": replaced(
        "settings", MANY.format("") + "'s' || n AS name, '1' AS value FROM k"
    ),
    "endless episodes": replaced("episodes", MANY.format("") + "n AS episode FROM k"),
    "endless steps": replaced("steps", MANY.format("") + "0 AS episode, n AS step FROM k"),
    "texts that are computed": replaced("texts", "SELECT 1 AS id, 'x' AS text"),
    "a trigger": sql("CREATE TRIGGER t AFTER INSERT ON steps BEGIN DELETE FROM replies; END"),
    "an index with a function": sql("CREATE INDEX i ON steps(abs(lives))"),
    "a table more": sql("CREATE TABLE more(x)"),
    "a column more": sql("ALTER TABLE steps ADD COLUMN more TEXT"),
    "a table less": sql("DROP TABLE steps"),
    "a column less": sql("ALTER TABLE steps DROP COLUMN action"),
    "a virtual table": sql("DROP TABLE texts", "CREATE VIRTUAL TABLE texts USING fts5(id, text)"),
    "no tables": sql(*(f"DROP TABLE {t}" for t in ("settings", "steps", "episodes", "texts"))),
    # decisions
    "an action of no game": sql("UPDATE steps SET action = 'JUMP' WHERE step = 2"),
    "an action that the game lacks": sql("UPDATE steps SET action = 'UPLEFT' WHERE step = 2"),
    "an action of a megabyte": sql(("UPDATE steps SET action = ?", ("UP" * 2**19,))),
    "a billion frames": sql("UPDATE steps SET frames = 1000000000 WHERE step = 2"),
    "more frames than a decision has": sql("UPDATE steps SET frames = 5 WHERE step = 2"),
    "no frames": sql("UPDATE steps SET frames = 0 WHERE step = 2"),
    "a source of no kind": sql("UPDATE steps SET source = 'guessed' WHERE step = 2"),
    "a queue that is no JSON": sql("UPDATE steps SET queue = '[[' WHERE step = 2"),
    "a queue of numbers": sql("UPDATE steps SET queue = '[1, 2]' WHERE step = 2"),
    "a queue nested without end": sql(("UPDATE steps SET queue = ? WHERE step = 2", (DEEP,))),
    "a missing decision": sql("DELETE FROM steps WHERE episode = 0 AND step = 2"),
    "the last decisions are missing": sql("DELETE FROM steps WHERE episode = 0 AND step > 3"),
    "decisions from 1 on": sql("DELETE FROM steps WHERE step = 0"),
    "a decision number of 2^40": sql("UPDATE steps SET step = 1099511627776 WHERE step = 5"),
    "a decision below 0": sql("UPDATE steps SET step = -1 WHERE episode = 0 AND step = 0"),
    "a reward that is a text": sql("UPDATE steps SET reward = 'much' WHERE step = 2"),
    "a reward without end": sql("UPDATE steps SET reward = 9e999 WHERE step = 2"),
    "lives that are bytes": sql("UPDATE steps SET lives = x'00' WHERE step = 2"),
    "a latency below 0": sql("UPDATE steps SET latency = -1 WHERE step = 2"),
    "a reason that is nothing": sql("UPDATE steps SET reason = NULL WHERE step = 2"),
    "a text that is no UTF-8": sql("UPDATE steps SET reason = CAST(x'ff' AS TEXT)"),
    # episodes
    "a score that does not fit": sql("UPDATE episodes SET score = 1000 WHERE episode = 0"),
    "a score that is a text": sql("UPDATE episodes SET score = 'high' WHERE episode = 0"),
    "a score without end": sql("UPDATE episodes SET score = -9e999 WHERE episode = 0"),
    "a status of no kind": sql("UPDATE episodes SET status = 'great' WHERE episode = 0"),
    "an episode of 2^60": sql(
        "UPDATE episodes SET episode = 1152921504606846976 WHERE episode = 1"
    ),
    "an episode below 0": sql("UPDATE episodes SET episode = -5 WHERE episode = 1"),
    "a seed below 0": sql("UPDATE episodes SET seed = -1 WHERE episode = 0"),
    "a seed that is a text": sql("UPDATE episodes SET seed = 'x' WHERE episode = 0"),
    # prompts, answers, lessons
    "a prompt that is no JSON": sql("UPDATE calls SET prompt = '{' WHERE step = 0"),
    "a prompt nested without end": sql(("UPDATE calls SET prompt = ?", (DEEP,))),
    "a prompt with texts that are not there": sql(
        "UPDATE calls SET prompt = '[[[\"user\",[999]]],1]'"
    ),
    "a prompt of no one": sql("UPDATE calls SET prompt = replace(prompt, 'user', 'root')"),
    "a prompt that is a number": sql("UPDATE calls SET prompt = '7'"),
    "a prompt of a picture of 2^62": sql(
        "UPDATE calls SET prompt = replace(prompt, '[0,0]', '[9999999999999999999,0]')"
    ),
    "fields of a prompt that are a list": sql("UPDATE texts SET text = '[' || id || ']'"),
    "fields nested without end": sql(("UPDATE texts SET text = ? || id", (DEEP,))),
    "an answer that is no JSON": reply("{"),
    "an answer nested without end": reply('{"text": ' + DEEP),
    "an answer that is a list": reply("[]"),
    "an answer without a text": reply('{"usage": {}}'),
    "an answer whose text is a number": reply('{"text": 5, "usage": {}}'),
    "an answer without usage": reply('{"text": "UP"}'),
    "usage that is a list": reply('{"text": "UP", "usage": []}'),
    "usage of other names": usage(evil=1),
    "tokens below 0": usage(input_tokens=-5),
    "tokens of 2^70": usage(input_tokens=2**70),
    "tokens that are a text": usage(output_tokens="many"),
    "dollars below 0": usage(dollars=-1e9),
    "dollars of NaN": usage(dollars=float("nan")),
    "seconds without end": usage(seconds=float("inf")),
    "tokens' numbers that are texts": reply('{"text": "UP", "usage": {}, "token_ids": ["a"]}'),
    "candidates that are no JSON": sql("UPDATE candidates SET considered = '[['"),
    "candidates nested without end": sql(("UPDATE candidates SET considered = ?", (DEEP,))),
    "candidates that are numbers": sql("UPDATE candidates SET considered = '[1, 2, 3]'"),
    "candidates of no kind": sql(
        'UPDATE candidates SET considered = \'[["NOOP", 1, "guessed", "", "", [], []]]\''
    ),
    "lessons that are no JSON": sql("UPDATE lessons SET value = '['"),
    "lessons nested without end": sql(("UPDATE lessons SET value = ?", (DEEP,))),
    "lessons that are numbers": sql("UPDATE lessons SET value = '[1, 2, 3, 4]'"),
    "lessons of a picture that is not there": sql(
        "UPDATE lessons SET value = '[[[\"Look.\", [7, 8]]], [], 1, null]'"
    ),
    # pictures
    "a picture that inflates to 256 MB": sql(("UPDATE pictures SET pixels = ?", (BOMB,))),
    "a picture of another size": sql("UPDATE pictures SET height = 3"),
    "a picture of 2^64 pixels": sql("UPDATE pictures SET height = 4294967296, width = 4294967296"),
    "a picture of no pixels": sql("UPDATE pictures SET height = 0"),
    "a picture that is a text": sql("UPDATE pictures SET pixels = 'x'"),
    "a picture that is not compressed": sql("UPDATE pictures SET pixels = x'00112233'"),
    "a picture of no standard": sql("UPDATE pictures SET standard = 'secam'"),
    # costs
    "totals below 0": sql("UPDATE totals SET spent_dollars = -1e9"),
    "totals that are texts": sql("UPDATE totals SET input_tokens = 'x'"),
    "totals without end": sql("UPDATE totals SET dollars = 9e999"),
    "sources of no kind": sql("UPDATE sources SET source = 'guessed'"),
    "sources below 0": sql("UPDATE sources SET decisions = -3"),
    "lost tokens below 0": sql("UPDATE lost SET tokens = -1000000"),
    "lost dollars that are a text": sql("UPDATE lost SET dollars = 'x'"),
    # bytes
    "no bytes": content(lambda blob: b""),
    "one byte": content(lambda blob: b"S"),
    "the header alone": content(lambda blob: blob[:100]),
    "half the file": content(lambda blob: blob[: len(blob) // 2]),
    "other bytes": content(lambda blob: bytes(k * 7 % 251 for k in range(20_000))),
    "a page size of 3": content(lambda blob: blob[:16] + b"\0\3" + blob[18:]),
    "zeros after the header": content(lambda blob: blob[:100] + bytes(len(blob) - 100)),
    "pages in another order": content(lambda blob: blob[:4096] + blob[:4095:-1]),
}
"""Each is refused in one sentence by whoever looks at what is wrong, the page first."""

READ: dict[str, Callable[[Path], None]] = {
    "as it was": lambda folder: None,
    "vacuumed with other pages": sql(
        "PRAGMA journal_mode = DELETE", "PRAGMA page_size = 1024", "VACUUM"
    ),
    "an unknown model": setting("model", '"nosuchmodel+nosuchwrapper:5"'),
    "pictures of another form": setting("pictures", '{"form": "evil", "most": 1e18, "x": [[]]}'),
    "markup in every text": sql(
        "UPDATE steps SET reason = '</script><script>alert(1)</script>', memory = '<!--'"
    ),
}
"""Odd, but what they say can be shown."""
