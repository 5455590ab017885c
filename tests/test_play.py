"""`play` and `VLMTrainer` in a script and in a notebook, with models and policies of one's own."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
import textwrap
import time
from contextlib import closing
from pathlib import Path

import pytest

import atari_vlm
from atari_vlm import Decision, Run, VLMTrainer, play
from atari_vlm.errors import InvalidSetting, ModelUnusable, StoreError
from atari_vlm.models.hosted.model import HostedModel
from atari_vlm.models.scripted import ScriptedModel
from atari_vlm.types import Usage
from tests.hosted import COMPATIBLE, make_settings
from tests.servers import Server
from tests.test_protocols import Plays
from tests.vendor_apis import Answer

ROOT = Path(__file__).resolve().parent.parent

EXAMPLE = """
from atari_vlm import Decision, play

class Up:
    name = "up"

    async def decide(self, observation, history, rng):
        return Decision(observation.legal[2], frames=observation.interval)

summary = play("pong", Up(), episodes=1, max_decisions=30)
"""


def up():
    return ScriptedModel(lambda prompt: "ACTION: RIGHT", name="up")


# --- play ----------------------------------------------------------------------------------------


def docstring_example():
    """The code block of `play`'s own documentation."""
    lines = play.__doc__.splitlines()
    start = next(k for k, line in enumerate(lines) if "from atari_vlm import" in line)
    stop = next(k for k, line in enumerate(lines) if "play(" in line)
    return textwrap.dedent("\n".join(lines[start : stop + 1]))


@pytest.mark.parametrize("code", [EXAMPLE, docstring_example()], ids=["issue", "docstring"])
def test_a_policy_of_ones_own_is_played_by_a_few_lines(code, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = {}
    exec(code, names)
    (folder,) = (tmp_path / "runs").iterdir()
    with closing(Run.read(folder)) as run:
        assert run.settings["policy"]["name"] == "up"
        assert {plan.action for plan in run.plans(0)} == {"RIGHT"}
        assert len(run.plans(0)) == 30
    if "summary" in names:
        assert names["summary"].episodes[0].decisions == 30


def test_it_can_be_called_while_an_event_loop_runs_as_in_a_notebook(tmp_path):
    async def cell(number):
        return play("pong", up(), max_decisions=5, run_folder=tmp_path, progress=False)

    assert asyncio.run(cell(1)).played == 5
    assert asyncio.run(cell(2)).played == 0


def test_progress_goes_to_standard_error_and_can_be_turned_off(tmp_path, capfd):
    play("pong", up(), episodes=2, max_decisions=5, run_folder=tmp_path / "loud", progress=True)
    out, err = capfd.readouterr()
    assert out == ""
    lines = err.splitlines()
    assert lines[0].startswith("pong, up: 1 of 2 episodes; episode 0, decision 5, score 0 (")
    assert lines[-1].startswith("pong, up: 2 of 2 episodes; episode 1, decision 5")
    play("pong", up(), max_decisions=5, run_folder=tmp_path / "quiet", progress=False)
    assert capfd.readouterr() == ("", "")


def test_a_summary_is_short_when_it_is_printed(tmp_path):
    summary = play("pong", "random", max_decisions=5, run_folder=tmp_path, progress=False)
    shown = repr(summary)
    assert shown.startswith("Summary(pong, random: 0")
    assert f"over 1 episode, folder={str(tmp_path)!r})" in shown
    assert len(shown) < 120 + len(str(tmp_path))
    assert str(summary) == shown


# --- Ctrl-C --------------------------------------------------------------------------------------

CELL = """
import asyncio, sys, time
from pathlib import Path
from atari_vlm import VLMTrainer, play
from atari_vlm.models.scripted import ScriptedModel

kind, loop, folder = sys.argv[1:]
log = (Path(folder) / "calls").open("a", buffering=1)
stops = []

class Slow(ScriptedModel):
    async def answer(self, prompt, *, seed):
        log.write(".")
        log.flush()
        if kind == "awaits":
            await asyncio.sleep(0.03)
        return await super().answer(prompt, seed=seed)

def script(prompt):
    if kind != "awaits":
        time.sleep(0.03)
    return "ACTION: NOOP"

def played():
    options = {"max_decisions": 100, "run_folder": Path(folder) / "run"}
    model = Slow(script, name="slow")
    if kind == "trains":
        return VLMTrainer("pong", "slow", model=model, **options).train(1)
    return play("pong", model, progress=False, **options)

async def notebook():
    started = time.monotonic()
    try:
        played()
    except KeyboardInterrupt:
        print("stopped", flush=True)
    else:
        print("not stopped", flush=True)
    print(played().episodes[0].decisions, flush=True)

if loop == "runner":
    asyncio.run(notebook())
else:
    asyncio.new_event_loop().run_until_complete(notebook())
"""


def hear_ctrl_c():
    signal.signal(signal.SIGINT, signal.SIG_DFL)


@pytest.mark.parametrize("loop", ["runner", "notebook"])
@pytest.mark.parametrize("kind", ["blocks", "awaits", "trains"])
def test_ctrl_c_stops_a_notebook_at_once_and_the_same_call_continues(tmp_path, kind, loop):
    program = [sys.executable, "-c", CELL, kind, loop, str(tmp_path)]
    process = subprocess.Popen(
        program,
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=hear_ctrl_c,
    )
    log = tmp_path / "calls"
    while not log.exists() or log.stat().st_size < 10:
        assert process.poll() is None, process.stderr.read()
        time.sleep(0.002)
    made = log.stat().st_size
    process.send_signal(signal.SIGINT)
    assert process.stdout.readline() == "stopped\n"
    assert log.stat().st_size <= made + 5 < 100
    out, errors = process.communicate(timeout=60)
    assert (process.returncode, out) == (0, "100\n"), errors
    assert log.stat().st_size <= 101


# --- run_episode ---------------------------------------------------------------------------------


def test_single_episodes_share_a_folder_and_come_back_with_everything(tmp_path):
    with Server(Answer(text='{"reasoning": "r", "action": "RIGHT", "frames": 2}')) as server:
        trainer = VLMTrainer(
            "pong", "any", base_url=server.base_url, max_decisions=6, run_folder=tmp_path
        )
        one, two = trainer.run_episode(1), trainer.run_episode(2)
        again = trainer.run_episode(1)
        assert server.count == 12
    assert (one.seed, two.seed, again.seed) == (1, 2, 1)
    for played in (one, two, again):
        assert len(played.steps) == 6
        for step in played.steps:
            assert step.observation.legal[:3] == ("NOOP", "FIRE", "RIGHT")
            assert len(step.observation.frames) == 4
            assert all(frame.pixels.shape == (210, 160) for frame in step.observation.frames)
            (call,) = step.decision.calls
            assert all(frame.pixels.shape == (210, 160) for frame in call.prompt.frames)
            assert "RIGHT" in call.prompt.text
            assert call.reply.text.startswith('{"reasoning"')
            assert step.decision.usage.input_tokens == 900
        assert (played.usage.calls, played.usage.output_tokens) == (6, 240)
    assert one.steps[3].observation.frames[-1] is not two.steps[3].observation.frames[-1]


# --- a hosted model of one's own -----------------------------------------------------------------


def test_a_hosted_model_of_ones_own_plays_is_capped_and_identified(tmp_path):
    def trainer(**more):
        settings = make_settings(COMPATIBLE, server, **more.pop("settings", {}))
        model = HostedModel(settings, api_key="planted")
        options = {"max_decisions": 4, "run_folder": tmp_path, **more}
        return VLMTrainer("pong", "mine", model=model, **options)

    with Server(Answer(text="ACTION: NOOP")) as server:
        summary = trainer(budget_tokens=100_000).train(1)
        assert server.count == 4
        assert summary.model == "mine"
        assert summary.usage.input_tokens == 3600
        with pytest.raises(StoreError, match="model_settings"):
            trainer(settings={"temperature": 0.5}).train(1)
    with Server(Answer(text="ACTION: NOOP")) as server:  # at another address
        with pytest.warns(UserWarning, match="has 4 answers of the server at http"):
            assert trainer(max_decisions=4).train(2).usage.calls == 8
        assert b"planted" not in (tmp_path / "run.sqlite").read_bytes()


# --- platforms -----------------------------------------------------------------------------------

WITHOUT_FCNTL = """
import os, subprocess, sys, types
sys.modules["fcntl"] = None
if sys.argv[2] == "msvcrt":
    taken = set()
    fake = types.ModuleType("msvcrt")
    fake.LK_NBLCK = 2
    def locking(number, mode, count):
        assert (mode, count, os.lseek(number, 0, os.SEEK_CUR)) == (2, 1, 0)
        if number in taken:
            raise PermissionError(13, "Permission denied")
        taken.add(number)
    fake.locking = locking
    sys.modules["msvcrt"] = fake
import atari_vlm
summary = atari_vlm.play("pong", "embedded", max_decisions=5, run_folder=sys.argv[1])
assert summary.episodes[0].decisions == 5
assert summary.played == 5
from atari_vlm.report.run_page import write_replay
from pathlib import Path
write_replay(Path(sys.argv[1]))
if sys.argv[2] == "msvcrt":
    from atari_vlm.errors import StoreError
    from atari_vlm.files.writing import lock
    assert taken
    taken.update(range(100))
    try:
        lock(Path(sys.argv[1]) / "lock", "busy")
    except StoreError as error:
        assert str(error) == "busy"
    else:
        raise SystemExit("the lock was taken twice")
"""


@pytest.mark.parametrize("locks", ["none", "msvcrt"])
def test_a_platform_without_fcntl_imports_and_plays(tmp_path, locks):
    program = [sys.executable, "-W", "error", "-c", WITHOUT_FCNTL, str(tmp_path / "run"), locks]
    done = subprocess.run(program, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


# --- names ---------------------------------------------------------------------------------------


def test_the_nouns_come_from_the_package():
    nouns = "Observation Plan Policy Strategy Model Learner Lessons Trajectory Decision Summary"
    for name in nouns.split():
        assert getattr(atari_vlm, name)
        assert name in dir(atari_vlm)
    assert Usage(calls=1) + Usage(calls=2) == Usage(calls=3)


# --- what is refused -----------------------------------------------------------------------------


def test_decisions_are_counted_once_however_often_a_run_is_opened(tmp_path):
    asks = {"max_decisions": 5, "run_folder": tmp_path, "progress": False}
    for episodes, decisions in ((1, 5), (1, 5), (2, 10), (2, 10)):
        assert play("pong", "random", episodes=episodes, **asks).sources == {"scripted": decisions}


def test_an_unknown_keyword_names_the_function_and_the_nearest_one():
    with pytest.raises(TypeError, match=r"play\(\) has no keyword 'episode'.*'episodes'"):
        play("pong", "random", episode=3)
    with pytest.raises(TypeError, match=r"play\(\) has no keyword 'policy'"):
        play("pong", "random", policy=Plays(None))


@pytest.mark.parametrize("name", ["embedded", "gpt-4o", "random", "always-LEFT"])
def test_a_policy_of_ones_own_never_has_the_label_of_another(name):
    own = Plays(Decision("FIRE", frames=4))
    with pytest.raises(
        InvalidSetting, match="another player; the one of your own is called 'plays'"
    ):
        VLMTrainer("pong", name, policy=own)
    with pytest.raises(InvalidSetting, match="another player"):
        VLMTrainer("pong", "gpt-4o", model=up())
    assert VLMTrainer("pong", policy=own).player.name == "plays"
    assert VLMTrainer("pong", model=up()).player.name == "up"
    assert VLMTrainer("pong", "label", policy=own).player.name == "label"
    assert VLMTrainer("pong").player.name == "embedded"


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ({"temperature": "hot"}, "temperature must be a number or None, not of type str"),
        ({"max_tokens": 1.5}, "max_tokens must be a whole number or None, not of type float"),
        ({"api_key": 5}, "api_key must be text or None, not of type int"),
        ({"plans": "x"}, "plans must be True or False"),
        ({"run_folder": 5}, "run_folder must be text or a path or None"),
        ({"budget": True}, "budget must be a number or None, not of type bool"),
        ({"seed": None}, "seed must be a whole number, not of type NoneType"),
        ({"frame_skip": None}, "frame_skip must be a whole number"),
    ],
)
def test_a_value_of_another_type_is_refused_in_a_sentence(setting, words):
    with pytest.raises(InvalidSetting, match=words):
        VLMTrainer("pong", "random", **setting)


def test_an_episode_that_its_own_player_cancels_is_an_error(tmp_path):
    class Cancels(Plays):
        async def decide(self, observation, history, rng):
            raise asyncio.CancelledError

    with pytest.raises(ModelUnusable, match="cancelled its own episode"):
        play("pong", Cancels(None), run_folder=tmp_path, progress=False)


def test_a_model_that_cannot_be_closed_loses_no_score(tmp_path):
    class Stuck(ScriptedModel):
        async def close(self):
            raise OSError("busy")

    model = Stuck(lambda prompt: "ACTION: RIGHT", name="stuck")
    with pytest.warns(UserWarning, match="stuck could not be closed: busy"):
        summary = play("pong", model, max_decisions=5, run_folder=tmp_path, progress=False)
    assert summary.played == 5


# --- seeds ---------------------------------------------------------------------------------------


def test_another_seed_in_the_same_folder_is_refused_in_the_unit_that_was_given(tmp_path):
    play("pong", "random", max_decisions=3, run_folder=tmp_path, seed=9)
    with pytest.raises(StoreError, match="it has seed 9, not 4"):
        play("pong", "random", max_decisions=3, run_folder=tmp_path, seed=4)
