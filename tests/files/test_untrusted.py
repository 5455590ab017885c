"""What others made is read with limits."""

import json
import os
import tracemalloc
import zlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from atari_vlm.files.untrusted import inflate, json_of, read_regular

_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)  # fmt: skip


def _levels(value):
    children = value.values() if isinstance(value, dict) else value
    if not isinstance(value, dict | list):
        return 0
    return 1 + max((_levels(child) for child in children), default=0)


@settings(derandomize=True, max_examples=200, deadline=None)
@given(_VALUES, st.integers(0, 4))
def test_a_value_is_read_if_and_only_if_it_is_not_too_deep(value, deepest):
    text = json.dumps(value)
    if _levels(value) <= deepest:
        assert json_of(text, deepest=deepest) == value
        assert json_of(text.encode(), deepest=deepest) == value
    else:
        with pytest.raises(ValueError, match=f"more than {deepest} levels deep"):
            json_of(text, deepest=deepest)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("[" * 200_000, "more than 64 levels deep"),
        ('{"a":' * 200_000, "more than 64 levels deep"),
        ("NaN", "NaN, which is no number"),
        ("[1, -Infinity]", "-Infinity, which is no number"),
        ("1e400", "too large for a float"),
        ("9" * 5000, "4300"),
        ("[1, 2", "delimiter"),
        (b"\xff", "utf-8"),
        ("", "Expecting value"),
    ],
)
def test_json_that_cannot_be_used_is_a_value_error(text, reason):
    with pytest.raises(ValueError, match=reason):
        json_of(text)


def test_numbers_that_are_not_finite_are_read_where_they_are_asked_for():
    assert json_of("[NaN, 1e400]", finite=False)[1] == float("inf")


def test_a_text_that_is_too_long_is_not_read():
    with pytest.raises(ValueError, match="it has 12 characters, and at most 10"):
        json_of(json.dumps("a" * 10), most=10)


def test_a_blob_inflates_to_what_was_compressed():
    assert inflate(zlib.compress(b"screen" * 1000)) == b"screen" * 1000


@pytest.mark.parametrize(
    "blob",
    [b"", b"not zlib", zlib.compress(b"screen" * 100)[:-3], zlib.compress(b"a") + b"more", "text"],
)
def test_what_is_no_whole_stream_is_a_value_error(blob):
    with pytest.raises(ValueError, match=r"decompress|complete"):
        inflate(blob)


def test_a_blob_that_inflates_to_a_gigabyte_is_refused_at_the_limit():
    packer = zlib.compressobj()
    zeros = bytes(2**20)
    bomb = b"".join(packer.compress(zeros) for _ in range(1024)) + packer.flush()
    tracemalloc.start()
    try:
        with pytest.raises(ValueError, match="more than 1,048,576 bytes when decompressed"):
            inflate(bomb, most=2**20)
        assert tracemalloc.get_traced_memory()[1] < 8 * 2**20
    finally:
        tracemalloc.stop()


def test_only_regular_files_are_read_and_a_pipe_is_not_waited_for(tmp_path):
    (tmp_path / "file").write_bytes(b"content")
    (tmp_path / "link").symlink_to(tmp_path / "file")
    os.mkfifo(tmp_path / "pipe")
    assert read_regular(tmp_path / "file") == b"content"
    assert read_regular(tmp_path / "link") == b"content"
    for name in ("pipe", "/dev/zero"):
        with pytest.raises(ValueError, match="no regular file"):
            read_regular(tmp_path / name)
    with pytest.raises(OSError, match="directory"):
        read_regular(tmp_path)
    with pytest.raises(ValueError, match="it has 7 bytes, and at most 6 are read"):
        read_regular(tmp_path / "file", most=6)


def test_a_short_file_takes_little_memory_whatever_length_is_allowed(tmp_path):
    path = tmp_path / "short"
    path.write_bytes(b"{}")
    tracemalloc.start()
    try:
        assert read_regular(path, most=2**30) == b"{}"
        assert tracemalloc.get_traced_memory()[1] < 2**20
    finally:
        tracemalloc.stop()
