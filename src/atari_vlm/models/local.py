"""Models in this process: any image-text-to-text checkpoint of Hugging Face, by folder or hub id.

The weights load with the first question. One thread reads and writes for a model, so the event
loop goes on, and questions wait their turn. What a family is shown is in `families`, what is loaded
in `checkpoint`, the arithmetic in `network`; checkpoints of the project's own answer in the
sentences of `answers`, just as the embedded model does.
"""

from __future__ import annotations

import asyncio
import math
import re
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TypeVar

import numpy as np
from PIL import Image

from atari_vlm.errors import AtariVLMError, InvalidSetting, ModelFault, ModelUnusable
from atari_vlm.models import answers
from atari_vlm.models.answers import Answers
from atari_vlm.models.checkpoint import Placement, digest, find, load
from atari_vlm.models.families import OWN, Conversation, arrange, policy_of
from atari_vlm.models.network import Network
from atari_vlm.models.rating import rate, rate_tokens
from atari_vlm.types import Prompt, Reply, Usage

Result = TypeVar("Result")
Plan = tuple[str, int]
_MEMORY = re.compile(r"out of memory|allocate memory|enough memory", re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalSettings:
    """Everything that decides what a local model answers, and how fast."""

    temperature: float | None = None
    """0 or None takes the likeliest token; above 0 samples, by the seed of the call."""
    max_tokens: int | None = None
    """Longest answer, in tokens; None for 512."""
    draw: bool = True
    """For checkpoints of the project's own: draw the plan around its expected push, as the embedded
    model does; False takes the likeliest plan."""
    placement: Placement = field(default_factory=Placement)

    def __post_init__(self) -> None:
        if self.temperature is not None and not 0 <= self.temperature <= 2:
            raise InvalidSetting(f"temperature is 0 to 2, not {self.temperature!r}.")
        if self.max_tokens is not None and self.max_tokens < 1:
            raise InvalidSetting(f"max_tokens is at least 1, not {self.max_tokens!r}.")


class LocalModel:
    """Answers and scores prompts with a checkpoint in this process.

    Args:
        source: a folder, or a hub id such as "Qwen/Qwen2-VL-7B-Instruct".
        name: the name it is asked for by; None for `source`.
        settings: how it answers.

    Raises:
        MissingExtra: the extra `local` is not installed.
        ModelUnusable: there is no such checkpoint, or it takes no pictures.
        InvalidSetting: a checkpoint of the project's own was given a temperature or a length.
    """

    def __init__(
        self, source: str, *, name: str | None = None, settings: LocalSettings | None = None
    ) -> None:
        self.name = name or source
        self.settings = settings or LocalSettings()
        self._checkpoint = find(source)
        folder = self._checkpoint.folder
        self._own = Answers(folder) if (folder / answers.FILE).is_file() else None
        self.policy = OWN if self._own else policy_of(self._checkpoint.model_type)
        """How frames become pictures."""
        self.prompt_type = "specialist" if self._own else "basic"
        self.version = digest(folder)
        """Digest of the checkpoint: other weights are another player."""
        if self._own and (self.settings.temperature or self.settings.max_tokens):
            raise InvalidSetting(f"{self.name} takes no --temperature and no --max-tokens.")
        self._worker: ThreadPoolExecutor | None = None
        self._network: Network | None = None

    @property
    def games(self) -> tuple[str, ...] | None:
        """The games it was trained on; None for a model that was trained on none in particular."""
        return self._own.games if self._own else None

    @property
    def told(self) -> str:
        """What it is and what it is shown, in words, for the record of a run."""
        place = self.settings.placement
        form = ", ".join(part for part in (place.dtype, place.attention) if part)
        return f"{self._checkpoint.model_type}{f' ({form})' if form else ''}: {self.policy.told}"

    async def answer(self, prompt: Prompt, *, seed: int) -> Reply:
        """What the model writes.

        Raises:
            ModelFault: the device ran out of memory for this prompt.
            ModelUnusable: damaged weights, a prompt longer than the model reads, or, for a
                checkpoint of the project's own, a prompt it was never taught.
        """
        stop = threading.Event()
        try:
            return await self._work(lambda network: self._answer(network, prompt, seed, stop))
        except asyncio.CancelledError:
            stop.set()  # the thread ends its answer at the next token
            raise

    async def score(self, prompt: Prompt) -> dict[Plan, float]:
        """Probability of every answer the prompt allows; they sum to 1.

        An answer is (action, frames) where the prompt asks for plans, else an action held for the
        interval. Each is rated as the model would write it in the form that the prompt asks for:
        "ACTION: LEFT x3", "LEFT", or a JSON object whose reasoning is empty. For a checkpoint of
        the project's own the request is replaced by the one for a plan alone.
        """
        return await self._work(lambda network: self._score(network, prompt))

    async def close(self) -> None:
        """Release the weights; a later answer loads them again."""
        worker, self._worker, self._network = self._worker, None, None
        if worker is not None:
            worker.shutdown(wait=False, cancel_futures=True)

    async def _work(self, task: Callable[[Network], Result]) -> Result:
        """Do the task on the model's thread, after those before it."""
        if self._worker is None:
            self._worker = ThreadPoolExecutor(1, thread_name_prefix="local-model")
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._worker, self._guarded, task)

    def _guarded(self, task: Callable[[Network], Result]) -> Result:
        """The task's result, or an error that a run understands."""
        try:
            if self._network is None:
                model, processor = load(
                    self._checkpoint, self.settings.placement, dict(self.policy.processor)
                )
                self._network = Network(model, processor, self.name)
            return task(self._network)
        except AtariVLMError:
            raise
        except Exception as error:  # whatever torch, transformers or a chat template may raise
            words = " ".join(str(error).split())[:300]
            if isinstance(error, MemoryError) or _MEMORY.search(words):
                raise self._out_of_memory() from error
            raise ModelUnusable(
                f"{self.name} cannot answer this prompt ({type(error).__name__}: {words})"
            ) from error

    def _out_of_memory(self) -> ModelFault:
        import torch

        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        return ModelFault(
            "out of memory",
            f"{self.name} ran out of memory for this prompt. Send fewer or smaller frames, or ask "
            "for a smaller model.",
        )

    def _answer(self, network: Network, prompt: Prompt, seed: int, stop: threading.Event) -> Reply:
        start = time.perf_counter()
        choose = None
        if self._own:
            request, game = self._own.asked(prompt, self.name)
            rng = np.random.default_rng(seed) if self.settings.draw else None
            choose = self._own.chooser(request, game, rng)
            conversation = self._motion(self._own, prompt, request)
        else:
            conversation = self._conversation(network, prompt)
        written = network.write(
            conversation,
            longest=self.settings.max_tokens or 512,
            choose=choose,
            temperature=self.settings.temperature or 0.0,
            seed=seed,
            stopped=stop.is_set,
        )
        usage = Usage(
            calls=1,
            input_tokens=written.read,
            output_tokens=written.written,
            seconds=time.perf_counter() - start,
        )
        return Reply(
            text=written.text, model=self._checkpoint.name, finish=written.finish, usage=usage
        )

    def _score(self, network: Network, prompt: Prompt) -> dict[Plan, float]:
        if self._own:
            _, game = self._own.asked(prompt, self.name)
            request = self._own.requests["act"].format(game=game)
            plans = self._own.plans(game)
            rated = rate_tokens(
                network, self._motion(self._own, prompt, request), [[token] for token in plans]
            )
            return _normalised(dict(zip(plans.values(), rated, strict=True)))
        candidates = _candidates(prompt)
        rated = rate(network, self._conversation(network, prompt), list(candidates.values()))
        return _normalised(dict(zip(candidates, rated, strict=True)))

    def _conversation(self, network: Network, prompt: Prompt) -> Conversation:
        return arrange(prompt, self.policy, system=network.system, plain=network.plain)

    def _motion(self, own: Answers, prompt: Prompt, request: str) -> Conversation:
        image = Image.fromarray(own.picture(prompt, self.name))
        parts = [{"type": "image", "image": image}, {"type": "text", "text": request}]
        return [{"role": "user", "content": parts}]


def _candidates(prompt: Prompt) -> dict[Plan, str]:
    """Every legal answer, in the form the prompt asks for."""
    lengths = range(1, prompt.longest + 1) if prompt.plans else (prompt.longest,)
    return {
        (action, frames): _worded(prompt, action, frames)
        for action in prompt.legal
        for frames in lengths
    }


def _worded(prompt: Prompt, action: str, frames: int) -> str:
    if prompt.json:
        held = f', "frames": {frames}' if prompt.plans else ""
        return f'{{"reasoning": "", "action": "{action}"{held}}}'
    return f"ACTION: {action} x{frames}" if prompt.plans else action


def _normalised(rated: dict[Plan, float]) -> dict[Plan, float]:
    top = max(rated.values())
    powers = {plan: math.exp(value - top) for plan, value in rated.items()}
    whole = sum(powers.values())
    return {plan: power / whole for plan, power in powers.items()}
