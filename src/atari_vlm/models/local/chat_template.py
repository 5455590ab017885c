"""Renders the chat template of a checkpoint in a process of its own, with limits."""

from __future__ import annotations

import json
import subprocess
import sys
import weakref
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from atari_vlm.errors import ModelUnusable
from atari_vlm.models.local import template_process
from atari_vlm.models.local.conversation import Conversation

SECONDS = 10.0
"""The longest that a template may take for the prompts of a batch."""
MEMORY = 2**30
"""Bytes that the process may take; no limit on Windows and macOS, which know none."""
CHARACTERS = 4 * 2**20
"""The longest text of the prompts of a batch."""

RENDERED = "{{ messages[0]['rendered'] }}"
"""The template that transformers gets: the text is ready-made."""


class ChatTemplate:
    """A chat template, which never runs in this process.

    Args:
        template: the Jinja source.
        name: of the model, for error messages.
        variables: of the template besides the messages: the names of special tokens.
    """

    def __init__(self, template: str, name: str, variables: dict[str, Any]) -> None:
        self._template, self._name = template, name
        self._variables = {key: str(value) for key, value in variables.items()}
        self._process: subprocess.Popen[bytes] | None = None
        self._end: Any = None

    def render(self, conversations: Sequence[Conversation]) -> list[str]:
        """The text of each conversation, up to where the assistant's words begin.

        Raises:
            ModelUnusable: the template is no template, refuses the conversation, or takes more
                time, memory or characters than its limits.
        """
        request = {
            "conversations": [[_plain(message) for message in one] for one in conversations],
            "variables": {**self._variables, "add_generation_prompt": True},
        }
        answer = self._ask(request)
        if "error" in answer:
            raise ModelUnusable(
                f"The chat template of {self._name} cannot be used ({answer['error']}). Restore it "
                "from the model's page, or choose another model."
            )
        texts: list[str] = answer["texts"]
        return texts

    def rendered(self, conversations: Sequence[Conversation]) -> list[Conversation]:
        """The conversations with their text, for `apply_chat_template` with RENDERED."""
        texts = self.render(conversations)
        return [
            [{**one[0], "rendered": text}, *one[1:]]
            for one, text in zip(conversations, texts, strict=True)
        ]

    def close(self) -> None:
        """End the process; a later prompt starts another."""
        if self._end is not None:
            self._end()
            self._process = self._end = None

    def _ask(self, request: dict[str, Any]) -> dict[str, Any]:
        process = self._process or self._start()
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            process.stdin.write(json.dumps(request).encode() + b"\n")
            process.stdin.flush()
            answer: dict[str, Any] = json.loads(process.stdout.readline())
            return answer
        except (OSError, ValueError) as error:  # the process has ended
            self.close()
            raise ModelUnusable(
                f"The chat template of {self._name} takes more than {SECONDS:g} seconds or "
                f"{MEMORY:,} bytes of memory for one prompt, so it is no template for a chat. "
                "Restore it from the model's page, or choose another model."
            ) from error

    def _start(self) -> subprocess.Popen[bytes]:
        self._process = subprocess.Popen(
            [sys.executable, "-P", str(Path(template_process.__file__))],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        self._end = weakref.finalize(self, _end, self._process)
        limits = {"seconds": SECONDS, "memory": MEMORY, "characters": CHARACTERS}
        assert self._process.stdin is not None
        first = {"template": self._template, **limits}
        self._process.stdin.write(json.dumps(first).encode() + b"\n")
        return self._process


def _end(process: subprocess.Popen[bytes]) -> None:
    process.kill()
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            try:
                pipe.close()
            except OSError:  # it was ended with a request still in its pipe
                continue
    process.wait()


def _plain(message: dict[str, Any]) -> dict[str, Any]:
    """A message without pictures: templates ask only what a part is."""
    parts = [
        part if part["type"] == "text" else {"type": part["type"], part["type"]: part["type"]}
        for part in message["content"]
    ]
    return {"role": message["role"], "content": parts}
