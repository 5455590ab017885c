"""The response cache: its key, its modes, concurrency, and replays of whole runs."""

from __future__ import annotations

import asyncio
import dataclasses
import sqlite3
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from atari_vlm.errors import InvalidSetting, Lost, ModelFault, ModelUnusable, StoreError
from atari_vlm.models.hosted.cache import CacheSettings, ResponseCache, cache_key
from atari_vlm.models.hosted.settings import NOT_IN_CACHE_KEY, HostedSettings
from atari_vlm.runs.run import Run
from atari_vlm.trainer import VLMTrainer
from atari_vlm.types import Frame, Message, Prompt, Reply, Usage
from tests.servers import Server
from tests.vendor_apis import Answer
from tests.vendors import serve_as

PIXELS = np.arange(210 * 160, dtype=np.uint8).reshape(210, 160)
PROMPT = Prompt(
    messages=(Message("user", ("Act.", Frame(PIXELS))),), legal=("NOOP", "LEFT"), longest=4
)
SETTINGS = {"model_id": "m", "temperature": None}
PAID = Reply(text="LEFT", thinking="hm", model="m-2", usage=Usage(1, 900, 300, 40, 0.5, 2.0))


def other_pixels() -> Frame:
    changed = PIXELS.copy()
    changed[-1, -1] ^= 1
    return Frame(changed)


def prompt_of(*parts) -> Prompt:
    return replace(PROMPT, messages=(Message("user", parts),))


# -- the key --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "other",
    [
        prompt_of("Act!", Frame(PIXELS)),
        prompt_of("Act.", other_pixels()),
        prompt_of("Act.", Frame(PIXELS, standard="pal")),
        prompt_of("Act.", Frame(PIXELS), Frame(PIXELS)),
        replace(PROMPT, messages=(Message("system", ("Act.",)),)),
        replace(PROMPT, legal=("NOOP",)),
        replace(PROMPT, longest=3),
        replace(PROMPT, plans=False),
        replace(PROMPT, image_size=(84, 84)),
        replace(PROMPT, json=True),
    ],
)
def test_the_key_depends_on_text_pixels_and_answer_format(other):
    assert cache_key(SETTINGS, other, "1") != cache_key(SETTINGS, PROMPT, "1")


def test_the_key_depends_on_the_nonce_and_not_on_a_frames_episode_and_step():
    elsewhere = prompt_of("Act.", Frame(PIXELS.copy(), episode=7, step=3))
    assert cache_key(SETTINGS, elsewhere, "1") == cache_key(SETTINGS, PROMPT, "1")
    assert cache_key(SETTINGS, PROMPT, "2") != cache_key(SETTINGS, PROMPT, "1")


def test_the_key_depends_on_every_setting_that_can_change_an_answer():
    base = HostedSettings(
        name="m", model_id="m", provider="openai-compatible", base_url="http://h/v1"
    )
    changes = {
        "model_id": "n",
        "provider": "openai",
        "base_url": "http://other/v1",
        "dialect": "vllm",
        "temperature": 0.5,
        "max_tokens": 9,
        "structured": False,
        "effort": "low",
        "detail": "high",
    }
    names = {field.name for field in dataclasses.fields(HostedSettings)}
    assert names == set(changes) | NOT_IN_CACHE_KEY | {"video"}
    keys = {cache_key(base.cache_fields(), PROMPT, "")}
    for name, value in changes.items():
        keys.add(cache_key(replace(base, **{name: value}).cache_fields(), PROMPT, ""))
    assert len(keys) == 1 + len(changes)
    patient = replace(base, name="x", timeout_s=9, tries=9, advice="x")
    assert cache_key(patient.cache_fields(), PROMPT, "") in keys


def test_a_video_has_a_key_of_its_own_and_pictures_keep_that_of_earlier_versions():
    pictures = HostedSettings(name="m", model_id="gemini-4-hydrogen", provider="google")
    video = replace(pictures, video=True)
    assert set(pictures.cache_fields()) == set(video.cache_fields()) - {"video"}
    frames = prompt_of("Act.", Frame(PIXELS), other_pixels())
    assert cache_key(pictures.cache_fields(), frames, "") != cache_key(
        video.cache_fields(), frames, ""
    )


# -- the modes ------------------------------------------------------------------------------------


class FakeVendor:
    """Returns or raises its outcomes in turn; counts its calls."""

    def __init__(self, *outcomes: Reply | Exception) -> None:
        self.outcomes, self.calls = outcomes or (PAID,), 0

    async def __call__(self) -> Reply:
        outcome = self.outcomes[min(self.calls, len(self.outcomes) - 1)]
        self.calls += 1
        await asyncio.sleep(0)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome


def ask_cache(file: Path, vendor: FakeVendor, *keys: str, mode="readwrite") -> list[Reply]:
    """Ask for the keys one after the other."""

    async def go() -> list[Reply]:
        cache = ResponseCache(CacheSettings(file=file, mode=mode))
        try:
            return [await cache.get_or_ask(key, "m", vendor) for key in keys]
        finally:
            cache.close()

    return asyncio.run(go())


def test_a_stored_answer_equals_the_paid_one_and_costs_nothing(tmp_path):
    vendor = FakeVendor()
    (first,) = ask_cache(tmp_path / "c", vendor, "k")
    again, other = ask_cache(tmp_path / "c", vendor, "k", "other")
    assert first == PAID
    assert again == replace(PAID, usage=replace(PAID.usage, dollars=0.0, replayed=1))
    assert other == PAID
    assert vendor.calls == 2


def test_a_replay_sends_nothing_and_names_what_is_missing(tmp_path):
    vendor = FakeVendor()
    ask_cache(tmp_path / "c", vendor, "k")
    assert ask_cache(tmp_path / "c", vendor, "k", mode="replay")[0].text == "LEFT"
    said = r"has no answer of m .*, or no answer came then, .* cache_mode='readwrite' asks"
    with pytest.raises(ModelUnusable, match=said):
        ask_cache(tmp_path / "c", vendor, "missing", mode="replay")
    assert vendor.calls == 1
    with pytest.raises(ModelUnusable, match=r"no response cache at .* Record one first"):
        ask_cache(tmp_path / "none", vendor, "k", mode="replay")


def test_a_refresh_asks_again_and_stores_the_new_answer(tmp_path):
    ask_cache(tmp_path / "c", FakeVendor(), "k")
    newer = FakeVendor(replace(PAID, text="FIRE"))
    assert ask_cache(tmp_path / "c", newer, "k", mode="refresh")[0].text == "FIRE"
    assert ask_cache(tmp_path / "c", newer, "k")[0].text == "FIRE"
    assert newer.calls == 1


def test_refusals_and_garbage_are_stored_and_network_faults_are_not(tmp_path):
    refusal = replace(PAID, text="No.", finish="content_filter")
    garbage = replace(PAID, text="\ud83d {", finish="length")
    vendor = FakeVendor(refusal, garbage)
    ask_cache(tmp_path / "c", vendor, "refusal", "garbage")
    again = ask_cache(tmp_path / "c", vendor, "refusal", "garbage")
    assert [(r.text, r.finish) for r in again] == [
        ("No.", "content_filter"),
        ("\ud83d {", "length"),
    ]
    assert vendor.calls == 2
    broken = FakeVendor(ModelFault("timeout", "too late"), PAID)
    with pytest.raises(ModelFault):
        ask_cache(tmp_path / "c", broken, "k")
    assert ask_cache(tmp_path / "c", broken, "k")[0].usage.dollars == 0.5


# -- concurrency ----------------------------------------------------------------------------------


def ask_concurrently(
    file: Path, vendor: FakeVendor, count: int, *, cancel_first: bool = False
) -> list:
    async def go() -> list:
        cache = ResponseCache(CacheSettings(file=file))
        tasks = [asyncio.create_task(cache.get_or_ask("k", "m", vendor)) for _ in range(count)]
        await asyncio.sleep(0)
        if cancel_first:
            tasks[0].cancel()
        replies = await asyncio.gather(*tasks, return_exceptions=True)
        cache.close()
        return replies

    return asyncio.run(go())


def test_concurrent_equal_prompts_are_asked_and_paid_once(tmp_path):
    vendor = FakeVendor()
    replies = ask_concurrently(tmp_path / "c", vendor, 8)
    assert vendor.calls == 1
    assert sum(reply.usage.dollars for reply in replies) == 0.5
    assert {reply.text for reply in replies} == {"LEFT"}


def test_a_shared_fault_counts_its_possible_cost_once(tmp_path):
    vendor = FakeVendor(ModelFault("timeout", "too late", Lost(3, 900, 0.1)))
    faults = ask_concurrently(tmp_path / "c", vendor, 4)
    assert vendor.calls == 1
    assert sum(fault.lost.dollars for fault in faults) == pytest.approx(0.1)


def test_if_the_asking_task_is_cancelled_a_waiting_task_asks(tmp_path):
    vendor = FakeVendor()
    cancelled, *others = ask_concurrently(tmp_path / "c", vendor, 3, cancel_first=True)
    assert isinstance(cancelled, asyncio.CancelledError)
    assert [reply.text for reply in others] == ["LEFT", "LEFT"]
    assert vendor.calls == 2


WRITER = """
import asyncio, sys
from pathlib import Path
from atari_vlm.models.hosted.cache import CacheSettings, ResponseCache
from atari_vlm.types import Reply

async def go(name):
    cache = ResponseCache(CacheSettings(file=Path(sys.argv[1])))
    async def ask():
        return Reply(text=name)
    for number in range(150):
        await cache.get_or_ask(str(number), "m", ask)
    cache.close()

asyncio.run(go(sys.argv[2]))
"""


def test_processes_share_one_file_and_agree_on_every_answer(tmp_path):
    file = tmp_path / "c"
    program = [sys.executable, "-c", WRITER, str(file)]
    writers = [subprocess.Popen([*program, name]) for name in ("a", "b", "c")]
    assert [writer.wait() for writer in writers] == [0, 0, 0]
    db = sqlite3.connect(file)
    assert db.execute("SELECT count(*) FROM answers").fetchone() == (150,)
    db.close()
    unreachable = FakeVendor(ModelFault("timeout", "asked"))
    assert len(ask_cache(file, unreachable, *map(str, range(150)), mode="replay")) == 150


# -- other and damaged files ----------------------------------------------------------------------


def test_a_file_of_another_format_is_named_and_left_unchanged(tmp_path):
    page = tmp_path / "page"
    page.write_bytes(b"no database " * 200)
    with pytest.raises(StoreError, match="page is damaged or no response cache"):
        ask_cache(page, FakeVendor(), "k")
    assert page.read_bytes() == b"no database " * 200
    db = sqlite3.connect(tmp_path / "other")
    db.execute("CREATE TABLE theirs(x)")
    db.close()
    with pytest.raises(StoreError, match="another program's file"):
        ask_cache(tmp_path / "other", FakeVendor(), "k")


def test_a_damaged_answer_is_a_store_error(tmp_path):
    ask_cache(tmp_path / "c", FakeVendor(), "k")
    db = sqlite3.connect(tmp_path / "c")
    db.execute("UPDATE answers SET reply = '{\"text\": 1'")
    db.commit()
    db.close()
    with pytest.raises(StoreError, match="damaged"):
        ask_cache(tmp_path / "c", FakeVendor(), "k")


def test_a_cache_that_cannot_be_opened_is_a_store_error(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(StoreError, match="Cannot use the response cache"):
        ask_cache(tmp_path / "file" / "c", FakeVendor(), "k")
    with pytest.raises(InvalidSetting, match="No cache_mode is called 'reply'"):
        CacheSettings(file=tmp_path / "c", mode="reply")


# -- whole runs -----------------------------------------------------------------------------------


def varied(number: int, body: dict) -> Answer:
    """Answers that depend on the number of the request; some are wrong."""
    texts = ["ACTION: FIRE x2", "Hmm.", "ACTION: LEFT x3", "ACTION: RIGHT", "ACTION: JUMP"]
    finish = "refusal" if number % 13 == 12 else "stop"
    return Answer(text=texts[number % 5], finish=finish, thinking=f"thought {number}")


def record(folder: Path) -> list:
    """Everything a run records, except cost."""
    run = Run.read(folder)
    rows = []
    for row in run.episodes():
        rows.append((row.seed, row.status, row.score, row.frames, run.rewards(row.episode)))
        for decision in run.decisions(row.episode):
            calls = [
                (call.prompt.text, call.seed, call.fault, without_cost(call.reply))
                for call in decision.calls
            ]
            rows.append((decision.action, decision.frames, decision.source, decision.reason, calls))
    run.close()
    return rows


def without_cost(reply: Reply) -> Reply:
    return replace(reply, usage=replace(reply.usage, dollars=0.0, replayed=0))


def recorded(tmp_path: Path, monkeypatch) -> Path:
    with Server(varied) as server:
        serve_as(monkeypatch, openai=server)
        monkeypatch.setenv("OPENAI_API_KEY", "key")
        summary = VLMTrainer(
            "breakout",
            "gpt-4o",
            max_decisions=25,
            parallel=2,
            cache=tmp_path / "cache",
            run_folder=tmp_path / "recorded",
        ).train(2)
        assert summary.usage.dollars > 0
        assert summary.sources["repaired"] > 0
        assert summary.sources["fallback"] > 0
    monkeypatch.delenv("OPENAI_API_KEY")
    return tmp_path / "recorded"


def test_a_recorded_run_replays_exactly_without_network_key_or_cost(tmp_path, monkeypatch):
    folder = recorded(tmp_path, monkeypatch)
    monkeypatch.setattr("socket.socket.connect", None)  # fails every connection
    replayed = VLMTrainer(
        "breakout",
        "gpt-4o",
        max_decisions=25,
        parallel=2,
        cache=tmp_path / "cache",
        cache_mode="replay",
        budget=0,
        run_folder=tmp_path / "replayed",
    ).train(2)
    assert record(tmp_path / "replayed") == record(folder)
    usage = replayed.usage
    assert usage.dollars == 0
    assert usage.replayed == usage.calls > 50
    run = Run.read(folder)
    assert usage.input_tokens == run.usage().input_tokens
    run.close()


def test_a_replay_beyond_the_recording_stops_the_run(tmp_path, monkeypatch):
    recorded(tmp_path, monkeypatch)
    longer = VLMTrainer(
        "breakout",
        "gpt-4o",
        max_decisions=30,
        cache=tmp_path / "cache",
        cache_mode="replay",
        run_folder=tmp_path / "longer",
    )
    with pytest.raises(ModelUnusable, match="cache_mode='readwrite' asks for missing answers"):
        longer.train(1)
    run = Run.read(tmp_path / "longer")
    assert len(run.plans(0)) == 25
    run.close()


def test_other_seeds_ask_again_unless_equal_states_share_answers(tmp_path, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "key")

    def requests_of(folder: str, seed: int, share: bool) -> int:
        with Server(Answer(text="ACTION: NOOP")) as server:
            serve_as(monkeypatch, openai=server)
            VLMTrainer(
                "breakout",
                "gpt-4o",
                max_decisions=6,
                seed=seed,
                history=0,
                cache=tmp_path / f"shared-{share}",
                cache_share=share,
                run_folder=tmp_path / f"{folder}-{share}",
            ).train(1)
            return server.count

    assert [requests_of("first", 1, False), requests_of("second", 2, False)] == [6, 6]
    first = requests_of("first", 1, True)
    assert first <= 6
    assert requests_of("second", 2, True) < first
