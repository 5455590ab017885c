"""Turns prompts into requests to a backend: one format for each kind of checkpoint.

`InstructionFormat` is for every instruction-tuned model, `EmbeddedFormat` for the checkpoints of
`atari-vlm distill`, which read fixed sentences and answer in sentences of a grammar.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from PIL import Image

from atari_vlm.models.embedded.answers import AnswerRules, request_of
from atari_vlm.models.local.backend import LocalBackend
from atari_vlm.models.local.conversation import Conversation, build_conversation, pictures_of
from atari_vlm.models.local.families import EMBEDDED, FramePolicy
from atari_vlm.models.local.generation import GenerationRequest
from atari_vlm.models.local.json_constraint import JSONConstraint
from atari_vlm.models.local.logits_processors import LogitsProcessor, force_token, sample
from atari_vlm.models.local.scoring import Candidates, build_candidates
from atari_vlm.types import Plan, Prompt

MAX_NEW_TOKENS = 512
"""Longest answer unless the settings give another."""


@dataclass(frozen=True, slots=True)
class ScoringRequest:
    """Prompts whose answers are scored in one batch."""

    conversations: list[Conversation]
    plans: list[Plan]
    candidates: Candidates
    """The answer of each plan."""


class PromptFormat(Protocol):
    """What a kind of checkpoint reads and writes."""

    policy: FramePolicy
    prompt_type: str
    pool_frames: str | None
    """How the screens of the model's training were pooled; None for a general model."""
    """The prompt strategy to use when none is asked for."""
    games: tuple[str, ...] | None
    """The games it was trained on; None for a general model."""

    @property
    def description(self) -> str:
        """What the model is shown, for the record of a run."""
        ...

    @property
    def pictures(self) -> dict[str, Any]:
        """How frames become pictures, as `protocols.Depicting` has it."""
        ...

    def scoring_key(self, prompt: Prompt) -> Hashable:
        """Prompts with equal keys have the same candidate answers."""
        ...

    def generation_request(
        self,
        backend: LocalBackend,
        prompt: Prompt,
        *,
        seed: int,
        is_cancelled: Callable[[], bool],
    ) -> GenerationRequest:
        """The request for one answer."""
        ...

    def scoring_request(self, backend: LocalBackend, prompts: Sequence[Prompt]) -> ScoringRequest:
        """The request for the probabilities of all legal answers.

        Args:
            backend: the loaded model.
            prompts: with equal `scoring_key`.
        """
        ...


class InstructionFormat:
    """Prompts as chat conversations; answers as text or JSON.

    Args:
        policy: how frames become images.
        temperature: 0 or None for greedy decoding.
        max_tokens: longest answer; None for `MAX_NEW_TOKENS`.
    """

    prompt_type = "basic"
    pool_frames: str | None = None
    games: tuple[str, ...] | None = None

    def __init__(
        self, policy: FramePolicy, *, temperature: float | None, max_tokens: int | None
    ) -> None:
        self.policy = policy
        self._temperature = temperature
        self._max_new_tokens = max_tokens or MAX_NEW_TOKENS
        self._candidates: dict[Hashable, tuple[list[Plan], Candidates]] = {}

    @property
    def description(self) -> str:
        """The frame policy, and that JSON answers are constrained."""
        return f"{self.policy.description}; answers in JSON are held to their form"

    @property
    def pictures(self) -> dict[str, Any]:
        """The frame policy."""
        return pictures_of(self.policy)

    def scoring_key(self, prompt: Prompt) -> Hashable:
        """The legal answers and their form."""
        return (prompt.legal, prompt.longest, prompt.plans, prompt.json)

    def generation_request(
        self,
        backend: LocalBackend,
        prompt: Prompt,
        *,
        seed: int,
        is_cancelled: Callable[[], bool],
    ) -> GenerationRequest:
        """A constrained answer for a JSON prompt; sampled if there is a temperature."""
        processors: list[LogitsProcessor] = []
        if prompt.json:
            processors.append(JSONConstraint(backend.json_vocabulary, prompt, self._max_new_tokens))
        if self._temperature:
            processors.append(sample(self._temperature, seed))
        return GenerationRequest(
            conversation=self.conversation(backend, prompt),
            max_new_tokens=self._max_new_tokens,
            logits_processors=tuple(processors),
            is_cancelled=is_cancelled,
        )

    def scoring_request(self, backend: LocalBackend, prompts: Sequence[Prompt]) -> ScoringRequest:
        """Every legal answer, in the form that the prompts ask for."""
        key = self.scoring_key(prompts[0])
        if key not in self._candidates:
            texts = answer_texts(prompts[0])
            encoded = backend.tokenizer(list(texts.values()), add_special_tokens=False)
            token_ids = tuple(map(tuple, encoded["input_ids"]))
            self._candidates[key] = list(texts), build_candidates(token_ids)
        conversations = [self.conversation(backend, prompt) for prompt in prompts]
        return ScoringRequest(conversations, *self._candidates[key])

    def conversation(self, backend: LocalBackend, prompt: Prompt) -> Conversation:
        """The conversation for a prompt."""
        return build_conversation(
            prompt, self.policy, supports_system=backend.supports_system, escape=backend.escape
        )


class EmbeddedFormat:
    """Requests and answers of an embedded checkpoint, as in `EmbeddedModel`.

    Args:
        rules: the requests and sentences of the checkpoint.
        name: of the model, for error messages.
        draw: whether the plan is drawn around its expected push; False takes the likeliest plan.
    """

    prompt_type = "embedded"
    policy = EMBEDDED

    def __init__(self, rules: AnswerRules, name: str, *, draw: bool) -> None:
        self._rules, self._name, self._draw = rules, name, draw
        self.pool_frames: str | None = rules.pool_frames
        self.games: tuple[str, ...] | None = rules.games

    @property
    def description(self) -> str:
        """The frame policy."""
        return self.policy.description

    @property
    def pictures(self) -> dict[str, Any]:
        """The last two frames as one picture of motion."""
        return self._rules.pictures

    def scoring_key(self, prompt: Prompt) -> Hashable:
        """The legal answers, and the text, which names the game."""
        return (prompt.legal, prompt.longest, prompt.plans, prompt.json, request_of(prompt))

    def generation_request(
        self,
        backend: LocalBackend,
        prompt: Prompt,
        *,
        seed: int,
        is_cancelled: Callable[[], bool],
    ) -> GenerationRequest:
        """A sentence of the checkpoint's grammar."""
        text, game = self._rules.parse_prompt(prompt, self._name)
        rng = np.random.default_rng(seed) if self._draw else None
        return GenerationRequest(
            conversation=self._conversation(prompt, text),
            max_new_tokens=MAX_NEW_TOKENS,
            logits_processors=(force_token(self._rules.token_sampler(text, game, rng)),),
            is_cancelled=is_cancelled,
        )

    def scoring_request(self, backend: LocalBackend, prompts: Sequence[Prompt]) -> ScoringRequest:
        """Every plan of the game, each one token, as answers to the request for a plan alone."""
        _, game = self._rules.parse_prompt(prompts[0], self._name)
        text = self._rules.requests["act"].format(game=game)
        plans = self._rules.plans(game)
        return ScoringRequest(
            conversations=[self._conversation(prompt, text) for prompt in prompts],
            plans=list(plans.values()),
            candidates=build_candidates(tuple((token,) for token in plans)),
        )

    def _conversation(self, prompt: Prompt, text: str) -> Conversation:
        image = Image.fromarray(self._rules.image(prompt, self._name))
        content = [{"type": "image", "image": image}, {"type": "text", "text": text}]
        return [{"role": "user", "content": content}]


def answer_texts(prompt: Prompt) -> dict[Plan, str]:
    """Every legal answer, in the form that the prompt asks for."""
    lengths = range(1, prompt.longest + 1) if prompt.plans else (prompt.longest,)
    plans = [Plan(action, frames) for action in prompt.legal for frames in lengths]
    return {plan: _answer_text(prompt, plan) for plan in plans}


def _answer_text(prompt: Prompt, plan: Plan) -> str:
    if prompt.json:
        frames = f', "frames": {plan.frames}' if prompt.plans else ""
        return f'{{"reasoning": "", "action": "{plan.action}"{frames}}}'
    return f"ACTION: {plan.action} x{plan.frames}" if prompt.plans else plan.action
