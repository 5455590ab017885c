"""The catalogue of games: names, rules, hints and reference scores.

The entries are in games.toml, which is read on first use. The tests check every entry against the
emulator; this module does not import it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from functools import cache
from pathlib import Path
from typing import Any, Literal, TypeAlias

from atari_vlm.errors import InvalidSetting, UnsafeGame, unknown

Fire: TypeAlias = Literal[
    "not offered", "never needed", "starts the game", "starts each life", "makes each move"
]
"""When the game waits for the FIRE button, with the minimal actions.

- "not offered": FIRE is not an action of the game.
- "never needed": the game continues without it. It shoots, jumps, or is part of other actions only.
- "starts the game": the first screen waits for it.
- "starts each life": play waits for it after each life, ball, point or group lost; Breakout,
  Tennis and Video Pinball also wait at the start.
- "makes each move": nothing scores without it, e.g. a throw, a stroke, the choice of a square.
"""

SUGGESTED: tuple[str, ...] = (
    "pong",
    "breakout",
    "space_invaders",
    "freeway",
    "asteroids",
    "ms_pacman",
    "qbert",
    "seaquest",
    "enduro",
    "montezuma_revenge",
    "pitfall",
    "private_eye",
)
"""Names of the 12 games suggested for vision-language models, in the order of their tiers."""

TIERS: dict[int, str] = {
    1: "Excellent for VLMs",
    2: "Good for VLMs",
    3: "Challenging for VLMs",
}
"""Meaning of each tier."""

SCORE_SOURCE = (
    "google-deepmind/dqn_zoo, dqn_zoo/atari_data.py: means of at least 3 episodes of at most "
    "108,000 frames after 1 to 30 no-ops; human is a professional game tester"
)
"""Source and measurement of the random and human scores."""

UNSAFE: tuple[str, ...] = ("combat", "joust", "maze_craze", "warlords")
"""ROMs of ale-py that end the process when loaded; `get_game` refuses them."""

_DIRECTIONS = (*("UP", "RIGHT", "LEFT", "DOWN", "UPRIGHT", "UPLEFT", "DOWNRIGHT", "DOWNLEFT"),)

ACTIONS: tuple[str, ...] = ("NOOP", "FIRE", *_DIRECTIONS, *(f"{way}FIRE" for way in _DIRECTIONS))
"""The 18 actions of the console, in the order of ALE. Those of a game are in this order too."""

NOTHING = "nothing"
"""Meaning of an action that does nothing."""

BOTH = "both at once"
"""What a joint action does with its buttons in most games."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Hints:
    """Expert advice on one game, in sentences."""

    strategy: tuple[str, ...]
    """What to do."""
    risks: tuple[str, ...]
    """What costs lives, points or time, and how to estimate it."""
    patterns: tuple[str, ...]
    """How objects move, and how to predict the next screen."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Game:
    """One game of the catalogue."""

    name: str
    """ROM name in ale-py, e.g. "ms_pacman"."""
    title: str
    """Name in the Gymnasium registry, e.g. "MsPacman"."""
    cartridge: str
    """Name on the cartridge, e.g. "Ms. Pac-Man"."""
    rules: str
    """One sentence: what the player controls, what earns points, what ends the game."""
    fire: Fire
    """When the game waits for the FIRE button."""
    tier: int | None = None
    """1 (easiest) to 3 for the suggested games, see `TIERS`; None for the others."""
    tier_reason: str = ""
    """What the game requires of a model, or why it is hard."""
    hints: Hints | None = None
    actions: Mapping[str, str] = field(default_factory=dict, hash=False)
    """What each button does, e.g. {"RIGHT": "paddle up"}; empty if it is not on record. A joint
    action is listed if it does something else than its buttons; see `meaning`."""
    joint: str = BOTH
    """What a joint action that is not listed does with its buttons."""
    action_modes: tuple[int, ...] = ()
    """Game modes in which `actions` holds; empty if it holds in all."""
    random_score: float | None = None
    """Mean score of uniformly random play; None if the table does not list the game."""
    human_score: float | None = None
    """Mean score of the human tester; None if the table does not list the game."""
    score_source: str = ""
    """Source of the two scores; empty if there are none."""
    height: int = 210
    """Height of the screen in pixels; the width is always 160."""
    pal: bool = False
    """Whether the colours are those of PAL instead of NTSC."""

    @property
    def standard(self) -> Literal["ntsc", "pal"]:
        """Television standard, which determines the colours of the palette indices."""
        return "pal" if self.pal else "ntsc"

    @property
    def env_id(self) -> str:
        """Id of the original environment in the Gymnasium registry."""
        return f"ALE/{self.title}-v5"

    def meaning(self, action: str) -> str:
        """What an action does, in a few words; "" if it is not on record.

        >>> get_game("pong").meaning("RIGHT"), get_game("seaquest").meaning("UPFIRE")
        ('paddle up', 'rise + torpedo the way you face')
        """
        if action in self.actions or not self.actions or action == "NOOP":
            return self.actions.get(action, "")
        buttons = _buttons(action)
        if len(buttons) < 2:
            return NOTHING
        done = [self.meaning(button) for button in buttons]
        return " + ".join(each for each in done if each != NOTHING) or NOTHING

    def all_meanings(self, mode: int | None = None) -> dict[str, str]:
        """Every action of the console that has a meaning on record -> what it does.

        Args:
            mode: ALE game mode; None for the default.
        """
        if not self._holds_in(mode):
            return {}
        return {action: done for action in ACTIONS if (done := self.meaning(action))}

    def _holds_in(self, mode: int | None) -> bool:
        return not (mode and self.action_modes and mode not in self.action_modes)

    def meanings(self, legal: Sequence[str], mode: int | None = None) -> dict[str, str]:
        """What a player has to be told about the legal actions: name -> what it does.

        Joint actions that do what their buttons do are left out. Empty if nothing is on record, or
        if these are not actions as the console names them: a wrapper may have renamed them.

        Args:
            legal: the game's minimal actions or some of them, or all 18.
            mode: ALE game mode; None for the default.
        """
        offered = iter([name for name in ACTIONS if self._offers(name)])
        if not self._holds_in(mode) or not (
            tuple(legal) == ACTIONS or all(name in offered for name in legal)
        ):
            return {}
        told = [name for name in legal if name in self.actions or len(_buttons(name)) == 1]
        return {name: done for name in told if (done := self.meaning(name))}

    def _offers(self, action: str) -> bool:
        """Whether an action, or each of its buttons, is listed."""
        buttons = _buttons(action)
        return action in ("NOOP", *self.actions) or (
            len(buttons) > 1 and all(self._offers(button) for button in buttons)
        )

    def __repr__(self) -> str:
        return f"Game({self.name!r}, random={self.random_score}, human={self.human_score})"

    def normalise(self, score: float) -> float | None:
        """Human-normalised score: 0 plays like random, 1 like the human tester.

        (score - random) / (human - random), as in Mnih et al. 2015. It means little if the two are
        close or disputed: Video Pinball's random score is 16256.9 here and 0 in other tables.

        Returns:
            The normalised score; None if the table does not list the game.
        """
        if self.random_score is None or self.human_score is None:
            return None
        return (score - self.random_score) / (self.human_score - self.random_score)


class _Catalogue(Mapping[str, Game]):
    """The games by name; the file is read on first use."""

    def __getitem__(self, name: str) -> Game:
        return _read()[name]

    def __iter__(self) -> Iterator[str]:
        return iter(_read())

    def __len__(self) -> int:
        return len(_read())


GAMES: Mapping[str, Game] = _Catalogue()
"""Name -> game, in alphabetical order: every game that ale-py bundles and can load safely."""


def get_game(name: str) -> Game:
    """Look up a game by any usual spelling.

    >>> get_game("PongNoFrameskip-v4").name, get_game("Ms. Pac-Man").env_id
    ('pong', 'ALE/MsPacman-v5')

    Raises:
        UnknownName: there is no such game; the message suggests the nearest name.
        UnsafeGame: loading the ROM would end the process.
        InvalidSetting: the name is not a string.
    """
    if not isinstance(name, str):
        raise InvalidSetting(f"The name of a game is a string such as 'pong', not {name!r}.")
    key = _key(name)
    if key in {_key(unsafe) for unsafe in UNSAFE}:
        raise UnsafeGame(
            f"{name!r} cannot be played: it is a game for several players, and loading it for one "
            "ends the process. `atari-vlm games --all` lists the other games."
        )
    spellings = _spellings()
    if key not in spellings:
        near = get_close_matches(key, spellings, n=1)
        hint = f"Did you mean {spellings[near[0]]!r}? " if near else ""
        raise unknown("game", name, (), more=f"{hint}`atari-vlm games --all` lists every game.")
    return GAMES[spellings[key]]


_SUFFIX = re.compile(r"(-ram)?(NoFrameskip|Deterministic)?([-_ ]v\d+)?$", re.IGNORECASE)


def _key(name: str) -> str:
    """The name in lower case, without namespace, version and punctuation."""
    bare = _SUFFIX.sub("", name.strip().rpartition("/")[2], count=1)
    return "".join(letter for letter in bare.lower() if letter.isalnum())


@cache
def _spellings() -> dict[str, str]:
    """Key of every spelling -> name of the game."""
    return {
        _key(spelling): game.name
        for game in GAMES.values()
        for spelling in (game.cartridge.partition(":")[0], game.cartridge, game.title, game.name)
    }


def _buttons(action: str) -> tuple[str, ...]:
    """What a joint action is made of: a direction and FIRE, or two directions.

    >>> _buttons("UPRIGHTFIRE"), _buttons("UPRIGHT"), _buttons("UP")
    (('UPRIGHT', 'FIRE'), ('UP', 'RIGHT'), ('UP',))
    """
    way, fire, _ = action.partition("FIRE")
    if way and fire:
        return way, fire
    for vertical in ("UP", "DOWN"):
        if way.startswith(vertical) and way != vertical:
            return vertical, way.removeprefix(vertical)
    return (action,)


@cache
def _read() -> dict[str, Game]:
    import tomllib

    with (Path(__file__).parent / "games.toml").open("rb") as file:
        return {name: _game(name, entry) for name, entry in tomllib.load(file).items()}


def _checked(game: str, actions: Mapping[str, str]) -> Mapping[str, str]:
    """The meanings of a game's actions.

    Raises:
        ValueError: there is no such action, or its meaning is empty or no phrase.
    """
    for action, done in actions.items():
        if action not in ACTIONS:
            raise ValueError(f"games.toml, {game}: the console has no action {action!r}.")
        if not done or done != done.strip(" .") or set(";:\n") & set(done):
            raise ValueError(f"games.toml, {game}: {done!r} cannot be read in a list of meanings.")
    return dict(actions)


def _game(name: str, entry: dict[str, Any]) -> Game:
    hints, scored = entry.get("hints"), "human" in entry
    return Game(
        name=name,
        title=entry["title"],
        cartridge=entry["cartridge"],
        rules=entry["rules"],
        fire=entry["fire"],
        tier=entry.get("tier"),
        tier_reason=entry.get("reason", ""),
        actions=_checked(name, entry.get("actions", {})),
        joint=entry.get("joint", BOTH),
        action_modes=tuple(entry.get("action_modes", ())),
        hints=Hints(**{part: tuple(lines) for part, lines in hints.items()}) if hints else None,
        random_score=entry.get("random"),
        human_score=entry.get("human"),
        score_source=SCORE_SOURCE if scored else "",
        height=entry.get("height", 210),
        pal=entry.get("pal", False),
    )
