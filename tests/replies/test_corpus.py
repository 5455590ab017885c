"""Every reply of the corpus is read as a careful person reads it."""

from collections import Counter

import pytest

from atari_vlm.atari.emulator import Emulator
from atari_vlm.atari.games import get_game
from atari_vlm.replies.multi_plan_parser import parse_plans
from atari_vlm.replies.plan_parser import REFUSAL, parse_plan
from tests.replies.corpus import LONGEST, MOST, cases
from tests.replies.legal_actions import GAMES

CASES = cases()
LEAST = {
    **{"plain": 160, "never": 190, "refusing": 25, "thinking": 95, "json": 155, "lists": 50},
    **{"languages": 130, "strange": 85, "second": 136, "third": 141, "fourth": 123, "fifth": 119},
    **{"seventh": 475},
    **{"sixth": 165, "eighth": 145, "ninth": 212, "tenth": 63, "independent": 199},
    **{"eleventh": 200, "twelfth": 240, "thirteenth": 313, "fourteenth": 164},
}
"""Cases of each group that there were; more may be added, none taken away."""


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.place)
def test_a_reply_is_read_as_a_careful_person_reads_it(case):
    one = parse_plan(case.reply, case.legal, LONGEST)
    several = parse_plans(case.reply, case.legal, LONGEST, MOST)
    assert several.plans == case.plans, several.fault
    assert one.plan == (case.plans[0] if len(case.plans) == 1 else None), one.fault
    for parsed in (one, several):
        assert parsed.fault.startswith(REFUSAL) == case.refused
        assert case.thinking in parsed.thinking


def test_the_corpus_grows_and_is_not_replaced():
    counted = Counter(case.group for case in CASES)
    assert all(counted[group] >= least for group, least in LEAST.items()), counted
    assert sum(1 for case in CASES if case.plans) >= 400
    assert sum(1 for case in CASES if not case.plans) >= 400
    assert len({(case.game, case.reply) for case in CASES}) == len(CASES)


@pytest.mark.parametrize("game", GAMES)
def test_the_legal_actions_of_the_corpus_are_those_of_the_games(game):
    assert Emulator(get_game(game)).legal == GAMES[game]
