"""Several students as one: the losses, gradients and answers of each are those of it alone."""

from __future__ import annotations

import asyncio
from itertools import pairwise

import numpy as np
import pytest

from atari_vlm.errors import InvalidSetting
from atari_vlm.learning.distill.answer_schemas.table import get_answer_schema
from atari_vlm.learning.distill.architecture import COARSE, FINE, architecture_of, save_pretrained
from atari_vlm.learning.distill.data import Dataset
from atari_vlm.models.embedded.checkpoints import checkpoint
from atari_vlm.prompts.embedded import SEE
from atari_vlm.types import Message, Prompt
from tests.learning.distill.resident.conftest import CPU, GAMES, GROUPS, store_with

torch = pytest.importorskip("torch")

pytestmark = pytest.mark.training

BATCH = 16
LOSS_TOLERANCE, GRADIENT_TOLERANCE = 1e-5, 1e-4
"""Largest relative difference of a loss, and of the norm of a weight's gradient."""
NAMED = {"pong": "paddle", "breakout": "ball", "montezuma_revenge": "skull"}
"""Game -> the object that all its rows are asked for."""


@pytest.fixture(scope="module")
def data(rows, tokenizer):
    every = {game: Dataset(game, tokenizer) for game in GAMES}
    for game, decisions in every.items():
        decisions.add(rows[game])
    return every


def students_of(tokenizer, architecture=COARSE, **settings):
    from atari_vlm.learning.distill.resident.students import Students

    return Students(GROUPS, tokenizer, architecture, BATCH, CPU, **settings)


def chosen():
    """Game -> numbers of its rows in the step."""
    rng = np.random.default_rng(5)
    return {game: rng.permutation(48)[: BATCH // len(games)] for games in GROUPS for game in games}


def labels(students, store):
    """The labels of the chosen rows: one object for each game, and no token is replaced."""
    starts = dict(zip(GAMES, store.low.tolist(), strict=True))
    rows = np.concatenate([starts[game] + own for game, own in chosen().items()])
    names = []
    for number in students.rows.games[students.rows.look.rows].tolist():
        objects = get_answer_schema(GAMES[number]).objects
        names.append((objects.index(NAMED[GAMES[number]]) + 0.5) / len(objects))
    tokens = torch.ones(len(students.rows.see.rows) * students.tables.longest_answer)
    return students.labels_of(store, torch.from_numpy(rows), torch.tensor(names).double(), tokens)


def alone(students, tokenizer, data, monkeypatch):
    """Of each student: the module of its loss, with its weights and heads, and its batches."""
    from atari_vlm.learning.distill import distillation_loss

    monkeypatch.setattr(distillation_loss, "NEIGHBOUR_PROBABILITY", 0.0)
    for group, games in enumerate(GROUPS):
        model = students.model_of(students.state_dict_of(group, averaged=False)).train()
        loss = distillation_loss.DistillationLoss(model, tokenizer, {g: data[g] for g in games})
        for game in games:
            number = GAMES.index(game)
            for field, place in students.tables.columns[number].items():
                head = loss.heads[f"{game}_{field}"]
                with torch.no_grad():
                    head.weight.copy_(students.weights["heads"][number, place])
                    head.bias.copy_(students.weights["head_biases"][number, place])
        yield loss, [(data[game].batch(chosen()[game]), NAMED[game]) for game in games]


def gradients(students, batch, *, vision_only=False):
    """Name -> gradient of a flat tensor, and the parts of the loss."""
    names = [n for n in students.weights if not vision_only or not n.startswith("text")]
    weights = {name: w.detach().requires_grad_() for name, w in students.weights.items()}
    total, parts = students.loss(weights, batch, vision_only)
    found = torch.autograd.grad(total, [weights[name] for name in names])
    return dict(zip(names, found, strict=True)), parts.detach()


def farthest(students, store, tokenizer, data, monkeypatch):
    """Largest relative differences of the losses, and of the gradients, of stacked and alone."""
    batch = labels(students, store)
    found, parts = gradients(students, batch)
    _, opening = gradients(students, batch, vision_only=True)
    losses, far = [], []
    for group, (loss, batches) in enumerate(alone(students, tokenizer, data, monkeypatch)):
        heads = loss(batches, True)
        whole = loss(batches, False)
        whole.backward()
        total = torch.tensor([0.3, 1.0, 1.0, 0.3]) @ parts[:, group]
        losses += [relative(total, whole), relative(parts[0, group], heads)]
        losses += [relative(opening[0, group], heads)]
        flat = [students.flat[name].unflatten(found[name][group]) for name in students.flat]
        mine = {name: part for each in flat for name, part in each.items()}
        wanted = {n: w.grad for n, w in loss.model.named_parameters() if "k_proj.bias" not in n}
        far += [(relative(mine[name], gradient), name) for name, gradient in wanted.items()]
        for game in GROUPS[group]:
            number = GAMES.index(game)
            for field, place in students.tables.columns[number].items():
                head = loss.heads[f"{game}_{field}"]
                if head.weight.grad is not None:  # else no row states the field
                    far += [
                        (relative(found["heads"][number, place], head.weight.grad), field),
                        (relative(found["head_biases"][number, place], head.bias.grad), field),
                    ]
    return max(losses), max(far)


def relative(mine, wanted):
    mine, wanted = torch.as_tensor(mine).detach(), torch.as_tensor(wanted).detach()
    return float((mine - wanted).norm() / (wanted.norm() + 1e-9))


@pytest.mark.parametrize("architecture", [FINE, COARSE], ids=["fine", "coarse"])
def test_losses_and_gradients_are_those_of_each_student_alone(
    architecture, chunks, tokenizer, data, monkeypatch
):
    students = students_of(tokenizer, architecture)
    store = store_with(chunks, architecture.patch_size)
    loss, gradient = farthest(students, store, tokenizer, data, monkeypatch)
    assert loss < LOSS_TOLERANCE
    assert gradient[0] < GRADIENT_TOLERANCE, gradient


@pytest.fixture(scope="module")
def exact(chunks, tokenizer):
    """Students, their store, and the gradients and losses of the chosen rows."""
    students, store = students_of(tokenizer), store_with(chunks)
    return students, store, *gradients(students, labels(students, store))


def test_wrong_targets_and_weights_differ_by_more_than_the_tolerance(exact, monkeypatch):
    from atari_vlm.learning.distill.resident import stacked_loss

    students, store, wanted, parts = exact

    def differ():
        found, others = gradients(students, labels(students, store))
        far = max(relative(found[name], gradient) for name, gradient in wanted.items())
        return far > 10 * GRADIENT_TOLERANCE, relative(others, parts) > 10 * LOSS_TOLERANCE

    assert differ() == (False, False)
    for weight in ("HEADS_WEIGHT", "LOOK_WEIGHT"):
        with monkeypatch.context() as wrong:
            wrong.setattr(stacked_loss, weight, 0.31)
            assert differ() == (True, False)  # the parts are those without their weights
    with monkeypatch.context() as wrong:  # without the neighbours of numbers
        wrong.setattr(students.tables, "soft", torch.eye(students.tables.vocabulary))
        assert differ() == (True, True)
    with monkeypatch.context() as wrong:  # without the neighbours of plans
        wrong.setattr(
            store, "plans", store.plans.argmax(1, keepdim=True).eq(torch.arange(16)) * 1.0
        )
        assert differ() == (True, True)


def test_matrices_in_bf16_lose_little(exact, tokenizer):
    _, store, wanted, parts = exact
    rounded = students_of(tokenizer, dtype=torch.bfloat16)
    saved = {}

    def keep(tensor):
        saved[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        found, near = gradients(rounded, labels(rounded, store))
    assert 10**7 < sum(saved.values()) < rounded.training_bytes
    assert torch.allclose(near, parts, rtol=0.02)
    for name, gradient in wanted.items():
        assert found[name].dtype == torch.float32
        assert relative(found[name], gradient) < 0.1, name


def test_labels_are_laid_out_alike_so_that_nothing_is_compiled_twice(exact):
    students, store, *_ = exact
    drawn = students.labels(store, torch.rand(students.draws, dtype=torch.float64))
    chosen_rows = labels(students, store)
    assert drawn.keys() == chosen_rows.keys()
    for name, part in drawn.items():
        assert part.is_contiguous(), name
        assert (part.shape, part.dtype) == (chosen_rows[name].shape, chosen_rows[name].dtype)


def test_a_batch_that_the_games_do_not_divide_is_refused(tokenizer):
    from atari_vlm.learning.distill.resident.step_rows import StepRows

    with pytest.raises(InvalidSetting, match="cannot be divided among the 2 games pong, breakout"):
        StepRows(GROUPS, 17, CPU)
    with pytest.raises(InvalidSetting, match=r"fewer than 8 decisions .* Try 16"):
        StepRows(GROUPS, 14, CPU)


def test_a_student_of_several_is_exported_and_answers_word_for_word(tokenizer, tmp_path, rows):
    from atari_vlm.learning.distill.export import export
    from atari_vlm.models.embedded.model import EmbeddedModel
    from atari_vlm.models.local.model import LocalModel, LocalSettings

    base = checkpoint("montezuma_revenge")
    students = students_of(tokenizer, architecture_of(base), bases=(None, base))
    students.weights["text"].zero_()  # the averaged weights are others
    save_pretrained(students.model_of(students.state_dict_of(1)), tokenizer, GROUPS[1], tmp_path)
    export(tmp_path)
    runtime = EmbeddedModel(tmp_path, draw=False)
    network = LocalModel(str(tmp_path), settings=LocalSettings(draw=False))
    for before, now in pairwise(rows["montezuma_revenge"][::16]):
        parts = (before.screen, now.screen, SEE.format(game=now.game))
        prompt = Prompt(messages=(Message("user", parts),), legal=("NOOP",), longest=4)
        one, other = (asyncio.run(model.answer(prompt, seed=0)) for model in (runtime, network))
        assert one.text == other.text
        assert ": " in one.text
