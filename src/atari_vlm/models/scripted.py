"""A model whose answers come from a Python function, for tests and documentation."""

from __future__ import annotations

from collections.abc import Callable

from atari_vlm.types import Prompt, Reply, Usage


class ScriptedModel:
    """A model whose answers are the return values of a function.

    >>> import asyncio
    >>> model = ScriptedModel(lambda prompt: f"ACTION: {prompt.legal[-1]}")
    >>> prompt = Prompt(messages=(), legal=("NOOP", "FIRE"), longest=4)
    >>> asyncio.run(model.answer(prompt, seed=0)).text, model.calls
    ('ACTION: FIRE', 1)

    Args:
        script: maps a prompt to the text of the answer. It may raise ModelFault or ModelUnusable.
        name: for tables and folders.
        prompt_type: the default prompt strategy.
    """

    def __init__(
        self,
        script: Callable[[Prompt], str],
        name: str = "scripted",
        prompt_type: str = "basic",
    ) -> None:
        self.script = script
        self.name = name
        self.prompt_type = prompt_type
        self.calls = 0
        """Number of calls of `answer`, failures included."""

    async def answer(self, prompt: Prompt, *, seed: int) -> Reply:
        """The script's answer, at no cost."""
        self.calls += 1
        return Reply(text=self.script(prompt), model=self.name, usage=Usage(calls=1))

    async def close(self) -> None:
        """Do nothing; there is nothing to close."""
