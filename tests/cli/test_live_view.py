"""The live view on terminals of every kind: what must be seen is seen."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import struct
import sys
import termios
from contextlib import suppress
from io import StringIO

import numpy as np
import pytest
from rich.console import Console
from rich.text import Text

from atari_vlm.cli.live_view import LiveView, shortened
from atari_vlm.runs.progress import pace_text
from atari_vlm.types import Call, Decision, Frame, Observation, Prompt, Reply, Step, Usage
from tests.commands import command

ANSWER = '{"reasoning": "' + "The ball is far away, so I wait. " * 60 + '", "action": "UP"}'


def step(number: int = 0, reply: str = ANSWER) -> Step:
    prompt = Prompt(messages=(), legal=("NOOP", "UP"), longest=4)
    usage = Usage(calls=1, dollars=0.25, seconds=30.0)
    call = Call(prompt, Reply(text=reply, usage=usage), seed=0)
    screen = Frame(np.zeros((210, 160), np.uint8))
    seen = Observation(
        game="pong", frames=(screen,), legal=("NOOP", "UP"), interval=4, step=number, score=3.0
    )
    made = Decision("UP", frames=2, source="parsed", calls=(call,))
    return Step(observation=seen, decision=made, reward=1.0, truncated=True)


def shown(width: int, height: int = 24, steps: int = 1, **console) -> str:
    out = StringIO()
    terminal = Console(file=out, width=width, height=height, **{"force_terminal": True, **console})
    with LiveView(terminal, "pong · gpt-4o") as view:
        for number in range(steps):
            view.watch(0, step(number))
    return out.getvalue()


def panel(width: int, height: int) -> list[str]:
    """The lines of the view as they stand on the screen."""
    out = StringIO()
    terminal = Console(file=out, width=width, height=height, color_system="truecolor")
    view = LiveView(terminal, "pong · gpt-4o")
    view._tally.add(step())
    view._scores[0] = 4.0
    terminal.print(view._panel(0, step()))
    return Text.from_ansi(out.getvalue()).plain.splitlines()


@pytest.mark.parametrize("width", [80, 60, 40, 24])
@pytest.mark.parametrize("height", [50, 24, 12, 9])
def test_score_dollars_decision_and_the_end_of_the_answer_fit_the_screen(width, height):
    lines = panel(width, height)
    assert len(lines) <= height
    assert max(map(len, lines)) <= width
    text = " ".join(" ".join(line.strip("│ ") for line in lines).split())
    for words in ("score 4", "$0.2500", "UP x2", "(parsed)"):
        assert words in text
    if height >= 12 and width >= 40:
        assert '"action": "UP"}' in text


@pytest.mark.parametrize(
    "console", [{"force_terminal": False}, {"_environ": {"TERM": "dumb"}}], ids=["pipe", "dumb"]
)
def test_an_output_that_cannot_redraw_gets_whole_lines(console):
    text = shown(40, steps=2, **console)
    assert "\x1b" not in text
    first, second = text.splitlines()
    assert first.startswith("pong · gpt-4o, episode 0: score 4 after 1 decision (")
    assert second.endswith("$0.5000)")


def test_without_colours_there_is_no_screen_of_one_character():
    assert "▀" not in shown(80, no_color=True)
    assert "▀" in shown(80, color_system="truecolor")


def test_an_answer_keeps_its_end_and_a_slow_pace_is_given_by_the_minute():
    assert shortened("short", 10) == "short"
    cut = shortened(ANSWER, 100)
    assert len(cut) == 100
    assert cut.startswith('{"reasoning": "The ball')
    assert cut.endswith('"action": "UP"}')
    assert pace_text(0.05) == "3.0/min"
    assert pace_text(31.4) == "31/s"


def on_terminal(width: int, height: int, *arguments, cwd, **environment) -> str:
    """What a command writes on a real terminal of this size, without colours and movements."""
    pid, terminal = pty.fork()
    if pid == 0:
        os.chdir(cwd)
        variables = {**os.environ, "TERM": "xterm-256color", **environment}
        variables.pop("COLUMNS", None)
        program = [sys.executable, "-m", "atari_vlm.cli.app", *arguments]
        os.execve(sys.executable, program, variables)
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", height, width, 0, 0))
    out = b""
    with suppress(OSError):  # the end of a terminal on Linux
        while part := os.read(terminal, 65536):
            out += part
    os.close(terminal)
    assert os.waitpid(pid, 0)[1] == 0, out
    lines = re.sub(r"\x1b\[[0-9]*A", "\n", out.decode())  # up a line: the view is drawn again
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", lines).replace("\r", "")


@pytest.mark.parametrize("colour", [{}, {"NO_COLOR": "1"}], ids=["colour", "no colour"])
def test_a_real_narrow_terminal_shows_the_view_and_the_score(tmp_path, colour):
    arguments = ("play", "--max-decisions", "6", "--run", "r", "--no-replay", "--seed", "9")
    text = on_terminal(40, 24, *arguments, cwd=tmp_path, **colour)
    assert ("▀" in text) is not bool(colour)
    assert max(map(len, text.splitlines())) <= 40
    words = " ".join(text.replace("│", " ").split())
    for part in ("score 0 after 6 decisions", "(parsed)", "random (table) mean: -20.7", "seed 9"):
        assert part in words


def test_an_output_of_ascii_only_gives_no_traceback(tmp_path):
    arguments = ("play", "--model", "random", "--max-decisions", 3, "--no-replay")
    done = command(*arguments, cwd=tmp_path, PYTHONIOENCODING="ascii")
    assert (done.returncode, done.stderr) == (0, "")
    assert "-20.7" in done.stdout
