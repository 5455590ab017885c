"""The loss of the student: that of its formula, and the step that it takes."""

from __future__ import annotations

import numpy as np
import pytest

from atari_vlm.learning.distill.answer_schemas.table import get_answer_schema
from atari_vlm.learning.distill.collect import Disturbance, collect
from atari_vlm.learning.distill.settings import DistillSettings

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.training

GAMES = ("seaquest", "qbert")


@pytest.fixture(scope="module")
def rows():
    often = Disturbance(length=(20, 21), warm_up=60)
    return {game: list(collect(game, 40, seed=3, disturbance=often)) for game in GAMES}


def trainer_of(tmp_path, rows, **settings):
    from atari_vlm.learning.distill.train import Trainer

    trainer = Trainer(DistillSettings(games=GAMES, out=tmp_path, **settings))
    for game in GAMES:
        trainer.data[game].add(rows[game])
    return trainer


def batches_of(trainer):
    rng = np.random.default_rng(0)
    names = [get_answer_schema(game).objects[-1] for game in GAMES]
    return [
        (trainer.data[game].sample(16, rng), name) for game, name in zip(GAMES, names, strict=True)
    ]


def gradients(module, loss):
    weights = {name: weight for name, weight in module.named_parameters()}
    found = torch.autograd.grad(loss, list(weights.values()), allow_unused=True)
    return dict(zip(weights, found, strict=True))


@pytest.mark.parametrize("architecture", ["fine", "coarse"])
@pytest.mark.parametrize("vision_only", [True, False])
def test_the_loss_and_its_gradients_are_those_of_the_formula(
    tmp_path, rows, architecture, vision_only
):
    from tests.learning.distill.plain_loss import plain_loss

    trainer = trainer_of(tmp_path, rows, architecture=architecture)
    module, batches = trainer.loss_module, batches_of(trainer)
    torch.manual_seed(1)
    fast = module(batches, vision_only)
    torch.manual_seed(1)
    plain = plain_loss(module, batches, vision_only, trainer.tokenizer)
    assert float(fast.detach()) == pytest.approx(float(plain.detach()), rel=1e-5)
    wanted = gradients(module, plain)
    for name, found in gradients(module, fast).items():
        if wanted[name] is None:
            assert found is None, name
        elif "k_proj.bias" not in name:  # its gradient is 0 but for rounding
            assert torch.linalg.norm(found - wanted[name]) <= 1e-4 * torch.linalg.norm(
                wanted[name]
            ), name


def test_a_step_in_bf16_follows_that_in_fp32(tmp_path, rows):
    found = {}
    for precision in ("fp32", "bf16"):
        trainer = trainer_of(tmp_path, rows, precision=precision)
        module = trainer.loss_module
        torch.manual_seed(1)
        loss = module(batches_of(trainer), False)
        found[precision] = float(loss.detach()), gradients(module, loss)
    (exact, wanted), (rough, near) = found["fp32"], found["bf16"]
    assert rough != exact
    assert rough == pytest.approx(exact, rel=0.01)
    for name in ("vision_model.embeddings.patch_embedding.weight", "text_model.norm.weight"):
        one, other = wanted[f"model.model.{name}"].flatten(), near[f"model.model.{name}"].flatten()
        assert torch.cosine_similarity(one, other, 0) > 0.98, name


def test_errors_are_neighbours_as_often_as_their_soft_target_says(tmp_path, rows):
    from atari_vlm.learning.distill.distillation_loss import NEIGHBOUR_PROBABILITY

    module = trainer_of(tmp_path, rows).loss_module
    token = int(module.soft_targets.max(-1).values.argmin())
    torch.manual_seed(0)
    drawn = module.with_errors(torch.full((400, 500), token)).flatten()
    shares = torch.bincount(drawn, minlength=len(module.soft_targets)) / len(drawn)
    expected = NEIGHBOUR_PROBABILITY * module.soft_targets[token]
    expected[token] += 1 - NEIGHBOUR_PROBABILITY
    assert (expected > 0.001).sum() > 3
    assert (shares - expected).abs().max() < 0.003
    assert not shares[expected < 1e-12].any()
