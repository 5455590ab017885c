"""The code blocks of README and docs/, run as a newcomer would run them.

The blocks of one page are run in order in one folder, so that a page reads as a session. A block
that cannot be run says why, in a comment above it:

    <!-- not run by the tests: needs an hour -->
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

from tests.servers import Server
from tests.vendor_apis import Answer
from tests.vendors import environment_of

ROOT = Path(__file__).resolve().parent.parent
DOCS = ROOT / "docs"
BLOCK = re.compile(
    r"(?:<!-- not run by the tests: (.+?) -->\n)?```(bash|python)\n(.*?)```", re.DOTALL
)
ANSWER = Answer(text='{"reasoning": "Wait.", "action": "NOOP", "frames": 2}')


class Block(NamedTuple):
    """A code block of a page."""

    excuse: str
    """Why it is not run; empty if it is."""
    language: str
    code: str


def blocks_of(page: Path) -> list[Block]:
    """The bash and python blocks of a page, in order."""
    return [Block(*found) for found in BLOCK.findall(page.read_text(encoding="utf-8"))]


def run_page(page: Path, folder: Path) -> None:
    """Run the blocks of a page in a folder; hosted models are asked on the loopback interface.

    What is left in the folder must be named in the page, so that nobody finds files of unknown
    origin.
    """
    with Server(ANSWER) as server:
        for block in blocks_of(page):
            if not block.excuse:
                _run(block, folder, server)
    text = page.read_text(encoding="utf-8")
    left = (f"{path.name}/" if path.is_dir() else path.name for path in folder.iterdir())
    strays = [name for name in left if name not in text]
    assert not strays, f"{page.name} leaves {strays} behind and does not say so"


def _run(block: Block, folder: Path, server: Server) -> None:
    code = block.code.replace("http://localhost:8000/v1", server.base_url)
    environment = {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        **environment_of(openai=server),
        "OPENAI_API_KEY": "planted",
    }
    program = [sys.executable, "-c", code] if block.language == "python" else ["bash", "-euc", code]
    done = subprocess.run(
        program, cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, f"{code}\n{done.stdout[-500:]}\n{done.stderr[-3000:]}"
