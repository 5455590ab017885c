"""Ctrl-C while a coroutine runs in a thread, as in a notebook."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import threading
import time

import pytest

from atari_vlm.runs.waiting import wait_for
from tests.runs.test_worker_processes import few_open_files


def test_ctrl_c_returns_only_after_the_work_has_cleaned_up():
    running, events = threading.Event(), []

    async def work():
        running.set()
        try:
            await asyncio.sleep(60)
        finally:
            await asyncio.sleep(0.3)
            events.append("cleaned up")

    def press():
        running.wait()
        os.kill(os.getpid(), signal.SIGINT)

    async def cell():
        threading.Thread(target=press).start()
        with pytest.raises(KeyboardInterrupt):
            wait_for(work())
        events.append("returned")

    # Not `asyncio.run`: a notebook's loop has no handler of Ctrl-C.
    loop = asyncio.new_event_loop()
    loop.run_until_complete(cell())
    loop.close()
    assert events == ["cleaned up", "returned"]


@pytest.mark.skipif(not hasattr(signal, "pthread_kill"), reason="Windows has no such signals")
def test_ctrl_c_is_heard_even_if_it_does_not_interrupt_the_wait():
    """As when it comes just before the wait begins; here another thread is given it."""
    ended = threading.Event()

    def press():
        time.sleep(0.3)  # the wait has begun
        signal.pthread_kill(threading.get_ident(), signal.SIGINT)
        ended.wait(20)

    async def work():
        threading.Thread(target=press, daemon=True).start()
        await asyncio.sleep(20)

    begun = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        wait_for(work())
    ended.set()
    assert time.monotonic() - begun < 10


DEAF = """
import sys, time
from atari_vlm import play
from atari_vlm.models.scripted import ScriptedModel

def think(prompt):
    print("thinking", flush=True)
    time.sleep(60)
    return "ACTION: NOOP"

try:
    play("pong", ScriptedModel(think, name="deaf"), run_folder=sys.argv[1], parallel=2, episodes=2)
except KeyboardInterrupt:
    print("stopped", flush=True)
"""


BUSY = """
import sys, time
from atari_vlm import play

def watch(episode, step):
    print("watching", flush=True)
    time.sleep(60)

try:
    play("pong", "random", run_folder=sys.argv[1], watch=watch)
except KeyboardInterrupt:
    print("stopped", flush=True)
"""


@pytest.mark.parametrize(("program", "said"), [(DEAF, "thinking\n"), (BUSY, "watching\n")])
def test_what_computes_without_waiting_is_interrupted_too(tmp_path, program, said):
    process = subprocess.Popen(
        [sys.executable, "-c", program, str(tmp_path / "run")],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    assert process.stdout.readline() == said
    process.send_signal(signal.SIGINT)
    assert process.communicate(timeout=30) == ("stopped\n", "")
    assert process.returncode == 0


def test_work_that_no_event_loop_can_be_opened_for_is_an_error_without_a_report():
    with few_open_files(2), pytest.raises(OSError, match="Too many open files"):
        wait_for(asyncio.sleep(0))
    wait_for(asyncio.sleep(0))
