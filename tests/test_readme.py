"""Every code block of the README runs, word for word, as a newcomer would run it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.servers import Server
from tests.vendor_apis import Answer

ROOT = Path(__file__).resolve().parent.parent
BLOCK = re.compile(r"(<!-- not run by the tests: .+? -->\n)?```(bash|python)\n(.*?)```", re.DOTALL)


def blocks():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    for number, (excuse, language, code) in enumerate(BLOCK.findall(text)):
        if not excuse:
            first = next(line for line in code.splitlines() if not line.startswith(("#", "export")))
            yield pytest.param(language, code, id=f"{number}-{language}-{first[:40]}")


@pytest.fixture
def server():
    with Server(Answer(text='{"reasoning": "Wait.", "action": "NOOP", "frames": 2}')) as running:
        yield running


@pytest.mark.parametrize(("language", "code"), list(blocks()))
def test_a_block_runs(language, code, server, tmp_path):
    # The hosted blocks ask a loopback server that speaks the vendor's protocol.
    code = code.replace("http://localhost:8000/v1", server.base_url)
    code = code.replace("python train_atari_vlm.py", f"python {ROOT / 'train_atari_vlm.py'}")
    here = Path(sys.executable).parent
    environment = {
        **os.environ,
        "PATH": f"{here}{os.pathsep}{os.environ['PATH']}",
        "OPENAI_BASE_URL": server.base_url,
        "OPENAI_API_KEY": "planted",
    }
    program = [sys.executable, "-c", code] if language == "python" else ["bash", "-euc", code]
    done = subprocess.run(
        program, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]


def test_what_is_not_run_says_why():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    excused = [excuse for excuse, _, _ in BLOCK.findall(text) if excuse]
    assert len(excused) <= 2
    assert len(list(blocks())) >= 10
