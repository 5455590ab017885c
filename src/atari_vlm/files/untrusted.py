"""Reading what others may have made: a file, a blob, the body of an answer.

Each function has a limit and raises a ValueError with a short reason ("it is nested more than 64
levels deep"), or an OSError. The caller, who knows what was being read, makes a sentence of it.
"""

from __future__ import annotations

import errno
import json
import os
import re
import stat
import zlib
from pathlib import Path
from typing import Any, NoReturn

MOST_BYTES = 64 * 2**20
"""The longest file or text that is read unless the caller names another limit, in bytes."""

DEEPEST = 64
"""The most levels of lists and objects in a JSON text unless the caller names another limit."""


def open_regular(path: Path, flags: int = os.O_RDONLY) -> int:
    """Open a regular file; a pipe or a device is refused at once, and never waited for.

    Args:
        path: of the file; a link is followed unless `flags` has O_NOFOLLOW.
        flags: as for `os.open`.

    Returns:
        The file descriptor, which the caller closes.

    Raises:
        ValueError: it is no regular file.
        OSError: it cannot be opened, or is a folder.
    """
    for name in ("O_NONBLOCK", "O_BINARY", "O_CLOEXEC"):
        flags |= getattr(os, name, 0)
    number = os.open(path, flags, 0o666)
    kind = os.fstat(number).st_mode
    if stat.S_ISREG(kind):
        return number
    os.close(number)
    if stat.S_ISDIR(kind):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    raise ValueError("it is no regular file")


def read_regular(path: Path, *, most: int = MOST_BYTES) -> bytes:
    """The content of a regular file, or of one that a symbolic link leads to.

    Args:
        path: a pipe or a device is refused at once, and never waited for.
        most: longest content, in bytes.

    Raises:
        ValueError: it is no regular file, or too long.
        OSError: it cannot be read.
    """
    with os.fdopen(open_regular(path), "rb") as file:
        size = os.fstat(file.fileno()).st_size
        if size > most:
            raise ValueError(f"it has {size:,} bytes, and at most {most:,} are read")
        content = file.read(size + 1)  # so much memory is taken at once, so not `most`
        if len(content) > size:  # it has grown
            content += file.read(most + 1 - len(content))
    if len(content) > most:
        raise ValueError(f"it has more than {most:,} bytes")
    return content


def json_of(
    text: str | bytes,
    *,
    most: int = MOST_BYTES,
    deepest: int = DEEPEST,
    finite: bool = True,
    unique: bool = False,
) -> Any:
    """The value of a JSON text.

    Args:
        text: bytes are read as UTF-8.
        most: longest text, in bytes or characters.
        deepest: most levels of lists and objects.
        finite: refuse NaN, Infinity, and numbers too large for a float.
        unique: refuse an object that names a key twice, of which readers choose different ones.

    Raises:
        ValueError: it is no JSON, or beyond a limit.
    """
    if len(text) > most:
        raise ValueError(f"it has {len(text):,} characters, and at most {most:,} are read")
    if isinstance(text, bytes):
        text = text.decode("utf-8")
    if text.count("[") + text.count("{") > deepest and _is_deeper(text, deepest):
        raise ValueError(f"it is nested more than {deepest} levels deep")
    pairs = _unique if unique else None
    if not finite:
        return json.loads(text, object_pairs_hook=pairs)
    if pairs is None:
        return _FINITE.decode(text)
    return json.loads(text, parse_constant=_refuse, parse_float=_finite, object_pairs_hook=pairs)


_BRACKETS = re.compile(r'"(?:[^"\\]|\\.)*+"?|[\[{]|[\]}]', re.DOTALL)
"""A string (skipped, its brackets do not count), an opening or a closing bracket."""


def _is_deeper(text: str, deepest: int) -> bool:
    """Whether a JSON text has more levels of lists and objects, found before it is parsed."""
    depth = 0
    for found in _BRACKETS.finditer(text):
        if found[0] in "[{":
            depth += 1
            if depth > deepest:
                return True
        elif found[0] in "]}":
            depth -= 1
    return False


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values = dict(pairs)
    if len(values) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"it names {twice[:60]!r} twice in one object")
    return values


def storable(text: str) -> str:
    r"""The text as UTF-8 can hold it: a lone half of a surrogate pair is written as its escape.

    JSON can name such a half ("\ud83d"), and so can the bytes of a command line.

    >>> storable("The ball \ud83d moves")
    'The ball \\ud83d moves'
    """
    return text if text.isascii() else text.encode("utf-8", "backslashreplace").decode()


def _refuse(name: str) -> NoReturn:
    raise ValueError(f"it holds {name}, which is no number")


def _finite(text: str) -> float:
    number = float(text)
    if number in (float("inf"), float("-inf")):
        raise ValueError("it holds a number too large for a float")
    return number


_FINITE = json.JSONDecoder(parse_constant=_refuse, parse_float=_finite)


def inflate(blob: bytes, *, most: int = MOST_BYTES) -> bytes:
    """The content of a zlib stream.

    Args:
        blob: as from `zlib.compress`.
        most: longest content, in bytes; no more memory than that is used.

    Raises:
        ValueError: it is no zlib stream, incomplete, followed by something else, or too long.
    """
    stream = zlib.decompressobj()
    try:
        content = stream.decompress(blob, most + 1)
    except (zlib.error, TypeError) as error:
        raise ValueError(f"it cannot be decompressed ({error})") from error
    if len(content) > most:
        raise ValueError(f"it has more than {most:,} bytes when decompressed")
    if not stream.eof or stream.unused_data:
        raise ValueError("it is no complete compressed stream")
    return content
