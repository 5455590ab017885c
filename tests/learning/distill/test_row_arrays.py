"""Rows as arrays: the numbers that a data set makes of the same rows, for every game."""

from __future__ import annotations

import zlib
from itertools import islice

import numpy as np
import pytest

from atari_vlm.errors import InvalidSetting
from atari_vlm.learning.distill.answer_schemas.table import ANSWER_SCHEMAS, get_answer_schema
from atari_vlm.learning.distill.architecture import build_tokenizer
from atari_vlm.learning.distill.collect import Disturbance, collect
from atari_vlm.learning.distill.data import Dataset
from atari_vlm.learning.distill.row_arrays import ROW_BYTES, Labeller, RowArrays

pytestmark = pytest.mark.training

OFTEN = Disturbance(scatter=0.2, length=(40, 41), warm_up=5)


@pytest.fixture(scope="module")
def tokenizer():
    return build_tokenizer(tuple(ANSWER_SCHEMAS))


@pytest.mark.parametrize("game", ANSWER_SCHEMAS)
def test_arrays_hold_what_a_data_set_makes_of_the_same_rows(game, tokenizer):
    rows = list(collect(game, 40, seed=3, disturbance=OFTEN))
    data = Dataset(game, tokenizer)
    data.add(rows)
    wanted = data.batch(np.arange(40))
    arrays = Labeller(game, tokenizer).chunk(iter(rows), 40)
    assert [zlib.decompress(grey) for grey in data.grey] == [g.tobytes() for g in arrays.grey]
    assert list(arrays.before) == data.before
    assert list(arrays.weight) == pytest.approx([row.weight for row in rows])
    assert np.array_equal(arrays.sentence, wanted.sentences)
    assert np.array_equal(*padded(arrays.answers, wanted.answers.numpy()))
    soft = np.array(data.soft_plans)
    assert np.allclose(arrays.plans[:, : soft.shape[1]], soft, rtol=0, atol=1e-7)
    assert not arrays.plans[:, soft.shape[1] :].any()
    objects = get_answer_schema(game).objects
    for place, name in enumerate(objects):
        clauses = data.object_answers(wanted.words, name).numpy()
        assert np.array_equal(*padded(arrays.looks[:, place], clauses)), name
    assert (arrays.looks[:, len(objects) :] == -1).all()


def padded(given, wanted):
    """Both as wide as the wider one."""
    width = given.shape[1] - wanted.shape[1]
    return given, np.pad(wanted, [(0, 0), (0, width)], constant_values=-1)


def test_the_screen_before_a_chunk_is_in_it_at_weight_0(tokenizer):
    rows = list(collect("pong", 30, seed=3, disturbance=Disturbance(length=(28, 29), scatter=0.0)))
    labeller, play = Labeller("pong", tokenizer), iter(rows)
    one, two, three = (labeller.chunk(play, 12) for _ in range(3))
    assert (len(one), len(two), len(three)) == (12, 12, 8)
    assert (two.grey[0] == one.grey[-1]).all()
    assert (one.weight[0], two.weight[0]) == (pytest.approx(rows[0].weight), 0)
    assert list(two.before) == [0, *range(11)]
    again = [weight for arrays in (one, two, three) for weight in arrays.weight]
    assert sum(again) == pytest.approx(sum(row.weight for row in rows))
    assert len(labeller.chunk(play, 12)) == 0
    assert list(three.before) == [0, *range(5), 6, 6]  # a new episode has no screen before it


def test_a_buffer_holds_all_arrays(tokenizer):
    arrays = Labeller("qbert", tokenizer).chunk(collect("qbert", 7, seed=1), 7)
    buffer = arrays.to_buffer()
    assert len(buffer) == 7 * ROW_BYTES
    again = RowArrays.from_buffer(buffer)
    for name in RowArrays.__slots__:
        there, back = getattr(arrays, name), getattr(again, name)
        assert there.dtype == back.dtype
        assert np.array_equal(there, back), name
    with pytest.raises(ValueError, match="no whole number of rows"):
        RowArrays.from_buffer(buffer[:-1])


def test_a_label_that_is_no_sentence_is_refused(tokenizer):
    labeller = Labeller("pong", tokenizer)
    with pytest.raises(InvalidSetting, match="no sentence of its grammar"):
        labeller.chunk(islice(collect("qbert", 3, seed=1), 3), 3)
    with pytest.raises(InvalidSetting, match="at least 2 rows"):
        labeller.chunk(iter(()), 1)
