"""A replay page is written whole or not at all."""

from __future__ import annotations

import os
import resource
from dataclasses import replace

import pytest

from atari_vlm.errors import InvalidSetting, StoreError
from atari_vlm.report.render import write
from tests.recordings import recording


@pytest.fixture(scope="module")
def pong():
    return recording("pong", [300, 90])


def test_a_page_is_written_whole_or_not_at_all(pong, tmp_path):
    path = tmp_path / "replay.html"
    write(pong[0], path)
    before = path.read_text("utf-8")
    with pytest.raises(InvalidSetting):
        write(replace(pong[0], episodes=[]), path)
    assert path.read_text("utf-8") == before
    assert [file.name for file in tmp_path.iterdir()] == ["replay.html"]


def test_a_path_that_cannot_be_written_is_an_error(pong, tmp_path):
    (tmp_path / "file").write_text("no folder")
    for path in (tmp_path / "file" / "replay.html", tmp_path):
        with pytest.raises(StoreError, match="cannot be written"):
            write(pong[0], path)
    assert [file.name for file in tmp_path.parent.glob(f".{tmp_path.name}.*")] == []


def test_a_pipe_is_no_file_to_replace(pong, tmp_path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to(tmp_path / "pipe")
    for name in ("pipe", "link"):
        with pytest.raises(StoreError, match="It is a pipe or a device, and no file"):
            write(pong[0], tmp_path / name)
    assert (tmp_path / "pipe").is_fifo()
    assert len(list(tmp_path.iterdir())) == 2


def test_a_full_disk_leaves_the_old_page_whole(pong, tmp_path):
    path = tmp_path / "replay.html"
    path.write_text("the page before")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, limits[1]))
    try:
        with pytest.raises(StoreError, match="cannot be written"):
            write(pong[0], path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert path.read_text() == "the page before"
    assert [file.name for file in tmp_path.iterdir()] == ["replay.html"]
