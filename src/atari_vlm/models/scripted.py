"""A model that is a Python function: for tests, documentation and controls."""

from __future__ import annotations

from collections.abc import Callable

from atari_vlm.types import Prompt, Reply, Usage


class ScriptedModel:
    """Answers what `script` returns for the prompt.

    >>> import asyncio
    >>> model = ScriptedModel(lambda prompt: f"ACTION: {prompt.legal[-1]}")
    >>> prompt = Prompt(messages=(), legal=("NOOP", "FIRE"), longest=4)
    >>> asyncio.run(model.answer(prompt, seed=0)).text, model.calls
    ('ACTION: FIRE', 1)

    Args:
        script: from a prompt to the words of the answer. It may raise ModelFault or
            ModelUnusable, as any model may.
        name: as it appears in tables and folders.
        prompt_type: the prompt strategy to use when none is asked for.
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
        """How often it was asked, failures included."""

    async def answer(self, prompt: Prompt, *, seed: int) -> Reply:
        """What the script says; it costs nothing."""
        self.calls += 1
        return Reply(text=self.script(prompt), model=self.name, usage=Usage(calls=1))

    async def close(self) -> None:
        """Nothing is held open."""
