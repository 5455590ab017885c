"""Steps on the device: they learn, never ask the host, continue exactly, and outlive bad labels."""

from __future__ import annotations

import copy
import io

import pytest

from atari_vlm.errors import InvalidSetting, ModelUnusable
from atari_vlm.learning.distill.architecture import COARSE
from tests.learning.distill.resident.conftest import CPU, GROUPS, store_with

torch = pytest.importorskip("torch")

pytestmark = pytest.mark.training

FEW = (("pong",), ("breakout",))
"""Two students that step faster than those of GROUPS."""


@pytest.fixture(scope="module")
def students_of(tokenizer):
    """A function that makes students with their first weights."""
    from atari_vlm.learning.distill.resident.students import Students

    made = {}

    def make(groups):
        if groups not in made:
            batch = 8 * max(map(len, groups))
            students = Students(groups, tokenizer, COARSE, batch, CPU)
            made[groups] = students, {n: w.clone() for n, w in students.weights.items()}
        students, first = made[groups]
        # Equal students; only the weights are their own.
        own = copy.copy(students)
        own.weights = {name: weight.clone() for name, weight in first.items()}
        own.averages = {name: own.weights[name].clone() for name in students.flat}
        return own

    return make


@pytest.fixture
def stepper_of(students_of, chunks):
    """A function that makes a stepper of the same first weights."""
    from atari_vlm.learning.distill.resident.stepper import Stepper

    def make(groups=FEW, **settings):
        students = students_of(groups)
        store = store_with({game: chunks[game] for game in students.games})
        return Stepper(students, store, **{"warm_up": 1, "rate": 1e-3, **settings})

    return make


def everything(stepper):
    students = stepper.students
    return {**students.weights, **{f"average {n}": w for n, w in students.averages.items()}}


def test_steps_lower_the_losses_of_every_student(stepper_of):
    stepper = stepper_of()
    stepper.prepare()
    before = stepper.held_out_losses()
    for step in range(6):
        stepper.step(step < 1, step / 10)
    after, trained = stepper.held_out_losses(), stepper.losses()
    assert all(new < 0.9 * old for new, old in zip(after.see, before.see, strict=True))
    assert all(new < 0.95 * old for new, old in zip(after.heads, before.heads, strict=True))
    assert min(*trained.heads, *trained.see, *trained.act, *trained.look) > 0
    assert trained.skipped == (0, 0)
    assert min(trained.norms) > 0
    assert stepper.losses().see == (0.0, 0.0)  # since the last call


def test_the_opening_leaves_the_decoder_alone(stepper_of):
    stepper = stepper_of()
    before = {name: weight.clone() for name, weight in everything(stepper).items()}
    stepper.step(True, 0.0)
    same = {
        name for name, weight in everything(stepper).items() if torch.equal(weight, before[name])
    }
    assert same == {"text", "text_vectors", "average text", "average text_vectors"}


def test_a_step_never_asks_the_host(stepper_of):
    from torch.utils._python_dispatch import TorchDispatchMode

    asking = {
        "_local_scalar_dense",
        "nonzero",
        "masked_select",
        "item",
        "multinomial",
        "is_nonzero",
    }
    seen = set()

    class Watch(TorchDispatchMode):
        def __torch_dispatch__(self, function, types, args=(), kwargs=None):
            seen.add(function.overloadpacket.__name__)
            tensors = [each for each in args[1:2] if isinstance(each, list | tuple)]
            indices = [i for each in tensors for i in each if isinstance(i, torch.Tensor)]
            if function.overloadpacket.__name__.startswith("index"):
                assert all(index.dtype != torch.bool for index in indices)
            return function(*args, **(kwargs or {}))

    stepper = stepper_of()
    stepper.step(True, 0.0)
    with Watch():
        stepper.step(True, 0.1)
        stepper.step(False, 0.2)
    assert "bmm" in seen
    assert not seen & asking


def test_a_stopped_training_continues_exactly(stepper_of):
    whole = stepper_of()
    for step in range(3):
        whole.step(step < 1, step / 3)
    first = stepper_of()
    for step in range(2):
        first.step(step < 1, step / 3)
    file = io.BytesIO()
    torch.save(first.state_dict(), file)
    second = stepper_of(seed=99)
    second.load_state_dict(torch.load(io.BytesIO(file.getvalue()), weights_only=True))
    second.step(False, 2 / 3)
    assert second.steps == whole.steps == 3
    for name, weight in everything(whole).items():
        assert torch.equal(weight, everything(second)[name]), name


def test_a_state_that_is_damaged_or_of_others_is_refused(stepper_of):
    stepper = stepper_of()
    state = stepper.state_dict()
    with pytest.raises(ValueError, match="-1 steps"):
        stepper.load_state_dict({**state, "steps": -1})
    with pytest.raises(ValueError, match=r"weights are of other students \(vision\)"):
        stepper.load_state_dict(
            {**state, "weights": {**state["weights"], "vision": torch.zeros(1, 3)}}
        )
    broken = {**state["averages"], "text": state["averages"]["text"] * torch.nan}
    with pytest.raises(ModelUnusable, match="A weight of the student of pong is not"):
        stepper.load_state_dict({**state, "averages": broken})


def test_labels_that_are_not_finite_stop_one_student_and_not_the_other(stepper_of):
    stepper = stepper_of(GROUPS)
    stepper.step(False, 0.0)
    before = {name: weight.clone() for name, weight in everything(stepper).items()}
    optimiser = copy.deepcopy(stepper.state_dict()["optimisers"][1])
    low = stepper.store.low[2]
    stepper.store.plans[low : stepper.store.high[2]] = torch.nan  # of Montezuma's Revenge
    stepper.step(False, 0.1)
    losses = stepper.losses()
    assert losses.skipped == (0, 1)
    assert all(loss == loss for loss in (*losses.heads, *losses.see))
    games = [0, 1, 2]
    for name, weight in stepper.students.weights.items():
        owners = [0, 0, 1] if len(weight) == len(games) else [0, 1]
        for row, owner in enumerate(owners):
            assert torch.equal(weight[row], before[name][row]) == (owner == 1), (name, row)
    for place, state in stepper.state_dict()["optimisers"][1]["state"].items():
        for key, value in state.items():
            assert torch.equal(value, optimiser["state"][place][key])
    stepper.check_finite()


def test_each_student_is_clipped_by_its_own_gradient(stepper_of):
    stepper = stepper_of(GROUPS)
    stepper._draws.fill_(0.3)
    gradients, parts = stepper._gradients(False)
    before = {name: gradient.clone() for name, gradient in gradients.items()}
    stepper._apply((gradients, parts), False)
    norms = stepper.losses().norms
    for student, owned in enumerate(([0, 1], [2])):
        places = {n: owned if n.startswith("head") else [student] for n in before}
        whole = torch.cat([before[n][rows].flatten() for n, rows in places.items()])
        clipped = torch.cat([gradients[n][rows].flatten() for n, rows in places.items()])
        assert norms[student] == pytest.approx(float(whole.norm()), rel=1e-3)
        assert norms[student] > 1
        assert float(clipped.norm()) == pytest.approx(1.0, rel=1e-3)
    # The first moment of AdamW is a tenth of the clipped gradient.
    moments = [s["exp_avg"] for s in stepper._update.optimisers[0].state.values()]
    assert float(torch.cat([m.flatten() for m in moments]).norm()) == pytest.approx(0.1, rel=1e-3)


def test_a_compiled_loss_is_taken_only_if_it_is_the_same(stepper_of):
    said = []

    def same(loss):
        return lambda *given: loss(*given)

    def other(loss):
        return lambda *given: tuple(1.01 * part for part in loss(*given))

    def broken(loss):
        raise RuntimeError("no compiler here")

    for compiler in (same, other, broken):
        stepper = stepper_of(compile=True, compiler=compiler, report=said.append)
        stepper.prepare()
        stepper._compiling.wait(60)
        stepper.step(True, 0.0)
    assert said[0] == "Training goes on with the compiled loss."
    assert "compiled loss differs by 0.01" in said[1]
    assert "no compiler here" in said[2]
    assert len(said) == 3


def test_gradients_of_several_processes_are_averaged_before_the_update(stepper_of):
    def twice(tensors):
        for tensor in tensors:
            tensor.mul_(2)

    one, two = stepper_of(), stepper_of(all_reduce=twice)
    for stepper in (one, two):
        stepper.step(True, 0.0)
    single, double = one.losses(), two.losses()
    assert double.norms == pytest.approx([2 * norm for norm in single.norms], rel=1e-5)
    assert double.heads == pytest.approx([2 * loss for loss in single.heads], rel=1e-5)


def test_runs_before_a_graph_is_captured_change_nothing(stepper_of):
    def never(tensors):
        raise AssertionError("no other process averages at this moment")

    plain, warmed = stepper_of(), stepper_of()
    warmed._all_reduce = never
    warmed._update.active.fill_(0.0)
    warmed._draws.fill_(0.5)
    warmed._run(False, None)
    assert warmed.losses().skipped == (0, 0)
    warmed._update.active.fill_(1.0)
    warmed._all_reduce = None
    for stepper in (plain, warmed):
        stepper.step(False, 0.0)
    for name, weight in everything(plain).items():
        assert torch.equal(weight, everything(warmed)[name]), name


def test_the_rate_rises_and_falls(stepper_of):
    stepper = stepper_of(warm_up=4, rate=1.0)

    def rate(steps, whole, vision_only, progress):
        stepper.steps, stepper._whole_steps = steps, whole
        stepper._set_rates(vision_only, progress)
        return float(stepper._update.rate)

    assert rate(0, 0, True, 0.0) == pytest.approx(0.25)
    assert rate(9, 0, True, 0.0) == 1.0
    assert rate(9, 0, False, 0.0) == pytest.approx(0.5)
    assert rate(9, 9, False, 1.0) == pytest.approx(0.03)


def test_a_game_without_rows_is_named(students_of):
    from atari_vlm.learning.distill.resident.stepper import Stepper
    from atari_vlm.learning.distill.resident.store import RowStore

    students = students_of(FEW)
    store = RowStore(students.games, dict.fromkeys(students.games, 48), CPU, 20, chunk=48)
    stepper = Stepper(students, store)
    with pytest.raises(InvalidSetting, match="no rows of pong to learn from yet"):
        stepper.prepare()
    with pytest.raises(InvalidSetting, match="no held-out rows of pong that teach"):
        stepper.held_out_losses()
