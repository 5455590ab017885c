"""Models in this process: any image-text-to-text checkpoint, by folder or hub id.

The weights load with the first prompt. One thread per model runs the forward passes, so the event
loop stays free. Prompts that wait at the same time are answered in one batch; each answer is the
one that the prompt would get alone, up to the last bits of the arithmetic.
"""

from __future__ import annotations

import asyncio
import math
import re
import threading
import time
import traceback
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from atari_vlm.errors import AtariVLMError, InvalidSetting, ModelFault, ModelUnusable, setting
from atari_vlm.models.embedded import answers
from atari_vlm.models.local.backend import LocalBackend
from atari_vlm.models.local.batch_queue import BatchQueue
from atari_vlm.models.local.checkpoint import digest, find_checkpoint
from atari_vlm.models.local.cogvlm2 import CogVLM2Backend
from atari_vlm.models.local.families import FramePolicy, get_frame_policy
from atari_vlm.models.local.loading import load_checkpoint
from atari_vlm.models.local.placement import Placement
from atari_vlm.models.local.prompt_format import EmbeddedFormat, InstructionFormat, PromptFormat
from atari_vlm.models.local.transformers_backend import TransformersBackend
from atari_vlm.types import Plan, Prompt, Reply, Usage

Result: TypeAlias = Reply | dict[Plan, float]
_OUT_OF_MEMORY = re.compile(r"out of memory|allocate memory|enough memory", re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalSettings:
    """Everything that decides what a local model answers, and how fast.

    Raises:
        InvalidSetting: a value is out of range.
    """

    temperature: float | None = None
    """0 or None for greedy decoding; above 0 samples, with the seed of the call."""
    max_tokens: int | None = None
    """Longest answer, in tokens; None for 512."""
    draw: bool = True
    """For embedded checkpoints: whether the plan is drawn around its expected push; False takes the
    likeliest plan."""
    placement: Placement = field(default_factory=Placement)
    video: bool | None = None
    """Whether several screens are shown as one video; None for the family's default."""
    together: int = 16
    """Batch size: most prompts answered in one batch. With 1 an answer cannot depend, by the last
    bits of the arithmetic, on which other prompts wait."""
    trust_remote_code: str | None = None
    """The folder, or ORG/NAME@COMMIT, whose own Python code may run; None for no such code."""

    def __post_init__(self) -> None:
        if self.temperature is not None and not 0 <= self.temperature <= 2:
            raise InvalidSetting(f"{setting('temperature')} is 0 to 2, not {self.temperature!r}.")
        if self.max_tokens is not None and self.max_tokens < 1:
            raise InvalidSetting(f"{setting('max_tokens')} is at least 1, not {self.max_tokens!r}.")
        if self.together < 1:
            raise InvalidSetting(f"{setting('together')} is at least 1, not {self.together!r}.")


@dataclass(slots=True, eq=False)
class _QueuedPrompt:
    """A prompt that waits for an answer or for probabilities."""

    prompt: Prompt
    seed: int | None
    """Of the answer; None if probabilities are asked for."""
    cancelled: threading.Event = field(default_factory=threading.Event)


class LocalModel:
    """Answers and scores prompts with a checkpoint in this process.

    Args:
        source: a folder, or a hub id such as "Qwen/Qwen2-VL-7B-Instruct".
        name: the model's name in tables and messages; None for `source`.
        settings: how it answers.

    Raises:
        MissingExtra: the extra `local`, or a package of the quantization, is not installed.
        ModelUnusable: there is no such checkpoint, or it takes no images.
        InvalidSetting: an embedded checkpoint got a temperature or a length, or the code of another
            model is trusted.
    """

    def __init__(
        self, source: str, *, name: str | None = None, settings: LocalSettings | None = None
    ) -> None:
        self.name = name or source
        self.settings = settings or LocalSettings()
        self._checkpoint = find_checkpoint(source, self.settings.trust_remote_code)
        self.placement = self.settings.placement.resolve()
        """The placement of the weights on this machine."""
        self._format = self._build_format()
        self.version = digest(self._checkpoint)
        """Digest of the checkpoint: other weights are another player."""
        self._queue: BatchQueue[_QueuedPrompt, Result] = BatchQueue(
            self._process, self.settings.together
        )
        self._backend: LocalBackend | None = None

    def _build_format(self) -> PromptFormat:
        settings, folder = self.settings, self._checkpoint.folder
        if not (folder / answers.FILE).is_file():
            return InstructionFormat(
                get_frame_policy(self._checkpoint.model_type, settings.video),
                temperature=settings.temperature,
                max_tokens=settings.max_tokens,
            )
        if settings.temperature or settings.max_tokens:
            raise InvalidSetting(
                f"{self.name} takes no {setting('temperature')} and no {setting('max_tokens')}."
            )
        return EmbeddedFormat(answers.AnswerRules(folder), self.name, draw=settings.draw)

    @property
    def policy(self) -> FramePolicy:
        """How frames become images."""
        return self._format.policy

    @property
    def prompt_type(self) -> str:
        """The prompt strategy to use when none is asked for."""
        return self._format.prompt_type

    @property
    def games(self) -> tuple[str, ...] | None:
        """The games it was trained on; None for a general model."""
        return self._format.games

    def pool_frames_for(self, game: str) -> str | None:
        """How the screens of its training were pooled; None for a general model."""
        return self._format.pool_frames

    @property
    def description(self) -> str:
        """The model family, its placement and its input, for the record of a run."""
        placement = self.placement.description
        family = f"{self._checkpoint.model_type}{f' ({placement})' if placement else ''}"
        code = ", by Python code of its own" if self._checkpoint.remote_code else ""
        return f"{family}{code}: {self._format.description}"

    def pictures_for(self, game: str) -> dict[str, Any]:
        """How frames become pictures, in every game the same."""
        return self._format.pictures

    async def answer(self, prompt: Prompt, *, seed: int) -> Reply:
        """Generate an answer.

        Raises:
            ModelFault: the device ran out of memory for this prompt.
            ModelUnusable: the weights are damaged, the prompt is longer than the context, or an
                embedded checkpoint was not trained on its text.
        """
        queued = _QueuedPrompt(prompt, seed)
        try:
            reply = await self._queue.submit(queued)
        except asyncio.CancelledError:
            queued.cancelled.set()  # the worker ends this answer at the next token
            raise
        assert isinstance(reply, Reply)
        return reply

    async def score(self, prompt: Prompt) -> dict[Plan, float]:
        """Probability of every legal answer; they sum to 1.

        If the prompt asks for plans, each number of frames is an answer of its own; otherwise an
        action is held for the whole interval. An answer is scored as the text that the prompt asks
        for: "ACTION: LEFT x3", "LEFT", or a JSON object with empty reasoning. An embedded
        checkpoint is asked for a plan alone, whatever the prompt asks for.

        Raises:
            ModelFault, ModelUnusable: as for `answer`.
        """
        scores = await self._queue.submit(_QueuedPrompt(prompt, None))
        assert isinstance(scores, dict)
        return scores

    async def close(self) -> None:
        """Release the weights; a later answer loads them again."""
        self._queue.close()
        backend, self._backend = self._backend, None
        if backend is not None:
            backend.close()

    def _process(self, queued: Sequence[_QueuedPrompt]) -> list[Result | Exception]:
        """Answer prompts on the worker thread, those with one batch key in one batch."""
        groups: dict[Hashable, list[int]] = {}
        results: dict[int, Result | Exception] = {}
        for place, one in enumerate(queued):
            try:
                groups.setdefault(self._batch_key(one), []).append(place)
            except Exception as error:
                results[place] = self._translated(error)
        for places in groups.values():
            batch = self._process_batch([queued[place] for place in places])
            results.update(zip(places, batch, strict=True))
        return [results[place] for place in range(len(queued))]

    def _batch_key(self, queued: _QueuedPrompt) -> Hashable:
        """Prompts of one batch have the same number of frames and the same candidates."""
        key = (queued.seed is None, len(queued.prompt.frames))
        if queued.seed is not None:
            return key
        return (*key, self._format.scoring_key(queued.prompt))

    def _process_batch(self, batch: Sequence[_QueuedPrompt]) -> list[Result | Exception]:
        """The result of each prompt, or its error.

        If a batch fails its halves are tried, so that a prompt that is too long, or a batch too
        large for the memory, does not spoil other answers.
        """
        try:
            backend = self._load()
            if batch[0].seed is None:
                return list(self._score(backend, batch))
            return list(self._generate(backend, batch))
        except Exception as error:
            failed = self._translated(error)
            # The frames of the error hold the tensors of the batch, which the halves need.
            traceback.clear_frames(error.__traceback__)
        if len(batch) > 1 and self._backend is not None:
            half = len(batch) // 2
            return self._process_batch(batch[:half]) + self._process_batch(batch[half:])
        return [failed] * len(batch)

    def _load(self) -> LocalBackend:
        if self._backend is None:
            policy, name = self.policy, self.name
            model, processor = load_checkpoint(
                self._checkpoint, self.placement, policy.image_settings
            )
            if self._checkpoint.remote_code:
                self._backend = CogVLM2Backend(model, processor, name)
            else:
                self._backend = TransformersBackend(
                    model, processor, name, cache_features=policy.cache_features
                )
        return self._backend

    def _generate(self, backend: LocalBackend, batch: Sequence[_QueuedPrompt]) -> list[Reply]:
        start = time.perf_counter()
        requests = []
        for queued in batch:
            assert queued.seed is not None
            request = self._format.generation_request(
                backend, queued.prompt, seed=queued.seed, is_cancelled=queued.cancelled.is_set
            )
            requests.append(request)
        generations = backend.generate(requests)
        seconds = (time.perf_counter() - start) / len(batch)  # an equal share for each prompt
        return [
            Reply(
                text=generation.text,
                model=self._checkpoint.name,
                finish=generation.finish,
                usage=Usage(
                    calls=1,
                    input_tokens=generation.input_tokens,
                    output_tokens=generation.output_tokens,
                    seconds=seconds,
                ),
            )
            for generation in generations
        ]

    def _score(
        self, backend: LocalBackend, batch: Sequence[_QueuedPrompt]
    ) -> list[dict[Plan, float]]:
        request = self._format.scoring_request(backend, [queued.prompt for queued in batch])
        scores = backend.score_candidates(request.conversations, request.candidates)
        if any(math.isnan(value) for log_probs in scores for value in log_probs):
            raise ModelUnusable(f"{self.name} answers with numbers that are not finite.")
        return [_softmax(request.plans, log_probs) for log_probs in scores]

    def _translated(self, error: Exception) -> Exception:
        """An error of torch, transformers or a chat template as an AtariVLMError."""
        if isinstance(error, AtariVLMError):
            return error
        text = " ".join(str(error).split())[:300]
        translated: AtariVLMError
        if isinstance(error, MemoryError) or _OUT_OF_MEMORY.search(text):
            translated = self._out_of_memory()
        else:
            translated = ModelUnusable(
                f"{self.name} cannot answer this prompt ({type(error).__name__}: {text})"
            )
        translated.__cause__ = error
        return translated

    def _out_of_memory(self) -> ModelFault:
        import torch

        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        return ModelFault(
            "out of memory",
            f"{self.name} ran out of memory for this prompt. Send fewer or smaller frames, or ask "
            "for a smaller model.",
        )


def _softmax(plans: Sequence[Plan], log_probs: Sequence[float]) -> dict[Plan, float]:
    top = max(log_probs)
    powers = [math.exp(value - top) for value in log_probs]
    total = sum(powers)
    return {plan: power / total for plan, power in zip(plans, powers, strict=True)}
