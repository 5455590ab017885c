"""Fast decisions of local models: every shortcut gives what the long way gives."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace

import pytest

from atari_vlm.errors import ModelFault, ModelUnusable
from atari_vlm.models.local.batch_queue import BatchQueue
from atari_vlm.models.local.model import LocalModel, LocalSettings
from atari_vlm.trainer import VLMTrainer
from atari_vlm.types import Message, Prompt

pytestmark = [
    pytest.mark.training,
    # transformers' own, of GLM-4V's processor
    pytest.mark.filterwarnings("ignore:__array__ implementation"),
]
pytest.importorskip("torch")
from tests import checkpoints  # noqa: E402

LEGAL = ("NOOP", "FIRE", "RIGHT", "LEFT", "RIGHTFIRE", "LEFTFIRE")
TINY = sorted(checkpoints.FAMILIES)


def ask(shown, words="Name an action.", *, plans=False, json=False):
    parts = [part for n, frame in enumerate(shown) for part in (f"Screen {n}:", frame)]
    return Prompt(
        messages=(Message("user", (*parts, words)),),
        legal=LEGAL,
        longest=4,
        plans=plans,
        json=json,
    )


def model_of(built, name, *, cache_features=True, **settings):
    model = LocalModel(str(built(name)), settings=LocalSettings(**settings))
    if not cache_features:
        model._format.policy = replace(model.policy, cache_features=False)
    return model


async def everyone(ask_one, prompts):
    return await asyncio.gather(*map(ask_one, prompts))


# --- batches --------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", TINY)
def test_games_answered_together_get_what_each_gets_alone(built, screens, name):
    """Prompts of different lengths: padded on the left, every picture looked at in every prompt."""
    prompts = [ask(screens[k : k + 2], "Go on, " * k + "name one.") for k in range(3)]
    crowd = model_of(built, name, max_tokens=6)
    alone = model_of(built, name, max_tokens=6, together=1, cache_features=False)

    async def scored(model):
        return await everyone(model.score, prompts)

    async def said(model):
        return await everyone(lambda prompt: model.answer(prompt, seed=3), prompts)

    mine, theirs = asyncio.run(scored(crowd)), asyncio.run(scored(alone))
    assert (crowd._queue.largest_batch, alone._queue.largest_batch) == (3, 1)
    for one, other in zip(mine, theirs, strict=True):
        assert one == pytest.approx(other, abs=1e-5)
    assert mine[0] != mine[1]
    for one, other in zip(asyncio.run(said(crowd)), asyncio.run(said(alone)), strict=True):
        assert one.text == other.text
        assert one.usage.input_tokens == other.usage.input_tokens
        assert one.usage.output_tokens == other.usage.output_tokens


@pytest.mark.parametrize("name", ["idefics3", "qwen2_vl"])
def test_logits_of_a_batch_equal_those_of_each_alone(built, screens, name):
    import torch

    model = model_of(built, name, cache_features=False)
    prompts = [ask(screens[k : k + 2], "Go on, " * (5 - k)) for k in range(5)]
    asyncio.run(model.score(prompts[0]))
    backend = model._backend
    talks = [model._format.conversation(backend, prompt) for prompt in prompts]
    with torch.inference_mode():
        batch = backend.model(**backend.encode(talks), logits_to_keep=1).logits[:, -1]
        single = [backend.model(**backend.encode([talk])).logits[0, -1] for talk in talks]
    assert torch.allclose(batch, torch.stack(single), atol=1e-5)


def test_in_a_batch_each_answer_is_drawn_by_its_own_seed(built, screens):
    prompts = [ask(screens[k : k + 1], "Go on. " * k) for k in range(5)]

    async def said(model, seeds):
        jobs = zip(prompts, seeds, strict=True)
        replies = await asyncio.gather(*(model.answer(p, seed=seed) for p, seed in jobs))
        return [reply.text for reply in replies]

    hot = {"temperature": 1.5, "max_tokens": 10}
    crowd, alone = (
        model_of(built, "idefics3", **hot),
        model_of(built, "idefics3", together=1, **hot),
    )
    first = asyncio.run(said(crowd, range(5)))
    assert first == asyncio.run(said(alone, range(5)))
    assert asyncio.run(said(crowd, [0, 1, 2, 3, 99]))[:4] == first[:4]
    assert first != asyncio.run(said(crowd, range(5, 10)))


def test_one_prompt_that_cannot_be_answered_spoils_no_other(built, screens):
    model = model_of(built, "llava", max_tokens=4)
    prompts = [ask(screens[:1]), ask(screens[1:2], "long " * 400), ask(screens[2:3])]

    async def all_of_them():
        answers = (model.answer(prompt, seed=0) for prompt in prompts)
        return await asyncio.gather(*answers, return_exceptions=True)

    first, second, third = asyncio.run(all_of_them())
    assert isinstance(second, ModelUnusable)
    assert "reads at most 400" in str(second)
    assert [first.text, third.text] == [
        asyncio.run(model.answer(prompt, seed=0)).text for prompt in (prompts[0], prompts[2])
    ]


def test_a_batch_too_large_for_the_memory_is_answered_in_halves(built, screens, monkeypatch):
    import torch

    model = model_of(built, "idefics3", max_tokens=4)
    prompts = [ask(screens[k : k + 1], "Go. " * k) for k in range(4)]

    async def said():
        replies = (model.answer(prompt, seed=0) for prompt in prompts)
        return await asyncio.gather(*replies, return_exceptions=True)

    usual = [reply.text for reply in asyncio.run(said())]
    generate, sizes = model._backend.model.generate, []

    def cramped(**inputs):
        sizes.append(len(inputs["input_ids"]))
        if sizes[-1] > most:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")
        return generate(**inputs)

    monkeypatch.setattr(model._backend.model, "generate", cramped)
    most = 1
    assert [reply.text for reply in asyncio.run(said())] == usual
    assert sizes == [4, 2, 1, 1, 2, 1, 1]
    most = 0
    assert {type(error) for error in asyncio.run(said())} == {ModelFault}


def test_games_played_at_the_same_time_share_their_passes(built, tmp_path):
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
        return trainer.experiment.model, summary

    together, crowd = play("together", 3)
    apart, alone = play("apart", 1)
    assert (together._queue.largest_batch, apart._queue.largest_batch) == (3, 1)
    assert crowd.scores == alone.scores
    assert crowd.usage.input_tokens == alone.usage.input_tokens
    assert crowd.usage.output_tokens == alone.usage.output_tokens


def test_whoever_stops_waiting_is_not_waited_for():
    served = []

    def serve(jobs):
        served.append(list(jobs))
        return [job * 10 for job in jobs]

    async def work():
        line = BatchQueue(serve, batch_size=3)
        tasks = [asyncio.create_task(line.submit(number)) for number in range(5)]
        await asyncio.sleep(0)
        tasks[1].cancel()
        done = await asyncio.gather(*tasks, return_exceptions=True)
        line.close()
        return done

    first, gone, *rest = asyncio.run(work())
    assert [first, *rest] == [0, 20, 30, 40]
    assert isinstance(gone, asyncio.CancelledError)
    assert served == [[0, 2], [3, 4]]


# --- pictures -------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", TINY)
def test_a_picture_is_looked_at_once_and_nothing_changes(built, screens, name):
    remembering, forgetful = (
        model_of(built, name, cache_features=cache, max_tokens=5, video=False)
        for cache in (True, False)
    )

    async def compare():
        for k in range(3):
            prompt = ask(screens[k : k + 3])
            mine, theirs = await remembering.score(prompt), await forgetful.score(prompt)
            assert mine == pytest.approx(theirs, abs=1e-5)
        words = [await model.answer(prompt, seed=0) for model in (remembering, forgetful)]
        assert words[0].text == words[1].text

    asyncio.run(compare())
    cache = remembering._backend.vision_cache
    single = remembering.policy.max_images == 1  # a mosaic is another picture every time
    assert cache.encoded == (4 if single else 5)
    assert forgetful._backend.vision_cache is None


def test_pictures_of_different_sizes_are_looked_at_too(built, screens):
    """Two prompts in one batch, whose pictures cannot be stacked."""
    small = replace(ask(screens[:2]), image_size=(84, 84))
    for name in ("qwen2_vl", "idefics2", "llava_next"):
        crowd, alone = (
            model_of(built, name),
            model_of(built, name, together=1, cache_features=False),
        )

        async def scored(model):
            return await everyone(model.score, [ask(screens[:2]), small])

        for mine, theirs in zip(
            asyncio.run(scored(crowd)), asyncio.run(scored(alone)), strict=True
        ):
            assert mine == pytest.approx(theirs, abs=1e-5)


# --- answers in JSON ------------------------------------------------------------------------------


@pytest.mark.parametrize("plans", [True, False])
@pytest.mark.parametrize("name", ["idefics3", "qwen2_vl", "llava"])
def test_a_json_answer_is_always_whole_legal_and_reasoned(built, screens, name, plans):
    model = model_of(built, name, temperature=1.5, max_tokens=160)
    prompt = ask(screens[:1], plans=plans, json=True)

    async def several():
        return await asyncio.gather(*(model.answer(prompt, seed=seed) for seed in range(6)))

    replies = asyncio.run(several())
    for reply in replies:
        said = json.loads(reply.text)
        assert list(said) == ["reasoning", "action"] + (["frames"] if plans else [])
        assert said["action"] in LEGAL
        assert 1 <= said.get("frames", 1) <= 4
        assert reply.finish == "stop"
    assert len({reply.text for reply in replies}) == 6
    assert max(len(json.loads(reply.text)["reasoning"]) for reply in replies) > 20


def test_reasoning_is_closed_before_the_room_is_used_up(built, screens):
    model = model_of(built, "idefics3", temperature=2.0, max_tokens=80)
    quiet = model_of(built, "idefics3", max_tokens=10)
    prompt = ask(screens[:1], plans=True, json=True)
    for seed in range(4):
        reply = asyncio.run(model.answer(prompt, seed=seed))
        assert reply.finish == "stop"
        assert json.loads(reply.text)["action"] in LEGAL
    assert asyncio.run(quiet.answer(prompt, seed=0)).finish == "length"


def test_exactly_what_keeps_the_object_whole_may_follow(built, screens):
    """Against a regular expression that is asked, token by token, whether a text can become one."""
    import regex
    import torch

    from atari_vlm.models.local.json_constraint import JSONConstraint, JSONVocabulary

    model = model_of(built, "qwen2_vl")
    prompt = ask(screens[:1], plans=True, json=True)
    asyncio.run(model.score(prompt))
    words = model._backend.tokenizer
    opening, names = '{"reasoning": "', "|".join(LEGAL)
    whole = regex.compile(rf'\{opening}[^"\\]*", "action": "(?:{names})", "frames": [1-4]\}}')
    pieces = {
        token: words.decode([token])
        for token in range(len(words))
        if token not in words.all_special_ids and "\ufffd" not in words.decode([token])
    }
    schema = JSONConstraint(JSONVocabulary(words, model._backend.eos_token_ids), prompt, 90)
    dice = torch.Generator().manual_seed(5)
    said, text = [], ""
    while not whole.fullmatch(text):
        scores = torch.rand(len(words), generator=dice)
        kept = schema(said, scores)
        offered = set(kept.isfinite().nonzero()[:, 0].tolist())
        assert torch.equal(kept[list(offered)], scores[list(offered)])
        expected = {
            token
            for token, piece in pieces.items()
            if whole.fullmatch(text + piece, partial=True)
            and piece.isprintable()
            and not len(text) < len(opening) < len(text + piece)  # opened by tokens of its own
        }
        closing = len(said) > 30 and '"' not in text[len(opening) :]
        assert offered <= expected if closing else offered == expected
        said.append(int(kept.argmax()))
        text += pieces[said[-1]]
    assert set(schema(said, scores).isfinite().nonzero()[:, 0].tolist()) == set(
        model._backend.eos_token_ids
    )
    assert json.loads(text)["action"] in LEGAL
