"""The time-out is the server's alone, and what this process lacks is not blamed on the server."""

from __future__ import annotations

import asyncio
import errno
import json
import subprocess
import sys
import time

import pytest

from atari_vlm.models.hosted import deadline
from atari_vlm.models.hosted.deadline import Shortage, TooSlow, answered_within, with_patience
from atari_vlm.models.hosted.limiter import Rate
from atari_vlm.models.hosted.model import HostedModel
from tests.hosted import COMPATIBLE, KEY, make_prompt, make_settings
from tests.servers import Server
from tests.vendor_apis import Answer

STARTED = "http11.send_request_headers.started"


async def answers(settings, games: int, before=None, **more):
    """The answers of one model to many games at once, each asked a single time."""
    model = HostedModel(settings, api_key=KEY, **more)
    asked = [asyncio.create_task(model.answer(make_prompt(), seed=n)) for n in range(games)]
    if before is not None:
        await before()
    try:
        return await asyncio.gather(*asked)
    finally:
        await model.close()


def test_an_answer_that_came_while_this_process_was_busy_is_used():
    async def busy():
        await asyncio.sleep(0.3)  # the requests are sent
        for _ in range(3):
            time.sleep(0.5)
            await asyncio.sleep(0)

    with Server(Answer(delay=0.5)) as server:
        settings = make_settings(COMPATIBLE, server, timeout_s=1.0, tries=1)
        replies = asyncio.run(answers(settings, 16, busy))
    assert server.count == len(replies) == 16
    assert not any(reply.usage.uncertain for reply in replies)


def test_waiting_for_a_turn_or_a_connection_is_not_the_servers_time(monkeypatch):
    monkeypatch.setattr(deadline, "MOST_CONNECTIONS", 4)
    with Server(Answer(delay=0.3)) as server:
        settings = make_settings(COMPATIBLE, server, timeout_s=0.8, tries=1)
        pooled = asyncio.run(answers(settings, 20))
        in_turn = asyncio.run(answers(settings, 5, rate=Rate(concurrency=1)))
    assert server.count == len(pooled + in_turn) == 25
    assert not any(reply.usage.uncertain for reply in pooled + in_turn)


def test_connecting_is_not_the_servers_time():
    async def connect_slowly() -> str:
        async with answered_within(0.1) as trace:
            await trace("connection.connect_tcp.started", {})
            await asyncio.sleep(0.5)
            await trace(STARTED, {})
            return "answered"

    assert asyncio.run(connect_slowly()) == "answered"


def test_a_server_that_does_not_answer_is_given_up():
    async def wait() -> None:
        async with answered_within(0.2) as trace:
            await trace(STARTED, {})
            await asyncio.sleep(60)

    with pytest.raises(TooSlow, match=r"no answer within 0\.2 seconds"):
        asyncio.run(wait())


def test_a_time_out_of_the_callers_is_not_the_servers():
    async def wait() -> None:
        async with asyncio.timeout(0.05), answered_within(60) as trace:
            await trace(STARTED, {})
            await asyncio.sleep(60)

    with pytest.raises(TimeoutError):
        asyncio.run(wait())


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (errno.EMFILE, "ulimit -n"),
        (errno.ENFILE, "the system may open no more files"),
        (errno.ENOMEM, "memory"),
        (errno.EADDRNOTAVAIL, "no free port"),
    ],
)
def test_what_this_process_lacks_is_waited_for_and_named(number, words, monkeypatch):
    tried = []

    async def connect(times: int) -> str:
        tried.append(times)
        if len(tried) < times:
            raise ConnectionError("all failed") from OSError(number, "lacking")
        return "connected"

    assert asyncio.run(with_patience(lambda: connect(3))) == "connected"
    monkeypatch.setattr(deadline, "PATIENCE_S", 0.05)
    with pytest.raises(Shortage, match=words):
        asyncio.run(with_patience(lambda: connect(10**6)))


def test_a_server_that_is_not_there_is_not_waited_for():
    refused = ConnectionRefusedError(errno.ECONNREFUSED, "refused")

    async def connect() -> None:
        other = OSError(errno.EADDRNOTAVAIL, "no IPv6 here")
        raise ConnectionError("all failed") from ExceptionGroup("both", [other, refused])

    with pytest.raises(ConnectionError):
        asyncio.run(with_patience(connect))


PLAY = """
import json, resource, sys, warnings
resource.setrlimit(resource.RLIMIT_NOFILE, (40, 40))
from atari_vlm.trainer import VLMTrainer
with warnings.catch_warnings(record=True) as said:
    warnings.simplefilter("always")
    trainer = VLMTrainer("breakout", "m", base_url=sys.argv[1], run_folder=sys.argv[2],
                         parallel=30, max_decisions=1, progress=False)
    summary = trainer.train(30)
usage, texts = summary.usage, [str(each.message) for each in said]
print(json.dumps([len(summary.scores), usage.calls, usage.uncertain, texts]))
"""


def test_more_games_than_files_may_be_open_are_played(tmp_path):
    with Server(Answer(text="ACTION: LEFT", delay=0.1)) as server:
        program = [sys.executable, "-c", PLAY, server.base_url, str(tmp_path / "run")]
        done = subprocess.run(program, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    scores, calls, uncertain, said = json.loads(done.stdout.splitlines()[-1])
    assert (scores, calls, uncertain, server.count) == (30, 30, 0, 30)
    assert any("may open 40 files (`ulimit -n`)" in text for text in said)
