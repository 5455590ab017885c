"""Every block of the pages in docs/ runs; a page reads as a session."""

from __future__ import annotations

import pytest

from tests.blocks import DOCS, blocks_of, run_page

PAGES = sorted(page for page in DOCS.glob("*.md") if blocks_of(page))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_the_blocks_of_a_page_run(page, tmp_path):
    run_page(page, tmp_path)


def test_few_blocks_are_not_run():
    pages = sorted(DOCS.rglob("*.md"))
    excused = [block.excuse for page in pages for block in blocks_of(page) if block.excuse]
    assert len(excused) <= 3
    assert len([block for page in pages for block in blocks_of(page)]) > 35
