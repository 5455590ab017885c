"""A model server on the loopback interface, for tests, README blocks and benchmarks.

    with Server(Answer(text="LEFT")) as server:
        ...                                  # point a client at server.base_url
    assert server.requests[0].body["model"] == "gpt-4o"

It serves OpenAI chat completions and responses, Anthropic messages and Gemini generateContent under
the vendors' paths, records requests, and fails on demand (see vendor_apis.Answer).
`python -m tests.servers DELAY` runs it in a separate process until its standard input closes.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from tests.vendor_apis import Answer, BadRequest, api_for, encode

Script = Callable[[int, dict[str, Any]], Answer]
"""(number of the request, its body) -> the answer."""


@dataclass(frozen=True)
class Request:
    """One received request."""

    path: str
    headers: dict[str, str]
    body: dict[str, Any]


class Server:
    """Serves in a thread for the duration of a `with` block.

    Args:
        answers: one Answer for every request; or a list, one a request, the last repeated; or a
            function of the request's number and body.
        record: whether to record the requests.
    """

    def __init__(
        self, answers: Answer | Sequence[Answer] | Script | None = None, *, record: bool = True
    ) -> None:
        self.requests: list[Request] = []
        self.count = 0
        self._script = _script(answers if answers is not None else Answer())
        self._record = record
        self._loop = asyncio.new_event_loop()
        self._port = 0
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def url(self) -> str:
        """Scheme, host and port: the base address of Anthropic's and Google's clients."""
        return f"http://127.0.0.1:{self._port}"

    @property
    def base_url(self) -> str:
        """The base address of OpenAI's clients."""
        return f"{self.url}/v1"

    def __enter__(self) -> Server:
        listening = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(listening,), daemon=True)
        self._thread.start()
        listening.wait()
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()

    def _run(self, listening: threading.Event) -> None:
        self._loop.run_until_complete(self._serve(listening))
        self._loop.close()

    async def _serve(self, listening: threading.Event) -> None:
        self._stop = asyncio.Event()
        server = await asyncio.start_server(self._connection, "127.0.0.1", 0, limit=1 << 26)
        self._port = server.sockets[0].getsockname()[1]
        listening.set()
        await self._stop.wait()
        server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            while await self._exchange(reader, writer):
                pass
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            pass
        finally:
            self._tasks.discard(task)
            writer.close()
            with contextlib.suppress(ConnectionError, asyncio.CancelledError):
                await writer.wait_closed()

    async def _exchange(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """Read one request and answer it; False closes the connection."""
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        path = head[0].split(" ")[1]
        headers = {k.lower(): v.strip() for k, _, v in (line.partition(":") for line in head[1:])}
        body = json.loads(await reader.readexactly(int(headers.get("content-length", 0))) or b"{}")
        number, self.count = self.count, self.count + 1
        if self._record:
            self.requests.append(Request(path, headers, body))
        answer, content = self._content(number, path, body)
        if answer.delay:
            await asyncio.sleep(answer.delay)
        if answer.drop:
            return False
        lines = [f"HTTP/1.1 {answer.status} X", f"content-length: {len(content)}"]
        extra = {"content-type": "application/json"} | answer.headers
        lines += [f"{name}: {value}" for name, value in extra.items()]
        writer.write("\r\n".join([*lines, "", ""]).encode() + content)
        await writer.drain()
        return True

    def _content(self, number: int, path: str, body: dict[str, Any]) -> tuple[Answer, bytes]:
        api = api_for(path)
        if api is None:
            return Answer(status=404), encode({"error": {"message": f"no such path: {path}"}})
        answer = self._script(number, body)
        try:
            api.check(path, body)
        except (BadRequest, KeyError, TypeError) as error:
            answer = Answer(status=400, message=f"{type(error).__name__}: {error}")
        if answer.raw is not None:
            return answer, answer.raw.encode()
        model = answer.model or api.model(path, body)
        return answer, encode(api.render(answer, model, number))


def _script(answers: Answer | Sequence[Answer] | Script) -> Script:
    if isinstance(answers, Answer):
        return lambda number, body: answers
    if isinstance(answers, Sequence):
        return lambda number, body: answers[min(number, len(answers) - 1)]
    return answers


@contextlib.contextmanager
def server_process(delay: float = 0.0) -> Iterator[str]:
    """The base address of a server in a separate process.

    Args:
        delay: seconds before each answer.
    """
    command = [sys.executable, "-m", "tests.servers", str(delay)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        yield process.stdout.readline().strip()
        process.stdin.close()


if __name__ == "__main__":
    with Server(Answer(delay=float(sys.argv[1])), record=False) as running:
        print(running.base_url, flush=True)
        sys.stdin.read()
