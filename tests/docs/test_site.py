"""The site builds without a warning, and loads nothing from elsewhere."""

from __future__ import annotations

import os
import re
import subprocess
import sys

import pytest

import atari_vlm
from atari_vlm.options import abouts
from atari_vlm.players import Options
from tests.blocks import ROOT


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    pytest.importorskip("mkdocs", reason="needs the 'docs' extra")
    out = tmp_path_factory.mktemp("site")
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(out)],
        cwd=ROOT,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return out


def test_it_builds_strictly_with_every_name_of_the_package(site):
    page = (site / "api" / "index.html").read_text(encoding="utf-8")
    assert [name for name in atari_vlm.__all__ if f'id="atari_vlm.{name}"' not in page] == []


def test_every_keyword_and_flag_is_on_one_page(site):
    page = (site / "options.html").read_text(encoding="utf-8")
    assert [name for name in abouts(Options) if f">{name}</code>" not in page] == []
    api = (site / "api" / "index.html").read_text(encoding="utf-8")
    assert "{options}" not in api


def test_no_page_loads_anything_from_elsewhere(site):
    (bundle,) = site.rglob("bundle.*.min.js")
    assert "iframe-worker" not in bundle.read_text(encoding="utf-8")
    loads = re.compile(
        r'<(?:script|img|iframe|source)[^>]*\ssrc="?(https?:)?//'
        r'|<link[^>]*stylesheet[^>]*href="?https?:'
    )
    for page in site.rglob("*.html"):
        assert not loads.search(page.read_text(encoding="utf-8")), page.name
