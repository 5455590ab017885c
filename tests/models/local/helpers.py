"""Prompts and calls that the tests of local models share."""

from __future__ import annotations

import asyncio
from dataclasses import replace

from atari_vlm.models.local.model import LocalModel, LocalSettings
from atari_vlm.types import Message, Prompt

LEGAL = ("NOOP", "FIRE", "RIGHT", "LEFT", "RIGHTFIRE", "LEFTFIRE")


def build_prompt(frames, *, plans=True, json=False, text="Name an action."):
    parts = [part for n, frame in enumerate(frames) for part in (f"Screen {n}:", frame)]
    return Prompt(
        messages=(Message("system", ("You play Pong.",)), Message("user", (*parts, text))),
        legal=LEGAL,
        longest=4,
        plans=plans,
        json=json,
    )


def user_prompt(frames, text="Name an action.", *, plans=False, json=False):
    """A prompt without a system message."""
    prompt = build_prompt(frames, plans=plans, json=json, text=text)
    return replace(prompt, messages=prompt.messages[1:])


def build_local_model(built, name, *, cache_features=True, **settings):
    model = LocalModel(str(built(name)), settings=LocalSettings(**settings))
    if not cache_features:
        model._format.policy = replace(model.policy, cache_features=False)
    return model


async def gather(call, prompts):
    return await asyncio.gather(*map(call, prompts))


def answer(model, prompt, seed=0):
    return asyncio.run(model.answer(prompt, seed=seed))


def short_answers(**settings):
    return LocalSettings(max_tokens=settings.pop("max_tokens", 6), **settings)
