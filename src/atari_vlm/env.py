"""The Gymnasium environment. All Observations are made here from the screens of the emulator."""

from __future__ import annotations

import inspect
from collections import deque
from functools import cached_property
from typing import Any, Literal

import gymnasium as gym
import numpy as np
from gymnasium import spaces

from atari_vlm.atari import ale_names, images
from atari_vlm.atari.ale_names import AleNames, ObsType
from atari_vlm.atari.emulator import Emulator
from atari_vlm.atari.film import last_screens
from atari_vlm.atari.games import get_game
from atari_vlm.atari.pooling import DEFAULT, Pooling, pooling_of
from atari_vlm.atari.repetition import Repetition
from atari_vlm.atari.snapshot import EnvironmentSnapshot, check_fits
from atari_vlm.errors import InvalidSetting
from atari_vlm.options import check_number, check_switch
from atari_vlm.types import Frame, Observation, Pixels

MOST = 10_000
"""Most screens in a stack, and most emulator frames per decision (3 minutes of the game)."""


class AtariVLMEnvironment(AleNames, gym.Env[Pixels, Any]):
    """An Atari game as stacked screens, with the dynamics of `ALE/<Game>-v5`.

    Observations are the screens before the last `frame_stack` decisions, oldest first: uint8 of
    shape (frame_stack, height, width, 3), or (frame_stack, height, width) in grayscale.

    It can be copied, pickled, saved and restored in the middle of an episode.

    Args:
        game_name: any spelling that `get_game` accepts, e.g. "Pong-v5".
        frame_stack: screens in an observation, 1 to 10,000.
        resize_shape: (width, height) of the screens; None keeps the native 160 x 210.
        frame_skip: emulator frames per decision (60 a second), 1 to 10,000.
        grayscale: return luminance instead of colour.
        repeat_action_probability: sticky actions: how likely an emulator frame repeats the action
            of the frame before.
        pool_frames: how raw screens become a picture. "flicker": the last one, and the sprites that
            the game draws in turns; "brighter" or True: the brighter pixel of the last two; "last"
            or False: the last one, as `ALE/<Game>-v5` shows it. See `atari.pooling`.
        plans: make the action space (action, frames - 1): the action is held for `frames` emulator
            frames, followed by NOOP until the next decision.
        full_action_space: use all 18 actions instead of the game's minimal set.
        max_frames: emulator frames after which an episode is truncated; None for no limit.
        mode: ALE game mode; None for the default.
        difficulty: ALE difficulty switch; None for the default.
        obs_type: "rgb", "grayscale" or "ram": observations are those of `ALE/<Game>-v5` instead,
            one native screen of shape (height, width, 3) or (height, width), or the console's
            memory of shape (128,). `frame_stack`, `resize_shape` and `grayscale` then do not apply.
        keep_screens: emulator frames whose screens are kept for `last_screens`, 34 kB each;
            60 are a second. The default keeps none and costs nothing.
        render_mode: "rgb_array", with which `render()` returns the native screen in colour, or
            None.
        ale_keywords: `frameskip` and `max_num_frames_per_episode`, ALE's names of `frame_skip` and
            `max_frames`.

    Raises:
        UnknownName: there is no such game; the message suggests the nearest name.
        UnsafeGame: loading the ROM would end the process.
        InvalidSetting: a value is out of range, or the game does not offer it.
        TypeError: there is no such keyword; the message suggests the nearest name.
    """

    metadata: dict[str, Any] = {"render_modes": ["rgb_array"], "render_fps": 15}  # noqa: RUF012
    """Of an environment: `render_fps` is its decisions a second, 60 / frame_skip."""

    def __init__(
        self,
        game_name: str,
        frame_stack: int = 4,
        resize_shape: tuple[int, int] | None = (224, 224),
        frame_skip: int = 4,
        grayscale: bool = False,
        repeat_action_probability: float = 0.25,
        *,
        pool_frames: Pooling | bool = DEFAULT,
        plans: bool = False,
        full_action_space: bool = False,
        max_frames: int | None = 108_000,
        mode: int | None = None,
        difficulty: int | None = None,
        obs_type: ObsType | None = None,
        keep_screens: int = 0,
        render_mode: Literal["rgb_array"] | None = "rgb_array",
        **ale_keywords: Any,
    ) -> None:
        if ale_keywords:
            ours = ale_names.renamed(ale_keywords, inspect.signature(type(self)).parameters)
            ale_names.check_once(ours, frame_skip=(frame_skip, 4), max_frames=(max_frames, 108_000))
            frame_skip = ours.get("frame_skip", frame_skip)
            max_frames = ours.get("max_frames", max_frames)
        check_number("frame_stack", frame_stack, 1, MOST)
        check_number("frame_skip", frame_skip, 1, MOST)
        check_number("keep_screens", keep_screens, 0, MOST)
        check_switch("grayscale", grayscale)
        check_switch("plans", plans)
        if resize_shape is not None:
            images.check_size(resize_shape)
        ale_names.check_render_mode(render_mode)
        if obs_type is not None:
            ale_names.check_obs_type(obs_type, frame_stack, resize_shape, grayscale)
            frame_stack, resize_shape = 1, None
        self.game = get_game(game_name)
        self.emulator = Emulator(
            self.game,
            repeat_action_probability=repeat_action_probability,
            full_action_space=full_action_space,
            max_frames=max_frames,
            mode=mode,
            difficulty=difficulty,
        )
        self.frame_skip, self.plans, self.pool_frames = frame_skip, plans, pooling_of(pool_frames)
        self.grayscale, self.resize_shape, self.render_mode = grayscale, resize_shape, render_mode
        self.obs_type, self.keep_screens = obs_type, keep_screens
        self.metadata = {**self.metadata, "render_fps": 60 / frame_skip}
        self.legal, self.mode = self.emulator.legal, mode
        self._frames: deque[Frame] = deque(maxlen=int(frame_stack))
        self._arrays: dict[Frame, Pixels] = {}
        self._moment: Pixels | None = None
        self._episode = self._step = 0
        self._score = 0.0
        count = len(self.legal)
        self.action_space = (
            spaces.MultiDiscrete([count, frame_skip]) if plans else spaces.Discrete(count)
        )

    @cached_property
    def observation_space(self) -> spaces.Box:  # type: ignore[override]
        """Made when it is asked for: it takes four times as much memory as an observation."""
        return spaces.Box(0, 255, self._shape(self._frames.maxlen or 1), np.uint8)

    # --- interface of the loop: Observations ------------------------------------------------------

    def begin(self, *, seed: int, episode: int = 0, power_cycle: bool = True) -> None:
        """Start an episode; see `Emulator.reset`."""
        self.emulator.reset(seed=seed, power_cycle=power_cycle)
        self._episode, self._step, self._score = episode, 0, 0.0
        if self.keep_screens:
            first = self.emulator.screen(pooled=False)
            self.emulator.film = deque([first], maxlen=self.keep_screens)
        frame = self._current_frame()
        self._frames.extend([frame] * (self._frames.maxlen or 1))
        self._repeated = Repetition(frame.pixels)

    def observe(self, privileges: frozenset[str] = frozenset()) -> Observation:
        """The Observation for the next decision.

        Args:
            privileges: "ram" adds the console's memory, "emulator" a Snapshot without its random
                generator.
        """
        self._check_moment()
        return Observation(
            game=self.game.name,
            frames=tuple(self._frames),
            legal=self.legal,
            interval=self.frame_skip,
            step=self._step,
            lives=self.emulator.lives,
            score=self._score,
            repeats=self._repeated.actions,
            still=self._repeated.screens,
            ram=self.emulator.ram if "ram" in privileges else None,
            state=self.emulator.save().without_rng() if "emulator" in privileges else None,
        )

    def advance(self, action: int, frames: int) -> float:
        """Play one decision and return its raw reward; see `Emulator.play`."""
        self._check_moment()
        reward = self.emulator.play(action, frames, self.frame_skip)
        self._step += 1
        self._score += reward
        self._frames.append(frame := self._current_frame())
        self._repeated = self._repeated.then(action, frame.pixels)
        return reward

    def save(self) -> EnvironmentSnapshot:
        """The whole state: emulator, stacked screens, score, counters and random generators.

        `restore` continues from it exactly, in this environment or in another one of the same game
        and settings, in any process: it can be pickled.

        Raises:
            InvalidSetting: there is no episode yet.
        """
        self._check_moment()
        rng = self._np_random
        return EnvironmentSnapshot(
            emulator=self.emulator.save(),
            frames=tuple(self._frames),
            film=tuple(self.emulator.film or ()),
            episode=self._episode,
            step=self._step,
            score=self._score,
            repeated=self._repeated,
            seed=self._np_random_seed,
            rng=None if rng is None else dict(rng.bit_generator.state),
            settings=self._dynamics(),
        )

    def restore(
        self, saved: EnvironmentSnapshot, *, seed: int | None = None
    ) -> tuple[Pixels, dict[str, Any]]:
        """Continue from what `save` returned; returns (observation, info) of that moment.

        Args:
            saved: of the same game and settings; sizes and colours may differ.
            seed: seeds new sticky actions, so that a search cannot foresee those of the game; None
                for the actions that would have followed.

        Raises:
            InvalidSetting: `saved` does not come from `save`.
            StoreError: it is of another game, or was saved with other settings.
        """
        check_fits(saved, self._dynamics(), self.keep_screens)
        self.emulator.restore(saved.emulator, seed=seed)
        if self.keep_screens:
            self.emulator.film = deque(saved.film, maxlen=self.keep_screens)
        self._moment = self.emulator.screen(pooled=False)
        self._frames.extend(saved.frames)
        self._episode, self._step, self._score = saved.episode, saved.step, saved.score
        self._repeated = saved.repeated
        self._np_random_seed = saved.seed
        self._np_random = saved.generator()
        return self._array(), self._info()

    def _dynamics(self) -> dict[str, Any]:
        """The settings on which the next observations depend, beside those in a Snapshot."""
        return {
            "frame_stack": self._frames.maxlen,
            "frame_skip": self.frame_skip,
            "pool_frames": self.pool_frames,
            "repeat_action_probability": self.emulator.repeat_action_probability,
            "max_frames": self.emulator.max_frames,
        }

    def _current_frame(self) -> Frame:
        self._moment = self.emulator.screen(pooled=False)
        pixels = self.emulator.screen(pooled=self.pool_frames)
        return Frame(pixels, self._episode, self._step, self.game.standard)

    def _check_moment(self) -> None:
        """Raise unless the emulator is where the last decision left it."""
        if self._moment is self.emulator.screen(pooled=False):
            return
        if self._moment is None:
            raise InvalidSetting("There is no episode and no screen yet. Call reset() first.")
        raise InvalidSetting(
            "The emulator was moved without the environment, whose screens and score are now those "
            "of another moment. Use env.save() and env.restore() instead of the emulator's, or "
            "call reset()."
        )

    # --- interface of Gymnasium: arrays -----------------------------------------------------------

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Pixels, dict[str, Any]]:
        """Start an episode and return (observation, info).

        With a seed, the episode depends only on the seed. Without one, as in `ALE/<Game>-v5`, the
        console's reset button is pressed, which is ten times faster but may keep some memory of the
        last episode.

        Args:
            seed: of the episode, and of all that follow until the next seed.
            options: {"power_cycle": True} lets an episode without a seed start from a new console
                too; {"power_cycle": False} one with a seed from the reset button.

        Raises:
            InvalidSetting: there is no such option.
        """
        power_cycle = ale_names.power_cycle(options, seed is not None)
        super().reset(seed=ale_names.plain_seed(seed), options=options)
        episode_seed = int(self.np_random.integers(2**63))
        self.begin(seed=episode_seed, episode=self._episode + 1, power_cycle=power_cycle)
        return self._array(), self._info()

    def step(self, action: Any) -> tuple[Pixels, float, bool, bool, dict[str, Any]]:
        """Play one decision.

        Args:
            action: a member of `action_space`: the index of the action in `legal`; with `plans`,
                (index, frames - 1).

        Returns:
            Observation, raw reward, terminated (game over), truncated (frame limit), info.

        Raises:
            IllegalAction: the action is not in `action_space`, or the episode is over.
        """
        ale_names.check_action(action, self.action_space, self.game.title, self.legal)
        if self.plans:
            index, frames = int(action[0]), int(action[1]) + 1
        else:
            index, frames = int(action), self.frame_skip
        reward = self.advance(index, frames)
        terminated, truncated = self.emulator.terminated, self.emulator.truncated
        return self._array(), reward, terminated, truncated, self._info()

    def render(self) -> Pixels | None:
        """The current native screen in colour, shape (height, width, 3), uint8.

        It stays the same until the next `step`: for several screens in a prompt, set `frame_stack`
        (`frames` in `play` and `VLMTrainer`), and for a film call `last_screens`. None if
        `render_mode` is None.

        Raises:
            InvalidSetting: there is no episode yet.
        """
        if self.render_mode is None:
            return None
        self._check_moment()
        return images.rgb(self._frames[-1])

    def last_screens(self, n: int = 30, *, fps: int = 30) -> Pixels:
        """The last `n` native screens in colour, oldest first, as a video model reads them.

        They are `60 / fps` emulator frames apart, across decisions: the default is the last second
        at 30 a second. Each is pooled as `pool_frames` says ("brighter": the frames since the one
        before). Before the episode's first screen, that one is repeated.

        Args:
            n: number of screens.
            fps: screens a second of play; a divisor of 60.

        Returns:
            Shape (n, height, width, 3), uint8.

        Raises:
            InvalidSetting: `keep_screens` is less than the n * 60 / fps frames needed.
        """
        self._check_moment()
        check_number("n", n, 1, MOST)
        return last_screens(
            self.emulator.film or (),
            n,
            fps=fps,
            kept=self.keep_screens,
            table=images.PALETTES[self.game.standard],
            pooled=self.pool_frames,
        )

    def get_vlm_prompt(self, kind: str = "basic") -> str:
        """The text of a prompt, to send together with the current screens.

        Args:
            kind: "basic", "cot", "expert" or "adaptive".
        """
        from atari_vlm.prompts.strategies import prompt_text

        interval, plans, mode = self.frame_skip, self.plans, self.mode
        return prompt_text(
            self.game.name, kind, self.legal, interval=interval, plans=plans, mode=mode
        )

    # --- how --------------------------------------------------------------------------------------

    def _shape(self, frame_stack: int) -> tuple[int, ...]:
        native = self.emulator.height, self.emulator.width
        if self.obs_type is not None:
            return {"ram": (128,), "grayscale": native, "rgb": (*native, 3)}[self.obs_type]
        height, width = self.resize_shape[::-1] if self.resize_shape else native
        return (frame_stack, height, width) if self.grayscale else (frame_stack, height, width, 3)

    def _array(self) -> Pixels:
        if self.obs_type is not None:
            return ale_names.observation(self.emulator, self.obs_type, pooled=self.pool_frames)
        before = self._arrays
        self._arrays = {}
        for frame in self._frames:
            if frame not in self._arrays:
                known = before.get(frame)
                self._arrays[frame] = self._to_array(frame) if known is None else known
        arrays = [self._arrays[frame] for frame in self._frames]
        return np.stack(arrays) if len(arrays) > 1 else arrays[0][None]

    def _to_array(self, frame: Frame) -> Pixels:
        if self.grayscale:
            return images.grayscale(frame, self.resize_shape)
        if self.resize_shape is None and frame is self._frames[-1]:
            return self.emulator.screen_rgb(pooled=self.pool_frames)
        return images.rgb(frame, self.resize_shape)

    def _info(self) -> dict[str, Any]:
        return {
            "lives": self.emulator.lives,
            "episode_frame_number": self.emulator.frame,
            "score": self._score,
        }
