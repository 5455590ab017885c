"""A search for a planted key, as thorough as that of a hostile reader.

Files are searched as they are, by the letters and digits alone, in every compressed or base64 part
of theirs, and, if they are SQLite files, row by row.
"""

from __future__ import annotations

import base64
import codecs
import re
import sqlite3
import urllib.parse
import zlib
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

DEEPEST = 3
"""Levels of compression inside compression that are searched."""


def forms(key: str) -> set[bytes]:
    """The key and its encodings, in lower case."""
    raw = key.encode()
    base64s = [base64.b64encode(b"x" * shift + raw)[4:-4] for shift in range(3)]
    texts = [key, key[::-1], codecs.encode(key, "rot13"), raw.hex()]
    texts += [urllib.parse.quote(key), urllib.parse.quote(key, safe="")]
    texts += ["".join(f"\\u{ord(c):04x}" for c in key), "".join(f"%{ord(c):02x}" for c in key)]
    found = {text.encode().lower() for text in texts} | {each.lower() for each in base64s}
    return found | {each.translate(None, b"+/=-_") for each in found if each.isascii()}


_LOWER = bytes(code + 32 if 65 <= code <= 90 else code for code in range(256))
_SIGNS = bytes(code for code in range(256) if not (code < 128 and chr(code).isalnum()))


def leaks(content: bytes, *keys: str) -> list[str]:
    """How keys are in a text or a file: the form, and how deep it is packed."""
    wanted = {form for key in keys for form in forms(key)}
    return sorted({f"{form!r} in {where}" for where, form in _leaks(content, wanted, 0)})


def leaks_in(folder: Path, *keys: str) -> list[str]:
    """How keys are in any file under a folder, or in its name."""
    found = []
    for path in folder.rglob("*"):
        contents = [path.name.encode()]
        if path.is_file():
            contents += [path.read_bytes(), *_cells(path)]
        found += [f"{path}: {leak}" for content in contents for leak in leaks(content, *keys)]
    return found


def _leaks(content: bytes, wanted: set[bytes], depth: int) -> Iterator[tuple[str, bytes]]:
    lower, letters = content.lower(), content.translate(_LOWER, _SIGNS)
    for form in wanted:
        if form in lower or (form.isalnum() and form in letters):
            yield f"level {depth}", form
    if depth < DEEPEST:
        for inner in _unpacked(content):
            yield from _leaks(inner, wanted, depth + 1)


_ZLIB = re.compile(rb"\x78[\x01\x5e\x9c\xda]|\x1f\x8b\x08")
_BASE64 = re.compile(rb"[A-Za-z0-9+/_-]{40,}={0,2}")


def _unpacked(content: bytes) -> Iterator[bytes]:
    """What is packed in a content: zlib, gzip, raw deflate at its start, base64."""
    starts = [(match.start(), 47) for match in _ZLIB.finditer(content)]
    for start, bits in [*starts, (0, -15)]:
        inflated = _inflated(content[start:], bits)
        if len(inflated) > 8:
            yield inflated
    for match in _BASE64.finditer(content):
        text = match[0].rstrip(b"=").translate(bytes.maketrans(b"-_", b"+/"))
        yield base64.b64decode(text[: len(text) // 4 * 4])


def _inflated(content: bytes, bits: int) -> bytes:
    """What can be inflated of a stream, up to 16 MB."""
    stream, inflated = zlib.decompressobj(bits), b""
    try:
        for start in range(0, len(content), 4096):
            inflated += stream.decompress(content[start : start + 4096], 2**24)
            if stream.eof or len(inflated) >= 2**24:
                break
    except zlib.error:
        pass
    return inflated


def _cells(path: Path) -> Iterator[bytes]:
    """Every value in a SQLite file; a long one is spread over pages of the file."""
    with path.open("rb") as file:
        if file.read(16) != b"SQLite format 3\0":
            return
    with closing(sqlite3.connect(path)) as db:
        tables = [name for (name,) in db.execute("SELECT name FROM sqlite_master")]
        for table in tables:
            try:
                rows = db.execute(f'SELECT * FROM "{table}"').fetchall()
            except sqlite3.Error:  # an index
                continue
            for row in rows:
                for value in row:
                    if isinstance(value, str | bytes):
                        yield value.encode() if isinstance(value, str) else value
