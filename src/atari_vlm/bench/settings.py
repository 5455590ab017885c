"""The settings of a bench, its players, and which options each of them follows."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from atari_vlm.atari.options import GameOptions
from atari_vlm.errors import InvalidSetting, setting
from atari_vlm.learning.choice import given_learning, why_no_lessons
from atari_vlm.learning.options import LearningOptions
from atari_vlm.models.build import is_path
from atari_vlm.models.catalogue import MODELS
from atari_vlm.models.hosted.addresses import check_name
from atari_vlm.models.hosted.model import HostedModel
from atari_vlm.models.hosted.options import HostedOptions, SpendOptions
from atari_vlm.models.local.options import LocalOptions
from atari_vlm.models.options import AnswerOptions
from atari_vlm.options import abouts, check_number, check_path, given, part, refuse
from atari_vlm.players import Options, PlayerOptions
from atari_vlm.policies.options import ThinkOptions, with_thinking
from atari_vlm.policies.registry import is_policy, parse_name
from atari_vlm.prompts.options import PromptOptions
from atari_vlm.protocols import Learner, Model, Policy, check_parts
from atari_vlm.runs.options import RunOptions
from atari_vlm.runs.seeds import EVALUATION
from atari_vlm.types import Strategy

BEST_CONSTANT = "best-constant"
"""The player that always plays the one action that scores best."""

MOST_PROCESSES = 1_000
"""Most processes of a bench."""

BASELINES = ("random", "noop", BEST_CONSTANT)
"""Played beside every model."""

Player: TypeAlias = str | Policy | Model
"""The name of a player as for `atari-vlm play --model`, "best-constant", a policy, or a model."""


@dataclass(frozen=True, kw_only=True)
class BenchSettings(Options):
    """Settings of a bench, and the keywords of `VLMTrainer`, except for keys.

    Each player follows the options that apply to it. `budget` and `budget_tokens` cap what all
    cells in `out` spend together, in this call and in others. Episode k of every cell plays
    emulator seed 1,000,000 x `seed` + k, so scores are paired over players. Keys come from the
    environment.
    """

    games: tuple[str, ...]
    players: tuple[Player, ...]
    """With `processes` above 1, policies, models and other values must be picklable."""
    episodes: int = 10
    """Episodes of each cell."""
    out: Path = Path("bench")
    """Folder of the cells, which may hold those of other benches."""
    processes: int = 1
    strategy: Strategy | None = None
    """A prompt of your own for every model, but not for the embedded one."""
    learner: Learner | None = None
    """A learner of your own for the same players."""

    def __repr__(self) -> str:
        chosen = (f"{name}={value!r}" for name, value in given(self).items())
        return f"BenchSettings({', '.join(chosen)})"

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "out", check_path("out", self.out))
        for name in ("games", "players"):
            object.__setattr__(self, name, _several(name, getattr(self, name)))
        for game in self.games:
            if not isinstance(game, str):
                raise InvalidSetting(f"{game!r} is no name of a game.")
        for player in self.players:
            if player is None:
                raise InvalidSetting("None is no player: name one, or give a policy or a model.")
            if isinstance(player, str):
                check_name(player)
            else:
                check_parts(**{"policy" if isinstance(player, Policy) else "model": player})
        check_number("episodes", self.episodes, 1, EVALUATION)
        check_number("processes", self.processes, 1, MOST_PROCESSES)
        check_parts(strategy=self.strategy, learner=self.learner)
        if self.api_key is not None:
            raise InvalidSetting(
                f"A bench takes no {setting('api_key')}, which would reach every vendor in it: set "
                "each vendor's environment variable."
            )
        followed = {name for player in self.players for name in _followed(player, self)}
        asked = given(part(self, Options))
        refuse(
            "These players",
            {name: value for name, value in asked.items() if name not in followed},
            "add a player that follows it (`atari-vlm models`)",
        )
        self._name_what_thinks()
        columns = [name_of(player) for player in self.players]
        if twice := [name for name in columns if columns.count(name) > 1]:
            raise InvalidSetting(f"Two players are called {twice[0]!r}; every column needs a name.")

    def _name_what_thinks(self) -> None:
        """Name the players after how they think, so that columns and folders say it.

        Baselines do not think; nor do models of the caller's own, which have names of their own.
        """
        players = tuple(
            with_thinking(player, self.think)
            if isinstance(player, str) and "think" in _followed(player, self)
            else player
            for player in self.players
        )
        object.__setattr__(self, "players", players)
        object.__setattr__(self, "think", None)


def _several(name: str, value: object) -> tuple[object, ...]:
    """The games or players of a bench as a tuple."""
    if isinstance(value, str):
        raise InvalidSetting(f"{name} holds several: write {name}=({value!r},).")
    if not isinstance(value, list | tuple):
        raise InvalidSetting(f"{name} must be a tuple, not of type {type(value).__name__}.")
    if not value:
        raise InvalidSetting("A bench needs at least one game and one player.")
    return tuple(value)


def name_of(player: Player) -> str:
    """The name of a player in tables and folders."""
    return player if isinstance(player, str) else player.name


def is_model(player: Player) -> bool:
    """Whether it reads the general prompts, so that a strategy or a learner is for it."""
    return _kind(player, None) not in ("policy", "embedded")


def applicable(player: Player, options: Options) -> Options:
    """The options that a player can follow."""
    return Options(**{name: getattr(options, name) for name in _followed(player, options)})


def without_lessons(settings: BenchSettings) -> Iterator[str]:
    """A line for each player that learns nothing though others do; baselines are known for it."""
    asked = [k for k, value in given_learning(part(settings, LearningOptions)).items() if value]
    names = ", ".join(
        setting(name) for name in (*asked, *(["learner"] if settings.learner else []))
    )
    for player in settings.players if names else ():
        kind = _kind(player, settings.address)
        if kind in ("policy", "embedded") and player not in BASELINES:
            why = why_no_lessons(name_of(player), embedded=kind == "embedded")
            yield f"{why}: it plays without {names}."


_PROMPTED = (
    *(GameOptions, RunOptions, PromptOptions, AnswerOptions, PlayerOptions, LearningOptions),
)

_GROUPS: dict[str, tuple[type, ...]] = {
    "policy": (GameOptions, RunOptions),
    "embedded": (GameOptions, RunOptions, ThinkOptions),
    "local": (*_PROMPTED, ThinkOptions, LocalOptions),
    "hosted": (*_PROMPTED, ThinkOptions, HostedOptions, SpendOptions),
    "own": _PROMPTED,
    "own hosted": (*_PROMPTED, SpendOptions),
}
"""Kind of player -> the options that it follows; `_followed` has the exceptions."""


def _followed(player: Player, options: Options) -> set[str]:
    """Names of the options that a player follows."""
    kind = _kind(player, options.address)
    names = {name for group in _GROUPS[kind] for name in abouts(group)}
    if kind == "embedded":
        names.discard("pool_frames")  # it keeps the pictures that it was trained on
        names.add("decide")
        if options.decide == "score":
            names.add("temperature")
    return names


def _kind(player: Player, address: str | None) -> str:
    """Whose options apply, a key of `_GROUPS`.

    Args:
        player: by name or as a value.
        address: of the server that was named, which then has every model.
    """
    if not isinstance(player, str):
        if isinstance(player, Policy):
            return "policy"
        return "own hosted" if isinstance(player, HostedModel) else "own"
    base = parse_name(player, known=lambda name: name.lower() in MODELS).base
    if player == BEST_CONSTANT or is_policy(base):
        return "policy"
    if base == "embedded":
        return "embedded"
    spec = MODELS.get(base.lower())
    in_process = is_path(base) if spec is None else spec.provider == "local"
    return "local" if in_process and address is None else "hosted"
