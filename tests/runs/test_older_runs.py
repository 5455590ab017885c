"""Runs and a checkpoint of earlier versions: they open, replay, report and continue unchanged.

The fixtures were written by version 0.1.0 with run format 3; `expected.json` is what that version
read from them.
"""

from __future__ import annotations

import hashlib
import json
import lzma
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from atari_vlm.errors import StoreError
from atari_vlm.models.embedded import checkpoints
from atari_vlm.models.embedded.model import EmbeddedModel
from atari_vlm.models.scripted import ScriptedModel
from atari_vlm.report.run_page import write_replay
from atari_vlm.runs.playback import full_trajectory, observations
from atari_vlm.runs.run import Run
from atari_vlm.runs.schema import FILE, FORMAT
from atari_vlm.runs.settings import VERSIONS
from atari_vlm.trainer import VLMTrainer
from atari_vlm.types import Plan
from tests import hashing_player

FIXTURES = Path(__file__).resolve().parents[1] / "fixtures"
EXPECTED = json.loads((FIXTURES / "runs" / "expected.json").read_text())
COMPLETE = [name for name in EXPECTED if name != "stopped"]


def answer(prompt):
    """The scripted model of the fixtures."""
    number, legal = len(prompt.text) + len(prompt.frames), prompt.legal
    if prompt.chunk_size > 1:
        plans = (
            f"{legal[(number + k) % len(legal)]} x{1 + k % 4}" for k in range(prompt.chunk_size)
        )
        return "ACTIONS: " + ", ".join(plans)
    return f"ACTION: {legal[number % len(legal)]} x{1 + number % prompt.longest}"


def scripted(script=answer):
    return ScriptedModel(script, name="mine")


def former_weights():
    """Pong's checkpoint, which also knows Breakout and played it when the fixtures were made."""
    return EmbeddedModel(checkpoints.checkpoint("pong"))


SETTINGS = {
    "random": lambda: ("breakout", "random", {"max_decisions": 120, "seed": 3}),
    "scripted": lambda: (
        "pong",
        "mine",
        {"model": scripted(), "max_decisions": 60, "seed": 4, "history": 3},
    ),
    "ahead": lambda: (
        "pong",
        "mine",
        {"model": scripted(), "decisions_per_call": 4, "max_decisions": 41, "seed": 2},
    ),
    "taught": lambda: (
        "freeway",
        "mine",
        {
            "model": scripted(lambda prompt: "ACTION: UP"),
            "prompt_type": "cot",
            "use_in_context_learning": True,
            "max_decisions": 180,
            "seed": 1,
        },
    ),
    "embedded": lambda: ("pong", "embedded", {"max_decisions": 150, "seed": 5}),
    "scored": lambda: (
        "breakout",
        "embedded",
        {"model": former_weights(), "max_decisions": 40, "seed": 5, "decide": "score"},
    ),
    "blank": lambda: ("pong", "embedded+blank", {"max_decisions": 40, "seed": 5}),
    "expert": lambda: ("breakout", "expert", {"max_decisions": 60, "seed": 6}),
    "search": lambda: ("space_invaders", "iw-300", {"max_decisions": 12, "seed": 7}),
}
SETTINGS["stopped"] = SETTINGS["scripted"]


def trainer(name, folder):
    game, player, keywords = SETTINGS[name]()
    return VLMTrainer(game, player, run_folder=folder, **keywords)


def copied(name, place):
    shutil.copytree(FIXTURES / "runs" / name, place / "run")
    return place / "run"


def plays(folder):
    with closing(Run.read(folder)) as run:
        return [[list(play) for play in run.plays(row.episode)] for row in run.episodes()]


@pytest.mark.parametrize("name", EXPECTED)
def test_an_older_run_opens_replays_and_is_reported_as_it_is(name, tmp_path):
    folder, expected = copied(name, tmp_path), EXPECTED[name]
    before = (folder / FILE).read_bytes()
    with closing(Run.read(folder)) as run:
        assert run.settings == expected["settings"]
        assert [
            [row.seed, row.status, row.score, row.decisions] for row in run.episodes()
        ] == expected["episodes"]
        assert run.sources() == expected["sources"]
        prompts = [[call.prompt.text for call in made.calls] for made in run.decisions(0)]
        assert prompts[: len(expected["prompts"])] == expected["prompts"]
        for row in run.episodes():
            seen = list(observations(run, row.episode))
            assert len(seen) == len(run.plans(row.episode)) + 1
    assert plays(folder) == expected["plans"]
    page = write_replay(folder, tmp_path / "page.html")
    assert page.stat().st_size > 10_000
    assert (folder / FILE).read_bytes() == before


WORDED = ["scripted", "ahead"]
"""Fixtures whose scripted model answers by the length of its prompt."""


@pytest.mark.parametrize("name", [n for n in COMPLETE if "/" not in n and n not in WORDED])
def test_the_same_settings_still_give_the_same_decisions(name, tmp_path):
    episodes = len(EXPECTED[name]["episodes"])
    trainer(name, tmp_path).train(episodes)
    assert plays(tmp_path) == EXPECTED[name]["plans"]


def test_lessons_of_an_older_training_run_are_shown_in_evaluation(tmp_path):
    folder = copied("taught", tmp_path)
    shutil.rmtree(folder / "evaluate-after-2")
    summary = trainer("taught", folder).evaluate(1)
    assert summary.taught_by == 2
    assert plays(summary.folder) == EXPECTED["taught/evaluate-after-2"]["plans"]
    with closing(Run.read(summary.folder)) as run:
        prompts = [[call.prompt.text for call in made.calls] for made in run.decisions(0)]
        assert prompts[:3] == EXPECTED["taught/evaluate-after-2"]["prompts"]


@pytest.mark.parametrize("name", COMPLETE)
def test_a_complete_older_run_is_recognised_and_plays_nothing(name, tmp_path):
    base, _, purpose = name.partition("/")
    folder = copied(base, tmp_path)
    game, player, keywords = SETTINGS[base]()
    if isinstance(keywords.get("model"), ScriptedModel):
        keywords["model"] = scripted(lambda prompt: pytest.fail("asked again"))
    again = VLMTrainer(game, player, run_folder=folder, **keywords)
    summary = again.evaluate(1) if purpose else again.train(len(EXPECTED[name]["episodes"]))
    assert summary.played == 0
    assert plays(summary.folder) == EXPECTED[name]["plans"]
    with closing(Run.read(summary.folder)) as run:
        assert run.sources() == EXPECTED[name]["sources"]


def test_a_run_of_weights_that_were_replaced_is_not_continued(tmp_path):
    again = VLMTrainer(
        "breakout",
        "embedded",
        run_folder=copied("scored", tmp_path),
        max_decisions=40,
        seed=5,
        decide="score",
    )
    with pytest.raises(
        StoreError, match="has version 'ae88c66d8090', not '88587a942c8c'"
    ) as caught:
        again.train(1)
    assert "The weights of `embedded` are others now, so it cannot be" in str(caught.value)
    assert "the same settings" not in str(caught.value)


def test_an_older_run_that_was_stopped_is_continued(tmp_path):
    folder = copied("stopped", tmp_path)
    trainer("stopped", folder).train(1)
    assert plays(folder)[0] == EXPECTED["scripted"]["plans"][0]
    with closing(Run.read(folder)) as run:
        assert run.settings["format"] == FORMAT
        assert run.usage().calls == 60
        assert run.latencies(0)[:30] == [None] * 30
        assert all(seconds > 0 for seconds in run.latencies(0)[30:])


def test_an_older_training_that_was_killed_chooses_its_examples_as_it_would_have(tmp_path):
    """Commit ac447d8 was killed in episode 1 of 3; the digest is of what it played uninterrupted.

    The examples of episode 2, one of them the only point of episode 1, are chosen by today's code.
    """
    folder, rest = copied("learning-stopped", tmp_path), []
    summary = VLMTrainer(
        "breakout",
        "hashing",
        prompt_type="basic",
        use_in_context_learning=True,
        model=scripted(lambda prompt: rest.append(prompt) or hashing_player.answer(prompt)),
        run_folder=folder,
        max_decisions=30,
        frame_skip=12,
        seed=3,
    ).train(3)
    assert summary.scores == (0.0, 1.0, 0.0)
    digest = hashlib.sha256()
    with closing(Run.read(folder)) as run:
        for row in run.episodes():
            digest.update(f"{row.seed} {row.score} {row.decisions}\n".encode())
            for made in run.decisions(row.episode):
                digest.update(f"{made.action} {made.frames} {made.source}\n".encode())
                for call in made.calls:
                    digest.update(f"{call.prompt.text}\n{call.reply.text}\n".encode())
        assert len(rest) < run.usage().calls / 2
    assert "Example 1: " in rest[-1].text
    assert digest.hexdigest() == (
        "93f7b4a16595ba891839ed20d3f87cd24259238feff0b796d83f0e3b01a9bf06"
    )


def cut(folder, step):
    """Make an older run one that was stopped before a decision."""
    with closing(sqlite3.connect(folder / FILE)) as db:
        for table in ("steps", "calls", "candidates"):
            db.execute(f"DELETE FROM {table} WHERE step >= ?", (step,))
        db.execute("UPDATE episodes SET status = 'playing', score = NULL, decisions = NULL")
        db.commit()


@pytest.mark.parametrize(
    ("name", "step"), [("ahead", 13), ("ahead", 14), ("ahead", 16), ("search", 6), ("expert", 30)]
)
def test_plans_in_the_notes_of_an_older_run_are_played_on(name, step, tmp_path):
    folder = copied(name, tmp_path)
    cut(folder, step)
    trainer(name, folder).train(1)
    assert plays(folder) == EXPECTED[name]["plans"]


@pytest.mark.parametrize("name", WORDED)
def test_an_older_run_is_continued_with_the_words_of_its_own_prompts(name, tmp_path):
    folder, expected = copied(name, tmp_path), EXPECTED[name]
    cut(folder, 0)
    with closing(sqlite3.connect(folder / FILE)) as db:
        db.execute("DELETE FROM replies")
        db.commit()
    trainer(name, folder).train(len(expected["episodes"]))
    assert plays(folder) == expected["plans"]
    with closing(Run.read(folder)) as run:
        prompts = [[call.prompt.text for call in made.calls] for made in run.decisions(0)]
    assert prompts[: len(expected["prompts"])] == expected["prompts"]


def test_a_new_run_says_what_the_actions_do_and_an_older_one_does_not(tmp_path):
    trainer("scripted", tmp_path).train(1)
    with closing(Run.read(tmp_path)) as run:
        assert run.settings["prompt_version"] == 2
        said = run.decisions(0)[0].calls[0].prompt.text
    assert "RIGHT: paddle up; LEFT: paddle down" in said
    assert "paddle up" not in EXPECTED["scripted"]["prompts"][0][0]


def test_notes_of_an_older_run_are_split_into_queue_and_memory(tmp_path):
    folder = copied("ahead", tmp_path)
    with closing(sqlite3.connect(folder / FILE)) as db:
        notes = dict(db.execute("SELECT step, note FROM steps"))
        db.execute("UPDATE steps SET note = 'Stay left.' WHERE step = 5")
        db.commit()
    with closing(Run.read(folder)) as run:
        decisions = run.decisions(0)
    assert notes[0].startswith("Planned at decision 0, 2 to 4 of 4: ")
    assert [len(made.queue) for made in decisions[:4]] == [3, 2, 1, 0]
    assert decisions[0].queue[0] == Plan(*EXPECTED["ahead"]["plans"][0][1][:2])
    assert (decisions[5].memory, decisions[5].queue) == ("Stay left.", ())
    assert not any(made.memory for made in decisions if made is not decisions[5])


@pytest.mark.parametrize("name", VERSIONS)
def test_a_version_that_is_gone_can_be_read_but_not_continued(name, tmp_path):
    folder = copied("stopped", tmp_path)
    with closing(sqlite3.connect(folder / FILE)) as db:
        db.execute("INSERT INTO settings VALUES(?, '0')", (name,))
        db.commit()
    before = (folder / FILE).read_bytes()
    with pytest.raises(StoreError, match=r"version 0, which this version .* not continued"):
        trainer("stopped", folder).train(1)
    with closing(Run.read(folder)) as run:
        assert len(run.plans(0)) == 30
        full_trajectory(run, 0)
    assert len(before) > 0


def test_a_default_folder_keeps_its_name(tmp_path):
    mine = scripted()
    for keywords, train, evaluate in FOLDERS:
        own = {"model": mine} if keywords.get("vlm_type") == "mine" else {}
        named = VLMTrainer(**keywords, **own)
        seed = named.seed * 1_000_000
        assert str(named.folder("train", seed)) == train
        assert str(named.folder("evaluate", seed + 500_000, 2)) == evaluate


FOLDERS = [
    (
        {"game_name": "pong"},
        "runs/pong-embedded-specialist-train-f11d1d67",
        "runs/pong-embedded-specialist-evaluate-after-2-6914a250",
    ),
    (
        {"game_name": "breakout", "vlm_type": "random"},
        "runs/breakout-random-train-453c074b",
        "runs/breakout-random-evaluate-after-2-5dbbf63a",
    ),
    (
        {
            "game_name": "freeway",
            "vlm_type": "mine",
            "prompt_type": "cot",
            "use_in_context_learning": True,
        },
        "runs/freeway-mine-cot-train-1f38c9e3",
        "runs/freeway-mine-cot-evaluate-after-2-883ff3bc",
    ),
    (
        {
            "game_name": "pong",
            "vlm_type": "mine",
            "decisions_per_call": 4,
            "resize_shape": (112, 112),
        },
        "runs/pong-mine-basic-train-81cc62e5",
        "runs/pong-mine-basic-evaluate-after-2-dc0c195a",
    ),
    (
        {"game_name": "space_invaders", "vlm_type": "iw-300"},
        "runs/space_invaders-iw-300-train-e50e5ab7",
        "runs/space_invaders-iw-300-evaluate-after-2-4f3dfee0",
    ),
    (
        {"game_name": "pong", "vlm_type": "embedded", "decide": "score"},
        "runs/pong-embedded-specialist-train-f1dd413b",
        "runs/pong-embedded-specialist-evaluate-after-2-c1529359",
    ),
    (
        {"game_name": "pong", "vlm_type": "embedded+blank"},
        "runs/pong-embedded-blank-specialist-train-5ce5f7cf",
        "runs/pong-embedded-blank-specialist-evaluate-after-2-a93f9638",
    ),
]
"""Keywords, and the folders that version 0.1.0 made for them."""


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    """A tiny checkpoint of version 0.1.0, its graphs under their names of then."""
    folder = tmp_path_factory.mktemp("checkpoint") / "weights"
    shutil.copytree(FIXTURES / "checkpoint", folder)
    packed = folder / "model.safetensors.xz"
    (folder / "model.safetensors").write_bytes(lzma.decompress(packed.read_bytes()))
    packed.unlink()
    return folder


def test_an_older_checkpoint_plays_the_same_word_for_word(checkpoint, tmp_path):
    expected = json.loads((FIXTURES / "checkpoint" / "expected.json").read_text())
    assert (checkpoint / "eyes.onnx").is_file()
    player = VLMTrainer("pong", str(checkpoint), max_decisions=80, seed=9, run_folder=tmp_path)
    player.train(1)
    with closing(Run.read(tmp_path)) as run:
        assert [list(plan) for plan in run.plans(0)] == expected["plans"]
        assert [made.reply for made in run.decisions(0)] == expected["replies"]
        assert run.settings["version"] == expected["version"]


def test_an_answer_that_was_stored_before_its_decision_is_counted_once(tmp_path):
    folder = copied("scripted", tmp_path)
    with closing(sqlite3.connect(folder / FILE)) as db:
        for table in ("steps", "calls"):  # as if it was killed between the two
            db.execute(f"DELETE FROM {table} WHERE step >= 30")
        db.execute("DELETE FROM replies WHERE seed NOT IN (SELECT seed FROM calls)")
        db.execute("INSERT INTO replies SELECT 77, reply FROM replies LIMIT 1")
        db.execute("UPDATE episodes SET status = 'playing', score = NULL, decisions = NULL")
        db.commit()
    with closing(Run.read(folder)) as run:
        before = run.usage()
    assert before.calls == 61  # 30 in each of two episodes, and one
    trainer("scripted", folder).train(2)
    with closing(Run.read(folder)) as run:
        assert run.usage().calls == 61 + 60
        assert run.sources() == {"parsed": 120}
