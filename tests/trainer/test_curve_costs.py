"""The cost of a curve with a control is said before it is played, and one cap holds for it."""

from __future__ import annotations

import re
from contextlib import closing

import pytest

from atari_vlm import Run, VLMTrainer
from atari_vlm.errors import BudgetExceeded
from atari_vlm.trainer.curve import CurveRuns
from atari_vlm.trainer.curve_plan import CurvePlan
from tests.servers import Server
from tests.vendor_apis import Answer
from tests.vendors import serve_as

DECISIONS = 5
TOKENS = 950
"""Of one answer of the server."""


def test_the_cost_line_says_how_much_of_it_the_controls_are():
    trainer = VLMTrainer(
        "pong", "gpt-4o", api_key="planted", use_in_context_learning=True, max_decisions=20
    )

    def dollars(**plan):
        runs = CurveRuns(trainer, CurvePlan(episodes=4, evaluations=2, **plan))
        return [float(re.search(r"\$([\d.]+)", line)[1]) for line in runs.estimate_lines()]

    (alone,) = dollars(every=2)
    whole, controls = dollars(every=2, control=True, shuffled=True)
    assert whole == pytest.approx(alone + controls, rel=0.03)
    assert controls > dollars(every=2, control=True)[1] > 0


def test_one_cap_holds_for_learning_and_its_control_also_when_it_is_called_again(
    tmp_path, monkeypatch
):
    def tokens():
        total = 0
        for file in tmp_path.rglob("run.sqlite"):
            with closing(Run.read(file.parent)) as run:
                total += run.spent()[0]
        return total

    with Server(lambda number, body: Answer(text="ACTION: NOOP")) as server:
        serve_as(monkeypatch, openai=server)
        learning = 3 * DECISIONS * TOKENS  # an evaluation, an episode of training, an evaluation
        trainer = VLMTrainer(
            "pong",
            "gpt-4o",
            api_key="planted",
            prompt_type="basic",
            use_in_context_learning=True,
            max_decisions=DECISIONS,
            max_tokens=100,
            budget_tokens=learning + 4 * TOKENS,
            run_folder=tmp_path,
        )
        for _ in range(2):
            with pytest.raises(BudgetExceeded):
                trainer.train(1, evaluate_every=1, num_evaluations=1, control=True)
            assert learning <= tokens() <= learning + 4 * TOKENS
    assert Run.exists(tmp_path / "control")
