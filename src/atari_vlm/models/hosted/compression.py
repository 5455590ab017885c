"""Compressed bodies, decompressed within a limit: gzip, deflate and identity, one upon another.

Whatever is legal is read, because the answer in it was paid for: gzip of several members (RFC 1952)
and with zeros behind it, deflate with a zlib header or without, `x-gzip`, and codings in any order.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Mapping
from typing import TypeAlias

ACCEPTED = "gzip, deflate"
"""What servers are told that they may use."""

Bytes: TypeAlias = bytes | bytearray

_MOST_LAYERS, _PIECE = 5, 4096
_PADDING = re.compile(rb"\0*")
_GZIP, _ZLIB, _RAW = zlib.MAX_WBITS | 16, zlib.MAX_WBITS, -zlib.MAX_WBITS


class Incompressible(Exception):
    """A body that is not what its header says."""


def decompressed(body: Bytes, headers: Mapping[str, str], most: int) -> tuple[Bytes, bool]:
    """The first `most` bytes of a body without its codings, and whether they are all.

    A stream that is cut off gives what is there of it. Codings of other names (`utf-8`, `none`) are
    taken to say nothing, and what comes of the body tells.

    Args:
        body: as it was sent.
        headers: of the response.
        most: bytes of the result, and of what is between two codings.

    Raises:
        Incompressible: it cannot be decompressed.
    """
    stated = headers.get("content-encoding", "").lower().split(",")
    codings = [name for each in stated if (name := each.strip()) in _DECODERS]
    if len(codings) > _MOST_LAYERS:
        raise Incompressible(f"it is compressed {len(codings)} times")
    whole = True
    for coding in reversed(codings):
        if body:
            try:
                body, whole_here = _DECODERS[coding](body, most)
            except zlib.error:
                raise Incompressible("it cannot be decompressed") from None
            whole = whole and whole_here
    return (body, whole) if len(body) <= most else (body[:most], False)


def _gunzipped(body: Bytes, most: int) -> tuple[bytes, bool]:
    """All members of a gzip stream; what follows them, and is none, is no part of it."""
    found, start = bytearray(), 0
    while start < len(body) and (start == 0 or body.startswith(b"\x1f\x8b", start)):
        stream = zlib.decompressobj(_GZIP)
        while start < len(body) and not stream.eof:
            # In pieces, because each member copies what follows it in its piece.
            piece = body[start : start + _PIECE]
            found += stream.decompress(piece, most + 1 - len(found))
            if len(found) > most:
                return bytes(found), False
            start += len(piece) - len(stream.unused_data)
        padding = _PADDING.match(body, start)
        start = padding.end() if padding else start
    return bytes(found), True


def _inflated(body: Bytes, most: int) -> tuple[bytes, bool]:
    """A deflate stream with a zlib header, as it should be, or without, as some send it."""
    header = len(body) > 1 and body[0] & 15 == 8 and int.from_bytes(body[:2], "big") % 31 == 0
    found = zlib.decompressobj(_ZLIB if header else _RAW).decompress(body, most + 1)
    return found, len(found) <= most


_DECODERS = {"gzip": _gunzipped, "x-gzip": _gunzipped, "deflate": _inflated}
