"""Lessons are tried one after the other, and each game that tries one has the cap of an episode."""

from __future__ import annotations

import re
from contextlib import closing

import pytest

from atari_vlm import Run, VLMTrainer
from atari_vlm.cli.console import Console
from atari_vlm.cli.scores import print_summary
from atari_vlm.errors import BudgetExceeded
from atari_vlm.models.hosted.model import HostedModel
from atari_vlm.models.scripted import ScriptedModel
from tests.hosted import COMPATIBLE, make_settings
from tests.learning.test_reflection import WORDS, Reviewer, lessons
from tests.servers import Server
from tests.vendors import serve_as

WALK, LOOK, HURRY = "Walk up without a pause.", "Look left and right.", "Never stand still."


def trainer(folder, script):
    return VLMTrainer(
        "freeway",
        "m",
        model=ScriptedModel(script),
        reflect=True,
        prove_lessons=True,
        prompt_type="basic",
        max_decisions=4,
        frame_skip=60,
        run_folder=folder,
    )


def confused(*words):
    """A model that stands still when it is told `WALK` and `LOOK` together."""

    def script(prompt):
        if "Review your gameplay" in prompt.text:
            return lessons(*words)
        return "ACTION: NOOP" if WALK in prompt.text and LOOK in prompt.text else "ACTION: UP"

    return script


def test_two_lessons_that_do_harm_only_together_are_not_both_kept(tmp_path):
    summary = trainer(tmp_path, confused(WALK, LOOK, HURRY)).train(1)
    assert [proof.kept for proof in summary.proofs] == [True, False, True]
    walk, look, hurry = summary.proofs
    assert look.without == walk.shown == hurry.without
    assert look.reason.startswith("Worse: -")
    with closing(Run.read(tmp_path)) as run:
        (_, _, advice, _) = run.lessons_made()[-1]
        calls = run.usage().calls
    assert advice == (WALK, HURRY)
    # The games with a lesson that was kept are those without the next one.
    assert calls == 4 * (1 + 10 * 4) + 1
    assert len([*(tmp_path / "proofs").iterdir()]) == 4


def test_a_run_with_proofs_of_before_goes_on_with_them(tmp_path):
    alone = trainer(tmp_path, confused(LOOK))
    alone.train(1)
    with closing(Run.read(tmp_path)) as run:
        (stored,) = run.proofs()
    summary = trainer(tmp_path, confused(LOOK, WALK)).train(2)
    assert summary.proofs[0] == stored[1]
    assert [(proof.lesson, proof.kept) for proof in summary.proofs] == [(LOOK, True), (WALK, False)]


def paid(folder, **more):
    return VLMTrainer(
        "pong",
        "gpt-4o",
        api_key="planted",
        prompt_type="basic",
        reflect=True,
        prove_lessons=True,
        max_decisions=8,
        max_tokens=100,
        run_folder=folder,
        **more,
    )


def test_each_game_that_tries_a_lesson_has_the_cap_of_an_episode(tmp_path, monkeypatch):
    with Server(Reviewer(lessons(WORDS[0]))) as server:
        serve_as(monkeypatch, openai=server)
        (proof,) = paid(tmp_path, budget_episode=0.02).train(1).proofs
        assert len(proof.shown) == len(proof.without) == 10
        assert proof.reason.endswith("20 of 20 games were cut short by the budget of an episode")
        asked = server.count
        paid(tmp_path, budget_episode=0.02).train(1)
        assert server.count == asked
    folders = [tmp_path, *(tmp_path / "proofs").iterdir()]
    assert len(folders) == 3
    for folder in folders:
        with closing(Run.read(folder)) as run:
            for row in run.episodes():
                assert row.message.startswith("budget: This episode has spent")
                assert 0 < row.decisions < 8
                assert 0 < run.spent(row.episode)[1] <= 0.02


def test_a_game_that_may_not_ask_once_is_no_measure_of_a_lesson_and_stops_no_run(
    tmp_path, monkeypatch
):
    class Stop:
        def __call__(self, episode, step):
            pass

        def announce(self, text):
            raise KeyboardInterrupt

    with Server(Reviewer(lessons(WORDS[0]))) as server:
        serve_as(monkeypatch, openai=server)
        with pytest.raises(KeyboardInterrupt):
            paid(tmp_path, watch=Stop()).train(1)
        (proof,) = paid(tmp_path, budget_episode=0.0001).train(1).proofs
    assert (proof.kept, proof.shown) == (False, ())
    assert proof.reason.startswith("Its games are no measure of it: This episode has spent")


def test_what_was_played_now_are_the_games_too_in_which_lessons_were_tried(tmp_path, capsys):
    """Every call ends at a cap, but for the last ones."""

    def played(server, folder, tokens, **more):
        model = HostedModel(make_settings(COMPATIBLE, server, tries=1, max_tokens=100))
        one = VLMTrainer(
            "pong",
            "mine",
            model=model,
            prompt_type="basic",
            reflect=True,
            run_folder=folder,
            max_decisions=1,
            budget_tokens=tokens,
            **more,
        )
        try:
            print_summary(Console(width=200), one.train(1))
        except BudgetExceeded:
            return "stopped"
        lines = capsys.readouterr().out.splitlines()
        return re.sub(r" in [0-9.]+ s", " in S s", next(x for x in lines if " now" in x))

    with Server(Reviewer(lessons(WORDS[0]))) as server:
        folder = tmp_path / "proved"
        assert played(server, folder, 20_000, prove_lessons=True) == "stopped"
        with closing(Run.read(folder)) as run:
            left = 20 - (run.usage().calls - 2)
        assert 0 < left < 20
        assert played(server, folder, 10**6, prove_lessons=True) == (
            f"Played now: {left} games in which lessons were tried, in S s; the episodes had ended "
            "before"
        )
        again = played(server, folder, 10**6, prove_lessons=True)
        assert again.startswith("This run was complete: nothing was played now.")
        assert played(server, tmp_path / "all", 10**6, prove_lessons=True) == (
            "Played now: 1 decision, and 20 games in which lessons were tried, in S s"
        )
        assert played(server, tmp_path / "reviewed", 10_300) == "stopped"
        assert played(server, tmp_path / "reviewed", 10**6) == (
            "Nothing was played now, as the episodes had ended; 1 answer to reviews came in S s"
        )
