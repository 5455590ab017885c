"""A server that does not answer stops a run, which continues; it is not the model's fault."""

from __future__ import annotations

import asyncio
from contextlib import aclosing, closing
from functools import partial

import pytest

from atari_vlm.bench.matrix import BenchSettings, play_bench
from atari_vlm.errors import ModelUnusable, StoreError
from atari_vlm.models.hosted.model import HostedModel
from atari_vlm.models.hosted.settings import HostedSettings
from atari_vlm.policies.vlm import VLMPolicy
from atari_vlm.prompts.strategies import get_strategy
from atari_vlm.rollout import steps
from atari_vlm.runs.episode_log import EpisodeLog
from atari_vlm.runs.playback import environment
from atari_vlm.runs.run import Run
from atari_vlm.trainer import VLMTrainer
from atari_vlm.types import Lessons, Limits, Message, Prompt
from tests.hosted import FakeClock
from tests.servers import Server
from tests.vendor_apis import Answer
from tests.vendors import serve_as

NOOP = Answer(text="ACTION: NOOP")
DOWN = Answer(status=500, message="out of order")


def hosted(server, name="m", **more):
    values = {"model_id": name, "provider": "openai-compatible", "base_url": server.base_url}
    settings = HostedSettings(name=name, **values | more)
    return HostedModel(settings, api_key="k", clock=FakeClock([]))


def trainer(server, folder, **more):
    options = {"max_decisions": 12, "run_folder": folder, "prompt_type": "basic"}
    return VLMTrainer("pong", "m", **{"model": hosted(server)} | options | more)


def sources(folder):
    with closing(Run.read(folder)) as run:
        return run.sources(), [row.status for row in run.episodes()]


def test_an_outage_stops_a_run_and_the_same_call_continues_it(tmp_path):
    with Server([NOOP] * 3 + [DOWN]) as server:
        with pytest.raises(
            ModelUnusable, match=r'\(500\). It said: "out of order". NOOP was'
        ) as caught:
            trainer(server, tmp_path).train(1)
        assert server.count == 3 + 5 * 4
        with pytest.raises(ModelUnusable, match="no answer to 5 decisions in a row"):
            trainer(server, tmp_path).train(1)  # it is still down: nothing more is played
        assert server.count == 3 + 6 * 4
    assert "says nothing of the model" in str(caught.value)
    assert "NOOP was played meanwhile, counted 4 as fallbacks." in str(caught.value)
    assert "give the same command to continue once it answers." in str(caught.value)
    assert sources(tmp_path) == ({"parsed": 3, "fallback": 4}, ["playing"])
    with Server(NOOP) as server, pytest.warns(UserWarning, match="has 3 answers of the server"):
        summary = trainer(server, tmp_path).train(1)
    assert server.count == 5
    assert summary.sources == {"parsed": 8, "fallback": 4}
    assert len(summary.scores) == 1


def test_a_server_that_needs_longer_is_given_longer(tmp_path):
    with Server(Answer(delay=5)) as server:
        model = hosted(server, timeout_s=0.3, tries=1)
        with pytest.raises(ModelUnusable, match="once it answers, with a longer timeout if it is"):
            trainer(server, tmp_path, model=model, max_decisions=1).train(1)
    assert sources(tmp_path) == ({}, ["playing"])


def test_of_a_short_episode_without_any_answer_nothing_is_kept(tmp_path):
    words = "no answer to a decision, which says nothing"
    with Server(DOWN) as server, pytest.raises(ModelUnusable, match=words):
        trainer(server, tmp_path, max_decisions=1).train(1)
    assert sources(tmp_path) == ({}, ["playing"])
    with Server(NOOP) as server:
        assert trainer(server, tmp_path, max_decisions=1).train(1).sources == {"parsed": 1}


def test_failures_with_answers_between_them_stop_nothing(tmp_path):
    def script(number, body):
        return NOOP if number % 17 == 16 else DOWN  # four decisions of four tries, then an answer

    with Server(script) as server:
        summary = trainer(server, tmp_path, max_decisions=20).train(1)
    assert summary.sources == {"parsed": 4, "fallback": 16}


def test_a_run_in_which_more_were_recorded_in_a_row_goes_on(tmp_path):
    with Server(Answer(status=401)) as refusing, pytest.raises(ModelUnusable):
        trainer(refusing, tmp_path).train(1)
    with closing(Run.read(tmp_path)) as run:
        settings = run.settings
    with closing(Run.play(tmp_path, settings)) as run, Server(DOWN) as server:
        asyncio.run(_play_as_earlier_versions_did(run, hosted(server), 8))
    assert sources(tmp_path) == ({"fallback": 8}, ["playing"])
    with Server(NOOP) as server:  # failures are no answers: the server may be another one
        summary = trainer(server, tmp_path).train(1)
    assert summary.sources == {"fallback": 8, "parsed": 4}
    assert summary.settings["base_url"] == server.base_url
    assert "later_servers" not in summary.settings


async def _play_as_earlier_versions_did(run, model, decisions):
    policy, log = VLMPolicy(model, get_strategy("basic")), EpisodeLog(run, 0, 0)
    env, limits = environment(run.settings), Limits(decisions=12)
    async with aclosing(steps(env, policy, log, seed=0, limits=limits)) as game:
        async for step in game:
            if step.observation.step + 1 == decisions:
                break
    log.pause()
    await model.close()


def test_an_outage_ends_every_cell_of_its_server(tmp_path):
    with Server([NOOP, DOWN]) as server:
        settings = BenchSettings(
            games=("pong", "freeway"),
            players=(hosted(server),),
            episodes=2,
            max_decisions=1,
            prompt_type="basic",
            out=tmp_path,
        )
        cells, error = play_bench(settings, lambda line: None)
    assert server.count == 1 + 4
    assert isinstance(error, ModelUnusable)
    assert [cell.status for cell in cells] == ["stopped", "stopped"]
    assert all("no answer to a decision" in cell.problem for cell in cells)


# -- what is asked before the first episode -------------------------------------------------------


class Asks:
    """A learner that asks its model twice."""

    name = "asks"

    async def learn(self, trajectories, study):
        words = []
        for question in ("What helps?", "What does not?"):
            prompt = Prompt(messages=(Message("user", (question,)),), legal=(), longest=4)
            words.append((await study.model.answer(prompt, seed=1)).text)
        return Lessons(advice=tuple(words), episodes=len(trajectories))


def test_lessons_are_asked_at_another_server_only_after_a_warning(tmp_path):
    more = {"learner": Asks(), "max_decisions": 2}
    with Server(NOOP) as first:
        trainer(first, tmp_path, **more).train(1)
    stopped = pytest.raises(ModelUnusable, match="401")
    said = f"at {first.base_url}, and its lessons are shown at"
    with Server([NOOP, Answer(status=401)]) as second, stopped, pytest.warns(match=said):
        trainer(second, tmp_path, **more).evaluate(1)
    moved = pytest.warns(UserWarning, match="has 1 answer of the server at")
    with Server(NOOP) as third, pytest.warns(match=said), moved:
        summary = trainer(third, tmp_path, **more).evaluate(1)
    assert third.count == 1 + 2
    assert summary.settings["later_servers"] == [{"base_url": third.base_url, "earlier_answers": 1}]


def test_lessons_of_a_vendors_model_are_not_shown_to_that_of_another_server(tmp_path, monkeypatch):
    options = {"max_decisions": 2, "use_in_context_learning": True, "prompt_type": "basic"}
    made = partial(VLMTrainer, "pong", "gpt-4o", run_folder=tmp_path, api_key="k", **options)
    with Server(NOOP) as vendor, Server(NOOP) as other:
        serve_as(monkeypatch, openai=vendor)
        made().train(1)
        words = "was played by the model at its vendor, and its lessons are not shown"
        with pytest.raises(StoreError, match=words):
            made(base_url=other.base_url).evaluate(1)
        assert made().evaluate(1).taught_by == 1
    assert other.count == 0
