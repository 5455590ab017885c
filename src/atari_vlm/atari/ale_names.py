"""What users of ALE's own environment write: its keywords, its observations, and `env.ale`.

Wrappers of Gymnasium and Stable-Baselines3 read lives and screens from `env.unwrapped.ale`.
`AleView` answers them from an Emulator. It cannot act or restore, because the Emulator also keeps
what ALE's state does not hold.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from typing import Any, Literal, TypeAlias

import numpy as np
from gymnasium import spaces

from atari_vlm.atari.emulator import Emulator
from atari_vlm.atari.images import PALETTES
from atari_vlm.atari.pooling import Pooling
from atari_vlm.errors import IllegalAction, InvalidSetting, setting
from atari_vlm.types import Pixels

ObsType: TypeAlias = Literal["rgb", "grayscale", "ram"]
"""ALE's kinds of observation: shapes (height, width, 3), (height, width) and (128,), uint8."""

GRAYS: dict[str, Pixels] = {
    name: np.rint(table @ np.array([0.2989, 0.587, 0.114])).astype(np.uint8)
    for name, table in PALETTES.items()
}
"""Television standard -> luminance of every palette index, as `getScreenGrayscale` has it for even
indices; for the odd ones, of PAL games, ALE returns values that are not their luminance."""

_RENAMED = {"frameskip": "frame_skip", "max_num_frames_per_episode": "max_frames"}

_ABSENT = {
    "game": "The game is the first argument, game_name.",
    "continuous": "Actions are discrete here; ALE/<Game>-v5 has continuous ones.",
    "continuous_action_threshold": "Actions are discrete here; ALE/<Game>-v5 has continuous ones.",
    "sound_obs": "There is no sound here; ALE/<Game>-v5 has it.",
}


def check_once(renamed: Mapping[str, Any], **ours: tuple[Any, Any]) -> None:
    """Raise InvalidSetting if a setting is given under both names.

    Args:
        renamed: what was given under ALE's names, by ours.
        ours: (value, default) of our keywords.
    """
    for name, (value, default) in ours.items():
        if name in renamed and value not in (default, renamed[name]):
            ale = next(key for key, known in _RENAMED.items() if known == name)
            raise InvalidSetting(f"{ale} is ALE's name of {name}: give one of them, not both.")


def renamed(given: Mapping[str, Any], known: Mapping[str, Any]) -> dict[str, Any]:
    """Keywords of ALE's environment as those of ours.

    Args:
        given: keywords that our environment does not have.
        known: our own keywords and their values or defaults.

    Raises:
        InvalidSetting: ours cannot do that, or the setting is given under both names.
        TypeError: neither environment has the keyword; names the nearest one.
    """
    out = {}
    for name, value in given.items():
        if ours := _RENAMED.get(name):
            if name == "frameskip" and isinstance(value, tuple | list):
                raise InvalidSetting(
                    f"frameskip={value!r} draws the length of each decision at random. Here it is "
                    f"fixed: {setting('frame_skip', 4)}, with randomness from sticky actions."
                )
            out[ours] = value
        elif name in _ABSENT:
            if value is not False:
                raise InvalidSetting(f"{name} is not offered. {_ABSENT[name]}")
        else:
            close = get_close_matches(name, [*known, *_RENAMED], n=1)
            hint = f"Did you mean {close[0]!r}?" if close else "See help(AtariVLMEnvironment)."
            raise TypeError(f"AtariVLMEnvironment() has no keyword {name!r}. {hint}")
    return out


def plain_seed(seed: int | None) -> int | None:
    """A seed as Gymnasium takes it, which knows no integers of NumPy."""
    return int(seed) if isinstance(seed, np.integer) else seed


def observation(emulator: Emulator, kind: ObsType, *, pooled: Pooling | bool) -> Pixels:
    """ALE's observation of a kind; see `ObsType`."""
    if kind == "ram":
        return emulator.ram
    if kind == "rgb":
        return emulator.screen_rgb(pooled=pooled)
    gray: Pixels = GRAYS[emulator.game.standard][emulator.screen(pooled=pooled)]
    return gray


def check_render_mode(mode: str | None) -> None:
    """Raise InvalidSetting for a render mode that Gymnasium has and this environment has not."""
    if mode == "human":
        raise InvalidSetting(
            "render_mode='human' is Gymnasium's: gymnasium.make('AtariVLM/Pong-v5', "
            "render_mode='human') opens a window (with pygame). Here it is 'rgb_array' or None."
        )
    if mode not in (None, "rgb_array"):
        raise InvalidSetting(f"render_mode must be 'rgb_array' or None, not {mode!r}.")


def check_obs_type(
    obs_type: str, frame_stack: int, resize_shape: tuple[int, int] | None, grayscale: bool
) -> None:
    """Raise InvalidSetting unless `obs_type` is one of ALE's and the rest leaves it alone."""
    if obs_type not in ("rgb", "grayscale", "ram"):
        raise InvalidSetting(f"obs_type must be 'rgb', 'grayscale' or 'ram', not {obs_type!r}.")
    native = resize_shape is None or tuple(resize_shape) == (224, 224)
    if frame_stack not in (1, 4) or not native or grayscale:
        raise InvalidSetting(
            f"obs_type={obs_type!r} is ALE's observation, one native screen or the memory; leave "
            f"out {setting('frame_stack')}, {setting('resize_shape')} and {setting('grayscale')}, "
            "or leave out obs_type."
        )


def power_cycle(options: Mapping[str, Any] | None, default: bool) -> bool:
    """The option of `reset`: whether to start from a new console.

    Raises:
        InvalidSetting: there is no such option.
    """
    if unknown := set(options or {}) - {"power_cycle"}:
        raise InvalidSetting(
            f"reset() has no option {min(unknown, key=str)!r}; it knows 'power_cycle'. Settings of "
            "the game are arguments of the environment."
        )
    return bool((options or {}).get("power_cycle", default))


def check_action(action: Any, space: spaces.Space[Any], title: str, legal: Sequence[str]) -> None:
    """Raise IllegalAction, which says what may be played, unless `action` is in `space`.

    Args:
        action: to play.
        space: Discrete, or MultiDiscrete of (action, frames - 1).
        title: of the game.
        legal: names of its actions.
    """
    try:
        if space.contains(action):
            return
    except (ValueError, TypeError, OverflowError):  # a ragged list
        pass
    text = f"{title} has no action {action!r}. "
    if isinstance(space, spaces.MultiDiscrete):
        text += f"Give (action, frames - 1), with frames from 1 to {space.nvec[1]}. "
    elif isinstance(action, np.ndarray) and action.size == 1:
        text += "An action is one number: take action.item(). "
    names = ", ".join(f"{i} {name}" for i, name in enumerate(legal))
    raise IllegalAction(f"{text}Choose from: {names}.")


class AleView:
    """The part of `ale_py.ALEInterface` that only looks.

    Args:
        emulator: to look at.
    """

    def __init__(self, emulator: Emulator) -> None:
        self._emulator = emulator

    def lives(self) -> int:
        """Lives left; 0 in games that do not count them."""
        return self._emulator.lives

    def game_over(self, *, with_truncation: bool = True) -> bool:
        """Whether the game has ended, or, with truncation, the frame limit was reached."""
        return self._emulator.terminated or (with_truncation and self._emulator.truncated)

    def game_truncated(self) -> bool:
        """Whether the frame limit ended the episode."""
        return self._emulator.truncated

    def getEpisodeFrameNumber(self) -> int:
        """Emulator frames since the start of the episode."""
        return self._emulator.frame

    def getScreenDims(self) -> tuple[int, int]:
        """(height, width) of the screen."""
        return self._emulator.height, self._emulator.width

    def getRAM(self) -> Pixels:
        """The console's memory, shape (128,), uint8."""
        return self._emulator.ram

    def getScreen(self) -> Pixels:
        """The last raw screen as palette indices, shape (height, width), read-only."""
        return self._emulator.screen(pooled=False)

    def getScreenRGB(self, screen: Pixels | None = None) -> Pixels:
        """The last raw screen in colour, shape (height, width, 3), into `screen` if given."""
        return _into(screen, observation(self._emulator, "rgb", pooled=False))

    def getScreenGrayscale(self, screen: Pixels | None = None) -> Pixels:
        """The luminance of the last raw screen, shape (height, width), into `screen` if given."""
        return _into(screen, observation(self._emulator, "grayscale", pooled=False))

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(
            f"The environment's ale has no {name!r}: it only looks. Play with env.step(), start "
            "over with env.reset(), use env.save() and env.restore() for states, and "
            "env.emulator.set_ram() to write memory."
        )


_KEYS = {"UP": "w", "DOWN": "s", "LEFT": "a", "RIGHT": "d", "FIRE": " "}


class AleNames:
    """What wrappers written for ALE ask of an environment, under the names they use."""

    emulator: Emulator
    legal: tuple[str, ...]
    frame_skip: int

    @property
    def ale(self) -> AleView:
        """Lives, screens and memory under ALE's names."""
        return AleView(self.emulator)

    @property
    def _frameskip(self) -> int:
        return self.frame_skip

    def get_action_meanings(self) -> list[str]:
        """The names of the actions, in the order of `legal`."""
        return list(self.legal)

    def get_keys_to_action(self) -> dict[tuple[str, ...], int]:
        """The keys of `gymnasium.utils.play` -> index of the action: w, a, s, d and the space bar.

        NOOP is "e".
        """
        return {
            tuple(key for part, key in _KEYS.items() if part in name) or ("e",): index
            for index, name in enumerate(self.legal)
        }

    def clone_state(self, *, include_rng: bool = False) -> None:
        """Raise InvalidSetting: ALE's state leaves out screens, score and sticky actions."""
        raise InvalidSetting("Use env.save(), which holds the whole state, and env.restore().")

    def restore_state(self, state: object) -> None:
        """Raise InvalidSetting, as `clone_state` does."""
        self.clone_state()


def _into(out: Pixels | None, pixels: Pixels) -> Pixels:
    if out is None:
        return pixels
    if out.shape != pixels.shape:
        raise InvalidSetting(
            f"A screen of shape {pixels.shape} does not fit into {out.shape}. Wrappers written for "
            f"ALE need an environment with obs_type='rgb', {setting('frame_skip', 1)}."
        )
    np.copyto(out, pixels)
    return out
