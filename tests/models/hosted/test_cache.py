"""Answers that are kept for other runs: what counts as the same question, and what a replay is."""

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


def saying(*parts) -> Prompt:
    return replace(PROMPT, messages=(Message("user", parts),))


# -- what is the same question --------------------------------------------------------------------


@pytest.mark.parametrize(
    "other",
    [
        saying("Act!", Frame(PIXELS)),
        saying("Act.", other_pixels()),
        saying("Act.", Frame(PIXELS, standard="pal")),
        saying("Act.", Frame(PIXELS), Frame(PIXELS)),
        replace(PROMPT, messages=(Message("system", ("Act.",)),)),
        replace(PROMPT, legal=("NOOP",)),
        replace(PROMPT, longest=3),
        replace(PROMPT, plans=False),
        replace(PROMPT, image_size=(84, 84)),
        replace(PROMPT, json=True),
    ],
)
def test_another_word_pixel_or_choice_is_another_question(other):
    assert cache_key(SETTINGS, other, "1") != cache_key(SETTINGS, PROMPT, "1")


def test_the_place_of_a_frame_is_no_part_of_the_question_and_the_nonce_is():
    elsewhere = saying("Act.", Frame(PIXELS.copy(), episode=7, step=3))
    assert cache_key(SETTINGS, elsewhere, "1") == cache_key(SETTINGS, PROMPT, "1")
    assert cache_key(SETTINGS, PROMPT, "2") != cache_key(SETTINGS, PROMPT, "1")


def test_every_setting_that_can_change_an_answer_is_part_of_the_question():
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
    assert names == set(changes) | NOT_IN_CACHE_KEY
    keys = {cache_key(base.cache_fields(), PROMPT, "")}
    for name, value in changes.items():
        keys.add(cache_key(replace(base, **{name: value}).cache_fields(), PROMPT, ""))
    assert len(keys) == 1 + len(changes)
    patient = replace(base, name="x", timeout_s=9, tries=9, advice="x")
    assert cache_key(patient.cache_fields(), PROMPT, "") in keys


# -- the modes ------------------------------------------------------------------------------------


class Vendor:
    """Counts how often it is asked."""

    def __init__(self, *outcomes: Reply | Exception) -> None:
        self.outcomes, self.asked = outcomes or (PAID,), 0

    async def __call__(self) -> Reply:
        outcome = self.outcomes[min(self.asked, len(self.outcomes) - 1)]
        self.asked += 1
        await asyncio.sleep(0)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome


def through(file: Path, vendor: Vendor, *keys: str, mode="readwrite") -> list[Reply]:
    """Ask one after the other."""

    async def go() -> list[Reply]:
        cache = ResponseCache(CacheSettings(file=file, mode=mode))
        try:
            return [await cache.get_or_ask(key, "m", vendor) for key in keys]
        finally:
            cache.close()

    return asyncio.run(go())


def test_a_kept_answer_is_word_for_word_the_paid_one_and_costs_nothing(tmp_path):
    vendor = Vendor()
    (first,) = through(tmp_path / "c", vendor, "k")
    again, other = through(tmp_path / "c", vendor, "k", "other")
    assert first == PAID
    assert again == replace(PAID, usage=replace(PAID.usage, dollars=0.0, replayed=1))
    assert other == PAID
    assert vendor.asked == 2


def test_a_replay_asks_nobody_and_says_what_is_missing(tmp_path):
    vendor = Vendor()
    through(tmp_path / "c", vendor, "k")
    assert through(tmp_path / "c", vendor, "k", mode="replay")[0].text == "LEFT"
    with pytest.raises(ModelUnusable, match=r"has no answer of m .* cache_mode='readwrite' asks"):
        through(tmp_path / "c", vendor, "missing", mode="replay")
    assert vendor.asked == 1
    with pytest.raises(ModelUnusable, match=r"no response cache at .* Record one first"):
        through(tmp_path / "none", vendor, "k", mode="replay")


def test_a_refresh_asks_anew_and_keeps_the_new_answer(tmp_path):
    through(tmp_path / "c", Vendor(), "k")
    newer = Vendor(replace(PAID, text="FIRE"))
    assert through(tmp_path / "c", newer, "k", mode="refresh")[0].text == "FIRE"
    assert through(tmp_path / "c", newer, "k")[0].text == "FIRE"
    assert newer.asked == 1


def test_what_the_model_said_is_kept_whatever_it_is_and_what_the_network_did_is_not(tmp_path):
    refusal = replace(PAID, text="No.", finish="content_filter")
    garbage = replace(PAID, text="\ud83d {", finish="length")
    vendor = Vendor(refusal, garbage)
    through(tmp_path / "c", vendor, "refusal", "garbage")
    again = through(tmp_path / "c", vendor, "refusal", "garbage")
    assert [(r.text, r.finish) for r in again] == [
        ("No.", "content_filter"),
        ("\ud83d {", "length"),
    ]
    assert vendor.asked == 2
    broken = Vendor(ModelFault("timeout", "too late"), PAID)
    with pytest.raises(ModelFault):
        through(tmp_path / "c", broken, "k")
    assert through(tmp_path / "c", broken, "k")[0].usage.dollars == 0.5


# -- many at once ---------------------------------------------------------------------------------


def together(file: Path, vendor: Vendor, count: int, *, stop_first: bool = False) -> list:
    async def go() -> list:
        cache = ResponseCache(CacheSettings(file=file))
        tasks = [asyncio.create_task(cache.get_or_ask("k", "m", vendor)) for _ in range(count)]
        await asyncio.sleep(0)
        if stop_first:
            tasks[0].cancel()
        replies = await asyncio.gather(*tasks, return_exceptions=True)
        cache.close()
        return replies

    return asyncio.run(go())


def test_equal_questions_at_the_same_time_are_asked_and_paid_once(tmp_path):
    vendor = Vendor()
    replies = together(tmp_path / "c", vendor, 8)
    assert vendor.asked == 1
    assert sum(reply.usage.dollars for reply in replies) == 0.5
    assert {reply.text for reply in replies} == {"LEFT"}


def test_a_fault_is_shared_but_what_it_may_have_cost_is_counted_once(tmp_path):
    vendor = Vendor(ModelFault("timeout", "too late", Lost(3, 900, 0.1)))
    faults = together(tmp_path / "c", vendor, 4)
    assert vendor.asked == 1
    assert sum(fault.lost.dollars for fault in faults) == pytest.approx(0.1)


def test_who_waits_for_a_question_that_is_stopped_asks_it(tmp_path):
    vendor = Vendor()
    stopped, *others = together(tmp_path / "c", vendor, 3, stop_first=True)
    assert isinstance(stopped, asyncio.CancelledError)
    assert [reply.text for reply in others] == ["LEFT", "LEFT"]
    assert vendor.asked == 2


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
    nobody = Vendor(ModelFault("timeout", "asked"))
    assert len(through(file, nobody, *map(str, range(150)), mode="replay")) == 150


# -- files that are none --------------------------------------------------------------------------


def test_a_file_that_is_no_cache_is_named_and_left_alone(tmp_path):
    page = tmp_path / "page"
    page.write_bytes(b"no database " * 200)
    with pytest.raises(StoreError, match="page is damaged or no response cache"):
        through(page, Vendor(), "k")
    assert page.read_bytes() == b"no database " * 200
    db = sqlite3.connect(tmp_path / "other")
    db.execute("CREATE TABLE theirs(x)")
    db.close()
    with pytest.raises(StoreError, match="another program's file"):
        through(tmp_path / "other", Vendor(), "k")


def test_a_damaged_answer_is_a_sentence(tmp_path):
    through(tmp_path / "c", Vendor(), "k")
    db = sqlite3.connect(tmp_path / "c")
    db.execute("UPDATE answers SET reply = '{\"text\": 1'")
    db.commit()
    db.close()
    with pytest.raises(StoreError, match="damaged"):
        through(tmp_path / "c", Vendor(), "k")


def test_a_cache_that_cannot_be_written_is_a_sentence(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(StoreError, match="Cannot use the response cache"):
        through(tmp_path / "file" / "c", Vendor(), "k")
    with pytest.raises(InvalidSetting, match="No cache_mode is called 'reply'"):
        CacheSettings(file=tmp_path / "c", mode="reply")


# -- whole runs -----------------------------------------------------------------------------------


def spoken(number: int, body: dict) -> Answer:
    """Answers that depend on what was sent, some of them wrong."""
    texts = ["ACTION: FIRE x2", "Hmm.", "ACTION: LEFT x3", "ACTION: RIGHT", "ACTION: JUMP"]
    finish = "refusal" if number % 13 == 12 else "stop"
    return Answer(text=texts[number % 5], finish=finish, thinking=f"thought {number}")


def record(folder: Path) -> list:
    """Steps, words, scores: everything but what was paid."""
    run = Run.read(folder)
    told = []
    for row in run.episodes():
        told.append((row.seed, row.status, row.score, row.frames, run.rewards(row.episode)))
        for decision in run.decisions(row.episode):
            calls = [
                (call.prompt.text, call.seed, call.fault, free(call.reply))
                for call in decision.calls
            ]
            told.append((decision.action, decision.frames, decision.source, decision.reason, calls))
    run.close()
    return told


def free(reply: Reply) -> Reply:
    return replace(reply, usage=replace(reply.usage, dollars=0.0, replayed=0))


def recorded(tmp_path: Path, monkeypatch) -> Path:
    with Server(spoken) as server:
        monkeypatch.setenv("OPENAI_BASE_URL", server.base_url)
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
    monkeypatch.delenv("OPENAI_BASE_URL")
    monkeypatch.delenv("OPENAI_API_KEY")
    return tmp_path / "recorded"


def test_a_recorded_run_replays_bit_for_bit_with_no_network_no_key_and_no_cost(
    tmp_path, monkeypatch
):
    folder = recorded(tmp_path, monkeypatch)
    monkeypatch.setattr("socket.socket.connect", None)  # nobody can be reached
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


def test_a_replay_of_what_was_never_played_stops_in_a_sentence(tmp_path, monkeypatch):
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


def test_samples_of_other_seeds_are_asked_unless_equal_states_share_answers(tmp_path, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "key")

    def asked(folder: str, seed: int, share: bool) -> int:
        with Server(Answer(text="ACTION: NOOP")) as server:
            monkeypatch.setenv("OPENAI_BASE_URL", server.base_url)
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

    assert [asked("first", 1, False), asked("second", 2, False)] == [6, 6]
    first = asked("first", 1, True)
    assert first <= 6
    assert asked("second", 2, True) < first
