"""Ablated players: what they are shown, and what the record keeps of it."""

from __future__ import annotations

from contextlib import closing

import numpy as np
import pytest

from atari_vlm.errors import InvalidSetting, StoreError, UnknownName
from atari_vlm.models.scripted import ScriptedModel
from atari_vlm.policies.ablations import ABLATIONS
from atari_vlm.policies.registry import PlayerName, WrapperCall, parse_name
from atari_vlm.runs.run import Run
from atari_vlm.trainer import VLMTrainer


def play(folder, player, decisions=24, **options):
    trainer = VLMTrainer("pong", player, run_folder=folder, seed=3, max_decisions=decisions)
    return trainer.train(1, **options)


def test_the_name_says_what_is_shown():
    assert parse_name("embedded+blank") == PlayerName("embedded", (WrapperCall("blank"),))
    assert parse_name("embedded") == PlayerName("embedded")
    with pytest.raises(UnknownName, match=r"No wrapper is called 'blnk'. Did you mean 'blank'"):
        parse_name("embedded+blnk")


def test_a_player_that_never_sees_the_screen_cannot_be_blinded(tmp_path):
    with pytest.raises(InvalidSetting, match="'random' cannot follow an ablation"):
        play(tmp_path / "run", "random+blank")


@pytest.mark.parametrize("sight", ["blank", "frozen"])
def test_the_same_screen_for_ever_gets_the_same_words(tmp_path, sight):
    play(tmp_path / "run", f"embedded+{sight}")
    words = {what for what, _ in answers(tmp_path / "run")}
    assert len(words) == 1
    play(tmp_path / "seeing", "embedded")
    assert len({what for what, _ in answers(tmp_path / "seeing")}) > 10


def answers(folder):
    """(what is seen, plan) of every decision."""
    with closing(Run.read(folder)) as run:
        return [d.calls[0].reply.text.rsplit(": ", 1) for d in run.decisions(0)]


def test_the_record_holds_the_screens_that_were_shown(tmp_path):
    play(tmp_path / "run", "embedded+shuffled", decisions=30)
    with closing(Run.read(tmp_path / "run")) as run:
        kept = run.adopted()
        shown = [frame for d in run.decisions(0) for frame in d.calls[0].prompt.frames]
    places = {(frame.episode, frame.step) for frame in shown}
    assert len(places) > 20
    assert places == set(kept)
    truth = {
        (-1, 2 * i + now): pair[now].pixels
        for i, pair in enumerate(ABLATIONS["shuffled"]("pong"))
        for now in (0, 1)
    }
    assert all(np.array_equal(frame.pixels, truth[place]) for place, frame in kept.items())


def test_a_blinded_run_goes_on_where_it_stopped(tmp_path):
    whole = VLMTrainer(
        "pong", "embedded+shuffled", run_folder=tmp_path / "a", seed=3, max_decisions=20
    )
    whole.train(2)
    parts = VLMTrainer(
        "pong", "embedded+shuffled", run_folder=tmp_path / "b", seed=3, max_decisions=20
    )
    parts.train(1)
    VLMTrainer(
        "pong", "embedded+shuffled", run_folder=tmp_path / "b", seed=3, max_decisions=20
    ).train(2)

    def decisions(folder):
        with closing(Run.read(folder)) as run:
            return [(d.action, d.frames) for k in (0, 1) for d in run.decisions(k)]

    assert decisions(tmp_path / "a") == decisions(tmp_path / "b")
    with pytest.raises(StoreError, match="holds another run: it has model"):
        VLMTrainer("pong", "embedded", run_folder=tmp_path / "b", seed=3, max_decisions=20).train(2)


def test_a_nudge_does_not_tell_whether_the_true_screen_changes(tmp_path):
    """Breakout before the serve, the paddle at the wall: only the true screen stands still."""
    told = {}
    for player in ("mine", "mine+shuffled"):
        said = []

        def script(prompt, said=said):
            said.append(prompt.text)
            return "ACTION: NOOP" if len(said) > 20 and len(said) % 2 else "ACTION: RIGHT"

        model = ScriptedModel(script, name="mine")
        settings = {"nudge": True, "stuck_after": 4, "max_decisions": 40, "prompt_type": "basic"}
        folder = tmp_path / player
        VLMTrainer("breakout", player, model=model, run_folder=folder, **settings).train(1)
        told[player] = [text for text in said if "The screen has not changed" in text]
    assert told["mine"]
    assert not told["mine+shuffled"]
