"""Where a page opens an episode."""

from __future__ import annotations

from dataclasses import replace

import pytest

from atari_vlm.report.opening import LEAD, last_reply, opening
from atari_vlm.report.replay import ReplayCall, ReplayChoice, ReplayDecision

SILENT = ReplayDecision(
    action="NOOP", frames=4, source="scripted", interval=4, reward=0.0, score=0.0, lives=3
)
CALL = ReplayCall(messages=(), reply="TEST: left.")
SAID = replace(SILENT, source="parsed", calls=(CALL,))
FAILED = replace(SILENT, source="fallback", calls=(replace(CALL, reply="TEST: sorry."),))


def test_an_episode_opens_shortly_before_its_first_reward():
    decisions = [SAID] * 40
    decisions[30] = replace(SAID, reward=1.0)
    assert opening(decisions) == 30 - LEAD


def test_a_lost_life_is_worth_seeing_too():
    decisions = [SAID] * 20 + [replace(SAID, lives=2)] * 20
    assert opening(decisions) == 19 - LEAD


def test_of_the_decisions_before_an_event_one_with_words_is_opened():
    decisions = [SILENT] * 40
    decisions[30], decisions[28] = replace(SILENT, reward=1.0), SAID
    assert opening(decisions) == 28


def test_an_event_without_words_gives_way_to_a_later_one_with_them():
    decisions = [SILENT] * 40 + [SAID] * 40
    decisions[10] = replace(SILENT, reward=1.0)
    decisions[60] = replace(SAID, reward=1.0)
    assert opening(decisions) == 60 - LEAD
    assert opening(decisions[:40]) == 10 - LEAD


def test_the_reason_of_a_player_without_a_model_counts_as_words():
    decisions = [replace(SILENT, reason="ball 72 66")] * 20
    decisions[9] = replace(decisions[9], reward=-1.0)
    assert opening(decisions) == 9 - LEAD


@pytest.mark.parametrize(("count", "place"), [(1, 0), (2, 1), (41, 20)])
def test_an_episode_without_events_opens_in_its_middle(count, place):
    assert opening([SILENT] * count) == place
    assert opening([SAID] * count) == place


def test_an_episode_without_decisions_opens_at_its_start():
    assert opening([]) == opening([], invalid=True) == 0


def test_an_invalid_episode_opens_at_the_first_of_the_fallbacks_that_ended_it():
    decisions = [SAID, FAILED, SAID, replace(SAID, reward=1.0), *[FAILED] * 20]
    assert opening(decisions, invalid=True) == 4
    assert opening([FAILED] * 20, invalid=True) == 0
    assert opening([SAID], invalid=True) == 0


def test_the_last_words_are_found_behind_silent_decisions_and_in_candidates():
    assert last_reply([SAID, FAILED, SILENT]) == "TEST: sorry."
    voted = replace(SILENT, considered=(ReplayChoice(**{**vars_of_choice(FAILED)}),))
    assert last_reply([SAID, voted]) == "TEST: sorry."
    assert last_reply([SILENT]) == ""


def vars_of_choice(decision: ReplayDecision) -> dict[str, object]:
    return {
        name: getattr(decision, name) for name in ("action", "frames", "source", "reason", "calls")
    }
