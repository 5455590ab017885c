"""Playing a recorded episode again, from plain values and without the record.

A process that only draws screens loads this and little else; `playback` reads the values.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from atari_vlm.env import AtariVLMEnvironment
from atari_vlm.errors import AtariVLMError, StoreError
from atari_vlm.runs.schema import FILE, legible


@dataclass(frozen=True)
class Recording:
    """What an episode is played again from: plain values, which another process can be sent."""

    folder: str
    """Of its run, for sentences."""
    settings: Mapping[str, Any]
    """Of its run, completed."""
    episode: int
    seed: int
    plays: Sequence[tuple[str, int, float | None]]
    """The (action, frames, reward) of each decision; see `RunReader.plays`."""


def environment_of(settings: Mapping[str, Any]) -> AtariVLMEnvironment:
    """The environment that completed settings describe; see `settings.completed`."""
    return AtariVLMEnvironment(
        settings["game"],
        frame_stack=settings["frame_stack"],
        resize_shape=None,
        frame_skip=settings["frame_skip"],
        repeat_action_probability=settings["repeat_action_probability"],
        pool_frames=settings["pool_frames"],
        full_action_space=settings["full_action_space"],
        max_frames=settings["max_frames"],
        mode=settings.get("mode"),
        difficulty=settings.get("difficulty"),
    )


@contextmanager
def replayable(folder: Path | str) -> Iterator[None]:
    """Turn what a record that cannot be played causes into one StoreError."""
    try:
        with legible(Path(folder) / FILE):
            yield
    except StoreError:
        raise
    except AtariVLMError as error:  # a mode that the game does not have, an action after its end
        raise StoreError(f"{folder} cannot be replayed: {error.message}") from error


def moments(record: Recording, **changed: Any) -> Iterator[AtariVLMEnvironment]:
    """The environment, always the same one, before each recorded decision and after the last one.

    Args:
        record: of the episode.
        changed: settings other than those of the run, which change what is seen only.

    Raises:
        StoreError: the episode cannot be played, or earns other rewards now than it did then.
    """
    with replayable(record.folder):
        env = environment_of({**record.settings, **changed})
        env.begin(seed=record.seed, episode=record.episode)
        yield env
        for number, (action, frames, reward) in enumerate(record.plays):
            check_playable(record.folder, record.episode, env, number, action)
            earned = env.advance(env.legal.index(action), frames)
            if reward is not None and earned != reward:
                raise StoreError(
                    f"Episode {record.episode} in {record.folder} does not replay: decision "
                    f"{number} earned {reward:.15g} then and {earned:.15g} now (recorded with "
                    f"ale-py {record.settings.get('ale_py')})."
                )
            yield env


def check_playable(
    folder: Path | str, episode: int, env: AtariVLMEnvironment, number: int, action: str
) -> None:
    """Raise StoreError if a decision of a record names an action that the game does not have."""
    if action not in env.legal:
        raise StoreError(
            f"Episode {episode} in {folder} does not replay: decision {number} is {action!r}, "
            f"which {env.game.title} does not have. Choose another run."
        )
