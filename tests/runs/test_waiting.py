"""Ctrl-C while a coroutine runs in a thread, as in a notebook."""

from __future__ import annotations

import asyncio
import os
import signal
import threading

import pytest

from atari_vlm.runs.waiting import wait_for


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
