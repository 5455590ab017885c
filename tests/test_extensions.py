"""A policy wrapper, a prompt, a model and a learner, each in one file outside the package.

They are played, stopped, continued, benched and reported like the package's own.
"""

from __future__ import annotations

import subprocess
import sys
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest

from atari_vlm import (
    BenchSettings,
    Run,
    VLMTrainer,
    chat_samples,
    get_game,
    play,
    run_bench,
)
from atari_vlm.errors import InvalidSetting, StoreError, UnknownName
from atari_vlm.policies.experts.table import EXPERTS
from atari_vlm.policies.registry import WRAPPERS
from atari_vlm.report.run_page import write_replay
from atari_vlm.runs.playback import full_trajectory, pictures
from tests.extensions.my_learner import Reflect
from tests.extensions.my_model import Checksum
from tests.extensions.my_prompt import Terse
from tests.extensions.my_wrapper import Mirror, Peek, mirror, peek
from tests.servers import Server
from tests.vendor_apis import Answer

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture
def mine(monkeypatch):
    """Registers the wrappers as a user does, by one entry each."""
    monkeypatch.setitem(WRAPPERS, "mine", mirror)
    monkeypatch.setitem(WRAPPERS, "peek", peek)


def all_four(place: Path, model: Checksum | None = None, **more) -> VLMTrainer:
    WRAPPERS["mine"] = mirror
    return VLMTrainer(
        "breakout",
        "checksum+mine:3",
        **{
            "model": model or Checksum(),
            "strategy": Terse(),
            "learner": Reflect(),
            "max_decisions": 25,
            "run_folder": place / "run",
            **more,
        },
    )


def record(folder: Path):
    """Everything in a run but times, with the pixels of every prompt."""

    def told(call):
        pixels = [frame.pixels.tobytes() for frame in call.prompt.frames]
        return call.seed, call.prompt.text, pixels, call.reply.text

    with closing(Run.read(folder)) as run:
        rows = run.episodes()
        calls = [
            [told(call) for call in step.decision.calls]
            for row in rows
            for step in full_trajectory(run, row.episode).steps
        ]
        learned = [(call.seed, call.prompt.text, call.reply.text) for call in run.learning_calls()]
        plans = [run.plans(row.episode) for row in rows]
        return [(r.seed, r.status, r.score, r.decisions) for r in rows], calls, plans, learned


# --- all four together ---------------------------------------------------------------------------


@pytest.fixture(scope="module")
def played(tmp_path_factory):
    place = tmp_path_factory.mktemp("extensions")
    summary = all_four(place, Checksum(log=place / "calls")).train(3)
    WRAPPERS.pop("mine")
    return summary, place


def test_a_wrapper_a_prompt_a_model_and_a_learner_of_ones_own_play_together(played):
    summary, place = played
    assert len(summary.scores) == 3
    assert summary.model == "checksum+mine:3"
    _, calls, plans, learned = record(summary.folder)
    assert [len(each) for each in calls] == [1] * 75
    assert len({plan.action for each in plans for plan in each}) > 2
    # One question before each of the second and the third episode.
    assert len(learned) == 2
    assert learned[1][1].startswith("<frame>\nScores: ")
    assert (place / "calls").stat().st_size == 77 == summary.usage.calls
    advice = [each[0][1].splitlines()[2:] for each in calls]
    assert advice == [[]] * 25 + [[learned[0][2]]] * 25 + [[learned[1][2]]] * 25


def test_the_wrapper_changes_what_is_seen_and_what_its_actions_are_called(played):
    summary, _ = played
    with closing(Run.read(summary.folder)) as run:
        draw = pictures(run)
        decisions = run.decisions(0)
        shown = [d.calls[0].prompt for d in decisions]
        screens = [draw(p.frames[0].episode, p.frames[0].step).pixels for p in shown]
        truth = [draw(0, step).pixels for step in range(len(shown))]
    for step, (screen, true) in enumerate(zip(screens, truth, strict=True)):
        assert np.array_equal(screen, true[:, ::-1] if step % 3 == 0 else true)
    assert shown[0].legal == ("NOOP", "FIRE", "LEFT", "RIGHT")
    assert shown[1].legal == ("NOOP", "FIRE", "RIGHT", "LEFT")
    said = [d.calls[0].reply.text.split()[1] for d in decisions]
    turned = {"LEFT": "RIGHT", "RIGHT": "LEFT"}
    wanted = [turned.get(a, a) if k % 3 == 0 else a for k, a in enumerate(said)]
    assert wanted == [d.action for d in decisions] != said


def test_the_record_names_them_with_version_settings_and_privileges(played):
    summary, _ = played
    kept = summary.settings
    assert kept["model"] == "checksum+mine:3"
    assert kept["version"] == "1 1"  # of the wrapper and of the model
    assert kept["wrappers"] == [{"every": 3, "version": "1"}]
    assert kept["model_settings"] == {"salt": 0}
    assert kept["strategy"] == {
        "name": "terse",
        "version": "1",
        "settings": {"polite": False, "name": "terse", "version": "1"},
    }
    assert kept["learner"] == "reflect"
    assert kept["taught"]["settings"]["words"] == 20
    assert kept["privileges"] == []
    assert summary.prompt == "terse"


@pytest.mark.parametrize("dies_at", [20, 52, 27, 26])
def test_a_stop_in_the_middle_changes_nothing_and_repeats_at_most_one_call(
    tmp_path, played, dies_at
):
    """26 is the answer to the first question of the learner."""
    summary, _ = played
    (tmp_path / "dies_at").write_text(str(dies_at))
    code = (
        "import sys; from pathlib import Path\n"
        "from tests.test_extensions import Checksum, all_four\n"
        "place = Path(sys.argv[1])\n"
        "all_four(place, Checksum(log=place / 'calls', dies_at=place / 'dies_at')).train(3)"
    )
    killed = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)], cwd=ROOT, capture_output=True, check=False
    )
    assert killed.returncode == 9, killed.stderr.decode()
    again = all_four(tmp_path, Checksum(log=tmp_path / "calls")).train(3)
    WRAPPERS.pop("mine")
    assert again.scores == summary.scores
    assert record(again.folder) == record(summary.folder)
    assert (tmp_path / "calls").stat().st_size == 77 + 1
    assert again.usage.calls == 77


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"model": Checksum(version="2")}, "version '1 1', not '1 2'"),
        ({"model": Checksum(salt=5)}, "model_settings"),
        ({"strategy": Terse(version="2")}, "strategy"),
        ({"strategy": Terse(polite=True)}, "strategy"),
        ({"learner": Reflect(version="2")}, "taught"),
        ({"learner": Reflect(words=5)}, "taught"),
    ],
)
def test_another_version_or_other_settings_of_the_same_name_are_refused(played, changed, words):
    _, place = played
    with pytest.raises(StoreError, match="holds another run: it has ") as caught:
        all_four(place, **changed).train(3)
    WRAPPERS.pop("mine")
    assert words in str(caught.value)
    assert str(caught.value).count(". ") == 1


def test_it_is_reported_and_gives_training_samples(played):
    summary, _ = played
    page = write_replay(summary.folder).read_text()
    assert "checksum+mine:3" in page
    with closing(Run.read(summary.folder)) as run:
        samples = list(chat_samples(run))
    assert len(samples) == 75
    content = samples[0].messages[0]["content"]
    assert [part["type"] for part in content] == ["image", "text"]
    assert samples[0].answer.startswith("ACTION: ")


@dataclass(frozen=True)
class Keyed(Checksum):
    """A model that declares no settings: its fields are recorded, but for its keys."""

    settings = None
    api_key: str = "planted-key"
    base_url: str = "http://user:planted-key@localhost/v1?token=planted-key"
    header: str = field(default="planted-key", repr=False)


def test_no_key_of_a_model_of_ones_own_reaches_the_folder(tmp_path):
    summary = play("pong", Keyed(), max_decisions=3, run_folder=tmp_path, progress=False)
    assert summary.settings["model_settings"]["salt"] == 0
    for file in tmp_path.iterdir():
        assert b"planted" not in file.read_bytes()


# --- a wrapper around a policy -------------------------------------------------------------------


def test_a_wrapper_is_played_with_the_privileges_and_versions_of_what_it_wraps(tmp_path):
    expert = EXPERTS["pong"]
    summary = play("pong", Mirror(expert), max_decisions=20, run_folder=tmp_path, progress=False)
    assert summary.privileges == ("ram",)
    assert summary.settings["privileges"] == ["ram"]
    identity = summary.settings["policy"]
    assert identity["name"] == f"{expert.name}+mine:1"
    assert identity["settings"] == {"every": 1, "version": "1"}
    assert identity["policy"]["name"] == expert.name
    assert "ram" in page_facts(write_replay(summary.folder))
    for other, words in (
        (Mirror(expert, version="2"), "version"),
        (Mirror(EXPERTS["pong"], every=2), "policy"),
    ):
        with pytest.raises(StoreError, match=words):
            play("pong", other, max_decisions=20, run_folder=tmp_path, progress=False)


def page_facts(page: Path) -> str:
    """The facts about the player that a page shows."""
    text = page.read_text()
    return text[text.index("Reads beyond the screen") :][:200]


def test_a_wrapper_that_uses_the_emulator_is_labelled_so_wherever_it_is_used(tmp_path, mine):
    policy = play("pong", Peek(EXPERTS["pong"]), max_decisions=5, run_folder=tmp_path / "policy")
    assert policy.privileges == ("emulator", "ram")
    named = VLMTrainer("pong", "embedded+peek", max_decisions=5, run_folder=tmp_path / "named")
    assert named.train(1).privileges == ("emulator",)
    assert "emulator" in page_facts(write_replay(tmp_path / "named"))
    honest = VLMTrainer("pong", "embedded", max_decisions=5, run_folder=tmp_path / "honest")
    assert honest.train(1).privileges == ()


def test_a_registered_wrapper_is_played_by_its_name(tmp_path, mine):
    def run(name):
        folder = tmp_path / name.replace("+", "-").replace(":", "-")
        summary = play("breakout", name, max_decisions=30, run_folder=folder, progress=False)
        with closing(Run.read(folder)) as run:
            return summary, run.plans(0)

    summary, thirds = run("embedded+mine:3")
    assert summary.settings["model"] == summary.model == "embedded+mine:3"
    _, every = run("embedded+mine")
    _, straight = run("embedded")
    assert thirds != every != straight != thirds
    blank, _ = run("embedded+mine:3+blank")
    assert blank.settings["model"] == "embedded+mine:3+blank"
    with pytest.raises(UnknownName, match=r"No wrapper is called 'mien'\. Did you mean 'mine'"):
        run("embedded+mien:3")
    with pytest.raises(InvalidSetting, match=r"The wrapper \+mine:x cannot be built"):
        run("embedded+mine:x")
    with pytest.raises(
        InvalidSetting, match=r"The wrapper \+mine:1:2 cannot be built: \+mine does not take 2"
    ):
        run("embedded+mine:1:2")


def test_other_settings_of_a_registered_wrapper_do_not_continue_its_run(tmp_path, monkeypatch):
    def run(wrap):
        monkeypatch.setitem(WRAPPERS, "mine", wrap)
        return play("pong", "embedded+mine", max_decisions=5, run_folder=tmp_path, progress=False)

    run(mirror)
    assert run(mirror).played == 0
    with pytest.raises(StoreError, match="wrappers"):
        run(lambda policy, game: Mirror(policy, 2))
    with pytest.raises(StoreError, match="version"):
        run(lambda policy, game: Mirror(policy, version="2"))


def test_a_wrapper_behind_a_model_of_ones_own_is_checked(tmp_path, mine):
    with pytest.raises(UnknownName, match="Did you mean 'mine'"):
        VLMTrainer("pong", "checksum+mien", model=Checksum())
    with pytest.raises(InvalidSetting, match="A policy or a model plays the game"):
        VLMTrainer("pong", "x", model=Checksum(), policy=Peek(EXPERTS["pong"]))


# --- the bench -----------------------------------------------------------------------------------


@pytest.mark.parametrize("processes", [1, 2])
def test_they_are_benched_from_python(tmp_path, mine, processes):
    settings = BenchSettings(
        games=("breakout",),
        players=("random", Checksum(), Mirror(EXPERTS["breakout"]), "embedded+mine:3"),
        episodes=2,
        out=tmp_path,
        processes=processes,
        strategy=Terse(),
        learner=Reflect(),
        max_decisions=20,
    )
    cells = run_bench(settings, lambda line: None)
    names = ["random", "checksum", "expert+mine:1", "embedded+mine:3"]
    assert [cell.player for cell in cells] == names
    assert [cell.privileges for cell in cells] == [(), (), ("ram",), ()]
    assert all(len(cell.scores) == 2 for cell in cells)
    with closing(Run.read(tmp_path / "breakout" / "checksum-terse-s0")) as run:
        assert run.settings["strategy"]["name"] == "terse"
        assert run.settings["learner"] == "reflect"
        assert len(run.learning_calls()) == 1
    table = (tmp_path / "results.csv").read_text()
    assert all(name in table for name in names)
    again = run_bench(settings, lambda line: None)
    assert again == cells
    write_replay(tmp_path / "breakout" / "embedded-mine-3-s0")


# --- names ---------------------------------------------------------------------------------------


def test_a_model_whose_name_holds_a_plus_plays(tmp_path):
    with Server(Answer(text="ACTION: NOOP")) as server:
        options = {"base_url": server.base_url, "max_decisions": 3, "progress": False}
        summary = play("pong", "cohere/command-r+", run_folder=tmp_path / "a", **options)
        assert summary.model == "cohere/command-r+"
        blind = play("pong", "cohere/command-r++blank", run_folder=tmp_path / "b", **options)
        assert blind.model == "cohere/command-r++blank"
        assert {request.body["model"] for request in server.requests} == {"cohere/command-r+"}
    assert get_game("pong") is summary.game


def test_a_wrapper_that_cannot_be_built_is_named_as_it_was_asked_for(monkeypatch):
    with pytest.raises(InvalidSetting, match=r"\+blank:3 cannot be built: \+blank does not take 1"):
        VLMTrainer("pong", "embedded+blank:3")
    monkeypatch.setitem(WRAPPERS, "none", lambda policy, game: None)
    with pytest.raises(InvalidSetting, match=r"The wrapper \+none returned no policy"):
        VLMTrainer("pong", "random+none")
