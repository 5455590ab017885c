"""The pixels of a recorded episode, drawn again: seed and plans say everything."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import lru_cache
from itertools import islice
from typing import Any

from atari_vlm.env import AtariVLMEnvironment
from atari_vlm.errors import StoreError
from atari_vlm.runs.run import Run
from atari_vlm.types import Frame, Observation


def environment(settings: dict[str, Any]) -> AtariVLMEnvironment:
    """The environment a run's settings describe."""
    return AtariVLMEnvironment(
        settings["game"],
        frame_stack=settings["frame_stack"],
        resize_shape=None,
        frame_skip=settings["frame_skip"],
        repeat_action_probability=settings["repeat_action_probability"],
        full_action_space=settings["full_action_space"],
        max_frames=settings["max_frames"],
    )


def observations(run: Run, episode: int) -> Iterator[Observation]:
    """What was seen before each recorded decision, and at last what the end looked like.

    Raises:
        StoreError: the episode earns other rewards now than it did then.
    """
    env = environment(run.settings)
    row = next((row for row in run.episodes() if row.episode == episode), None)
    if row is None:
        raise StoreError(f"{run.folder} has no episode {episode}.")
    env.begin(seed=row.seed, episode=episode)
    yield env.observe()
    for number, (action, frames, reward) in enumerate(run.plays(episode)):
        earned = env.advance(env.legal.index(action), frames)
        if reward is not None and earned != reward:
            raise StoreError(
                f"Episode {episode} in {run.folder} does not replay: decision {number} earned "
                f"{reward:g} then and {earned:g} now (recorded with ale-py "
                f"{run.settings.get('ale_py')})."
            )
        yield env.observe()


def pictures(run: Run) -> Callable[[int, int], Frame]:
    """A function that draws the frame shown at (episode, step) of the run.

    Each is drawn by replaying its episode up to there (0.25 ms a decision) and only the last few
    are kept: a whole episode can be a gigabyte of pixels.
    """

    @lru_cache(maxsize=64)
    def frame(episode: int, step: int) -> Frame:
        if episode < 0:
            return run.adopted()[episode, step]
        return next(islice(observations(run, episode), step, None)).frames[-1]

    return frame
