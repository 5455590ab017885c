"""The file of the cache: it may fail, come from anyone, and be shared by processes."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing, suppress
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from atari_vlm.costs.prices import Price
from atari_vlm.errors import StoreError
from atari_vlm.models.hosted import cache_file
from atari_vlm.models.hosted.cache import CacheSettings, ResponseCache
from atari_vlm.models.hosted.cache_file import CacheFile, Claims
from atari_vlm.models.hosted.model import HostedModel
from atari_vlm.models.journal import reply_to_json
from atari_vlm.runs.run import Run
from atari_vlm.trainer import VLMTrainer
from atari_vlm.types import Reply, Usage
from tests.fuzzing import fuzzed
from tests.hosted import KEY, OPENAI, make_settings
from tests.servers import Server
from tests.vendor_apis import Answer

PAID = Reply(text="LEFT", model="m-2", usage=Usage(1, 900, 300, 40, 0.5, 2.0))


def filled(path: Path, count: int = 3) -> Path:
    file = CacheFile(path, replay=False)
    for number in range(count):
        file.store(str(number), PAID, replace=False)
    file.close()
    return path


def ask(cache: ResponseCache, key: str, reply: Reply = PAID) -> Reply:
    async def answer() -> Reply:
        return reply

    return asyncio.run(cache.get_or_ask(key, "m", answer))


# -- it fails after an answer was paid for --------------------------------------------------------


def fill_disk(path: Path) -> None:
    """No file of this process may grow from now on."""
    import resource

    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (path.stat().st_size, resource.RLIM_INFINITY))


def lock(path: Path) -> sqlite3.Connection:
    db = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    db.execute("BEGIN EXCLUSIVE")
    return db


def damage(path: Path) -> None:
    for name in (path, path.with_name(path.name + "-wal")):
        with suppress(FileNotFoundError), name.open("r+b") as file:
            file.write(b"\xff" * name.stat().st_size)


@pytest.mark.parametrize("trouble", [fill_disk, lock])
def test_an_answer_that_cannot_be_stored_is_used_and_asked_once(tmp_path, trouble, monkeypatch):
    import resource

    monkeypatch.setattr(cache_file, "BUSY_TIMEOUT_S", 0.1)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    cache = ResponseCache(CacheSettings(file=filled(tmp_path / "c")))
    held = None
    try:
        asked = []

        async def answer() -> Reply:
            nonlocal held
            if not asked:
                held = trouble(tmp_path / "c")
            asked.append(1)
            return replace(PAID, text="x" * 100_000)

        with pytest.warns(UserWarning, match="Answers are used without being stored") as warned:
            first = asyncio.run(cache.get_or_ask("new", "m", answer))
        again = asyncio.run(cache.get_or_ask("new", "m", answer))
        assert (first.usage.dollars, again.usage.dollars) == (0.5, 0.0)
        assert first.text == again.text
        assert (len(asked), len(warned)) == (1, 1)
        ask(cache, "another", replace(PAID, text="x" * 100_000))  # without a second warning
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        if held is not None:
            held.close()
    if trouble is lock:
        assert ask(cache, "new").text == first.text
        ask(cache, "stored again")
        assert CacheFile(tmp_path / "c", replay=True).find("stored again") == PAID
    cache.close()


def test_after_damage_the_paid_answer_is_used_and_nothing_more_is_asked(tmp_path):
    cache = ResponseCache(CacheSettings(file=filled(tmp_path / "c")))

    async def answer() -> Reply:
        damage(tmp_path / "c")
        cache.close()
        return PAID

    with pytest.warns(UserWarning, match="damaged"):
        assert asyncio.run(cache.get_or_ask("new", "m", answer)) == PAID
    assert ask(cache, "new").usage.dollars == 0
    with pytest.raises(StoreError, match="damaged"):  # what it held would be paid for again
        ask(cache, "0")
    cache.close()


def test_a_run_whose_cache_fails_keeps_every_paid_answer(tmp_path, monkeypatch):
    monkeypatch.setattr(cache_file, "BUSY_TIMEOUT_S", 0.1)
    held = []

    def answer(number: int, body: dict) -> Answer:
        if number == 2:
            held.append(lock(tmp_path / "c"))
        return Answer(text="ACTION: LEFT", tokens=(900, 0, 40))

    with Server(answer) as server:
        settings = make_settings(OPENAI, server, price=Price(2, 1, 10), max_tokens=100)
        cache = CacheSettings(file=tmp_path / "c")
        model = HostedModel(settings, api_key=KEY, cache=cache)
        game = VLMTrainer("pong", "model", model=model, max_decisions=6, run_folder=tmp_path / "r")
        with pytest.warns(UserWarning, match="locked"):
            game.train(1)
    held[0].close()
    assert server.count == 6
    with closing(Run.read(tmp_path / "r")) as run:
        assert run.usage().calls == 6
        assert run.usage().dollars == pytest.approx(6 * (900 * 2 + 40 * 10) / 1e6)


def test_a_paid_answer_is_synced_and_a_free_one_need_not_be(tmp_path):
    file = CacheFile(tmp_path / "c", replay=False)
    for dollars, level in ((0.5, 2), (0.0, 1), (None, 2)):
        file.store(str(dollars), replace(PAID, usage=Usage(calls=1, dollars=dollars)), replace=True)
        with file._opened() as db:
            assert db.execute("PRAGMA synchronous").fetchone() == (level,)
    file.close()


# -- it comes from anyone -------------------------------------------------------------------------


def crafted(path: Path, blob: object, script: str = "") -> Path:
    """A cache with this in the place of an answer."""
    filled(path)
    with closing(sqlite3.connect(path)) as db:
        db.execute("UPDATE answers SET reply = ?", (blob,))
        db.commit()
        db.executescript(script)
    return path


def with_usage(**lies: object) -> str:
    values = json.loads(reply_to_json(PAID))
    values["usage"] |= lies
    return json.dumps(values)


HOSTILE = {
    "negative tokens": with_usage(input_tokens=-900),
    "negative dollars": with_usage(dollars=-5),
    "not a number": with_usage(dollars=float("nan")),
    "an endless number": with_usage(output_tokens=10**400),
    "a text for a number": with_usage(seconds="2"),
    "a truth for a number": with_usage(calls=True),
    "another name": with_usage(refund=5),
    "a number for a text": '{"text": 1, "usage": {}}',
    "a list": "[1, 2]",
    "no json": "{",
    "deep": "[" * 200_000,
    "a blob": b"\0\1",
    "long": json.dumps({"text": "x" * 17_000_000, "usage": {}}),
}


@pytest.mark.parametrize("mode", ["readwrite", "replay"])
@pytest.mark.parametrize("blob", HOSTILE.values(), ids=HOSTILE)
def test_a_stored_answer_that_makes_no_sense_is_not_replayed(tmp_path, blob, mode):
    cache = ResponseCache(CacheSettings(file=crafted(tmp_path / "c", blob), mode=mode))
    with pytest.raises(StoreError, match=r"c is damaged or no response cache \(.{1,90}\)\. Move"):
        ask(cache, "0")
    cache.close()


@pytest.mark.parametrize(
    "script",
    [
        "CREATE VIEW v AS SELECT 1",
        "CREATE TRIGGER t AFTER INSERT ON answers BEGIN DELETE FROM answers; END",
        "CREATE TABLE more(x)",
        "CREATE INDEX i ON answers(written)",
        "DROP TABLE answers; CREATE VIEW answers AS SELECT '0' key, 'x' reply, 0 written",
        "DROP TABLE answers; CREATE TABLE answers(key, reply, written)",
        "DROP TABLE answers",
        "PRAGMA user_version = 9",
        "PRAGMA application_id = 9",
    ],
)
def test_a_cache_with_other_contents_is_refused_and_left_as_it_is(tmp_path, script):
    path = crafted(tmp_path / "c", reply_to_json(PAID), script)
    before = path.read_bytes()
    for mode in ("replay", "readwrite"):
        with pytest.raises(StoreError, match="c is damaged or no response cache"):
            ResponseCache(CacheSettings(file=path, mode=mode))
        assert path.read_bytes() == before


@pytest.mark.parametrize("mode", ["replay", "readwrite"])
def test_pipes_folders_and_links_are_no_caches(tmp_path, mode):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    (tmp_path / "empty").touch()
    (tmp_path / "link").symlink_to(tmp_path / "empty")
    for name in ("pipe", "folder", "link"):
        with pytest.raises(StoreError):
            ResponseCache(CacheSettings(file=tmp_path / name, mode=mode))
    assert (tmp_path / "empty").read_bytes() == b""


def test_a_replay_changes_nothing(tmp_path):
    path = filled(tmp_path / "c")
    before = path.read_bytes()
    cache = ResponseCache(CacheSettings(file=path, mode="replay"))
    assert ask(cache, "1").text == "LEFT"
    cache.close()
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == ["c"]


@fuzzed(60)
@given(
    changes=st.lists(st.tuples(st.integers(0, 12_287), st.binary(min_size=1, max_size=8))),
    length=st.one_of(st.just(None), st.integers(0, 12_287)),
    replay=st.booleans(),
)
def test_no_changed_bytes_of_a_cache_are_more_than_a_sentence(tmp_path, changes, length, replay):
    whole = tmp_path / "whole"
    if not whole.exists():
        filled(whole, 20)
    content = bytearray(whole.read_bytes())[:length]
    for place, new in changes:
        content[place : place + len(new)] = new
    folder = tmp_path / "fuzzed"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    (folder / "c").write_bytes(content)
    complaint = ""
    try:
        file = CacheFile(folder / "c", replay=replay)
        try:
            for key in ("0", "7", "19", "none"):
                reply = file.find(key)
                assert reply is None or reply.usage.input_tokens >= 0
            if not replay:
                file.store("new", PAID, replace=True)
        finally:
            file.close()
    except StoreError as error:
        complaint = error.message
    assert "\n" not in complaint


# -- processes share it ---------------------------------------------------------------------------

ASKER = """
import asyncio, sys
from pathlib import Path
from atari_vlm.models.hosted.cache import CacheSettings
from atari_vlm.models.hosted.model import HostedModel
from atari_vlm.models.hosted.settings import HostedSettings
from tests.hosted import make_prompt
from atari_vlm.types import Message

async def go():
    cache = CacheSettings(file=Path(sys.argv[1]))
    model = HostedModel(
        HostedSettings(name="m", model_id="m", provider="openai-compatible", base_url=sys.argv[2]),
        cache=cache,
    )
    prompts = [make_prompt(Message("user", (f"question {n}",))) for n in range(int(sys.argv[3]))]
    print("ready", flush=True)
    sys.stdin.readline()
    replies = await asyncio.gather(*[model.answer(prompt, seed=1) for prompt in prompts])
    print(sum(reply.usage.calls - reply.usage.replayed for reply in replies), flush=True)
    await model.close()

asyncio.run(go())
"""


def askers(path: Path, server: Server, questions: int, count: int) -> list[subprocess.Popen]:
    """Processes that ask the same questions when a line is written to them."""
    command = [sys.executable, "-c", ASKER, str(path), server.base_url, str(questions)]
    pipe = subprocess.PIPE
    started = [subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True) for _ in range(count)]
    for process in started:
        assert process.stdout.readline() == "ready\n"
    return started


def test_four_processes_ask_each_question_once(tmp_path):
    with Server(Answer(delay=0.05)) as server:
        processes = askers(tmp_path / "c", server, 60, 4)
        asked = [process.communicate("go\n", timeout=60)[0] for process in start(processes)]
    assert sum(map(int, asked)) == 60 == server.count
    assert os.listdir(tmp_path) == ["c"]


def start(processes: list[subprocess.Popen]) -> list[subprocess.Popen]:
    for process in processes:
        process.stdin.write("go\n")
        process.stdin.flush()
    return processes


def test_what_a_killed_process_was_asking_for_is_asked_for_by_another(tmp_path):
    with Server([Answer(delay=30), Answer()]) as server:
        first, second = askers(tmp_path / "c", server, 1, 2)
        start([first])
        while server.count < 1:
            time.sleep(0.01)
        start([second])
        first.kill()
        first.communicate()
        assert second.communicate(timeout=60)[0] == "1\n"
        assert server.count == 2


def test_claims_exclude_each_other_and_leave_no_file(tmp_path):
    one, two = Claims(tmp_path / "c"), Claims(tmp_path / "c")
    assert one.take("a")
    assert not two.take("a")
    assert two.take("b")
    one.close()  # two has a claim still
    assert two.take("a")
    two.close()
    assert os.listdir(tmp_path) == []
    (tmp_path / "c-claims").symlink_to(tmp_path / "elsewhere")
    assert one.take("a")  # without claims everyone asks
    assert two.take("a")
    assert os.listdir(tmp_path) == ["c-claims"]
