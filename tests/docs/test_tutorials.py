"""Every block of the tutorials runs, and every tutorial can be found."""

from __future__ import annotations

import pytest

from tests.blocks import DOCS, ROOT, blocks_of, run_page

TUTORIALS = sorted((DOCS / "tutorials").glob("*.md"))


@pytest.mark.parametrize("page", TUTORIALS, ids=lambda page: page.stem)
def test_the_blocks_of_a_tutorial_run(page, tmp_path):
    assert blocks_of(page)
    run_page(page, tmp_path)


@pytest.mark.parametrize("index", [ROOT / "README.md", DOCS / "index.md"], ids=["readme", "index"])
def test_every_tutorial_is_linked(index):
    text = index.read_text(encoding="utf-8")
    assert [page.name for page in TUTORIALS if f"tutorials/{page.name}" not in text] == []
