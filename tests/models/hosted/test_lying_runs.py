"""Whole runs against servers that lie: they end by themselves, and lose nothing that was recorded.

`make fuzz` plays every lie; the tests play those of different kinds.
"""

from __future__ import annotations

from contextlib import closing

import pytest

from atari_vlm.errors import AtariVLMError, ModelUnusable, RunInvalid
from atari_vlm.models.hosted.model import HostedModel
from atari_vlm.policies.outages import PATIENCE
from atari_vlm.report.run_page import write_replay
from atari_vlm.runs.run import Run
from atari_vlm.trainer import VLMTrainer
from tests.commands import command
from tests.fuzzing import TIMES
from tests.hosted import FakeClock
from tests.wires import LIES, SLOW, WIRES, Liar, Wire, available

CHAT = WIRES[0]
KINDS = ("gzip bomb", "drip", "too short", "page", "deep error", "redirect")
DECISIONS = 20 if TIMES > 1 else 8


@pytest.fixture(scope="module", autouse=True)
def imported():
    """Imports of the first request must not count as silence."""
    with Liar(LIES["empty"], CHAT) as server:
        play(server, CHAT, None)


def play(server, wire: Wire, folder) -> AtariVLMError | None:
    settings = wire.settings(server, timeout_s=0.1 if server.slow else 20, tries=1)
    model = HostedModel(settings, api_key="k", clock=FakeClock([]))
    trainer = VLMTrainer(
        "breakout",
        "m",
        model=model,
        max_decisions=DECISIONS,
        run_folder=folder,
        prompt_type="basic",
    )
    try:
        trainer.train(1)
    except AtariVLMError as error:
        return error
    return None


@pytest.mark.parametrize("name", LIES if TIMES > 1 else KINDS)
@pytest.mark.parametrize("honest", [0, 3])
def test_a_run_against_a_lying_server_ends_and_keeps_what_it_has(name, honest, tmp_path):
    _lied_to(CHAT, name, honest, tmp_path)


@pytest.mark.parametrize("name", ["deep", "page of an error"])
@pytest.mark.parametrize("wire", WIRES[1:], ids=lambda wire: wire.name)
def test_so_does_one_on_every_other_wire(wire, name, tmp_path):
    _lied_to(available(wire), name, 3, tmp_path)


def _lied_to(wire, name, honest, folder):
    with Liar(LIES[name], wire, honest=honest) as server:
        server.slow = name in SLOW
        error = play(server, wire, folder)
        asked = server.count
    with closing(Run.read(folder)) as run:
        decisions = list(run.decisions(0)) if run.episodes() else []
        usage = run.usage()
    played = [made for made in decisions if made.source == "parsed"]
    lost = [made for made in decisions if made.source == "fallback"]
    assert len(played) == min(honest, DECISIONS)
    assert all(made.reply == "ACTION: LEFT x2" for made in played)
    assert all(made.reason and made.action == "NOOP" for made in lost)
    if error is None:
        assert len(decisions) == DECISIONS == asked
    else:
        assert isinstance(error, ModelUnusable | RunInvalid)
        assert len(str(error)) < 900
        outage = len(lost) == PATIENCE - 1
        assert honest == 0 or outage or name.startswith("redirect")
    assert usage.input_tokens == 900 * len(played)
    assert usage.uncertain <= asked
    write_replay(folder)


@pytest.mark.parametrize("name", ["redirect", "deep", "gzip bomb"] if TIMES > 1 else ["redirect"])
def test_where_nothing_worked_the_command_fails_in_one_sentence(name, tmp_path):
    with Liar(LIES[name], CHAT) as server:
        done = command(
            *("play", "--game", "pong", "--model", "m", "--base-url", server.base_url),
            *("--max-decisions", 1, "--run", "r"),
            cwd=tmp_path,
        )
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert "127.0.0.1" in done.stderr
