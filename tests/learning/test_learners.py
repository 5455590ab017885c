"""A learner that asks its model: stored, counted, capped, and not asked again on resume."""

from __future__ import annotations

from contextlib import closing
from dataclasses import asdict, dataclass
from types import MappingProxyType

import numpy as np
import pytest

from atari_vlm import Example, Frame, Lessons, Message, Prompt, Run, VLMTrainer
from atari_vlm.errors import BudgetExceeded, InvalidSetting, ModelFault, ModelUnusable
from atari_vlm.models.hosted.model import HostedModel
from atari_vlm.runs.playback import pictures
from atari_vlm.runs.reader import RunReader
from atari_vlm.runs.totals import LEARNING
from tests.extensions.my_learner import Reflect
from tests.hosted import COMPATIBLE, make_settings
from tests.run_files import change
from tests.servers import Server
from tests.vendor_apis import Answer

DECISIONS = 5
TOKENS = 940
"""Of one answer of the server."""


def is_learning(body):
    return "Advise" in str(body["messages"])


def script(number, body):
    return Answer(text=f"Advice {number}." if is_learning(body) else "ACTION: NOOP")


@pytest.fixture
def server():
    with Server(script) as running:
        yield running


def learned(server):
    """How many requests a learner made."""
    return sum(is_learning(request.body) for request in server.requests)


def trainer(server, folder, learner=None, **more):
    return VLMTrainer(
        "pong",
        "any",
        base_url=server.base_url,
        prompt_type="expert",
        learner=learner or Reflect(),
        run_folder=folder,
        **{"max_decisions": DECISIONS, "max_tokens": 100, **more},
    )


def test_what_it_learned_is_stored_shown_and_given_back(server, tmp_path):
    trainer(server, tmp_path).train(3)
    with closing(Run.read(tmp_path)) as run:
        first, second = run.learning_calls()
        frame = pictures(run)
        stored = [run.lessons(episode, frame) for episode in range(3)]
    assert first.prompt.text == (
        f"<frame>\nScores: 0 in {DECISIONS} decisions. Advise in 20 words."
    )
    assert (first.prompt.frames[0].episode, first.prompt.frames[0].step) == (0, DECISIONS - 1)
    assert "Scores: 0, 0 in 10" in second.prompt.text
    assert first.reply.text == f"Advice {DECISIONS}."
    assert [lessons.advice for lessons in stored] == [(), (first.reply.text,), (second.reply.text,)]
    shown = [str(r.body["messages"]) for r in server.requests if not is_learning(r.body)]
    for episode, lessons in enumerate(stored):
        for body in shown[episode * DECISIONS : (episode + 1) * DECISIONS]:
            assert all(words in body for words in lessons.advice)
            assert ("Advice" in body) == bool(episode)


def test_its_calls_are_counted_in_usage_and_in_what_was_spent(server, tmp_path):
    summary = trainer(server, tmp_path).train(3)
    calls = 3 * DECISIONS + 2
    assert (server.count, summary.usage.calls) == (calls, calls)
    with closing(Run.read(tmp_path)) as run:
        assert run.usage().input_tokens == 900 * calls
        assert run.spent()[0] == TOKENS * calls
        assert run.totals(LEARNING).usage.calls == 2
        assert run.spent(LEARNING)[0] == 2 * TOKENS
        assert run.spent(0)[0] == DECISIONS * TOKENS
        assert sum(run.sources().values()) == 3 * DECISIONS


def test_it_is_not_asked_again_when_the_run_is_resumed(server, tmp_path):
    trainer(server, tmp_path).train(2)
    assert learned(server) == 1
    with closing(Run.read(tmp_path)) as run:
        before = run.spent()
    change(  # as if it had been stopped in episode 1
        tmp_path,
        "UPDATE episodes SET status = 'playing' WHERE episode = 1",
        "DELETE FROM steps WHERE episode = 1 AND step > 2",
        "DELETE FROM calls WHERE episode = 1 AND step > 2",
    )
    asked = server.count
    trainer(server, tmp_path).train(2)
    assert (server.count, learned(server)) == (asked, 1)  # answers are found in the journal
    with closing(Run.read(tmp_path)) as run:
        assert run.spent() == before
    trainer(server, tmp_path).train(3)
    assert learned(server) == 2


@dataclass(frozen=True)
class Twice:
    """Asks two questions; `fails` between them."""

    fails: bool = False
    name: str = "twice"

    @property
    def settings(self):
        return {}

    async def learn(self, trajectories, study):
        advice = []
        for question in ("one", "two") if trajectories else ():
            prompt = Prompt(
                messages=(Message("user", (f"Advise: {question}.",)),), legal=(), longest=1
            )
            seed = int(study.rng.integers(2**63))
            advice.append((await study.model.answer(prompt, seed=seed)).text)
            if self.fails:
                raise ModelUnusable("stopped here")
        return Lessons(advice=tuple(advice))


def test_a_stop_while_it_learns_loses_no_answer(server, tmp_path):
    with pytest.raises(ModelUnusable, match="stopped here"):
        trainer(server, tmp_path, Twice(fails=True)).train(2)
    assert learned(server) == 1
    with closing(Run.read(tmp_path)) as run:
        assert run.spent()[0] == TOKENS * (DECISIONS + 1)
    trainer(server, tmp_path, Twice()).train(2)
    assert learned(server) == 2
    with closing(Run.read(tmp_path)) as run:
        one, two = run.learning_calls()
        assert ("one" in one.prompt.text, "two" in two.prompt.text) == (True, True)
        assert run.lessons(1, pictures(run)).advice == (one.reply.text, two.reply.text)
        assert run.spent()[0] == TOKENS * (2 * DECISIONS + 2)


@dataclass(frozen=True)
class Wordy(Reflect):
    """Asks a question of 30,000 tokens."""

    name: str = "wordy"

    async def learn(self, trajectories, study):
        if not trajectories:
            return Lessons()
        text = "Advise! " * 15_000
        prompt = Prompt(messages=(Message("user", (text,)),), legal=(), longest=1)
        reply = await study.model.answer(prompt, seed=int(study.rng.integers(2**63)))
        return Lessons(advice=(reply.text,))


def test_it_is_capped_like_any_call_and_continues_with_a_higher_cap(server, tmp_path):
    with pytest.raises(BudgetExceeded, match="higher budget_tokens"):
        trainer(server, tmp_path, Wordy(), budget_tokens=60_000).train(2)
    assert (server.count, learned(server)) == (DECISIONS, 0)
    trainer(server, tmp_path, Wordy(), budget_tokens=300_000).train(2)
    assert (server.count, learned(server)) == (2 * DECISIONS + 1, 1)


def test_earlier_episodes_are_not_read_again_before_every_lesson(server, tmp_path, monkeypatch):
    read = []
    whole = RunReader.trajectory

    def trajectory(self, episode):
        read.append(episode)
        return whole(self, episode)

    monkeypatch.setattr(RunReader, "trajectory", trajectory)
    trainer(server, tmp_path).train(4)
    assert read == []
    trainer(server, tmp_path).train(6)  # the next session reads each of the earlier ones once
    assert read == [0, 1, 2, 3]
    trainer(server, tmp_path).train(6)
    assert read == [0, 1, 2, 3]


def test_the_trajectories_it_gets_are_the_same_in_one_session_and_after_a_stop(tmp_path, server):
    seen = {}

    class Watching(Reflect):
        async def learn(self, trajectories, study):
            seen[len(trajectories)] = [
                (
                    t.game,
                    t.episode,
                    t.seed,
                    t.policy,
                    t.score,
                    t.finished,
                    [
                        (
                            s.decision.plan,
                            s.decision.source,
                            s.reward,
                            s.truncated,
                            asdict(s.observation),
                            (s.decision.calls, s.decision.considered),
                        )
                        for s in t.steps
                    ],
                )
                for t in trajectories
            ]
            return await super().learn(trajectories, study)

    trainer(server, tmp_path / "one", Watching()).train(3)
    once = dict(seen)
    seen.clear()
    for episodes in (1, 2, 3):
        trainer(server, tmp_path / "many", Watching()).train(episodes)
    assert seen == once
    assert sorted(once) == [0, 1, 2]
    assert once[1][0][6][0][4]["legal"][:2] == ("NOOP", "FIRE")


def test_evaluation_learns_from_the_training_run_and_pays_for_it_itself(server, tmp_path):
    one = trainer(server, tmp_path)
    one.train(2)
    assert learned(server) == 1
    evaluated = one.evaluate(1)
    assert learned(server) == 2
    assert evaluated.usage.calls == DECISIONS + 1
    with closing(Run.read(evaluated.folder)) as run:
        (call,) = run.learning_calls()
        assert "Scores: 0, 0" in call.prompt.text
        assert run.adopted()  # the screen it asked about is of another run
    one.evaluate(1)
    assert learned(server) == 2


@dataclass(frozen=True)
class Patient(Reflect):
    """Learns nothing where the model does not answer; `stubborn` stops the run instead."""

    stubborn: bool = False
    settings = MappingProxyType({})

    async def learn(self, trajectories, study):
        try:
            return await super().learn(trajectories, study)
        except ModelFault:
            if self.stubborn:
                raise
            return Lessons()


def test_what_an_unanswered_question_may_have_cost_is_counted(tmp_path):
    def one(stubborn):
        model = HostedModel(make_settings(COMPATIBLE, server, tries=1, max_tokens=100))
        return VLMTrainer(
            "pong",
            "mine",
            model=model,
            learner=Patient(stubborn=stubborn),
            run_folder=tmp_path,
            max_decisions=DECISIONS,
        )

    def drops(number, body):
        return Answer(drop=True) if is_learning(body) else Answer(text="ACTION: NOOP")

    with Server(drops) as server:
        with pytest.raises(ModelFault, match="connection"):
            one(True).train(2)
        with closing(Run.read(tmp_path)) as run:
            first = run.spent()[0] - TOKENS * DECISIONS
            assert run.usage().uncertain == 1
        summary = one(False).train(2)
        asked = learned(server)
        one(False).train(2)
    assert first > 100
    assert summary.usage.uncertain == 2
    with closing(Run.read(tmp_path)) as run:
        assert run.spent()[0] == TOKENS * 2 * DECISIONS + 2 * first
        (call,) = run.learning_calls()
        assert call.fault
    assert asked == learned(server) == 2


@dataclass(frozen=True)
class Gives:
    """A learner that gives the same lessons always; with `asks`, what the model said."""

    lessons: object
    asks: bool = False
    name: str = "gives"
    settings = MappingProxyType({})

    async def learn(self, trajectories, study):
        if not self.asks:
            return self.lessons
        question = Prompt(
            messages=(Message("user", (f"Advise on {len(trajectories)}.",)),),
            legal=("NOOP",),
            longest=1,
        )
        reply = await study.model.answer(question, seed=0)
        return Lessons(advice=(reply.text,), episodes=len(trajectories))


def test_a_screen_of_its_own_is_shown_alike_before_and_after_a_stop(server, tmp_path):
    pixels = np.full((210, 160), 14, np.uint8)
    given = Gives(Lessons(examples=(Example("Half \ud83d", Frame(pixels)),), episodes=1))
    trainer(server, tmp_path, given).train(2)
    with closing(Run.read(tmp_path)) as run:
        seen = run.lessons(1, pictures(run)).examples
    assert np.array_equal(seen[0].frame.pixels, pixels)
    sent = [str(request.body) for request in server.requests if "Half" in str(request.body)]
    assert len(sent) == 2 * DECISIONS
    assert all(seen[0].text in words.replace("\\\\", "\\") for words in sent)


@pytest.mark.parametrize(
    ("lessons", "words"),
    [
        (None, "gives returned None, which is no Lessons"),
        (Lessons(advice=(3,)), "gives gave 3; advice and examples are text"),
        (Lessons(mean_score=float("nan")), "gives gave nan as mean_score"),
        (Lessons(episodes="two"), "gives gave 'two' as episodes"),
        (
            Lessons(examples=(Example("x", Frame(np.zeros((4, 4, 3), np.uint8))),)),
            r"palette indices of shape \(height, width\), each 1 to 4096, not uint8 of shape",
        ),
    ],
)
def test_lessons_that_cannot_be_stored_are_refused_in_a_sentence(lessons, words, server, tmp_path):
    with pytest.raises(InvalidSetting, match=words):
        trainer(server, tmp_path, Gives(lessons)).train(2)


def test_the_same_seed_in_two_waves_gives_each_its_own_answer(server, tmp_path):
    trainer(server, tmp_path, Gives(None, asks=True)).train(3)
    with closing(Run.read(tmp_path)) as run:
        first, second = (run.lessons(k, pictures(run)).advice for k in (1, 2))
    assert first != second
    assert learned(server) == 3


def test_a_learner_that_would_change_nothing_is_refused():
    with pytest.raises(InvalidSetting, match="random has no model, so it learns nothing"):
        VLMTrainer("pong", "random", learner=Gives(Lessons()))
    with pytest.raises(InvalidSetting, match="use_in_context_learning is a learner too"):
        VLMTrainer(
            "pong",
            "any",
            base_url="http://127.0.0.1:9/v1",
            learner=Gives(Lessons()),
            use_in_context_learning=True,
        )
    with pytest.raises(InvalidSetting, match="The learner is the class Gives"):
        VLMTrainer("pong", "any", base_url="http://127.0.0.1:9/v1", learner=Gives)


class Looks:
    """A learner that looks at a screen and shows none."""

    name = "looks"

    async def learn(self, trajectories, study):
        seen = [study.frame(played.episode, 1) for played in trajectories]
        return Lessons(advice=(f"{len(seen)} seen.",))


def test_a_screen_that_is_looked_at_and_not_shown_is_not_stored(server, tmp_path):
    one = trainer(server, tmp_path, Looks())
    one.train(1)
    with closing(Run.read(one.evaluate(1).folder)) as run:
        assert run.lessons(0, pictures(run)).advice == ("1 seen.",)
        assert run.adopted() == {}
