"""The catalogue of games: names, rules, hints and reference scores.

The entries are in games.toml, which is read on first use. The tests check every entry against the
emulator; this module does not import it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
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


@cache
def _read() -> dict[str, Game]:
    import tomllib

    with (Path(__file__).parent / "games.toml").open("rb") as file:
        return {name: _game(name, entry) for name, entry in tomllib.load(file).items()}


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
        hints=Hints(**{part: tuple(lines) for part, lines in hints.items()}) if hints else None,
        random_score=entry.get("random"),
        human_score=entry.get("human"),
        score_source=SCORE_SOURCE if scored else "",
        height=entry.get("height", 210),
        pal=entry.get("pal", False),
    )
