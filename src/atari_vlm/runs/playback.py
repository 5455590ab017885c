"""The screens of a recorded episode, drawn again from its seed and plans."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import islice
from pathlib import Path
from typing import Any

from atari_vlm.env import AtariVLMEnvironment
from atari_vlm.errors import AtariVLMError, StoreError
from atari_vlm.runs.reader import RunReader
from atari_vlm.runs.schema import FILE, legible
from atari_vlm.runs.settings import completed
from atari_vlm.types import Call, Decision, Frame, Message, Observation, Trajectory


def environment(settings: Mapping[str, Any]) -> AtariVLMEnvironment:
    """The environment that a run's settings describe."""
    return AtariVLMEnvironment(
        settings["game"],
        frame_stack=settings["frame_stack"],
        resize_shape=None,
        frame_skip=settings["frame_skip"],
        repeat_action_probability=settings["repeat_action_probability"],
        pool_frames=completed(settings)["pool_frames"],
        full_action_space=settings["full_action_space"],
        max_frames=settings["max_frames"],
        mode=settings.get("mode"),
        difficulty=settings.get("difficulty"),
    )


@dataclass(frozen=True)
class Recording:
    """What an episode is played again from: plain values, which another process can be sent."""

    folder: str
    """Of its run, for sentences."""
    settings: Mapping[str, Any]
    """Of its run."""
    episode: int
    seed: int
    plays: Sequence[tuple[str, int, float | None]]
    """The (action, frames, reward) of each decision; see `RunReader.plays`."""


def recording(run: RunReader, episode: int) -> Recording:
    """What an episode of a run is played again from.

    Raises:
        StoreError: there is no such episode, or it is damaged.
    """
    row = next((row for row in run.episodes() if row.episode == episode), None)
    if row is None:
        raise StoreError(f"{run.folder} has no episode {episode}.")
    return Recording(str(run.folder), run.settings, episode, row.seed, run.plays(episode))


@contextmanager
def _replayable(folder: Path | str) -> Iterator[None]:
    """Turn what a record that cannot be played causes into one StoreError."""
    try:
        with legible(Path(folder) / FILE):
            yield
    except StoreError:
        raise
    except AtariVLMError as error:  # a mode that the game does not have, an action after its end
        raise StoreError(f"{folder} cannot be replayed: {error.message}") from error


def observations(run: RunReader, episode: int) -> Iterator[Observation]:
    """What was seen before each recorded decision, and after the last one.

    Raises:
        StoreError: the episode cannot be played, or earns other rewards now than it did then.
    """
    with _replayable(run.folder):
        record = recording(run, episode)
    for env in moments(record):
        yield env.observe()


def moments(record: Recording, **changed: Any) -> Iterator[AtariVLMEnvironment]:
    """The environment, always the same one, before each recorded decision and after the last one.

    Args:
        record: of the episode.
        changed: settings other than those of the run, which change what is seen only.

    Raises:
        StoreError: the episode cannot be played, or earns other rewards now than it did then.
    """
    with _replayable(record.folder):
        env = environment({**record.settings, **changed})
        env.begin(seed=record.seed, episode=record.episode)
        yield env
        for number, (action, frames, reward) in enumerate(record.plays):
            _check_playable(record.folder, record.episode, env, number, action)
            earned = env.advance(env.legal.index(action), frames)
            if reward is not None and earned != reward:
                raise StoreError(
                    f"Episode {record.episode} in {record.folder} does not replay: decision "
                    f"{number} earned {reward:.15g} then and {earned:.15g} now (recorded with "
                    f"ale-py {record.settings.get('ale_py')})."
                )
            yield env


def _check_playable(
    folder: Path | str, episode: int, env: AtariVLMEnvironment, number: int, action: str
) -> None:
    if action not in env.legal:
        raise StoreError(
            f"Episode {episode} in {folder} does not replay: decision {number} is {action!r}, "
            f"which {env.game.title} does not have. Choose another run."
        )


def recorded_decisions(
    run: RunReader, episode: int, env: AtariVLMEnvironment
) -> tuple[Decision, ...]:
    """The decisions of an episode that is to be continued.

    Raises:
        StoreError: one of them cannot be played in this environment.
    """
    decisions = run.decisions(episode)
    for number, decision in enumerate(decisions):
        _check_playable(run.folder, episode, env, number, decision.action)
        if decision.frames > env.frame_skip:
            raise StoreError(
                f"Episode {episode} in {run.folder} does not replay: decision {number} holds its "
                f"action for {decision.frames} frames, and lasts {env.frame_skip}."
            )
    return tuple(decisions)


def pictures(run: RunReader) -> Callable[[int, int], Frame]:
    """A function that draws the frame shown at (episode, step) of the run.

    Each is drawn by replaying its episode up to there (0.25 ms a decision), and only the last few
    are kept: a whole episode can be a gigabyte of pixels.
    """

    @lru_cache(maxsize=64)
    def frame(episode: int, step: int) -> Frame:
        if episode < 0:
            return run.adopted_frame(episode, step)
        if step >= 0:
            for seen in islice(observations(run, episode), step, None):
                return seen.frames[-1]
        raise StoreError(f"{run.folder} lacks the frame {step} of episode {episode}.")

    return frame


def trajectory_for_learner(run: RunReader, episode: int) -> Trajectory:
    """An episode without frames and calls, as it is passed on from the session that plays it."""
    bare = run.trajectory(episode)
    with _replayable(run.folder):
        legal = environment(run.settings).legal
    return replace(
        bare,
        steps=tuple(
            replace(step, observation=replace(step.observation, legal=legal)) for step in bare.steps
        ),
    )


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
