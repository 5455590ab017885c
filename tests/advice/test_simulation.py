"""What searches and lookahead simulate, and how long that takes, is said before a run."""

from __future__ import annotations

import pytest

from atari_vlm.advice.estimates import estimate_runs
from atari_vlm.advice.simulation import simulation_of
from atari_vlm.errors import InvalidSetting
from atari_vlm.players import Options, resolve


def line(name, game="pong", **chosen):
    return simulation_of(resolve(game, name, Options(**chosen))).line


def test_frames_and_time_of_a_decision_and_of_an_episode_are_said():
    said = line("embedded+lookahead:600", max_decisions=100)
    assert said.startswith(
        "Simulates at most 600 emulator frames a decision, 35 to 86 ms of one core; 60,000 in an "
        "episode of 100 decisions, 4 to 9 s. That is at 7,000 to 17,000 frames a second"
    )
    assert said.endswith("; the time of a model comes on top.")
    whole = line("iw-1200", frame_skip=8)
    assert "566,400 in an episode as long as random play (472 decisions; a better" in whole
    assert "time of a model" not in whole
    assert "5.9 to 14 ms of one core" in line("uct-100", frame_skip=60)
    assert line("uct-50ms", max_decisions=100) == (
        "Searches at most 0.05 s of CPU time a decision: 5 s in an episode of 100 decisions."
    )
    adaptive = line("embedded+adaptive:lookahead:600", think_budget="9000 frames")
    assert "about 350 emulator frames a decision (750 at most)" in adaptive
    assert "; 9,000 (think_budget) in an episode as long" in adaptive
    assert simulation_of(resolve("pong", "embedded+vote:3", Options())) is None


def test_what_looks_ahead_of_a_search_is_added_to_the_search():
    assert "at most 968 emulator frames" in line("iw-600+lookahead:368")
    assert "about 950 emulator frames a decision (1,350 at most)" in line(
        "iw-600+adaptive:lookahead:600"
    )
    both = line("uct-50ms+lookahead:600", max_decisions=100)
    assert both.startswith("Searches at most 0.05 s of CPU time a decision: 5 s in an episode")
    assert "Simulates at most 600 emulator frames a decision" in both
    budget = line("iw-1200+lookahead:600", max_decisions=100, think_budget="9000 frames")
    assert "; 129,000 (think_budget) in an episode of 100 decisions" in budget


@pytest.mark.parametrize(
    ("name", "think", "why"),
    [
        ("uct-0ms", None, "time of above 0"),
        ("uct-3", None, "less than one decision of 4 frames"),
        ("expert", "vote:3", "expert has no model"),
    ],
)
def test_an_estimate_of_a_player_that_cannot_play_says_why(name, think, why):
    with pytest.raises(InvalidSetting, match=why):
        estimate_runs(["pong"], [name], episodes=1, options=Options(think=think))


def test_an_estimate_says_what_a_player_simulates_that_nobody_bills():
    names = ("gpt-6-luna+lookahead:600", "iw-1200", "embedded")
    made, others = estimate_runs(["pong"], names, episodes=1, options=Options(max_decisions=10))
    (asked,) = [each for each in made[0].assumptions if "asks its model once" in each]
    assert "Simulates at most 600 emulator frames a decision" in asked
    assert others[0].startswith("pong, iw-1200: nobody bills it. Simulates at most 1,200 emul")
    assert others[1].startswith("Not estimated: 'embedded' plays in this process")
    assert estimate_runs(["pong"], ["iw-1200"], episodes=1, options=Options())[0] == []
    with pytest.raises(InvalidSetting, match="not billed by tokens"):
        estimate_runs(["pong"], ["embedded"], episodes=1, options=Options())
