"""The figure of a learning curve, and what its page leaves out."""

from __future__ import annotations

import re
from pathlib import Path

from atari_vlm.report.curve_figure import WIDTH, figure, legend
from atari_vlm.report.curve_page import paired
from atari_vlm.runs.curve import Arm, Curve, Point


def arm(name, *marks):
    points = (
        Point(after=after, scores=(0.0, 2.0), examples=1, lessons=0, folder=Path())
        for after in marks
    )
    return Arm(name=name, points=tuple(points), training=(1.0, 1.0))


def curve(*arms, model="mine"):
    return Curve(game="Pong", model=model, learner="x", settings="", folder=Path(), arms=arms)


def test_arms_that_are_equal_all_along_are_all_seen():
    drawn = figure(curve(arm("learning", 0, 2), arm("control", 0, 2), arm("shuffled", 0, 2)))
    assert re.findall(
        r"<polyline.* stroke-width=\"(\d)\" stroke-dasharray=\"([\d ]*)\"", drawn
    ) == [
        ("5", ""),
        ("2", "9 9"),
        ("2", "3 6"),
    ]
    places = re.findall(r'(?:cx|<rect x)="([\d.]+)"[^>]*><title>', drawn)
    assert len({*places}) == 6


def test_a_long_title_ends_within_the_figure():
    for model in ("mine", "m" * 60, "m" * 140):
        drawn = figure(curve(arm("learning", 0, 2), model=model))
        ((left, size, title),) = re.findall(
            r'<text x="([\d.]+)" y="26[^>]* font-size="(\d+)"[^>]*>([^<]*)<', drawn
        )
        assert float(left) + 0.6 * float(size) * len(title) < WIDTH


def test_differences_have_a_heading_only_where_something_is_compared():
    assert [*paired(curve(arm("learning", 2)))] == []
    assert next(paired(curve(arm("learning", 0, 2)))) == "<h2>Differences, paired by seed</h2><ul>"


def test_a_legend_says_in_words_what_each_line_is():
    lines = [*legend(curve(arm("learning", 0, 2), arm("control", 0), arm("shuffled", 0, 2)))]
    assert [re.sub(r"<title>.*?</title>|<[^>]*>", "", line).strip() for line in lines] == [
        "learning 1, with what was learned",
        "control 1, the control, which learns nothing",
        "shuffled 1, the control that is shown the lessons shuffled",
    ]
    assert ['stroke-dasharray="9 9"' in line for line in lines] == [False, True, False]


def test_a_point_after_one_episode_says_episode():
    drawn = figure(curve(arm("learning", 1, 2)))
    assert "after 1 episode: " in drawn
    assert "after 2 episodes: " in drawn
    assert "after 1 episodes" not in drawn
