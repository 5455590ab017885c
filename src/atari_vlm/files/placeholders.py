"""What lies in the place of a file that was never fetched: a pointer, a web page, nothing."""

from __future__ import annotations

HEAD = 512
"""Bytes of a file's beginning that `placeholder` looks at."""


def placeholder(head: bytes, size: int | None = None) -> str:
    """What a file is that is not the real one, and what to do; empty if it may be the real one.

    >>> placeholder(b"")
    'is empty: fetch it again'

    Args:
        head: the first `HEAD` bytes, or the whole file if it is shorter.
        size: of the file, in bytes; None for that of `head`.
    """
    start = head[:HEAD].lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if not (len(head) if size is None else size):
        return "is empty: fetch it again"
    if start.startswith(b"version https://git-lfs"):
        return "is a Git-LFS pointer, not the file itself: run `git lfs pull` in its folder"
    if start.startswith((b"<!doctype html", b"<html", b"<head", b"<body")):
        return "is a web page, not the file itself: its download was answered with an error page"
    if start.startswith((b"<?xml", b"<error", b"<!--")):
        return "is an XML document, not the file itself: its download was answered with an error"
    if start.startswith((b"entry not found", b"invalid username or password", b"access to model")):
        return "is an error message of its server, not the file itself: fetch it again"
    if not any(head[:HEAD]):
        return "begins with zeros: its download was cut off; fetch it again"
    return ""
