"""One suite for every backend, seen from a policy's decision.

test_request has the particulars of each vendor's API, test_faults the wording of each fault.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from atari_vlm.atari.emulator import Emulator
from atari_vlm.atari.games import get_game
from atari_vlm.errors import ModelFault, ModelUnusable
from atari_vlm.models.embedded.model import EmbeddedModel
from atari_vlm.models.hosted.model import HostedModel
from atari_vlm.models.hosted.settings import HostedSettings
from atari_vlm.models.scripted import ScriptedModel
from atari_vlm.policies.vlm import VLMPolicy
from atari_vlm.prompts.strategies import PromptSettings, get_strategy
from atari_vlm.protocols import Model
from atari_vlm.types import Decision, Frame, Observation
from tests.hosted import KEY, FakeClock
from tests.servers import Server
from tests.vendor_apis import Answer

LEGAL = ("NOOP", "FIRE", "RIGHT", "LEFT")
RIGHT = '{"reasoning": "It falls to the right.", "action": "RIGHT", "frames": 3}'
"""An answer to a prompt for a JSON object."""


@dataclass(frozen=True)
class Hosted:
    """A backend behind a vendor's API."""

    name: str
    provider: str
    model_id: str
    effort: str | None = None
    package: str = "openai"

    def model(self, server: Server, waits: list[float] | None = None, **more: Any) -> HostedModel:
        base_url = server.base_url if self.provider.startswith("openai") else server.url
        settings = HostedSettings(
            name="it",
            model_id=self.model_id,
            provider=self.provider,  # type: ignore[arg-type]
            base_url=base_url,
            effort=self.effort,  # type: ignore[arg-type]
            **{"tries": 3, **more},
        )
        return HostedModel(
            settings, api_key=KEY, clock=FakeClock(waits if waits is not None else [])
        )


HOSTED = (
    Hosted("openai-chat", "openai", "gpt-4o"),
    Hosted("openai-responses", "openai", "gpt-6-luna", effort="low"),
    Hosted("anthropic", "anthropic", "claude-sonnet-5-5", package="anthropic"),
    Hosted("google", "google", "gemini-3.5-flash-lite", package="google.genai"),
    Hosted("compatible", "openai-compatible", "Qwen/Qwen2-VL-7B-Instruct"),
)


@pytest.fixture(params=HOSTED, ids=lambda backend: backend.name)
def backend(request) -> Hosted:
    pytest.importorskip(request.param.package, reason="an optional extra")
    return request.param


def observation(frames: int) -> Observation:
    emulator = Emulator(get_game("breakout"))
    emulator.reset(seed=1)
    seen = []
    for step in range(frames):
        emulator.play(1, 4, 4)
        seen.append(Frame(emulator.screen(), step=step))
    return Observation(
        game="breakout", frames=tuple(seen), legal=LEGAL, interval=4, step=frames, lives=5
    )


def decide(model: Model, prompt: str = "cot", frames: int = 1) -> Decision:
    """One decision from a stack of `frames` frames."""

    async def go() -> Decision:
        strategy = get_strategy(prompt, PromptSettings(frames=frames))
        policy = VLMPolicy(model, strategy)
        try:
            return await policy.decide(observation(frames), (), np.random.default_rng(0))
        finally:
            await model.close()

    return asyncio.run(go())


def decide_with(
    backend: Hosted, answers: Answer | Sequence[Answer], frames: int = 1, **more: Any
) -> tuple[Decision, Server]:
    with Server(answers) as server:
        decision = decide(backend.model(server, **more), frames=frames)
    return decision, server


# -- hosted backends ------------------------------------------------------------------------------


@pytest.mark.parametrize("frames", [1, 30])
def test_a_decision_from_any_number_of_frames(backend, frames):
    answer = Answer(text=RIGHT, thinking="hm", tokens=(900, 300, 40), model="renamed-1")
    decision, server = decide_with(backend, answer, frames)
    assert (decision.action, decision.frames, decision.source) == ("RIGHT", 3, "parsed")
    body = str(server.requests[0].body)
    assert body.count("iVBORw0KGgo") == frames  # the base64 of a PNG signature
    (call,) = decision.calls
    assert call.reply.thinking == "hm"
    assert call.reply.model == "renamed-1"  # as the server reports it, not as requested
    assert call.reply.request_id
    usage = decision.usage
    assert (usage.calls, usage.input_tokens, usage.cached_tokens, usage.output_tokens) == (
        *(1, 900, 300),
        40,
    )


def test_reasoning_tokens_are_counted_if_the_vendor_reports_them(backend):
    if backend.provider == "anthropic":
        pytest.skip("Anthropic counts thoughts only inside its output tokens")
    decision, _ = decide_with(backend, Answer(text=RIGHT, reasoned=30))
    assert decision.usage.reasoning_tokens == 30
    assert decision.usage.output_tokens == 40


def test_a_refusal_is_a_fallback_that_is_not_repaired(backend):
    decision, server = decide_with(backend, Answer(text="I cannot.", finish="refusal"))
    assert (decision.action, decision.source) == ("NOOP", "fallback")
    assert "refused" in decision.reason
    assert decision.reply == "I cannot."
    assert server.count == 1


@pytest.mark.parametrize(
    "bad",
    [
        Answer(text="lol {"),
        Answer(text='{"reasoning": "x", "action": "TELEPORT", "frames": 2}'),
        Answer(text='{"reasoning": "The ba', finish="length"),
    ],
    ids=["garbage", "an illegal action", "a truncated answer"],
)
def test_an_answer_without_a_legal_action_is_repaired_once_and_then_a_fallback(backend, bad):
    decision, server = decide_with(backend, [bad, Answer(text=RIGHT)])
    assert (decision.action, decision.source) == ("RIGHT", "repaired")
    assert [call.reply.text for call in decision.calls] == [bad.text, RIGHT]
    assert bad.text in str(server.requests[1].body).replace("\\\\", "").replace('\\"', '"')
    decision, server = decide_with(backend, bad)
    assert (decision.action, decision.source, server.count) == ("NOOP", "fallback", 2)
    assert decision.usage.calls == 2


@pytest.mark.parametrize(
    ("bad", "uncertain"),
    [
        (Answer(status=429, headers={"retry-after": "7"}), 0),
        (Answer(status=500), 0),
        (Answer(drop=True), 1),
        (Answer(delay=30), 1),
        (Answer(raw="<html>"), 1),
    ],
    ids=["429", "500", "dropped", "hung", "no JSON"],
)
def test_a_temporary_failure_is_retried_and_its_possible_charge_counted(backend, bad, uncertain):
    waits: list[float] = []
    timeout = 0.6 if bad.delay else 30
    decision, server = decide_with(
        backend, [bad, Answer(text=RIGHT)], waits=waits, timeout_s=timeout
    )
    assert (decision.action, decision.source) == ("RIGHT", "parsed")
    assert server.count == 2
    assert len(waits) == 1
    assert bad.status != 429 or waits == [7]
    assert decision.usage.uncertain == uncertain
    assert (decision.usage.uncertain_tokens > 0) == bool(uncertain)


@pytest.mark.parametrize(
    ("bad", "uncertain"),
    [(Answer(status=503), 0), (Answer(drop=True), 3)],
    ids=["refused", "dropped"],
)
def test_a_persistent_temporary_failure_is_one_fallback(backend, bad, uncertain):
    decision, server = decide_with(backend, bad)
    assert (decision.action, decision.source) == ("NOOP", "fallback")
    assert server.count == 3
    assert decision.usage.uncertain == uncertain
    assert decision.reply == ""


@pytest.mark.parametrize(
    ("bad", "words"),
    [
        (Answer(status=401), "refused the key"),
        (Answer(status=402), "quota of this account is used up"),
        (Answer(status=404, code="model_not_found"), "404"),
        (Answer(status=400, message="bad image"), "rejected the request"),
    ],
    ids=["a wrong key", "no quota", "no such model", "a bad request"],
)
def test_a_permanent_failure_stops_the_run_at_once(backend, bad, words):
    with Server(bad) as server:
        with pytest.raises(ModelUnusable, match=words):
            decide(backend.model(server))
        assert server.count == 1


# -- models in this process -----------------------------------------------------------------------


def scripted(*texts: str) -> Callable[[], Model]:
    answers = iter(texts)
    return lambda: ScriptedModel(lambda prompt: next(answers))


def test_models_in_this_process_decide_and_are_free():
    for model in (scripted(RIGHT)(), EmbeddedModel()):
        decision = decide(model, "embedded" if model.prompt_type == "embedded" else "cot")
        assert decision.action in LEGAL
        assert (decision.usage.dollars, decision.usage.uncertain) == (0, 0)


def test_open_weights_in_this_process_decide_and_are_free(tmp_path):
    pytest.importorskip("transformers", reason="an optional extra")
    from atari_vlm.models.local.model import LocalModel, LocalSettings
    from tests.checkpoints import family

    model = LocalModel(str(family("idefics3", tmp_path)), settings=LocalSettings(max_tokens=8))
    decision = decide(model, frames=1)
    assert decision.action in LEGAL
    assert decision.source in ("parsed", "repaired", "fallback")
    assert decision.usage.calls in (1, 2)
    assert (decision.usage.dollars, decision.usage.uncertain) == (0, 0)


def test_a_scripted_model_is_repaired_and_falls_back_like_a_hosted_one():
    assert decide(scripted("lol {", RIGHT)()).source == "repaired"
    assert decide(scripted("lol {", "JUMP")()).source == "fallback"

    def broken(prompt):
        raise ModelFault("timeout", "too late")

    decision = decide(ScriptedModel(broken))
    assert decision.source == "fallback"
    assert decision.usage.dollars is None  # unknown


def test_every_backend_makes_the_same_decision(backend):
    decisions = [
        decide_with(backend, Answer(text=RIGHT))[0],
        decide(ScriptedModel(lambda prompt: RIGHT)),
    ]
    plans = [(each.action, each.frames, each.source, each.reason) for each in decisions]
    assert plans[0] == plans[1]
