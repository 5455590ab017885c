"""A run as chat samples: what the model was shown, what it wrote, and what that earned."""

from __future__ import annotations

from contextlib import closing

import numpy as np
import pytest

from atari_vlm import chat_samples
from atari_vlm.atari.images import to_pil_image
from atari_vlm.models.scripted import ScriptedModel
from atari_vlm.runs.run import Run
from atari_vlm.trainer import VLMTrainer


class Watched(ScriptedModel):
    """Remembers its prompts and answers."""

    def __init__(self, script):
        super().__init__(script, name="watched")
        self.asked = []

    async def answer(self, prompt, *, seed):
        reply = await super().answer(prompt, seed=seed)
        self.asked.append((prompt, reply.text))
        return reply


def played(folder, script, game="freeway", name="watched", episodes=1, **options):
    model = Watched(script)
    trainer = VLMTrainer(game, name, model=model, run_folder=folder, prompt_type="basic", **options)
    trainer.train(episodes)
    return model, trainer


def samples_of(folder):
    with closing(Run.read(folder)) as run:
        rewards = {row.episode: run.rewards(row.episode) for row in run.episodes()}
        return list(chat_samples(run)), rewards


def shown(prompt):
    """A prompt as the model saw it: roles, words, and pictures as bytes."""
    return [
        (
            message.role,
            [
                part
                if isinstance(part, str)
                else to_pil_image(part, prompt.image_size).convert("RGB").tobytes()
                for part in message.parts
            ],
        )
        for message in prompt.messages
    ]


def in_sample(sample):
    return [
        (
            turn["role"],
            [
                part["text"] if part["type"] == "text" else part["image"].tobytes()
                for part in turn["content"]
            ],
        )
        for turn in sample.messages
    ]


def test_samples_are_what_was_shown_and_written(tmp_path):
    model, _ = played(tmp_path, lambda prompt: "ACTION: UP", max_decisions=80)
    samples, rewards = samples_of(tmp_path)
    assert [in_sample(s) for s in samples] == [shown(prompt) for prompt, _ in model.asked]
    assert {sample.answer for sample in samples} == {"ACTION: UP"}
    assert {sample.source for sample in samples} == {"parsed"}
    assert [(s.episode, s.step) for s in samples] == [(0, k) for k in range(80)]
    assert [s.reward for s in samples] == rewards[0]
    assert [s.return_ for s in samples] == np.cumsum(rewards[0][::-1])[::-1].tolist()
    assert samples[0].return_ > 0
    image = samples[0].messages[-1]["content"]
    (image,) = [part["image"] for part in image if part["type"] == "image"]
    assert (image.mode, image.size) == ("RGB", (160, 210))


def test_images_have_the_size_they_were_sent_in(tmp_path):
    played(tmp_path, lambda prompt: "ACTION: UP", max_decisions=2, resize_shape=(84, 100))
    samples, _ = samples_of(tmp_path)
    images = [
        part["image"]
        for sample in samples
        for turn in sample.messages
        for part in turn["content"]
        if part["type"] == "image"
    ]
    assert {image.size for image in images} == {(84, 100)}


def test_examples_of_earlier_episodes_are_in_the_messages(tmp_path):
    model, trainer = played(
        tmp_path,
        lambda prompt: "ACTION: UP",
        episodes=2,
        max_decisions=100,
        use_in_context_learning=True,
    )
    samples, rewards = samples_of(tmp_path)
    assert rewards[0] != [0.0] * 100
    assert [in_sample(s) for s in samples] == [shown(prompt) for prompt, _ in model.asked]
    assert [s.episode for s in samples] == [0] * 100 + [1] * 100
    assert samples[0].return_ == sum(rewards[0])
    assert samples[100].return_ == sum(rewards[1])
    told = ["this earned +" in str(sample.messages) for sample in samples]
    assert told == [False] * 100 + [True] * 100
    del model.asked[:]
    evaluated = trainer.evaluate(1)  # its examples are frames of another run
    samples, _ = samples_of(evaluated.folder)
    assert [in_sample(s) for s in samples] == [shown(prompt) for prompt, _ in model.asked]


@pytest.mark.parametrize("ablation", ["blank", "shuffled"])
def test_under_an_ablation_they_hold_the_screens_that_were_shown(tmp_path, ablation):
    model, _ = played(
        tmp_path,
        lambda prompt: "ACTION: RIGHT",
        game="pong",
        name=f"watched+{ablation}",
        max_decisions=12,
    )
    samples, _ = samples_of(tmp_path)
    assert [in_sample(s) for s in samples] == [shown(prompt) for prompt, _ in model.asked]
    images = [part for s in samples for part in s.messages[-1]["content"] if "image" in part]
    colours = {image["image"].convert("L").getextrema() for image in images}
    assert (colours == {(0, 0)}) == (ablation == "blank")


def test_chunks_repairs_and_fallbacks(tmp_path):
    """Two answers that name nothing are a fallback; one is repaired by the next."""
    turns = iter(range(10**6))

    def script(prompt):
        turn = next(turns)
        if turn % 7 in (2, 3, 5):
            return "Hmm."
        return "ACTIONS: UP x4, UP x4, UP x4"

    model, _ = played(tmp_path, script, max_decisions=90, decisions_per_call=3)
    samples, rewards = samples_of(tmp_path)
    with closing(Run.read(tmp_path)) as run:
        decisions = run.decisions(0)
    used = [k for k, d in enumerate(decisions) if d.calls and d.source != "fallback"]
    assert [sample.step for sample in samples] == used
    assert {s.source for s in samples} == {"parsed", "repaired"}
    assert sum(d.source == "fallback" for d in decisions) > 3
    good = [(prompt, words) for prompt, words in model.asked if words != "Hmm."]
    assert [in_sample(s) for s in samples] == [shown(prompt) for prompt, _ in good]
    assert {s.answer for s in samples} == {"ACTIONS: UP x4, UP x4, UP x4"}
    asked = [k for k, d in enumerate(decisions) if d.calls] + [90]
    for sample in samples:
        until = next(k for k in asked if k > sample.step)
        assert sample.reward == sum(rewards[0][sample.step : until])
        assert sample.return_ == sum(rewards[0][sample.step :])
    assert sum(s.reward for s in samples) > 0
    repaired = next(s for s in samples if s.source == "repaired")
    assert repaired.messages[-2] == {
        "role": "assistant",
        "content": [{"type": "text", "text": "Hmm."}],
    }


def test_scored_decisions_give_none_for_nothing_was_written(tmp_path):
    one = VLMTrainer("pong", "embedded", decide="score", run_folder=tmp_path, max_decisions=3)
    one.train(1)
    assert samples_of(tmp_path)[0] == []
