"""One suite for every backend: what a game can rely on, whoever answers.

What is particular to a vendor's wire is in test_hosted, what each fault is worded like in
test_faults; here is what must be the same for all of them, seen from a decision.
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
from atari_vlm.types import Decision, Frame, Model, Observation
from tests.models.hosted.test_faults import KEY, Passing
from tests.servers import Server
from tests.vendor_apis import Answer

LEGAL = ("NOOP", "FIRE", "RIGHT", "LEFT")
RIGHT = '{"reasoning": "It falls to the right.", "action": "RIGHT", "frames": 3}'
"""An answer to a prompt that asks for an object."""


@dataclass(frozen=True)
class Hosted:
    """A backend that is reached over a wire."""

    name: str
    provider: str
    model_id: str
    effort: str | None = None
    package: str = "openai"

    def model(self, server: Server, waits: list[float] | None = None, **more: Any) -> HostedModel:
        base_url = server.base_url if self.provider.startswith("openai") else server.url
        wanted = HostedSettings(
            name="it",
            model_id=self.model_id,
            provider=self.provider,  # type: ignore[arg-type]
            base_url=base_url,
            effort=self.effort,  # type: ignore[arg-type]
            **{"tries": 3, **more},
        )
        return HostedModel(wanted, api_key=KEY, clock=Passing(waits if waits is not None else []))


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
    """One decision about so many screens."""

    async def go() -> Decision:
        strategy = get_strategy(prompt, PromptSettings(frames=frames))
        policy = VLMPolicy(model, strategy)
        try:
            return await policy.decide(observation(frames), (), np.random.default_rng(0))
        finally:
            await model.close()

    return asyncio.run(go())


def asked(
    backend: Hosted, answers: Answer | Sequence[Answer], frames: int = 1, **more: Any
) -> tuple[Decision, Server]:
    with Server(answers) as server:
        decision = decide(backend.model(server, **more), frames=frames)
    return decision, server


# -- what every hosted backend does ---------------------------------------------------------------


@pytest.mark.parametrize("frames", [1, 30])
def test_a_decision_about_any_number_of_screens(backend, frames):
    answer = Answer(text=RIGHT, thinking="hm", tokens=(900, 300, 40), model="renamed-1")
    decision, server = asked(backend, answer, frames)
    assert (decision.action, decision.frames, decision.source) == ("RIGHT", 3, "parsed")
    body = str(server.requests[0].body)
    assert body.count("iVBORw0KGgo") == frames  # how a PNG begins in base64
    (call,) = decision.calls
    assert call.reply.thinking == "hm"
    assert call.reply.model == "renamed-1"  # what the server says, not what was asked for
    assert call.reply.request_id
    usage = decision.usage
    assert (usage.calls, usage.input_tokens, usage.cached_tokens, usage.output_tokens) == (
        *(1, 900, 300),
        40,
    )


def test_thoughts_are_counted_where_the_vendor_counts_them(backend):
    if backend.provider == "anthropic":
        pytest.skip("Anthropic counts thoughts only inside its output tokens")
    decision, _ = asked(backend, Answer(text=RIGHT, reasoned=30))
    assert decision.usage.reasoning_tokens == 30
    assert decision.usage.output_tokens == 40


def test_a_refusal_is_a_fallback_that_is_not_repaired(backend):
    decision, server = asked(backend, Answer(text="I cannot.", finish="refusal"))
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
    decision, server = asked(backend, [bad, Answer(text=RIGHT)])
    assert (decision.action, decision.source) == ("RIGHT", "repaired")
    assert [call.reply.text for call in decision.calls] == [bad.text, RIGHT]
    assert bad.text in str(server.requests[1].body).replace("\\\\", "").replace('\\"', '"')
    decision, server = asked(backend, bad)
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
def test_what_passes_is_waited_out_and_what_may_have_been_charged_is_counted(
    backend, bad, uncertain
):
    waits: list[float] = []
    timeout = 0.6 if bad.delay else 30
    decision, server = asked(backend, [bad, Answer(text=RIGHT)], waits=waits, timeout_s=timeout)
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
def test_what_does_not_pass_is_one_counted_fallback(backend, bad, uncertain):
    decision, server = asked(backend, bad)
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
def test_what_cannot_pass_stops_the_run_at_once(backend, bad, words):
    with Server(bad) as server:
        with pytest.raises(ModelUnusable, match=words):
            decide(backend.model(server))
        assert server.count == 1


# -- what the models in this process do -----------------------------------------------------------


def scripted(*texts: str) -> Callable[[], Model]:
    said = iter(texts)
    return lambda: ScriptedModel(lambda prompt: next(said))


def test_the_models_in_this_process_decide_and_are_free():
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


def test_a_function_is_repaired_and_falls_back_as_a_vendor_is():
    assert decide(scripted("lol {", RIGHT)()).source == "repaired"
    assert decide(scripted("lol {", "JUMP")()).source == "fallback"

    def broken(prompt):
        raise ModelFault("timeout", "too late")

    decision = decide(ScriptedModel(broken))
    assert decision.source == "fallback"
    assert decision.usage.dollars is None  # nobody counted


def test_every_backend_plays_the_same_decision(backend):
    decisions = [
        asked(backend, Answer(text=RIGHT))[0],
        decide(ScriptedModel(lambda prompt: RIGHT)),
    ]
    told = [(each.action, each.frames, each.source, each.reason) for each in decisions]
    assert told[0] == told[1]
