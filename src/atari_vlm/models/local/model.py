"""Models in this process: any image-text-to-text checkpoint of Hugging Face, by folder or hub id.

The weights load with the first question. One thread reads and writes for a model, so the event
loop goes on; questions that wait at the same time are one batch, whose answers are those that each
would get alone, up to the last bits of the arithmetic. What a family is shown is in `families`,
what is loaded in `checkpoint`, the arithmetic in `backend`; checkpoints of the project's own answer
in the sentences of `answers`, just as the embedded model does.
"""

from __future__ import annotations

import asyncio
import math
import re
import threading
import time
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

import numpy as np
from PIL import Image

from atari_vlm.errors import AtariVLMError, InvalidSetting, ModelFault, ModelUnusable
from atari_vlm.models.embedded import answers
from atari_vlm.models.embedded.answers import Answers
from atari_vlm.models.local.batch_queue import BatchQueue
from atari_vlm.models.local.checkpoint import Placement, digest, find, load
from atari_vlm.models.local.cogvlm2 import CogVLM2Backend
from atari_vlm.models.local.families import (
    EMBEDDED,
    Conversation,
    build_conversation,
    get_frame_policy,
)
from atari_vlm.models.local.generation import (
    GenerationRequest,
    LogitsProcessor,
    TransformersBackend,
    chosen,
    sampled,
)
from atari_vlm.models.local.json_constraint import Schema, Vocabulary
from atari_vlm.models.local.scoring import Candidates, build_candidates
from atari_vlm.types import Prompt, Reply, Usage

Plan: TypeAlias = tuple[str, int]
Outcome: TypeAlias = Reply | dict[Plan, float]
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
    video: bool | None = None
    """Whether several screens are shown as one video; None for what the family was made for."""
    together: int = 16
    """Most questions answered in one batch. With 1 an answer cannot depend, by the last bits of the
    arithmetic, on who else waits."""

    trust_remote_code: str | None = None
    """The folder, or ORG/NAME@COMMIT, whose own Python code may run; None for no such code."""

    def __post_init__(self) -> None:
        if self.temperature is not None and not 0 <= self.temperature <= 2:
            raise InvalidSetting(f"temperature is 0 to 2, not {self.temperature!r}.")
        if self.max_tokens is not None and self.max_tokens < 1:
            raise InvalidSetting(f"max_tokens is at least 1, not {self.max_tokens!r}.")
        if self.together < 1:
            raise InvalidSetting(f"together is at least 1, not {self.together!r}.")


@dataclass(slots=True, eq=False)
class _Job:
    """A question that waits."""

    prompt: Prompt
    seed: int | None
    """Of an answer in words; None asks for probabilities."""
    stop: threading.Event = field(default_factory=threading.Event)


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
        self._checkpoint = find(source, self.settings.trust_remote_code)
        self.placement = self.settings.placement.settled()
        """How the weights are held, on this machine."""
        folder = self._checkpoint.folder
        self._own = Answers(folder) if (folder / answers.FILE).is_file() else None
        family = get_frame_policy(self._checkpoint.model_type, self.settings.video)
        self.policy = EMBEDDED if self._own else family
        """How frames become pictures."""
        self.prompt_type = "embedded" if self._own else "basic"
        self.version = digest(self._checkpoint)
        """Digest of the checkpoint: other weights are another player."""
        if self._own and (self.settings.temperature or self.settings.max_tokens):
            raise InvalidSetting(f"{self.name} takes no --temperature and no --max-tokens.")
        self._queue: BatchQueue[_Job, Outcome] = BatchQueue(self._serve, self.settings.together)
        self._backend: TransformersBackend | CogVLM2Backend | None = None
        self._vocabulary: Vocabulary | None = None
        self._choices: dict[Hashable, tuple[list[Plan], Candidates]] = {}

    @property
    def games(self) -> tuple[str, ...] | None:
        """The games it was trained on; None for a model that was trained on none in particular."""
        return self._own.games if self._own else None

    @property
    def description(self) -> str:
        """What it is and what it is shown, in words, for the record of a run."""
        form = self.placement.description
        kind = f"{self._checkpoint.model_type}{f' ({form})' if form else ''}"
        held = "" if self._own else "; answers in JSON are held to their form"
        code = ", by Python code of its own" if self._checkpoint.code else ""
        return f"{kind}{code}: {self.policy.description}{held}"

    async def answer(self, prompt: Prompt, *, seed: int) -> Reply:
        """What the model writes.

        Raises:
            ModelFault: the device ran out of memory for this prompt.
            ModelUnusable: damaged weights, a prompt longer than the model reads, or, for a
                checkpoint of the project's own, a prompt it was never taught.
        """
        job = _Job(prompt, seed)
        try:
            reply = await self._queue.ask(job)
        except asyncio.CancelledError:
            job.stop.set()  # the thread ends its answer at the next token
            raise
        assert isinstance(reply, Reply)
        return reply

    async def score(self, prompt: Prompt) -> dict[Plan, float]:
        """Probability of every answer the prompt allows; they sum to 1.

        An answer is (action, frames) where the prompt asks for plans, else an action held for the
        interval. Each is rated as the model would write it in the form that the prompt asks for:
        "ACTION: LEFT x3", "LEFT", or a JSON object whose reasoning is empty. For a checkpoint of
        the project's own the request is replaced by the one for a plan alone.
        """
        rated = await self._queue.ask(_Job(prompt, None))
        assert isinstance(rated, dict)
        return rated

    async def close(self) -> None:
        """Release the weights; a later answer loads them again."""
        self._queue.close()
        self._backend = self._vocabulary = None

    def _serve(self, jobs: Sequence[_Job]) -> list[Outcome | Exception]:
        """Answer jobs on the model's thread; those of one kind in one batch."""
        groups: dict[Hashable, list[int]] = {}
        for place, job in enumerate(jobs):
            groups.setdefault(self._kind(job), []).append(place)
        results: dict[int, Outcome | Exception] = {}
        for places in groups.values():
            served = self._guarded([jobs[place] for place in places])
            results.update(zip(places, served, strict=True))
        return [results[place] for place in range(len(jobs))]

    def _kind(self, job: _Job) -> Hashable:
        """What jobs of one batch share: a form, so many pictures, the answers to rate."""
        prompt = job.prompt
        form = (job.seed is None, len(prompt.frames))
        if job.seed is not None:
            return form
        words = answers.words_of(prompt) if self._own else ""
        return (*form, prompt.legal, prompt.longest, prompt.plans, prompt.json, words)

    def _guarded(self, jobs: Sequence[_Job]) -> list[Outcome | Exception]:
        """What became of each job: an answer, or an error that a run understands.

        Where a batch fails, its halves are tried: one prompt too long or too many at once for the
        memory is nothing to the others.
        """
        try:
            backend = self._loaded()
            return list(
                self._scores(backend, jobs)
                if jobs[0].seed is None
                else self._answers(backend, jobs)
            )
        except Exception as error:
            if len(jobs) > 1 and self._backend is not None:
                half = len(jobs) // 2
                return self._guarded(jobs[:half]) + self._guarded(jobs[half:])
            return [self._understood(error)] * len(jobs)

    def _loaded(self) -> TransformersBackend | CogVLM2Backend:
        if self._backend is None:
            model, reader = load(self._checkpoint, self.placement, dict(self.policy.processor))
            if self._checkpoint.code:
                self._backend = CogVLM2Backend(model, reader, self.name)
            else:
                self._backend = TransformersBackend(model, reader, self.name, once=self.policy.once)
        return self._backend

    def _understood(self, error: Exception) -> Exception:
        """An error of torch, transformers or a chat template as one of ours."""
        if isinstance(error, AtariVLMError):
            return error
        words = " ".join(str(error).split())[:300]
        ours: AtariVLMError
        if isinstance(error, MemoryError) or _MEMORY.search(words):
            ours = self._out_of_memory()
        else:
            ours = ModelUnusable(
                f"{self.name} cannot answer this prompt ({type(error).__name__}: {words})"
            )
        ours.__cause__ = error
        return ours

    def _out_of_memory(self) -> ModelFault:
        import torch

        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        return ModelFault(
            "out of memory",
            f"{self.name} ran out of memory for this prompt. Send fewer or smaller frames, or ask "
            "for a smaller model.",
        )

    def _answers(
        self, backend: TransformersBackend | CogVLM2Backend, jobs: Sequence[_Job]
    ) -> list[Reply]:
        start = time.perf_counter()
        written = backend.generate([self._wish(backend, job) for job in jobs])
        seconds = (time.perf_counter() - start) / len(jobs)  # of the batch, a share each
        return [
            Reply(
                text=answer.text,
                model=self._checkpoint.name,
                finish=answer.finish,
                usage=Usage(
                    calls=1,
                    input_tokens=answer.read,
                    output_tokens=answer.written,
                    seconds=seconds,
                ),
            )
            for answer in written
        ]

    def _wish(self, backend: TransformersBackend | CogVLM2Backend, job: _Job) -> GenerationRequest:
        """What is to be written for a job, and what decides its tokens."""
        assert job.seed is not None
        prompt, longest = job.prompt, self.settings.max_tokens or 512
        bends: list[LogitsProcessor] = []
        if self._own:
            request, game = self._own.asked(prompt, self.name)
            rng = np.random.default_rng(job.seed) if self.settings.draw else None
            bends.append(chosen(self._own.chooser(request, game, rng)))
            conversation = self._motion(self._own, prompt, request)
        else:
            conversation = self._conversation(backend, prompt)
            if prompt.json:
                bends.append(Schema(self._words(backend), prompt, longest))
            if self.settings.temperature:
                bends.append(sampled(self.settings.temperature, job.seed))
        return GenerationRequest(
            conversation=conversation,
            longest=longest,
            bends=tuple(bends),
            stopped=job.stop.is_set,
        )

    def _words(self, backend: TransformersBackend | CogVLM2Backend) -> Vocabulary:
        if self._vocabulary is None:
            self._vocabulary = Vocabulary(backend.tokenizer, backend.ends)
        return self._vocabulary

    def _scores(
        self, backend: TransformersBackend | CogVLM2Backend, jobs: Sequence[_Job]
    ) -> list[dict[Plan, float]]:
        """Probabilities for prompts that allow the same answers."""
        first = jobs[0].prompt
        if self._own:
            _, game = self._own.asked(first, self.name)
            request = self._own.requests["act"].format(game=game)
            tokens = self._own.plans(game)
            talks = [self._motion(self._own, job.prompt, request) for job in jobs]
            rated = backend.score_candidates(
                talks, build_candidates(tuple((token,) for token in tokens))
            )
            return [_normalised(dict(zip(tokens.values(), row, strict=True))) for row in rated]
        candidates, rest = self._candidates(backend, first)
        talks = [self._conversation(backend, job.prompt) for job in jobs]
        rated = backend.score_candidates(talks, rest)
        return [_normalised(dict(zip(candidates, row, strict=True))) for row in rated]

    def _candidates(
        self, backend: TransformersBackend | CogVLM2Backend, prompt: Prompt
    ) -> tuple[list[Plan], Candidates]:
        """Every legal answer to a prompt, and what has to be read to rate them."""
        form = (prompt.legal, prompt.longest, prompt.plans, prompt.json)
        if form not in self._choices:
            worded = _candidates(prompt)
            words = backend.tokenizer(list(worded.values()), add_special_tokens=False)
            tokens = build_candidates(tuple(map(tuple, words["input_ids"])))
            self._choices[form] = list(worded), tokens
        return self._choices[form]

    def _conversation(
        self, backend: TransformersBackend | CogVLM2Backend, prompt: Prompt
    ) -> Conversation:
        return build_conversation(prompt, self.policy, system=backend.system, plain=backend.plain)

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
