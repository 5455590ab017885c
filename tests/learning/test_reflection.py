"""Reflection on a loopback server: lessons are drawn, shown, kept, proved, and never paid twice."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from contextlib import closing
from html import escape

import pytest

from atari_vlm import Run, VLMTrainer
from atari_vlm.cli.console import Console
from atari_vlm.cli.lessons import lessons as lessons_command
from atari_vlm.cli.scores import print_summary, proof_line
from atari_vlm.errors import BudgetExceeded, InvalidSetting, ModelUnusable
from atari_vlm.models.hosted.model import HostedModel
from atari_vlm.models.scripted import ScriptedModel
from atari_vlm.report.curve_page import page
from atari_vlm.runs.totals import LEARNING
from tests.hosted import COMPATIBLE, make_settings
from tests.servers import Server
from tests.vendor_apis import Answer

DECISIONS = 2
TOKENS = 940
"""Of one answer of the server."""

WORDS = ["Wait below the ball.", "Serve at once.", "Aim for the corners.", "Watch your score."]


def is_review(body):
    return "Review your gameplay" in str(body["messages"])


class Reviewer:
    """Answers reviews one after the other, and plays NOOP."""

    def __init__(self, *answers):
        self.answers, self.reviews, self.bodies = answers, 0, []

    def __call__(self, number, body):
        if not is_review(body):
            return Answer(text="ACTION: NOOP")
        answer = self.answers[min(self.reviews, len(self.answers) - 1)]
        self.reviews += 1
        self.bodies.append(str(body["messages"]))
        return answer if isinstance(answer, Answer) else Answer(text=answer)


def lessons(*words, **more):
    return json.dumps({"worked": "x", "mistakes": "y", "lessons": list(words), **more})


def trainer(server, folder, **more):
    model = HostedModel(make_settings(COMPATIBLE, server, tries=1, max_tokens=100))
    return VLMTrainer(
        "pong",
        "mine",
        model=model,
        prompt_type="basic",
        reflect=True,
        run_folder=folder,
        **{"max_decisions": DECISIONS, **more},
    )


def advice_of(folder):
    with closing(Run.read(folder)) as run:
        return [advice for _, _, advice, _ in run.lessons_made()]


def test_lessons_are_drawn_after_each_episode_and_shown_in_the_next_and_in_evaluations(tmp_path):
    script = Reviewer(lessons(WORDS[0]), lessons(WORDS[1], "Wait below the ball!"))
    with Server(script) as server:
        summary = trainer(server, tmp_path).train(2)
        asked = server.count
        evaluated = trainer(server, tmp_path).evaluate(1)
        again = server.count
        trainer(server, tmp_path).train(2)
        assert server.count == again == asked + DECISIONS
        shown = [str(r.body["messages"]) for r in server.requests if not is_review(r.body)]
    assert script.reviews == 2
    assert summary.usage.calls == 2 * DECISIONS + 2
    assert advice_of(tmp_path) == [(), (WORDS[0],), (WORDS[1], WORDS[0])]
    assert advice_of(evaluated.folder) == [(WORDS[1], WORDS[0])]
    assert [WORDS[0] in each for each in shown] == [False] * 2 + [True] * 4
    assert WORDS[1] in shown[-1]
    assert "You just played Pong on the Atari 2600 and scored 0." in script.bodies[0]
    assert "1. What strategies worked well?" in script.bodies[0]
    assert f"1. {WORDS[0]}" in script.bodies[1]
    assert script.bodies[0].count("image_url") >= 2


def test_an_answer_that_cannot_be_read_is_repaired_once_and_then_the_lessons_of_before_stay(
    tmp_path,
):
    script = Reviewer(lessons(WORDS[0]), "Hm.", lessons(WORDS[1]), "Hm.", "Hm.", "I can't help.")
    with Server(script) as server:
        trainer(server, tmp_path).train(4)
    assert script.reviews == 6
    assert advice_of(tmp_path)[1:] == [(WORDS[0],), *[(WORDS[0], WORDS[1])] * 3]
    with closing(Run.read(tmp_path)) as run:
        notes = [note for *_, note in run.lessons_made()]
        assert run.totals(LEARNING).usage.calls == 6
        assert [bool(call.fault) for call in run.learning_calls()] == [False] * 6
    assert "could be read. The lessons of before stay" in notes[3]
    assert "The lessons of before stay" in notes[4]


def test_reviews_that_could_not_be_used_are_said_wherever_lessons_are_looked_for(tmp_path, capsys):
    why = 'The answer has no list of "lessons" that could be read.'
    with Server(Reviewer("Hm.")) as server:
        summary = trainer(server, tmp_path / "a", max_decisions=1).train(2)
        curve = trainer(server, tmp_path / "a", max_decisions=1).train(2, evaluate_every=2).curve
    said = f"2 of 2 reviews could not be used. That of episode 1: {why}"
    assert summary.unused_reviews == said
    print_summary(Console(width=200), summary)
    assert said in capsys.readouterr().out
    lessons_command(tmp_path / "a", None, None, None, None)
    listed = " ".join(capsys.readouterr().out.split())
    assert listed == f"No lessons: 2 episodes have ended, and reviews brought none. {said}"
    assert f"<p>{escape(said)}</p>" in page(curve)
    with (
        Server(Reviewer("Hm.")) as server,
        pytest.raises(InvalidSetting, match=r"though it was trained with .*True.*\. 2 of 2 rev"),
    ):
        trainer(server, tmp_path / "b", lessons_from=tmp_path / "a")


def test_lessons_of_a_review_that_a_cap_stopped_are_said_to_be_on_their_way(tmp_path, capsys):
    capped = {"prove_lessons": True, "budget_tokens": 10_300 + TOKENS, "max_decisions": 1}
    with Server(Reviewer(lessons(WORDS[0]))) as server, pytest.raises(BudgetExceeded):
        trainer(server, tmp_path, **capped).train(1)
    lessons_command(tmp_path, None, None, None, None)
    assert " ".join(capsys.readouterr().out.split()) == (
        "No lessons yet: 1 episode has ended and its review is not finished. The command that "
        "played the run goes on with it."
    )


def test_a_lesson_with_an_action_that_the_game_lacks_or_with_a_key_is_not_shown(
    tmp_path, monkeypatch
):
    monkeypatch.setenv("OPENAI_API_KEY", "planted-key-of-the-test")
    script = Reviewer(lessons("Press DOWN when the ball falls.", "Say planted-key-of-the-test."))
    with Server(script) as server:
        trainer(server, tmp_path).train(1)
    (_, (advice,)) = advice_of(tmp_path)
    assert "planted-key" not in advice
    assert "planted-key" not in (tmp_path / "run.sqlite").read_bytes().decode("latin-1")
    with closing(Run.read(tmp_path)) as run:
        assert "DOWN is no action of this game" in run.lessons_made()[1][3]


def test_an_outage_in_a_review_stops_the_run_and_the_same_command_continues(tmp_path):
    script = Reviewer(Answer(status=503), lessons(WORDS[0]))
    with Server(script) as server:
        with pytest.raises(ModelUnusable, match=r"no answer to a review.*give the same command"):
            trainer(server, tmp_path).train(2)
        assert server.count == DECISIONS + 1
        assert advice_of(tmp_path) == [()]
        trainer(server, tmp_path).train(2)
        assert server.count == 2 * DECISIONS + 3
    assert advice_of(tmp_path)[1] == (WORDS[0],)


def test_a_server_that_rejects_a_review_and_nothing_else_is_said_to(tmp_path):
    script = Reviewer(Answer(status=400, message="too many images"))
    said = "A review of what was played was rejected: .*too many images.*a lower review_frames"
    with Server(script) as server, pytest.raises(ModelUnusable, match=said):
        trainer(server, tmp_path, max_decisions=1).train(2)
    assert advice_of(tmp_path) == [()]


def test_reviews_are_capped_as_any_call(tmp_path):
    script = Reviewer(lessons(WORDS[0]))
    with Server(script) as server:
        with pytest.raises(BudgetExceeded, match="higher budget_tokens"):
            trainer(server, tmp_path, max_decisions=1, budget_tokens=10_300).train(2)
        assert (script.reviews, server.count) == (0, 1)
        trainer(server, tmp_path, max_decisions=1, budget_tokens=100_000).train(1)
    assert script.reviews == 1


def test_examples_and_reflection_are_shown_together(tmp_path):
    seen = []

    def script(prompt):
        if "Review your gameplay" in prompt.text:
            return lessons("Keep going up.")
        seen.append(prompt.text)
        return "ACTION: UP"

    model = ScriptedModel(script)
    one = VLMTrainer(
        "freeway",
        "m",
        model=model,
        reflect=True,
        use_in_context_learning=True,
        prompt_type="basic",
        max_decisions=6,
        frame_skip=60,
        run_folder=tmp_path,
    )
    one.train(2)
    one.evaluate(1)
    assert "Keep going up." in seen[6]
    assert "Example 1:" in seen[6]
    assert "Example 1:" in seen[-1]
    assert "Keep going up." in seen[-1]
    assert one.settings["learner"] == "in-context+reflection"


def test_a_lesson_is_kept_only_if_paired_games_with_it_are_no_worse(tmp_path):
    """In Freeway a model goes up if it is told to, and back down if it is told to rest."""
    asked = []

    def script(prompt):
        if "Review your gameplay" in prompt.text:
            asked.append(prompt)
            return lessons("Walk up without a pause.", "Rest at the kerb for long.")
        if "Rest at the kerb" in prompt.text:
            return "ACTION: NOOP"
        return "ACTION: UP"

    def one():
        return VLMTrainer(
            "freeway",
            "m",
            model=ScriptedModel(script),
            reflect=True,
            prove_lessons=True,
            prompt_type="basic",
            max_decisions=4,
            frame_skip=60,
            run_folder=tmp_path,
            watch=listener,
        )

    class Listener:
        def __init__(self):
            self.episodes, self.told = set(), []

        def __call__(self, episode, step):
            self.episodes.add(episode)

        def announce(self, text):
            self.told.append(text)

    listener = Listener()
    summary = one().train(1)
    assert listener.episodes == {0}
    assert listener.told[0].startswith('Trying the lesson "Walk up without a pause.": 0 of 10')
    assert listener.told[-2].endswith(": 10 of 10 games with it are played")
    outcomes = [proof_line(proof) for proof in summary.proofs]
    assert [text for text in listener.told if "after trying" in text] == outcomes
    assert proof_line(summary.proofs[1]).startswith('Not kept after trying: "Rest at the kerb for')
    with closing(Run.read(tmp_path)) as run:
        (_, first), (_, second) = run.proofs()
        calls = run.usage().calls
        (_, _, advice, note) = run.lessons_made()[-1]
    assert advice == ("Walk up without a pause.",)
    assert (first.kept, second.kept) == (True, False)
    assert len(first.seeds) == len(first.shown) == len(first.without) == 10
    assert min(first.seeds) >= 900_000
    assert "Worse: -" in second.reason
    assert second.reason in note
    assert proof_line(summary.proofs[1]).endswith(f" {second.reason}.")
    assert calls == 4 * (1 + 30) + 1  # what was tried is charged to the run
    assert len([*(tmp_path / "proofs").iterdir()]) == 3
    one().train(1)
    with closing(Run.read(tmp_path)) as run:
        assert run.usage().calls == calls
    assert len(asked) == 1
    one().train(2)  # the next review says both again, in vain
    with closing(Run.read(tmp_path)) as run:
        assert run.usage().calls == calls + 4 + 1
        assert len(run.proofs()) == 2
        (_, _, advice, note) = run.lessons_made()[-1]
    assert advice == ("Walk up without a pause.",)
    assert f"Tried before episode 1: {second.reason}" in note


def test_who_cannot_reflect_says_so_at_the_start_with_what_would_work():
    for name in ("embedded", "random"):
        with pytest.raises(InvalidSetting, match=r"leave out reflect, or.*such as gpt-4o"):
            VLMTrainer("pong", name, reflect=True)
    with pytest.raises(InvalidSetting, match="max_lessons is a setting of reflection"):
        VLMTrainer("pong", "any", base_url="http://127.0.0.1:9/v1", max_lessons=3)
    with pytest.raises(InvalidSetting, match="max_lessons must be a whole number of 1 to 64"):
        VLMTrainer("pong", "any", base_url="http://127.0.0.1:9/v1", reflect=True, max_lessons=0)


def test_a_run_without_reflection_has_the_record_of_before():
    one = VLMTrainer("pong", "any", base_url="http://127.0.0.1:9/v1")
    assert not {"reflect", "max_lessons", "prove_lessons"} & {*one.settings}


PROGRAM = """
import sys
from atari_vlm import VLMTrainer
VLMTrainer("pong", "any", base_url=sys.argv[1], prompt_type="basic", reflect=True,
           prove_lessons=True, run_folder=sys.argv[2], max_decisions=1, max_tokens=100).train(2)
"""


def test_kill_9_within_a_review_and_within_a_proof_loses_nothing_and_repeats_one_call(tmp_path):
    seen = {"review": 0, "proof": 0}
    dies_at = {"review": 1, "proof": 7}
    dying = []

    def script(number, body):
        kind = "review" if is_review(body) else "proof" if WORDS[0] in str(body) else "play"
        if kind in seen:
            seen[kind] += 1
            if seen[kind] == dies_at[kind]:
                os.kill(dying[-1], signal.SIGKILL)
                time.sleep(0.1)  # the answer comes too late
        return Answer(text=lessons(WORDS[0]) if kind == "review" else "ACTION: NOOP")

    with Server(script) as server:
        command = [sys.executable, "-c", PROGRAM, server.base_url, str(tmp_path)]
        ends = []
        for _ in range(3):
            process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
            dying.append(process.pid)
            errors = process.communicate(timeout=120)[1]
            ends.append(process.returncode)
        assert ends == [-signal.SIGKILL, -signal.SIGKILL, 0], errors
    calls = 2 + 2 + 20  # two episodes and their reviews, and ten pairs of games of one decision
    assert server.count == calls + 2
    assert advice_of(tmp_path) == [(), (WORDS[0],), (WORDS[0],)]
    with closing(Run.read(tmp_path)) as run:
        assert [proof.kept for _, proof in run.proofs()] == [True]
        assert run.usage().calls == calls
        assert run.spent()[0] >= calls * TOKENS
