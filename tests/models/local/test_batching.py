"""Batched answers and scores equal those of single prompts."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
import weakref

import pytest

from atari_vlm.errors import ModelFault, ModelUnusable
from atari_vlm.models.local.batch_queue import BatchQueue
from atari_vlm.trainer import VLMTrainer

pytestmark = [
    pytest.mark.training,
    # A warning of transformers, in GLM-4V's processor.
    pytest.mark.filterwarnings("ignore:__array__ implementation"),
]
pytest.importorskip("torch")
from tests import checkpoints  # noqa: E402
from tests.models.local.helpers import build_local_model, gather, user_prompt  # noqa: E402

FAMILY_NAMES = sorted(checkpoints.FAMILIES)


@pytest.mark.parametrize("name", FAMILY_NAMES)
def test_batched_answers_equal_single_answers(built, screens, name):
    """With prompts of different lengths, and without a cache of vision features."""
    prompts = [user_prompt(screens[k : k + 2], "Go on, " * k + "name one.") for k in range(3)]
    batched = build_local_model(built, name, max_tokens=6)
    single = build_local_model(built, name, max_tokens=6, together=1, cache_features=False)

    async def scores(model):
        return await gather(model.score, prompts)

    async def replies(model):
        return await gather(lambda prompt: model.answer(prompt, seed=3), prompts)

    mine, theirs = asyncio.run(scores(batched)), asyncio.run(scores(single))
    assert (batched._queue.largest_batch, single._queue.largest_batch) == (3, 1)
    for one, other in zip(mine, theirs, strict=True):
        assert one == pytest.approx(other, abs=1e-5)
    assert mine[0] != mine[1]
    for one, other in zip(asyncio.run(replies(batched)), asyncio.run(replies(single)), strict=True):
        assert one.text == other.text
        assert one.usage.input_tokens == other.usage.input_tokens
        assert one.usage.output_tokens == other.usage.output_tokens


@pytest.mark.parametrize("name", ["idefics3", "qwen2_vl"])
def test_batched_logits_equal_single_logits(built, screens, name):
    import torch

    model = build_local_model(built, name, cache_features=False)
    prompts = [user_prompt(screens[k : k + 2], "Go on, " * (5 - k)) for k in range(5)]
    asyncio.run(model.score(prompts[0]))
    backend = model._backend
    conversations = [model._format.conversation(backend, prompt) for prompt in prompts]
    with torch.inference_mode():
        batch = backend.model(**backend.encode(conversations), logits_to_keep=1).logits[:, -1]
        single = [
            backend.model(**backend.encode([conversation])).logits[0, -1]
            for conversation in conversations
        ]
    assert torch.allclose(batch, torch.stack(single), atol=1e-5)


def test_each_answer_of_a_batch_is_sampled_with_its_own_seed(built, screens):
    prompts = [user_prompt(screens[k : k + 1], "Go on. " * k) for k in range(5)]

    async def replies(model, seeds):
        pairs = zip(prompts, seeds, strict=True)
        answers = (model.answer(prompt, seed=seed) for prompt, seed in pairs)
        return [reply.text for reply in await asyncio.gather(*answers)]

    sampling = {"temperature": 1.5, "max_tokens": 10}
    batched, single = (
        build_local_model(built, "idefics3", **sampling),
        build_local_model(built, "idefics3", together=1, **sampling),
    )
    first = asyncio.run(replies(batched, range(5)))
    assert first == asyncio.run(replies(single, range(5)))
    assert asyncio.run(replies(batched, [0, 1, 2, 3, 99]))[:4] == first[:4]
    assert first != asyncio.run(replies(batched, range(5, 10)))


def test_a_prompt_that_fails_does_not_affect_its_batch(built, screens):
    model = build_local_model(built, "llava", max_tokens=4)
    prompts = [
        user_prompt(screens[:1]),
        user_prompt(screens[1:2], "long " * 400),
        user_prompt(screens[2:3]),
    ]

    async def replies():
        answers = (model.answer(prompt, seed=0) for prompt in prompts)
        return await asyncio.gather(*answers, return_exceptions=True)

    first, second, third = asyncio.run(replies())
    assert isinstance(second, ModelUnusable)
    assert "reads at most 400" in str(second)
    assert [first.text, third.text] == [
        asyncio.run(model.answer(prompt, seed=0)).text for prompt in (prompts[0], prompts[2])
    ]


def test_a_batch_too_large_for_the_memory_is_split(built, screens, monkeypatch):
    import torch

    model = build_local_model(built, "idefics3", max_tokens=4)
    prompts = [user_prompt(screens[k : k + 1], "Go. " * k) for k in range(4)]

    async def replies():
        answers = (model.answer(prompt, seed=0) for prompt in prompts)
        return await asyncio.gather(*answers, return_exceptions=True)

    expected = [reply.text for reply in asyncio.run(replies())]
    generate, sizes = model._backend.model.generate, []

    def generate_with_little_memory(**inputs):
        sizes.append(len(inputs["input_ids"]))
        if sizes[-1] > limit:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")
        return generate(**inputs)

    monkeypatch.setattr(model._backend.model, "generate", generate_with_little_memory)
    limit = 1
    assert [reply.text for reply in asyncio.run(replies())] == expected
    assert sizes == [4, 2, 1, 1, 2, 1, 1]
    limit = 0
    assert {type(error) for error in asyncio.run(replies())} == {ModelFault}


def test_parallel_episodes_share_forward_passes(built, tmp_path):
    def play(folder, parallel):
        trainer = VLMTrainer(
            "pong",
            str(built("idefics3")),
            prompt_type="cot",
            parallel=parallel,
            max_decisions=2,
            max_tokens=70,
            history=0,
            save_dir=tmp_path / folder,
        )
        summary = trainer.evaluate(3)
        return trainer.player.model, summary

    parallel_model, batched = play("parallel", 3)
    serial_model, single = play("serial", 1)
    assert (parallel_model._queue.largest_batch, serial_model._queue.largest_batch) == (3, 1)
    assert batched.scores == single.scores
    assert batched.usage.input_tokens == single.usage.input_tokens
    assert batched.usage.output_tokens == single.usage.output_tokens


def test_cancelled_items_are_not_processed():
    batches = []

    def process(items):
        batches.append(list(items))
        return [item * 10 for item in items]

    async def work():
        queue = BatchQueue(process, batch_size=3)
        tasks = [asyncio.create_task(queue.submit(number)) for number in range(5)]
        await asyncio.sleep(0)
        tasks[1].cancel()
        done = await asyncio.gather(*tasks, return_exceptions=True)
        queue.close()
        return done

    first, cancelled, *rest = asyncio.run(work())
    assert [first, *rest] == [0, 20, 30, 40]
    assert isinstance(cancelled, asyncio.CancelledError)
    assert batches == [[0, 2], [3, 4]]


async def ended(queue, items):
    """What each item came to; a hang is an error of the test."""
    async with asyncio.timeout(20):
        waiting = (queue.submit(item) for item in items)
        return await asyncio.gather(*waiting, return_exceptions=True)


class Panic(BaseException):
    """As libraries in Rust raise it."""


@pytest.mark.parametrize("error", [ValueError("bad"), Panic("at the disco"), SystemExit(3)])
def test_whatever_a_batch_raises_reaches_everyone_who_waits_and_the_next_batch_is_processed(error):
    def process(items):
        if 0 in items:
            raise error
        return items

    async def work():
        queue = BatchQueue(process, batch_size=2)
        return await ended(queue, range(4))

    first, second, *rest = asyncio.run(work())
    expected = ValueError if type(error) is ValueError else ModelUnusable
    assert type(first) is type(second) is expected
    assert str(error) in str(first)
    assert rest == [2, 3]


def test_too_few_results_are_an_error_and_no_wait_without_end():
    async def work():
        return await ended(BatchQueue(lambda items: items[:1], batch_size=3), range(3))

    assert {str(error) for error in asyncio.run(work())} == {"1 results for 3 items"}


def test_closing_a_queue_ends_every_wait_and_a_later_item_is_processed():
    began, go_on = threading.Event(), threading.Event()

    def process(items):
        began.set()
        assert go_on.wait(20)
        return items

    async def work():
        queue = BatchQueue(process, batch_size=1)
        inside = asyncio.create_task(queue.submit(1))
        while not began.is_set():
            await asyncio.sleep(0.01)
        others = asyncio.to_thread(lambda: asyncio.run(ended(queue, [2])))
        others = asyncio.create_task(others)  # its event loop waits for the same thread
        while queue._worker._calls.empty():
            await asyncio.sleep(0.01)
        queue.close()
        (closed,) = await others
        go_on.set()
        return await inside, closed, await ended(queue, [3])

    inside, closed, later = asyncio.run(work())
    assert (inside, later) == (1, [3])
    assert isinstance(closed, ModelUnusable)


def test_a_loop_that_ends_takes_its_waits_with_it():
    go_on = threading.Event()

    async def work():
        queue = BatchQueue(lambda items: go_on.wait(20) and items, batch_size=1)
        waits = [asyncio.create_task(queue.submit(number)) for number in range(3)]
        await asyncio.sleep(0.05)
        (pending,) = queue._pending.values()
        pending.task.cancel()
        async with asyncio.timeout(20):
            return await asyncio.gather(*waits, return_exceptions=True)

    results = asyncio.run(work())
    go_on.set()
    assert {type(result) for result in results} == {asyncio.CancelledError}


def test_a_thread_that_hangs_does_not_keep_the_program_from_ending():
    script = (
        "import asyncio, time\n"
        "from atari_vlm.models.local import batch_queue\n"
        "batch_queue.EXIT_SECONDS = 0.2\n"
        "queue = batch_queue.BatchQueue(lambda items: time.sleep(600), 1)\n"
        "async def work():\n"
        "    try:\n"
        "        await asyncio.wait_for(queue.submit(1), 0.2)\n"
        "    except TimeoutError:\n"
        "        print('ended')\n"
        "asyncio.run(work())\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, timeout=60, text=True
    )
    assert (done.returncode, done.stdout) == (0, "ended\n"), done.stderr


def test_a_failed_batch_gives_its_memory_back_before_its_halves_are_tried(
    built, screens, monkeypatch
):
    model = build_local_model(built, "idefics3", max_tokens=4)
    answer = asyncio.run(model.answer(user_prompt(screens[:1]), seed=0))
    generate, held = model._backend.generate, []

    class Tensor:
        pass

    def generate_with_little_memory(requests):
        if len(requests) > 1:
            large = Tensor()
            held.append(weakref.ref(large))
            raise MemoryError("CUDA out of memory")
        assert all(reference() is None for reference in held)
        return generate(requests)

    monkeypatch.setattr(model._backend, "generate", generate_with_little_memory)
    prompts = [user_prompt(screens[:1])] * 4

    replies = asyncio.run(gather(lambda prompt: model.answer(prompt, seed=0), prompts))
    assert [reply.text for reply in replies] == [answer.text] * 4
    assert len(held) == 3
