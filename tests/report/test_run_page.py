"""The page of a run folder, opened in a real browser."""

from __future__ import annotations

import gc
import json
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from atari_vlm.atari import images
from atari_vlm.atari.games import GAMES
from atari_vlm.errors import InvalidSetting, RunInvalid, StoreError
from atari_vlm.models.scripted import ScriptedModel
from atari_vlm.report.packing import pack
from atari_vlm.report.run_page import replay_of, write_replay
from atari_vlm.runs.playback import observations
from atari_vlm.runs.run import Run
from atari_vlm.trainer import VLMTrainer
from atari_vlm.types import Frame, Prompt
from tests.policies.think.models import BySeed

pytest_plugins = ["tests.pages"]

RUNS = Path(__file__).resolve().parents[1] / "fixtures" / "runs"


def sweep(prompt: Prompt) -> str:
    """An answer that depends on the screen; one in nine names no action."""
    total = int(prompt.frames[-1].pixels.sum())
    if total % 9 == 0 and len(prompt.messages) < 3:
        return "TEST: I wonder."
    return f"TEST: {total}. ACTION: {prompt.legal[total % len(prompt.legal)]} x{total % 4 + 1}"


def train(folder, episodes=2, **settings):
    model = ScriptedModel(sweep)
    settings = {"max_decisions": 100, "frames_in_prompt": 2, "run_folder": folder, **settings}
    trainer = VLMTrainer("breakout", "sweeper", prompt_type="basic", model=model, **settings)
    return trainer.train(episodes)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return train(tmp_path_factory.mktemp("runs") / "run", use_in_context_learning=True).folder


def test_a_replay_holds_every_decision_and_screen_of_its_run(folder):
    run = Run.read(folder)
    replay = replay_of(run)
    assert [episode.number for episode in replay.episodes] == [0, 1]
    for episode in replay.episodes:
        decisions = run.decisions(episode.number)
        assert [(d.action, d.frames, d.source) for d in episode.decisions] == [
            (d.action, d.frames, d.source) for d in decisions
        ]
        assert [d.reward for d in episode.decisions] == run.rewards(episode.number)
        shown = [seen.frames[-1].pixels for seen in observations(run, episode.number)]
        assert all(np.array_equal(a, b) for a, b in zip(episode.screens(), shown, strict=True))
        assert episode.score == sum(run.rewards(episode.number))
    run.close()


def test_an_episode_cut_short_is_not_compared_with_a_human(folder):
    run = Run.read(folder)
    episode = replay_of(run).episodes[0]
    run.close()
    assert episode.status == "cut short after 100 decisions"
    assert not episode.whole


def test_an_episode_that_was_stopped_is_shown_as_far_as_it_came(tmp_path):
    def stop(episode, step):
        if step.observation.step == 12:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(tmp_path, watch=stop)
    run = Run.read(tmp_path)
    (episode,) = replay_of(run).episodes
    run.close()
    assert episode.status == "not finished"
    assert len(episode.decisions) == 13


def test_a_page_can_show_chosen_episodes_only(folder, tmp_path):
    run = Run.read(folder)
    assert [episode.number for episode in replay_of(run, episodes=[1]).episodes] == [1]
    run.close()
    with pytest.raises(StoreError, match=r"has no episode 7\. It has: 0, 1\."):
        write_replay(folder, tmp_path / "page.html", episodes=[7])


def test_the_page_of_a_long_run_names_the_episodes_it_shows(folder):
    run = Run.read(folder)
    replay = replay_of(run, most=150)
    run.close()
    assert [episode.number for episode in replay.episodes] == [0]
    assert ("In this page", "episode 0, of 2 in the run") in replay.facts


def test_a_player_that_reads_ram_is_shown_as_one(tmp_path):
    trainer = VLMTrainer("pong", "expert", run_folder=tmp_path, max_decisions=3)
    run = Run.read(trainer.train(1).folder)
    replay = replay_of(run)
    run.close()
    assert ("Reads beyond the screen", "ram") in replay.facts


@pytest.mark.browser
def test_writing_a_page_leaves_the_garbage_collector_as_it_was(folder, tmp_path):
    assert gc.isenabled()
    write_replay(folder, tmp_path / "page.html")
    assert gc.isenabled()
    with pytest.raises(StoreError):
        write_replay(folder, tmp_path / "page.html", episodes=[77])
    assert gc.isenabled()
    gc.disable()
    try:
        write_replay(folder, tmp_path / "page.html")
        assert not gc.isenabled()
    finally:
        gc.enable()


def test_the_candidates_of_a_search_are_shown_beside_its_choice(tmp_path, browser):
    trainer = VLMTrainer("pong", "iw-160", run_folder=tmp_path, max_decisions=5)
    path = write_replay(trainer.train(1).folder)
    run = Run.read(tmp_path)
    decision = run.decisions(0)[3]
    run.close()
    browser.open(path, "#episode=0&decision=3")
    browser.settled(3)
    assert decision.reason in browser.text("reason")
    for other in decision.considered:
        assert (
            f"{other.action} \N{MULTIPLICATION SIGN} {other.frames} {other.reason}"
            in browser.text("said")
        )
    assert browser.warnings == []


@pytest.mark.browser
def test_a_decision_planned_before_names_the_answer_that_planned_it(tmp_path, browser):
    model = ScriptedModel(lambda prompt: "ACTIONS: RIGHT x1, LEFT x2, NOOP x3")
    trainer = VLMTrainer(
        "pong", "mine", model=model, run_folder=tmp_path, max_decisions=6, decisions_per_call=3
    )
    path = write_replay(trainer.train(1).folder)
    browser.open(path, "#episode=0&decision=3")
    browser.settled(3)
    assert "ACTIONS: RIGHT x1, LEFT x2, NOOP x3" in browser.text("said")
    assert browser.text("later") == "Queue, plans for the next decisionsLEFT x2, NOOP x3"
    browser.open(path, "#episode=0&decision=4")
    browser.settled(4)
    words = "LEFT was planned before. Plan 2 of 3, made at decision 3."
    assert words in browser.text("said")
    assert browser.warnings == []


@pytest.mark.browser
def test_a_json_answer_that_plans_several_decisions_is_readable(tmp_path, browser):
    answer = {"reasoning": "TEST", "actions": [{"action": name, "frames": 2} for name in "AB"]}
    model = ScriptedModel(lambda prompt: json.dumps(answer))
    trainer = VLMTrainer(
        *("pong", "mine"), model=model, run_folder=tmp_path, max_decisions=2, prompt_type="cot"
    )
    with pytest.raises(RunInvalid):
        trainer.train(1)
    browser.open(write_replay(tmp_path), "#episode=0&decision=0")
    browser.settled(0)
    fields = "return [...document.querySelectorAll('#said dd')].map((field) => field.textContent)"
    assert browser.run(fields)[:2] == ["TEST", "action A, frames 2\naction B, frames 2"]
    assert browser.warnings == []


@pytest.mark.parametrize(("model", "shown"), [(None, True), (ScriptedModel(sweep), False)])
def test_a_constant_player_is_not_confused_with_a_model_of_its_name(tmp_path, model, shown):
    trainer = VLMTrainer(
        "pong", "always-LEFT", run_folder=tmp_path, max_decisions=3, model=model, plans=not model
    )
    run = Run.read(trainer.train(1).folder)
    replay = replay_of(run)
    run.close()
    assert (("Reads beyond the screen", "nothing") in replay.facts) == shown


def test_no_run_and_a_run_without_play_are_errors(tmp_path):
    with pytest.raises(StoreError, match="holds no run"):
        write_replay(tmp_path)
    Run.play(tmp_path, {"game": "pong", "model": "none"}).close()
    with pytest.raises(InvalidSetting, match="nothing to replay"):
        write_replay(tmp_path)
    assert not (tmp_path / "replay.html").exists()


@pytest.mark.browser
def test_the_page_of_a_run_shows_prompts_and_replies(folder, browser):
    path = write_replay(folder)
    assert path == folder / "replay.html"
    run = Run.read(folder)
    decisions, seen = run.decisions(1), [o.frames[-1] for o in observations(run, 1)]
    run.close()
    step = 70
    browser.open(path, f"#episode=1&decision={step}")
    browser.settled(step)
    assert np.array_equal(browser.pixels("#screen"), images.rgb(seen[step]))
    call = decisions[step].calls[-1]
    assert call.reply.text in browser.text("said")
    browser.press("w")
    browser.wait("!document.querySelector('.fold')")
    shown = browser.text("saw").replace("\u200b", "")
    for message in call.prompt.messages[:2]:
        for part in message.parts:
            if isinstance(part, Frame):
                place = f'#saw canvas[data-episode="{part.episode}"][data-step="{part.step}"]'
                assert browser.pixels(place).size
            else:
                assert part.replace("\n", "") in shown
    assert browser.warnings == []


@pytest.mark.browser
def test_a_pal_game_is_shown_in_its_own_colours_and_size(tmp_path, browser):
    game = next(game for game in GAMES.values() if game.pal)
    trainer = VLMTrainer(game.name, "random", run_folder=tmp_path, max_decisions=70)
    path = write_replay(trainer.train(1).folder)
    run = Run.read(tmp_path)
    *_, last = observations(run, 0)
    run.close()
    browser.open(path, "#episode=0&decision=70")
    browser.settled(70)
    assert last.frames[-1].standard == "pal"
    assert np.array_equal(browser.pixels("#screen"), images.rgb(last.frames[-1]))


def test_a_run_that_only_plays_has_no_phase(tmp_path):
    trainer = VLMTrainer("pong", "random", run_folder=tmp_path, max_decisions=3)
    run = Run.read(trainer.train(1).folder)
    (episode,) = replay_of(run).episodes
    run.close()
    assert (episode.name, episode.phase, episode.lessons) == ("0", "", ())


# -- what the model was shown -------------------------------------------------------------------


def test_a_run_records_how_its_frames_become_pictures(tmp_path):
    trainer = VLMTrainer("pong", "embedded", run_folder=tmp_path, max_decisions=3)
    run = Run.read(trainer.train(1).folder)
    assert run.settings["pictures"] == {"form": "motion", "side": 160}
    assert replay_of(run).pictures == run.settings["pictures"]
    run.close()


@pytest.mark.parametrize(
    ("name", "form"), [("embedded", "motion"), ("scored", "motion"), ("scripted", "each")]
)
def test_an_older_run_is_shown_as_the_pictures_of_its_time(name, form):
    run = Run.read(RUNS / name)
    assert replay_of(run).pictures["form"] == form
    run.close()


@pytest.mark.parametrize(
    ("recorded", "shown"),
    [
        ({"video": True}, {"form": "video", "multiple": 1, "most": None, "fastest": 24}),
        ({"video": False}, {"form": "each"}),
        ({"local": "qwen2_vl: every screen"}, {"form": "each", "said": "qwen2_vl: every screen"}),
        ({"prompt": "specialist"}, {"form": "motion", "side": 160}),
    ],
)
def test_pictures_are_those_that_the_settings_of_a_run_tell_of(tmp_path, recorded, shown):
    run = Run.play(tmp_path, {"game": "pong", "model": "mine", **recorded})
    assert replay_of(run).pictures == shown
    run.close()


@pytest.mark.browser
def test_screens_of_an_ablation_are_named_as_what_they_are(tmp_path, browser):
    path = write_replay(RUNS / "blank", tmp_path / "blank.html")
    browser.open(path, "#episode=0&decision=9")
    browser.settled(9)
    assert "shown in place of the screen" in browser.text("saw")
    assert "training" not in browser.text("saw")
    browser.painted("#saw canvas.motion")
    assert not browser.pixels("#saw canvas.motion").any()


@pytest.mark.browser
def test_answers_rated_without_words_are_not_called_empty(tmp_path, browser):
    path = write_replay(RUNS / "scored", tmp_path / "scored.html")
    browser.open(path, "#episode=0&decision=9")
    browser.settled(9)
    assert "No words: the model rated every legal answer in one pass." in browser.text("said")


@pytest.mark.browser
def test_the_pad_says_what_the_action_does_in_this_game(tmp_path, browser):
    path = write_replay(RUNS / "ahead", tmp_path / "page.html")
    with closing(Run.read(RUNS / "ahead")) as run:
        actions = [plan.action for plan in run.plans(0)]
    said = {"RIGHT": "paddle up", "LEFT": "paddle down", "RIGHTFIRE": "paddle up + faster return"}
    for action, words in said.items():
        step = actions.index(action)
        browser.open(path, f"#episode=0&decision={step}")
        browser.settled(step)
        assert browser.text("action") == action
        assert browser.text("does").startswith(words)
    lit = browser.run("return [...document.querySelectorAll('#pad .lit')].map(a => a.dataset.arm)")
    assert set(lit) == {"RIGHT", "FIRE"}
    browser.open(path, f"#episode=0&decision={len(actions)}")
    browser.settled(len(actions))
    assert browser.text("does") == ""


def test_nothing_is_said_of_the_actions_of_a_game_or_a_mode_without_meanings(tmp_path):
    played = {"tetris": {}, "asteroids": {"mode": 16}, "freeway": {}}
    meanings = {}
    for game, settings in played.items():
        place = tmp_path / game
        VLMTrainer(game, "random", max_decisions=3, run_folder=place, **settings).train(1)
        with closing(Run.read(place)) as run:
            meanings[game] = replay_of(run).meanings
    assert meanings["tetris"] == meanings["asteroids"] == {}
    assert meanings["freeway"]["UP"] == "walk up the screen"


@pytest.mark.browser
@pytest.mark.parametrize("name", sorted(path.parent.name for path in RUNS.glob("*/run.sqlite")))
def test_runs_of_earlier_versions_still_have_a_page(name, tmp_path, browser):
    _ = browser.warnings
    browser.open(write_replay(RUNS / name, tmp_path / "page.html"))
    browser.settled(int(browser.run("return document.getElementById('scrub').value")))
    assert browser.warnings == []
    assert not browser.run("return document.getElementById('broken').checkVisibility()")


def test_the_page_shows_where_the_thinking_went(tmp_path, browser):
    def wavers(prompt: Prompt, seed: int) -> str:
        return f"ACTION: {('LEFT', 'LEFT', 'RIGHT')[seed % 3]} x2"

    trainer = VLMTrainer(
        "breakout",
        "wavers+vote:5",
        model=BySeed(wavers, name="wavers"),
        run_folder=tmp_path / "run",
        max_decisions=6,
        think_budget="16 calls",
    )
    trainer.train(1)
    browser.open(write_replay(tmp_path / "run"), "#episode=0&decision=1")
    browser.settled(1)
    assert "Thought longer: a vote of 5 +4 calls, 440 tokens" in browser.text("thought")
    shares = browser.run("return document.querySelector('.shares').innerText.split('\\n')")
    counts = [int(text.split(" of ")[0]) for text in shares if " of 5" in text]
    assert sum(counts) == 5
    assert counts == sorted(counts, reverse=True)
    browser.open(tmp_path / "run" / "replay.html", "#episode=0&decision=5")
    browser.settled(5)
    assert browser.text("thought").startswith("Did not think longer: the budget of the episode")
    assert browser.warnings == []


def test_the_page_labels_a_player_that_uses_the_emulator(tmp_path):
    VLMTrainer("pong", "iw-40", max_decisions=2, run_folder=tmp_path / "run").train(1)
    with closing(Run.read(tmp_path / "run")) as run:
        assert pack(replay_of(run))["label"] == "iw-40 (uses emulator)"
