"""The screens of a recorded episode, drawn again from its seed and plans."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from itertools import islice
from typing import Any

from atari_vlm.env import AtariVLMEnvironment
from atari_vlm.errors import StoreError
from atari_vlm.runs.reader import RunReader
from atari_vlm.runs.replaying import (
    Recording,
    check_playable,
    environment_of,
    moments,
    replayable,
)
from atari_vlm.runs.settings import completed
from atari_vlm.types import Call, Decision, Frame, Message, Observation, Step, Trajectory


def environment(settings: Mapping[str, Any]) -> AtariVLMEnvironment:
    """The environment that a run's settings describe."""
    return environment_of(completed(settings))


def recording(run: RunReader, episode: int) -> Recording:
    """What an episode of a run is played again from.

    Raises:
        StoreError: there is no such episode, or it is damaged.
    """
    row = next((row for row in run.episodes() if row.episode == episode), None)
    if row is None:
        raise StoreError(f"{run.folder} has no episode {episode}.")
    settings = completed(run.settings)
    return Recording(str(run.folder), settings, episode, row.seed, run.plays(episode))


def observations(run: RunReader, episode: int) -> Iterator[Observation]:
    """What was seen before each recorded decision, and after the last one.

    Raises:
        StoreError: the episode cannot be played, or earns other rewards now than it did then.
    """
    with replayable(run.folder):
        record = recording(run, episode)
    for env in moments(record):
        yield env.observe()


def recorded_decisions(
    run: RunReader, episode: int, env: AtariVLMEnvironment
) -> tuple[Decision, ...]:
    """The decisions of an episode that is to be continued.

    Raises:
        StoreError: one of them cannot be played in this environment.
    """
    decisions = run.decisions(episode)
    for number, decision in enumerate(decisions):
        check_playable(run.folder, episode, env, number, decision.action)
        if decision.frames > env.frame_skip:
            raise StoreError(
                f"Episode {episode} in {run.folder} does not replay: decision {number} holds its "
                f"action for {decision.frames} frames, and lasts {env.frame_skip}."
            )
    return tuple(decisions)


def pictures(run: RunReader) -> Callable[[int, int], Frame]:
    """A function that draws the frame shown at (episode, step) of the run.

    Each is drawn by replaying its episode up to there (0.2 ms a decision), from where the last one
    was drawn if that was earlier in the same episode. Only the last few are kept: a whole episode
    can be a gigabyte of pixels.
    """
    going: dict[int, tuple[int, Iterator[AtariVLMEnvironment]]] = {}
    """The replay that goes on: episode -> the next decision, and the game from there on."""
    pooling = completed(run.settings)["pool_frames"]

    def replay_of(episode: int) -> Iterator[AtariVLMEnvironment]:
        with replayable(run.folder):
            record = recording(run, episode)
        # The screens in between are not pooled: that takes a third of the time.
        return moments(record, pool_frames="last")

    @lru_cache(maxsize=64)
    def frame(episode: int, step: int) -> Frame:
        if episode < 0:
            return run.adopted_frame(episode, step)
        if step >= 0:
            at, replay = going.pop(episode, (0, iter(())))
            if not 0 < at <= step:
                at, replay = 0, replay_of(episode)
            going.clear()
            for env in islice(replay, step - at, None):
                going[episode] = step + 1, replay
                pixels = env.emulator.screen(pooled=pooling)
                return Frame(pixels, episode, step, env.game.standard)
        raise StoreError(f"{run.folder} lacks the frame {step} of episode {episode}.")

    return frame


def trajectories_for_learner(run: RunReader, episodes: Sequence[int]) -> list[Trajectory]:
    """Episodes without frames and calls, as they are passed on from the session that plays them."""
    if not episodes:
        return []
    with replayable(run.folder):
        legal = environment(run.settings).legal

    def with_actions(step: Step) -> Step:
        return replace(step, observation=replace(step.observation, legal=legal))

    bare = (run.trajectory(episode) for episode in episodes)
    return [replace(each, steps=tuple(map(with_actions, each.steps))) for each in bare]


def full_trajectory(run: RunReader, episode: int) -> Trajectory:
    """An episode with everything: frames, legal actions, prompts with their pictures, replies.

    A whole game of 27,000 decisions takes about a gigabyte; `RunReader.trajectory` is small.
    """
    bare = run.trajectory(episode)
    seen = list(islice(observations(run, episode), len(bare.steps)))
    frames = {(frame.episode, frame.step): frame for each in seen for frame in each.frames}
    draw = pictures(run)

    def find(frame: Frame) -> Frame:
        return frames.get((frame.episode, frame.step)) or draw(frame.episode, frame.step)

    steps = zip(bare.steps, seen, run.decisions(episode), strict=True)
    return replace(
        bare,
        steps=tuple(
            replace(step, observation=observation, decision=_with_pictures(decision, find))
            for step, observation, decision in steps
        ),
    )


def _with_pictures(decision: Decision, find: Callable[[Frame], Frame]) -> Decision:
    """A decision whose prompts, and those of its candidates, have their pixels again."""
    return replace(
        decision,
        calls=tuple(_drawn(call, find) for call in decision.calls),
        considered=tuple(_with_pictures(other, find) for other in decision.considered),
    )


def _drawn(call: Call, find: Callable[[Frame], Frame]) -> Call:
    messages = tuple(
        Message(
            message.role,
            tuple(find(part) if isinstance(part, Frame) else part for part in message.parts),
        )
        for message in call.prompt.messages
    )
    return replace(call, prompt=replace(call.prompt, messages=messages))
