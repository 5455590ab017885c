"""The Gymnasium environment. All Observations are made here from the screens of the emulator."""

from __future__ import annotations

from collections import deque
from typing import Any, Literal

import gymnasium as gym
import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from atari_vlm.atari import images
from atari_vlm.atari.emulator import Emulator
from atari_vlm.atari.games import get_game
from atari_vlm.atari.snapshot import Snapshot
from atari_vlm.errors import InvalidSetting, setting
from atari_vlm.types import Frame, Observation, Pixels

MOST = 10_000
"""Most screens in a stack, and most emulator frames per decision (3 minutes of the game)."""


class AtariVLMEnvironment(gym.Env[Pixels, Any]):
    """An Atari game as stacked screens, with the dynamics of `ALE/<Game>-v5`.

    Observations are the screens before the last `frame_stack` decisions, oldest first: uint8 of
    shape (frame_stack, height, width, 3), or (frame_stack, height, width) in grayscale.

    Args:
        game_name: any spelling that `get_game` accepts, e.g. "Pong-v5".
        frame_stack: screens in an observation, 1 to 10,000.
        resize_shape: (width, height) of the screens; None keeps the native 160 x 210.
        frame_skip: emulator frames per decision (60 a second), 1 to 10,000.
        grayscale: return luminance instead of colour.
        repeat_action_probability: sticky actions: how likely an emulator frame repeats the action
            of the frame before.
        pool_frames: take the brighter pixel of the last two raw screens, so that sprites drawn on
            every other frame are visible. False takes the last raw screen, as `ALE/<Game>-v5` does.
        plans: make the action space (action, frames - 1): the action is held for `frames` emulator
            frames, followed by NOOP until the next decision.
        full_action_space: use all 18 actions instead of the game's minimal set.
        max_frames: emulator frames after which an episode is truncated.
        mode: ALE game mode; None for the default.
        difficulty: ALE difficulty switch; None for the default.
        render_mode: "rgb_array", with which `render()` returns the native screen in colour, or
            None.

    Raises:
        UnknownName: there is no such game; the message suggests the nearest name.
        UnsafeGame: loading the ROM would end the process.
        InvalidSetting: a value is out of range, or the game does not offer it.
    """

    metadata: dict[str, Any] = {"render_modes": ["rgb_array"], "render_fps": 15}  # noqa: RUF012

    def __init__(
        self,
        game_name: str,
        frame_stack: int = 4,
        resize_shape: tuple[int, int] | None = (224, 224),
        frame_skip: int = 4,
        grayscale: bool = False,
        repeat_action_probability: float = 0.25,
        *,
        pool_frames: bool = True,
        plans: bool = False,
        full_action_space: bool = False,
        max_frames: int = 108_000,
        mode: int | None = None,
        difficulty: int | None = None,
        render_mode: Literal["rgb_array"] | None = "rgb_array",
    ) -> None:
        _check_range("frame_stack", frame_stack)
        _check_range("frame_skip", frame_skip)
        if resize_shape is not None:
            images.check_size(resize_shape)
        if render_mode not in (None, "rgb_array"):
            raise InvalidSetting(f"render_mode must be 'rgb_array' or None, not {render_mode!r}.")
        self.game = get_game(game_name)
        self.emulator = Emulator(
            self.game,
            repeat_action_probability=repeat_action_probability,
            full_action_space=full_action_space,
            max_frames=max_frames,
            mode=mode,
            difficulty=difficulty,
        )
        self.frame_skip, self.pool_frames, self.plans = frame_skip, pool_frames, plans
        self.grayscale, self.resize_shape, self.render_mode = grayscale, resize_shape, render_mode
        self.legal = self.emulator.legal
        self._frames: deque[Frame] = deque(maxlen=frame_stack)
        self._images: deque[Pixels] = deque(maxlen=frame_stack)
        self._episode = self._step = 0
        self._score = 0.0
        width, height = resize_shape or (self.emulator.width, self.emulator.height)
        colour = () if grayscale else (3,)
        shape = (frame_stack, height, width, *colour)
        self.observation_space = spaces.Box(0, 255, shape, np.uint8)
        count = len(self.legal)
        self.action_space = (
            spaces.MultiDiscrete([count, frame_skip]) if plans else spaces.Discrete(count)
        )

    # --- interface of the loop: Observations ------------------------------------------------------

    def begin(self, *, seed: int, episode: int = 0, power_cycle: bool = True) -> None:
        """Start an episode; see `Emulator.reset`."""
        self.emulator.reset(seed=seed, power_cycle=power_cycle)
        self._episode, self._step, self._score = episode, 0, 0.0
        frame = self._current_frame()
        self._frames.extend([frame] * (self._frames.maxlen or 1))
        self._images.clear()

    def observe(self, privileges: frozenset[str] = frozenset()) -> Observation:
        """The Observation for the next decision.

        Args:
            privileges: "ram" adds the console's memory, "emulator" a Snapshot without its random
                generator.
        """
        return Observation(
            game=self.game.name,
            frames=tuple(self._frames),
            legal=self.legal,
            interval=self.frame_skip,
            step=self._step,
            lives=self.emulator.lives,
            score=self._score,
            ram=self.emulator.ram if "ram" in privileges else None,
            state=self.emulator.save().without_rng() if "emulator" in privileges else None,
        )

    def advance(self, action: int, frames: int) -> float:
        """Play one decision and return its raw reward; see `Emulator.play`."""
        reward = self.emulator.play(action, frames, self.frame_skip)
        self._step += 1
        self._score += reward
        self._frames.append(self._current_frame())
        return reward

    def save(self) -> Snapshot:
        """The exact state of the emulator; see `Emulator.restore`."""
        return self.emulator.save()

    def _current_frame(self) -> Frame:
        pixels = self.emulator.screen(pooled=self.pool_frames)
        return Frame(pixels, self._episode, self._step, self.game.standard)

    # --- interface of Gymnasium: arrays -----------------------------------------------------------

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Pixels, dict[str, Any]]:
        """Start an episode and return (observation, info).

        With a seed, the episode depends only on the seed. Without one, as in `ALE/<Game>-v5`, the
        console's reset button is pressed, which is ten times faster but may keep some memory of the
        last episode.
        """
        super().reset(seed=seed, options=options)
        episode_seed = int(self.np_random.integers(2**63))
        self.begin(seed=episode_seed, episode=self._episode + 1, power_cycle=seed is not None)
        return self._stack_images(), self._info()

    def step(self, action: Any) -> tuple[Pixels, float, bool, bool, dict[str, Any]]:
        """Play one decision.

        Args:
            action: index of the action in `legal`; with `plans`, (index, frames - 1).

        Returns:
            Observation, raw reward, terminated (game over), truncated (frame limit), info.

        Raises:
            IllegalAction: the action is out of range, or the episode is over.
        """
        index, frames = (action[0], action[1] + 1) if self.plans else (action, self.frame_skip)
        reward = self.advance(index, frames)
        terminated, truncated = self.emulator.terminated, self.emulator.truncated
        return self._stack_images(), reward, terminated, truncated, self._info()

    def render(self) -> Pixels | None:
        """The native screen in colour, shape (height, width, 3), uint8.

        None if `render_mode` is None.
        """
        if self.render_mode is None:
            return None
        if not self._frames:
            raise InvalidSetting("There is no screen yet. Call reset() before render().")
        return images.rgb(self._frames[-1])

    def get_vlm_prompt(self, kind: str = "basic") -> str:
        """The text of a prompt, to send together with the current screens.

        Args:
            kind: "basic", "cot", "expert" or "adaptive".
        """
        from atari_vlm.prompts.strategies import prompt_text

        return prompt_text(
            self.game.name, kind, self.legal, interval=self.frame_skip, plans=self.plans
        )

    def _stack_images(self) -> NDArray[np.uint8]:
        newest = self._to_array(self._frames[-1])
        if not self._images:
            self._images.extend([newest] * (self._images.maxlen or 1))
        else:
            self._images.append(newest)
        return np.stack(self._images) if len(self._images) > 1 else newest[None]

    def _to_array(self, frame: Frame) -> Pixels:
        if self.grayscale:
            return images.grayscale(frame, self.resize_shape)
        if self.resize_shape is None:
            return self.emulator.screen_rgb(pooled=self.pool_frames)
        return images.rgb(frame, self.resize_shape)

    def _info(self) -> dict[str, Any]:
        return {
            "lives": self.emulator.lives,
            "episode_frame_number": self.emulator.frame,
            "score": self._score,
        }


def _check_range(name: str, value: int) -> None:
    whole = isinstance(value, int | np.integer) and not isinstance(value, bool)
    if not whole or not 1 <= value <= MOST:
        raise InvalidSetting(
            f"{setting(name)} must be a whole number of at least 1 and at most {MOST}, "
            f"not {value!r}."
        )
