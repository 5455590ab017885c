"""The examples of docs/replies.md are read as the page says."""

import re

import pytest

from atari_vlm.replies.plan_parser import parse_plan
from tests.blocks import DOCS
from tests.replies.legal_actions import BREAKOUT

PAGE = (DOCS / "replies.md").read_text(encoding="utf-8")
CHOOSE, NEVER = (
    re.search(rf"## {title}\n(.*?)(?=\n## |\Z)", PAGE, re.DOTALL)[1]
    for title in ("What chooses", "What never chooses")
)


def examples(section, column):
    """The code of a column of a table; `A` / `B` are the lines of one reply."""
    rows = [row.split(" | ") for row in section.splitlines() if row.startswith("| ") and "`" in row]
    cells = [re.sub(r"` / `", "\n", row[column]) for row in rows]
    return [found for cell in cells for found in re.findall(r"`([^`]+)`", cell)]


@pytest.mark.parametrize("reply", examples(CHOOSE, 1))
def test_an_example_of_a_choice_chooses(reply):
    plan = parse_plan(reply, BREAKOUT, 4).plan
    expected = "FIRE" if "FIRE" in reply else "RIGHT" if "RIGHT (" in reply else "LEFT"
    assert plan.action == expected


@pytest.mark.parametrize("reply", examples(NEVER, 1))
def test_an_example_of_no_choice_chooses_nothing(reply):
    parsed = parse_plan(reply, BREAKOUT, 4)
    assert parsed.plan is None
    assert parsed.fault
