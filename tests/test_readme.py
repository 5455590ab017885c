"""The README is short, its blocks run word for word, and its links lead somewhere."""

from __future__ import annotations

import csv
import re

from tests.blocks import ROOT, blocks_of, run_page

README = ROOT / "README.md"


def test_the_blocks_run_and_sight_makes_a_difference(tmp_path):
    run_page(README, tmp_path)
    with (tmp_path / "bench-sight" / "results.csv").open(encoding="utf-8") as file:
        means = {row["player"]: float(row["mean"]) for row in csv.DictReader(file)}
    assert means["embedded"] > means["embedded+blank"] + 5


def test_it_is_at_most_150_lines():
    assert len(README.read_text(encoding="utf-8").splitlines()) <= 150


def test_one_block_is_not_run():
    assert len([block for block in blocks_of(README) if block.excuse]) == 1
    assert len(blocks_of(README)) >= 8


def test_every_link_leads_to_a_file():
    links = re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", README.read_text(encoding="utf-8"))
    assert len(links) > 20
    assert [link for link in links if not (ROOT / link).exists()] == []
