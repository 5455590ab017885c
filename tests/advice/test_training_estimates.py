"""Estimates of a training: its parts, the same sum as `train` says, and what runs bring along."""

from __future__ import annotations

import re

import pytest

from atari_vlm.advice.estimate import estimate_of
from atari_vlm.costs.bill import compare
from atari_vlm.errors import InvalidSetting
from atari_vlm.models.scripted import ScriptedModel
from atari_vlm.players import Options, resolve
from atari_vlm.trainer import VLMTrainer
from atari_vlm.trainer.curve import CurveRuns
from atari_vlm.trainer.curve_costs import estimate_training, training_estimate
from atari_vlm.trainer.curve_plan import CurvePlan
from tests.commands import command
from tests.servers import Server
from tests.vendor_apis import Answer

LEARNING = {"reflect": True, "prove_lessons": True, "max_decisions": 20}
CURVE = {"every": 2, "control": True, "shuffled": True}


def test_the_estimate_of_a_training_is_what_train_says_before_it_begins():
    plan = CurvePlan(episodes=4, evaluations=2, **CURVE)
    made = estimate_training("pong", "gpt-4o", plan, Options(**LEARNING))
    trainer = VLMTrainer("pong", "gpt-4o", api_key="planted", **LEARNING)
    assert [*made.lines] == [*CurveRuns(trainer, plan).estimate_lines()]
    assert {name: each.episodes for name, each in made.parts.items()} == {
        "training": 4,
        "before learning": 2,
        "evaluation": 4,
        "shuffled": 4,
        "control": 6,
    }
    assert made.own["training"].expected.calls > 400  # the games in which lessons are tried
    before = made.own["before learning"].expected.input_tokens
    assert before < made.own["evaluation"].expected.input_tokens / 2


def test_the_command_prints_every_part_and_the_same_total_as_train(tmp_path):
    curve = ("--episodes", 4, "--evaluations", 2, "--evaluate-every", 2, "--control")
    asked = ("--game", "pong", "--model", "gpt-4o", *curve, "--max-decisions", 20)
    printed = command("estimate", *asked, cwd=tmp_path)
    assert printed.returncode == 0, printed.stderr
    rows = {
        name: figures
        for name, figures in re.findall(r" ([a-z0-9 ]+?)  +([\d,]+ .*)", printed.stdout)
    }
    assert [*rows] == [*("4 training", "2 before learning", "4 evaluation", "6 control", "total")]
    plan = CurvePlan(episodes=4, evaluations=2, every=2, control=True)
    trainer = VLMTrainer(
        "pong", "gpt-4o", api_key="planted", use_in_context_learning=None, max_decisions=20
    )
    said = next(iter(CurveRuns(trainer, plan).estimate_lines()))
    calls, read, written, _, dollars, worst = rows["total"].split()
    assert f"about {calls} calls, {read} tokens in, {written} out, ${dollars} " in said
    assert f"(at the very worst ${worst})" in said


@pytest.mark.parametrize("flags", [["--control"], ["--shuffled"], ["--no-before"]])
def test_a_training_is_estimated_by_the_defaults_of_train(tmp_path, flags):
    with Server(Answer(status=401)) as server:
        place = ("--base-url", server.base_url, "--max-decisions", 20)
        asked = ("--game", "pong", "--model", "gpt-4o", "--icl", *flags, *place)
        printed = command("estimate", *asked, cwd=tmp_path)
        said = command("train", *asked, cwd=tmp_path)
    assert printed.returncode == 0, printed.stderr
    (calls,) = re.findall(r" total  +([\d,]+) ", printed.stdout)
    assert f"Estimate: about {calls} calls" in said.stdout


def test_what_a_run_is_compared_with_is_what_was_said_before_it(tmp_path):
    with Server(Answer(text="ACTION: UP", tokens=(900, 0, 20))) as server:
        settings = {
            "base_url": server.base_url,
            "max_decisions": 4,
            "use_in_context_learning": True,
        }
        trainer = VLMTrainer("freeway", "gpt-4o", run_folder=tmp_path / "run", **settings)
        plan = CurvePlan(episodes=3, evaluations=2, every=1)
        parts = training_estimate(plan, trainer.player, None).own
        compared = {
            phase.name: compare(summary.settings, 4 * len(summary.scores), summary.usage)
            for phase, summary in [(p, p.play()) for p in CurveRuns(trainer, plan).phases()]
        }
        alone = VLMTrainer("freeway", "gpt-4o", run_folder=tmp_path / "alone", **settings).train(3)
    assert compared["Evaluation before learning"].input_tokens == (
        parts["before learning"].expected.input_tokens,
        2 * 4 * 900,
    )
    training = parts["training"].expected.input_tokens
    assert compared["Training, to episode 3 of 3"].input_tokens == (training, 3 * 4 * 900)
    assert compare(alone.settings, 3 * 4, alone.usage).input_tokens == (training, 3 * 4 * 900)
    name = "Evaluation after 3 episodes, on seeds never trained on"
    evaluated = parts["evaluation"].expected.input_tokens / 3
    assert compared[name].input_tokens[0] == pytest.approx(evaluated, abs=1)


def test_a_training_that_learns_nothing_has_nothing_to_compare():
    plan = CurvePlan(episodes=2, control=True)
    with pytest.raises(InvalidSetting, match="There is no learning to compare: leave out control"):
        estimate_training("pong", "gpt-4o", plan, Options(max_decisions=20))


def test_the_low_end_of_an_estimate_has_the_examples_that_are_shown_at_once(tmp_path):
    teacher = VLMTrainer("freeway", "expert", max_decisions=90, run_folder=tmp_path).train(1).folder

    def low(episodes, **learning):
        options = Options(max_decisions=10, prompt_type="basic", **learning)
        model = ScriptedModel(str, name="gpt-4o")
        player = resolve("freeway", "gpt-4o", options, model=model)
        return estimate_of(player, episodes).low.input_tokens

    without = low(1, use_in_context_learning=True)
    shown = low(1, examples_from=teacher) - without
    assert shown >= 10 * 2 * 85  # two screens in each prompt
    assert low(2, examples_from=teacher) == pytest.approx(2 * (without + shown), abs=2)
    # The player's own moments may take their place after the first episode.
    both = low(2, examples_from=teacher, use_in_context_learning=True)
    assert both == pytest.approx(2 * without + shown, abs=2)
