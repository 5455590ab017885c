"""The pixels of a recorded episode, drawn again: seed and plans say everything."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import Any

from atari_vlm.env import AtariVLMEnvironment
from atari_vlm.errors import StoreError
from atari_vlm.store import Run
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
    for number, (plan, reward) in enumerate(
        zip(run.plans(episode), run.rewards(episode), strict=True)
    ):
        earned = env.advance(env.legal.index(plan[0]), plan[1])
        if reward is not None and earned != reward:
            raise StoreError(
                f"Episode {episode} in {run.folder} does not replay: decision {number} earned "
                f"{reward:g} then and {earned:g} now (recorded with ale-py "
                f"{run.settings.get('ale_py')})."
            )
        yield env.observe()


def pictures(run: Run) -> Callable[[int, int], Frame]:
    """A function that draws the frame shown at (episode, step) of the run."""

    @lru_cache(maxsize=4)
    def episode_frames(episode: int) -> list[Frame]:
        return [observation.frames[-1] for observation in observations(run, episode)]

    return lambda episode, step: episode_frames(episode)[step]
