"""The process that renders a chat template: run as a script, it imports nothing of this package.

A template comes with its checkpoint and is a small program: it can loop for ever, or double a text
until the memory is full. So it runs in a process of its own, in Jinja's sandbox, with limits that
the operating system enforces. It reads a JSON line for each request from its standard input, first
one with the template and the limits, and answers each with a JSON line.
"""

from __future__ import annotations

import contextlib
import datetime
import json
import signal
import sys
import threading
from typing import Any, NoReturn


def main() -> None:
    """Answer requests until the standard input is closed."""
    with contextlib.suppress(ValueError, OSError):
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides when this process ends
    first = json.loads(sys.stdin.readline())
    limit_memory(first["memory"])
    template: Any = None
    for line in sys.stdin:
        with limited_time(first["seconds"]):
            try:
                template = template or build_environment().from_string(first["template"])
                request = json.loads(line)
                answer: dict[str, Any] = {"texts": render(template, request, first["characters"])}
            except Exception as error:  # a template may raise any error
                answer = {"error": f"{type(error).__name__}: {error}"[:500]}
        print(json.dumps(answer), flush=True)


def render(template: Any, request: dict[str, Any], most: int) -> list[str]:
    """The text of each conversation of a request.

    Args:
        template: from `build_environment`.
        request: has "conversations" and the other "variables" of the template.
        most: longest text of all conversations together, in characters.
    """
    texts, length = [], 0
    for messages in request["conversations"]:
        parts = []
        for part in template.generate(messages=messages, **request["variables"]):
            parts.append(part)
            length += len(part)
            if length > most:
                raise ValueError(f"it writes more than {most:,} characters")
        texts.append("".join(parts))
    return texts


def build_environment() -> Any:
    """The environment that transformers documents for chat templates."""
    import jinja2
    from jinja2.ext import Extension, loopcontrols
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    class Generation(Extension):
        """`{% generation %}` marks the assistant's words for training; here it changes nothing."""

        tags = {"generation"}  # noqa: RUF012

        def parse(self, parser: Any) -> Any:
            next(parser.stream)
            return parser.parse_statements(("name:endgeneration",), drop_needle=True)

    def raise_exception(message: str) -> NoReturn:
        raise jinja2.exceptions.TemplateError(message)

    def tojson(value: Any, ensure_ascii: bool = False, **settings: Any) -> str:
        return json.dumps(value, ensure_ascii=ensure_ascii, **settings)

    environment = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[Generation, loopcontrols]
    )
    environment.filters["tojson"] = tojson
    environment.globals["raise_exception"] = raise_exception
    environment.globals["strftime_now"] = lambda form: datetime.datetime.now().strftime(form)
    return environment


def limit_memory(most: int) -> None:
    """Let the operating system refuse more memory than `most` bytes, where it can."""
    try:
        import resource
    except ImportError:  # Windows
        return
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_AS, (most, most))


@contextlib.contextmanager
def limited_time(seconds: float) -> Any:
    """End this process if the block takes longer, whatever it does."""
    if hasattr(signal, "setitimer"):
        # The time that it runs: a clock goes on while it is suspended. SIGPROF ends the process.
        signal.setitimer(signal.ITIMER_PROF, seconds)
        try:
            yield
        finally:
            signal.setitimer(signal.ITIMER_PROF, 0)
        return
    import os

    timer = threading.Timer(seconds, os._exit, (1,))
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


if __name__ == "__main__":
    main()
