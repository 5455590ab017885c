"""Rules every test plays by: no network but loopback, quiet emulators, one thread."""

from __future__ import annotations

import ipaddress
import os
import signal
import socket

import numpy as np
import pytest

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # programs that tests start are compiled once
os.environ.setdefault("HF_HUB_OFFLINE", "1")
for name in (
    "OPENAI_API_KEY",
    "OPENAI_BASE_URL",
    "OPENAI_CUSTOM_HEADERS",
    "OPENAI_API_BASE",
    "ANTHROPIC_BASE_URL",
    "GOOGLE_GEMINI_BASE_URL",
    "ANTHROPIC_API_KEY",
    "GOOGLE_API_KEY",
    "GEMINI_API_KEY",
    "ATARI_VLM_API_KEY",
):
    os.environ.pop(name, None)

# A shell lets what it puts into the background ignore Ctrl-C, which tests press.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True)
def only_loopback(monkeypatch):
    """Refuse any connection that leaves this machine."""
    connect = socket.socket.connect

    def guarded(self, address):
        if self.family in (socket.AF_INET, socket.AF_INET6):
            host = address[0]
            if host != "localhost" and not ipaddress.ip_address(host).is_loopback:
                raise RuntimeError(f"a test tried to reach {host}")
        return connect(self, address)

    monkeypatch.setattr(socket.socket, "connect", guarded)


@pytest.fixture(scope="session")
def built(tmp_path_factory):
    """Builds each tiny checkpoint once: `built("llava")`, `built("embedded")`."""
    place, done = tmp_path_factory.mktemp("checkpoints"), {}

    def build(name):
        from tests import checkpoints

        if name not in done:
            folder = place / name
            done[name] = (
                checkpoints.embedded(folder)
                if name == "embedded"
                else checkpoints.family(name, folder)
            )
        return done[name]

    return build


@pytest.fixture(scope="session")
def screens():
    """Frames of a game of Pong in which the paddle wanders."""
    from atari_vlm.atari.emulator import Emulator
    from atari_vlm.atari.games import get_game
    from atari_vlm.types import Frame

    emulator, rng = Emulator(get_game("pong")), np.random.default_rng(5)
    emulator.reset(seed=5)
    shown = []
    for step in range(280):
        emulator.play(int(rng.choice([1, 2, 3, 3])), 4, 4)
        if step >= 60:
            shown.append(Frame(emulator.screen(), step=step))
    return shown
