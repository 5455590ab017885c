"""Distillation: labels, training data, and runs that end or continue after a kill."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from atari_vlm.atari.images import motion
from atari_vlm.errors import InvalidSetting, StoreError, UnknownName
from atari_vlm.learning.distill.answer_schemas.base import FRAME_SKIP, plans
from atari_vlm.learning.distill.answer_schemas.table import ANSWER_SCHEMAS, get_answer_schema, kinds
from atari_vlm.learning.distill.collect import Disturbance, collect
from atari_vlm.learning.distill.evaluate import play_episodes
from atari_vlm.learning.distill.run import distill
from atari_vlm.learning.distill.settings import DistillSettings
from atari_vlm.models.embedded.checkpoints import checkpoint, weights
from atari_vlm.models.embedded.runtime import EmbeddedRuntime
from atari_vlm.policies.experts.table import EXPERTS
from atari_vlm.runs.schema import locked
from atari_vlm.types import Frame, Plan

TINY = {
    "batch": 8,
    "first_decisions": 300,
    "round_decisions": 200,
    "round_minutes": 0.06,
    "opening": 0.3,
    "checkpoint_seconds": 0.5,
    "report_seconds": 0.5,
    "workers": 0,
    "episodes": 0,
}


@pytest.fixture(scope="module")
def rows():
    return list(collect("pong", 400, seed=3))


def test_every_decision_is_labelled_with_a_whole_answer(rows):
    assert len(rows) == 400
    assert rows[0].first
    every = plans(get_answer_schema("pong"))
    for row in rows:
        assert row.plans.sum() == pytest.approx(1)
        best = [every[i] for i in np.flatnonzero(row.plans == row.plans.max())]
        assert any(f": {action} for {frames} frame" in row.words for action, frames in best)


def test_the_same_seed_collects_the_same_decisions(rows):
    again = list(collect("pong", 400, seed=3))
    assert [row.words for row in again] == [row.words for row in rows]
    for row, other in zip(rows, again, strict=True):
        assert np.array_equal(row.screen.pixels, other.screen.pixels)
    assert [row.words for row in collect("pong", 400, seed=4)] != [row.words for row in rows]


def test_episodes_are_short_and_begin_without_a_screen_before():
    short = Disturbance(length=(20, 30), warm_up=5, scatter=0.0)
    many = list(collect("pong", 100, seed=1, disturbance=short))
    assert sum(row.first for row in many) >= 4
    assert all(row.first == (row.step == 0) for row in many)
    assert max(row.episode for row in many) + 1 == sum(row.first for row in many)


def test_perturbation_shows_states_that_play_does_not():
    calm = Disturbance(lead=(0.0,), scatter=0.0, warm_up=0)
    wild = Disturbance(lead=(0.0,), scatter=0.1, warm_up=0)

    def aims(disturbance):
        rows = list(collect("pong", 1_000, seed=2, disturbance=disturbance))
        return rows, {row.words.split("aim ")[1].split(":")[0] for row in rows}

    _, few = aims(calm)
    rows, many = aims(wild)
    assert len(many) > 1.5 * len(few)
    jumps = [row for row in rows if row.weight == 0]
    assert 30 < len(jumps) < 200
    assert all(row.first for row in jumps)


def test_the_student_plays_and_the_expert_labels():
    class Idle:
        asked = 0

        def plan(self, image, game, rng):
            assert image.shape == (160, 160, 3)
            self.asked += 1
            return Plan("NOOP", FRAME_SKIP)

    idle = Idle()
    calm = Disturbance(lead=(0.0,), student=(1.0,), warm_up=0)
    rows = list(collect("pong", 150, seed=5, student=idle, disturbance=calm))
    assert idle.asked == 150
    assert {(row.player, row.action, row.frames) for row in rows} == {("student", "NOOP", 4)}
    assert any(not row.words.endswith("NOOP for 4 frames") for row in rows)


def test_every_answer_schema_has_an_expert_and_covers_its_plans():
    for game, schema in ANSWER_SCHEMAS.items():
        assert game in EXPERTS
        known = {word.strip() for words in kinds(schema).values() for word in words}
        rows = collect(game, 150, seed=0)
        assert {row.words.split(": ")[1] for row in rows} <= known


def test_a_game_without_an_answer_schema_is_named():
    with pytest.raises(UnknownName, match="No game that can be taught is called 'pongg'"):
        DistillSettings(games=("pongg",))
    with pytest.raises(UnknownName, match=r"is called 'tetris'\. Choose from"):  # none is near
        DistillSettings(games=("tetris",))


@pytest.mark.parametrize(
    "wrong",
    [
        {"minutes": 0},
        {"minutes": float("nan")},
        {"round_minutes": float("inf")},
        {"batch": 0},
        {"games": ()},
        {"threads": -1},
        {"precision": "fp16"},
        {"architecture": "finer"},
        {"opening": 1.0},
    ],
)
def test_settings_that_cannot_work_are_refused(wrong):
    with pytest.raises(
        InvalidSetting, match=r"above 0|at least one game|fp32 or bf16|fine or coarse|a share"
    ):
        DistillSettings(**wrong)


def test_an_evaluation_plays_the_shipped_model_and_repeats_itself():
    scores = play_episodes(checkpoint("pong"), "pong", 2, most_frames=400)
    assert scores == play_episodes(checkpoint("pong"), "pong", 2, most_frames=400)
    assert len(scores) == 2


@pytest.mark.training
def test_answers_become_tokens_and_come_back(rows):
    pytest.importorskip("torch")
    from atari_vlm.learning.distill.architecture import build_tokenizer, prompt_text
    from atari_vlm.learning.distill.data import Dataset

    tokenizer = build_tokenizer(("pong",))
    data = Dataset("pong", tokenizer)
    data.add(rows)
    for words, tokens in zip([row.words for row in rows], data.tokens, strict=True):
        answer = [token for token in tokens.tolist() if token >= 0]
        assert tokenizer.decode(answer, skip_special_tokens=True) == words
        values = data.grammar.values(answer)
        assert tokenizer.decode([values["plan"]]) == words.split(": ")[1]
    prompt = prompt_text("Play pong. Say only your plan.")
    assert tokenizer.unk_token_id not in tokenizer.encode(prompt)
    assert EmbeddedRuntime(checkpoint("pong")).answers.encode(prompt) == tokenizer.encode(prompt)


@pytest.mark.training
def test_only_numbers_have_neighbours():
    pytest.importorskip("torch")
    from atari_vlm.learning.distill.architecture import build_tokenizer
    from atari_vlm.learning.distill.data import Dataset

    data = Dataset("ms_pacman", build_tokenizer(("ms_pacman",)))
    counted = {name for name, tokens, _ in data.fields if set(tokens) <= data.numbers}
    named = {name for name, tokens, _ in data.fields if not set(tokens) & data.numbers}
    assert counted == {"x", "y", "ghost_x", "ghost_y"}
    assert named == {"heading", "mood", "aim", "plan"}


@pytest.mark.training
def test_a_batch_has_the_images_of_play(rows):
    torch = pytest.importorskip("torch")
    from atari_vlm.learning.distill.architecture import build_tokenizer
    from atari_vlm.learning.distill.data import Dataset

    data = Dataset("pong", build_tokenizer(("pong",)))
    data.add(rows)
    data.add(rows, weight=0.0)
    place = [i for i, row in enumerate(rows) if not row.first][100]
    batch = data.batch(np.array([place, place + len(rows)]))
    shown = torch.from_numpy(_picture(rows, place)).permute(2, 0, 1)
    assert torch.allclose(batch.pixels[0], shown / 127.5 - 1)
    assert torch.equal(batch.pixels[0], batch.pixels[1])
    assert batch.plans[0].sum() == pytest.approx(1, abs=1e-5)
    assert len(data.sample(64, np.random.default_rng(0)).answers) == 64


def _picture(rows, place):
    before = rows[place] if rows[place].first else rows[place - 1]
    return motion(before.screen, rows[place].screen)


@pytest.mark.training
def test_onnx_and_transformers_agree(rows):
    torch = pytest.importorskip("torch")
    transformers = pytest.importorskip("transformers")
    from tests.learning.distill.plain_loss import answer_logits, image_features

    torch.set_num_threads(1)
    network = transformers.AutoModelForImageTextToText.from_pretrained(checkpoint("pong")).eval()
    runtime = EmbeddedRuntime(checkpoint("pong"))
    request = runtime.answers.requests["act"].format(game="pong")
    prompt = torch.tensor(runtime._prompt(request, 16))
    pictures = [_picture(rows, place) for place in range(1, 400, 4)]
    pixels = torch.tensor(np.stack(pictures)).permute(0, 3, 1, 2).float() / 127.5 - 1
    with torch.inference_mode():
        features = image_features(network, pixels)
        nothing = torch.zeros((len(pictures), 0), dtype=torch.long)
        image = network.config.image_token_id
        scores = answer_logits(network, prompt, features, nothing, image)[:, 0]
    words = [runtime.answers.encode(f"{a} for {n} frame{'s' * (n > 1)}")[0] for a, n in _every()]
    expected = scores[:, words].softmax(-1).numpy()
    for picture, row in zip(pictures, expected, strict=True):
        got = runtime.probabilities(picture, "pong")
        assert np.allclose([got[plan] for plan in _every()], row, atol=1e-4)


def _every():
    return plans(get_answer_schema("pong"))


@pytest.mark.training
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_run_of_seconds_ends_in_weights_that_play(tmp_path, capfd):
    pytest.importorskip("torch")
    lines = []
    settings = DistillSettings(out=tmp_path, minutes=0.08, **TINY)
    with locked(tmp_path), pytest.raises(StoreError, match="Another process is playing"):
        distill(settings, lines.append)
    result = distill(settings, lines.append)
    assert result.steps > 3
    assert "Writing model shards" not in capfd.readouterr().err
    assert set(result.held_out) >= {"pong/ball_x", "pong/aim", "pong/plan"}
    assert any("decisions of the student" in line for line in lines)
    assert settings.command() in (result.folder / "README.md").read_text()
    student = EmbeddedRuntime(result.folder)
    assert student.games == ("pong",)
    black = Frame(np.zeros((210, 160), np.uint8))
    plan = student.plan(motion(black, black), "pong", np.random.default_rng(0))
    assert plan in _every()
    with pytest.raises(InvalidSetting, match="holds a distillation with other settings"):
        distill(DistillSettings(out=tmp_path, minutes=0.08, **{**TINY, "rate": 0.5}), lines.append)
    with pytest.raises(InvalidSetting, match=r"settings \(games\), of the games pong\. Continue"):
        distill(DistillSettings(games=("breakout",), out=tmp_path, **TINY), lines.append)


def test_the_model_card_has_the_whole_command():
    asked = DistillSettings(
        games=("pong", "freeway"),
        minutes=5,
        base=Path("my first player"),
        precision="bf16",
        opening=0.02,
        round_minutes=3.0,  # the default, which needs no flag
    )
    assert asked.command() == (
        "atari-vlm distill --games pong,freeway --minutes 5 --seed 0 --from 'my first player' "
        "--precision bf16 --opening 0.02 --out FOLDER"
    )


@pytest.mark.training
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_killed_run_continues_where_its_checkpoint_is(tmp_path):
    pytest.importorskip("torch")
    script = (
        "import json, sys\n"
        "from pathlib import Path\n"
        "from atari_vlm.learning.distill.run import distill\n"
        "from atari_vlm.learning.distill.settings import DistillSettings\n"
        "settings = json.loads(sys.argv[2])\n"
        "distill(DistillSettings(out=Path(sys.argv[1]), minutes=60, **settings))\n"
    )
    command = [sys.executable, "-c", script, str(tmp_path), json.dumps(TINY)]
    source = os.path.dirname(os.path.dirname(weights().parent))
    running = subprocess.Popen(
        command, env={**os.environ, "PYTHONPATH": source}, stdout=subprocess.DEVNULL
    )
    try:
        for _ in range(1_200):
            if (tmp_path / "checkpoint.pt").exists() or running.poll() is not None:
                break
            time.sleep(0.1)
    finally:
        running.send_signal(signal.SIGKILL)
        running.wait()
    assert (tmp_path / "checkpoint.pt").exists()
    lines = []
    result = distill(DistillSettings(out=tmp_path, minutes=0.001, **TINY), lines.append)
    assert lines[0].startswith("Continuing after")
    assert result.steps >= 1  # on a busy machine the first step takes all of the minutes
    assert (result.folder / "decoder.onnx").exists()


@pytest.mark.training
def test_bf16_has_the_same_loss_and_is_another_run(tmp_path, rows):
    torch = pytest.importorskip("torch")
    from atari_vlm.learning.distill.train import Trainer

    losses = {}
    for precision in ("fp32", "bf16"):
        settings = DistillSettings(out=tmp_path, base=checkpoint("pong"), precision=precision)
        trainer = Trainer(settings)
        trainer.data["pong"].add(rows)
        torch.manual_seed(0)
        trainer.step(np.random.default_rng(0))
        losses[precision] = trainer.losses[0]
        assert {weight.dtype for weight in trainer.model.parameters()} == {torch.float32}
        assert ("bf16" in settings.to_json()) == (precision == "bf16")
    assert losses["bf16"] != losses["fp32"]
    assert losses["bf16"] == pytest.approx(losses["fp32"], rel=0.02)


COUNTS_THREADS = """
import os
from atari_vlm.cli.app import app
from atari_vlm.learning.distill.train import Trainer

leave = Trainer.leave

def counted(trainer):
    before = len(os.listdir("/proc/self/task"))
    leave(trainer)
    os.write(1, f"threads: {before} {len(os.listdir('/proc/self/task'))}\\n".encode())

Trainer.leave = counted
app(prog_name="atari-vlm")
"""


@pytest.mark.training
def test_two_processes_train_one_student(tmp_path):
    pytest.importorskip("torch")
    script, out = tmp_path / "counts_threads.py", tmp_path / "out"
    script.write_text(COUNTS_THREADS)
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2"]
    command += ["--standalone", str(script), "distill", "--games", "pong"]
    command += ["--minutes", "0.05", "--episodes", "0", "--workers", "0", "--out", str(out)]
    ended = subprocess.run(
        command,
        capture_output=True,
        text=True,
        timeout=400,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    assert ended.returncode == 0, ended.stderr[-2_000:]
    assert ended.stdout.count("The pong expert plays") == 2  # held-out and first, by one of them
    assert ended.stdout.count("Weights:") == 1
    assert EmbeddedRuntime(out / "weights").games == ("pong",)
    # A thread of the group that lives on may abort the process while Python ends.
    threads = re.findall(r"threads: (\d+) (\d+)", ended.stdout)
    assert len(threads) == 2
    assert all(int(after) <= int(before) - 2 for before, after in threads)
