"""A local model: sampling, the worker thread, cancellation, memory."""

from __future__ import annotations

import asyncio
import time

import pytest

from atari_vlm.errors import InvalidSetting, ModelFault
from atari_vlm.models.local.model import LocalModel, LocalSettings

pytestmark = pytest.mark.training
pytest.importorskip("torch")
from tests.models.local.helpers import answer, build_prompt, short_answers  # noqa: E402


def test_sampling_depends_on_the_seed_alone(built, screens):
    import torch

    model = LocalModel(
        str(built("idefics3")), settings=short_answers(temperature=2.0, max_tokens=12)
    )
    prompt = build_prompt(screens[:1])
    texts = [answer(model, prompt, seed=seed).text for seed in range(6)]
    torch.manual_seed(99)
    before = torch.random.get_rng_state()
    assert [answer(model, prompt, seed=seed).text for seed in range(6)] == texts
    assert torch.equal(before, torch.random.get_rng_state())
    assert len(set(texts)) > 1


def test_sampling_draws_from_the_softmax():
    import torch

    from atari_vlm.models.local.logits_processors import sample

    logits = torch.tensor([0.0, 1.0, 2.0, -1.0])
    process = sample(0.7, seed=3)
    draws = torch.stack([process((), logits).argmax() for _ in range(4_000)])
    measured = torch.bincount(draws, minlength=4) / 4_000
    assert torch.allclose(measured, (logits / 0.7).softmax(-1), atol=0.03)


def test_the_event_loop_runs_while_the_model_generates(built, screens):
    model = LocalModel(str(built("idefics3")), settings=short_answers(max_tokens=60))

    async def work():
        prompt = build_prompt(screens[:1])
        await model.answer(prompt, seed=0)
        ticks, going = 0, asyncio.gather(*(model.answer(prompt, seed=s) for s in range(3)))
        while not going.done():
            await asyncio.sleep(0.002)
            ticks += 1
        return ticks, [reply.text for reply in going.result()]

    ticks, texts = asyncio.run(work())
    assert ticks > 3
    assert len(set(texts)) == 1


def test_a_cancelled_answer_ends_early(built, screens):
    model = LocalModel(
        str(built("idefics3")), settings=short_answers(temperature=1.0, max_tokens=1500)
    )

    async def work():
        await model.score(build_prompt(screens[:1]))
        task = asyncio.create_task(model.answer(build_prompt(screens[:1]), seed=0))
        await asyncio.sleep(0.2)
        task.cancel()
        start = time.perf_counter()
        await model.score(build_prompt(screens[:1]))  # waits for the worker thread
        return time.perf_counter() - start

    assert asyncio.run(work()) < 3


def test_a_closed_model_loads_again(built, screens):
    model = LocalModel(str(built("idefics3")), settings=short_answers())
    first = answer(model, build_prompt(screens[:1])).text
    asyncio.run(model.close())
    asyncio.run(model.close())
    assert answer(model, build_prompt(screens[:1])).text == first


def test_running_out_of_memory_is_a_fault_and_the_model_stays_usable(built, screens, monkeypatch):
    import torch

    model = LocalModel(str(built("idefics3")), settings=short_answers())
    answer(model, build_prompt(screens[:1]))
    generate = model._backend.model.generate

    def full(**inputs):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")

    monkeypatch.setattr(model._backend.model, "generate", full)
    with pytest.raises(ModelFault, match="ran out of memory for this prompt") as caught:
        answer(model, build_prompt(screens[:1]))
    assert caught.value.kind == "out of memory"
    monkeypatch.setattr(model._backend.model, "generate", generate)
    assert answer(model, build_prompt(screens[:1])).usage.calls == 1


@pytest.mark.parametrize(
    "wrong",
    [{"temperature": 3}, {"max_tokens": 0}, {"together": 0}],
)
def test_settings_out_of_range_are_refused(wrong):
    with pytest.raises(InvalidSetting):
        LocalSettings(**wrong)
