"""What is printed in Python: progress, results, and what an invalid run says."""

from __future__ import annotations

import io
import sys
from contextlib import closing
from dataclasses import replace

import pytest

from atari_vlm import BenchSettings, Run, VLMTrainer, get_game, play, run_bench
from atari_vlm.advice.estimate import estimate_run
from atari_vlm.errors import RunInvalid
from atari_vlm.models.scripted import ScriptedModel
from tests.servers import Server
from tests.test_play import up
from tests.vendor_apis import Answer


def test_every_result_is_short_when_it_is_printed(tmp_path):
    answer = '{"reasoning": "' + "long words " * 90 + '", "action": "RIGHT", "frames": 2}'
    model = ScriptedModel(lambda prompt: answer, name="long", prompt_type="cot")
    trainer = VLMTrainer("pong", model=model, max_decisions=6, run_folder=tmp_path)
    played = trainer.run_episode(1)
    assert repr(played) == "Trajectory(pong, long: score 0 over 6 decisions, seed=1)"
    step = played.steps[-1]
    call = step.decision.calls[0]
    assert repr(step) == (
        "Step(5: Decision('RIGHT', frames=2, source='parsed', 1 call), reward 0, truncated)"
    )
    assert repr(step.observation) == (
        "Observation(pong, step 5, score 0, lives 0, 4 frames, 6 legal actions)"
    )
    assert repr(step.observation.frames[-1]) == "Frame(210x160, episode 0, step 5)"
    assert "2 messages" in repr(call.prompt)
    assert "long words" in repr(call)
    assert repr(step.decision.usage) == "Usage(calls=1)"
    shown = (step, call, call.prompt, call.reply, *call.prompt.messages, trainer, get_game("pong"))
    for each in (*shown, estimate_run("pong", "gpt-6-luna")):
        assert len(repr(each)) < 160
        assert str(each) == repr(each)
    settings = BenchSettings(games=("pong",), players=("random",), episodes=1, max_decisions=3)
    (cell,) = run_bench(replace(settings, out=tmp_path / "bench"), lambda line: None)
    assert repr(cell) == "Cell(pong, random: 0 over 1 episode, folder='pong/random-s0')"
    with closing(Run.read(tmp_path / "bench" / cell.folder)) as run:
        assert repr(run) == f"Run({str(run.folder)!r}: pong, random)"


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_a_terminal_shows_one_line_that_is_written_over(tmp_path, monkeypatch):
    monkeypatch.setenv("COLUMNS", "60")
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(sys, "stderr", Terminal())
    trainer = VLMTrainer(
        "pong",
        model=up(),
        max_decisions=5,
        run_folder=tmp_path,
        use_in_context_learning=True,
    )
    trainer.train(2)
    trainer.evaluate(1)
    shown = sys.stderr.getvalue()
    train, evaluation = (line.split("\r")[1:] for line in shown.split("\n")[:2])
    first = "pong, up, learning [#####.....] 1/2, decision 5, score"
    assert any(line.startswith(first) for line in train)
    assert train[-1].startswith("pong, up, learning [##########] 2/2,")
    assert evaluation[-1].startswith("pong, up, evaluation [##########] 1/1,")
    assert max(map(len, train + evaluation)) < 60
    monkeypatch.setattr(sys, "stderr", Terminal())
    VLMTrainer(
        "pong", model=up(), max_decisions=5, run_folder=tmp_path / "b", progress=False
    ).train(1)
    assert sys.stderr.getvalue() == ""


def test_a_log_is_clean_unless_progress_is_asked_for(tmp_path, capfd):
    VLMTrainer("pong", model=up(), max_decisions=5, run_folder=tmp_path).train(1)
    play("pong", up(), max_decisions=5, run_folder=tmp_path / "b")
    assert capfd.readouterr() == ("", "")


def test_an_invalid_run_quotes_the_last_answer_and_names_its_folder(tmp_path):
    words = "I would rather not say, and the key is planted-key-99. \x1b]0;x\x07" + "so " * 200
    with Server(Answer(text=words + "no.")) as server:
        trainer = VLMTrainer(
            "pong", "x", base_url=server.base_url, api_key="planted-key-99", run_folder=tmp_path
        )
        with pytest.raises(RunInvalid) as first:
            trainer.train(1)
        with pytest.raises(RunInvalid) as again:
            trainer.train(1)
    message = str(first.value)
    assert 'so so no."' in message
    assert "planted-key-99" not in message
    assert message.isprintable()
    assert len(message) < 700 + 2 * len(str(tmp_path))
    assert f"atari-vlm report {tmp_path}" in message
    assert first.value.reply.endswith("so no.")
    assert first.value.folder == again.value.folder == tmp_path
    assert 'so so no."' in str(again.value)


def test_a_process_without_standard_error_plays(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "stderr", None)
    played = play("pong", up(), max_decisions=3, progress=True, run_folder=tmp_path)
    assert played.episodes[0].decisions == 3
