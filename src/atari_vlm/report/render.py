"""The replay page: one HTML file that needs a browser and nothing else.

It needs no network, no server and no fonts, and reads neither the record nor the emulator.
"""

from __future__ import annotations

import base64
import hashlib
import html
import json
import re
from importlib.resources import files
from pathlib import Path
from typing import Any

from atari_vlm.errors import InvalidSetting, StoreError
from atari_vlm.files.writing import write_whole
from atari_vlm.report.packing import pack
from atari_vlm.report.replay import Replay

_SCRIPTS = (
    "data.js",
    "picture.js",
    "shown.js",
    "prompt.js",
    "thinking.js",
    "timeline.js",
    "page.js",
    "panels.js",
    "about.js",
    "controls.js",
)


def write(replay: Replay, path: Path) -> None:
    """Write the page; the file is whole or absent.

    Raises:
        StoreError: the file cannot be written.
    """
    page = render(replay)
    try:
        write_whole(path, page)
    except OSError as error:
        raise StoreError(
            f"The replay page cannot be written to {path}: {error.strerror}. "
            "Name a file that may be written, on a disk with room."
        ) from error


def render(replay: Replay) -> str:
    """The page as text.

    Raises:
        InvalidSetting: there is no episode to show.
    """
    if not replay.episodes:
        raise InvalidSetting("No decision has been played yet, so there is nothing to replay.")
    folder = files("atari_vlm.report") / "page"
    style = (folder / "page.css").read_text("utf-8")
    script = "\n".join((folder / name).read_text("utf-8") for name in _SCRIPTS)
    parts = {
        "title": html.escape(replay.title.encode("utf-8", "replace").decode()),
        "policy": (
            # Should a text get into the markup, it still cannot run or load anything.
            f"default-src 'none'; img-src data:; base-uri 'none'; form-action 'none'; "
            f"script-src '{_digest(script)}'; style-src '{_digest(style)}'"
        ),
        "style": style,
        "script": script,
        "data": _inert(pack(replay)),
    }
    template = (folder / "page.html").read_text("utf-8")
    return re.sub(r"\{\{(\w+)\}\}", lambda found: parts[found[1]], template)


def _digest(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def _inert(value: Any) -> str:
    """JSON that cannot close the script element around it, whatever its strings hold."""
    text = json.dumps(value, separators=(",", ":"), allow_nan=False)
    for sign in "<>&":
        text = text.replace(sign, f"\\u{ord(sign):04x}")
    return text
