"""A call speaks of the episodes that it asked for, whatever else is in the folder."""

from __future__ import annotations

from contextlib import closing

import pytest

from atari_vlm import VLMTrainer, play
from atari_vlm.bench.matrix import bench
from atari_vlm.bench.settings import BenchSettings
from atari_vlm.cli.scores import score_table
from atari_vlm.runs.run import Run
from atari_vlm.types import Reply, Usage


class Paid:
    """A model whose every answer costs a cent."""

    name, prompt_type = "paid", "basic"

    async def answer(self, prompt, *, seed):
        usage = Usage(calls=1, input_tokens=10, output_tokens=1, dollars=0.01)
        return Reply(text=f"ACTION: {prompt.legal[1]}", usage=usage)

    async def close(self):
        pass


def trainer(folder, **options):
    return VLMTrainer("pong", model=Paid(), run_folder=folder, max_decisions=5, **options)


@pytest.mark.parametrize("verb", ["train", "evaluate"])
def test_fewer_episodes_than_were_played_are_those_asked_for(tmp_path, verb):
    run = getattr(trainer(tmp_path / "run"), verb)
    four, two = run(4), run(2)
    assert len(four.scores) == 4
    assert two.scores == four.scores[:2]
    assert [row.episode for row in two.episodes] == [0, 1]
    assert two.mean.value == sum(four.scores[:2]) / 2
    assert sum(two.sources.values()) == two.usage.calls == 10
    assert two.usage.dollars == pytest.approx(0.10)
    assert two.played == 0
    table = score_table(two)
    assert list(table.columns[3].cells)[-2] == "2"
    again = run(4)
    assert (again.scores, again.played, again.usage.calls) == (four.scores, 0, 20)


def test_more_episodes_than_were_played_are_added(tmp_path):
    two = trainer(tmp_path / "run").evaluate(2)
    three = trainer(tmp_path / "run").evaluate(3)
    assert three.scores[:2] == two.scores
    assert (len(three.scores), three.played) == (3, 5)


def test_what_learning_cost_counts_with_fewer_episodes_too(tmp_path):
    learning = trainer(tmp_path / "run", use_in_context_learning=True)
    learning.train(3)
    two = learning.train(2)
    with closing(Run.read(two.folder)) as run:
        assert two.usage.calls == run.usage([-1, 0, 1]).calls == 10


def test_play_returns_the_episodes_it_was_asked_for(tmp_path):
    options = {"run_folder": tmp_path / "run", "max_decisions": 5, "progress": False}
    assert len(play("pong", "random", episodes=3, **options).scores) == 3
    assert len(play("pong", "random", episodes=1, **options).scores) == 1


def test_a_bench_returns_the_episodes_it_was_asked_for(tmp_path):
    def scores(episodes):
        settings = BenchSettings(
            games=("pong",),
            players=("random",),
            episodes=episodes,
            max_decisions=30,
            out=tmp_path,
        )
        (cell,) = bench(settings, lambda line: None)
        return cell.scores

    three = scores(3)
    assert (len(three), scores(1)) == (3, three[:1])
