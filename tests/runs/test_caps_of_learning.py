"""Caps hold wherever learning asks: in the games that prove a lesson, and on held-out seeds."""

from __future__ import annotations

import pytest

from atari_vlm.errors import BudgetExceeded
from tests.learning.test_reflection import TOKENS, WORDS, Reviewer, advice_of, lessons, trainer
from tests.servers import Server

EVALUATED, PROOFS = 1, 20
CALLS = EVALUATED + 1 + 1 + PROOFS + EVALUATED
"""Games of one decision before learning, one of training, its review, ten pairs, and after it."""

MOST = 9_700
"""Less than a request is taken to cost at most."""


def test_a_cap_holds_in_proofs_and_on_held_out_seeds_and_a_higher_one_asks_what_is_missing(
    tmp_path,
):
    def curve(**caps):
        one = trainer(server, tmp_path, max_decisions=1, prove_lessons=True, **caps)
        return one.train(1, evaluate_every=1, num_evaluations=EVALUATED)

    reached = []
    with Server(Reviewer(lessons(WORDS[0]))) as server:
        for room in (8, 8, CALLS - 1):
            cap = MOST + room * TOKENS
            with pytest.raises(BudgetExceeded, match=r"This training has spent .* tokens of"):
                curve(budget_tokens=cap)
            assert server.count * TOKENS <= cap
            reached.append(server.count)
        assert EVALUATED + 2 < reached[0] == reached[1] < CALLS - EVALUATED == reached[2]
        curve()
        assert server.count == CALLS
    assert advice_of(tmp_path)[1] == (WORDS[0],)
