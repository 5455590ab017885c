"""The catalogue: what is known about each game before it is played.

One entry a game in games.toml, read on first use. This module knows nothing of the emulator;
the tests hold every entry against it.
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
"""What waits for the FIRE button, in play with the minimal actions.

- "not offered": FIRE is no action of the game.
- "never needed": the game goes on without it; it shoots, jumps, or is only part of other actions.
- "starts the game": the first screen waits for it.
- "starts each life": play waits for it after each life, ball, point or group lost; Breakout,
  Tennis and Video Pinball wait at the start as well.
- "makes each move": nothing scores without it: a throw, a stroke, the choice of a square.
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
"""What each tier means."""

SCORE_SOURCE = (
    "google-deepmind/dqn_zoo, dqn_zoo/atari_data.py: means of at least 3 episodes of at most "
    "108,000 frames after 1 to 30 no-ops; human is a professional game tester"
)
"""Where the random and human scores come from, and how they were measured."""

UNSAFE: tuple[str, ...] = ("combat", "joust", "maze_craze", "warlords")
"""ROMs of ale-py that end the process when they are loaded; `get_game` refuses them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Hints:
    """Expert advice on one game, in sentences."""

    strategy: tuple[str, ...]
    """What to do."""
    risks: tuple[str, ...]
    """What costs lives, points or time, and how to judge it."""
    patterns: tuple[str, ...]
    """What moves how, and what a screen tells about the next."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Game:
    """One game of the catalogue."""

    name: str
    """ROM name in ale-py, e.g. "ms_pacman"."""
    title: str
    """Name in the Gymnasium registry, e.g. "MsPacman"."""
    cartridge: str
    """Name people use, e.g. "Ms. Pac-Man"."""
    rules: str
    """One sentence: what the player controls, what earns points, what ends the game."""
    fire: Fire
    tier: int | None = None
    """1 (easiest) to 3 for the suggested games; `TIERS` says what it means."""
    tier_reason: str = ""
    """What the game asks of a model, or why it is hard."""
    hints: Hints | None = None
    random_score: float | None = None
    """Mean score of uniformly random play; None where the table lacks the game."""
    human_score: float | None = None
    """Mean score of the human tester; None where the table lacks the game."""
    score_source: str = ""
    """Where the two scores come from; empty where there are none."""
    height: int = 210
    """Height of the screen in pixels; the width is 160 in every game."""
    pal: bool = False
    """Whether the colours are PAL's and not NTSC's."""

    @property
    def standard(self) -> Literal["ntsc", "pal"]:
        """Television standard, which decides the colours of the palette's indices."""
        return "pal" if self.pal else "ntsc"

    @property
    def env_id(self) -> str:
        """Id of the original environment in the Gymnasium registry."""
        return f"ALE/{self.title}-v5"

    def normalise(self, score: float) -> float | None:
        """Human-normalised score: 0 plays like random, 1 like the human tester.

        (score - random) / (human - random), as in Mnih et al. 2015. Read it with care where the
        two are close or odd: Video Pinball's random score is 16256.9 here and 0 in other tables.

        Returns:
            None where the table lacks the game.
        """
        if self.random_score is None or self.human_score is None:
            return None
        return (score - self.random_score) / (self.human_score - self.random_score)


class _Catalogue(Mapping[str, Game]):
    """Reads the file when it is first looked into."""

    def __getitem__(self, name: str) -> Game:
        return _read()[name]

    def __iter__(self) -> Iterator[str]:
        return iter(_read())

    def __len__(self) -> int:
        return len(_read())


GAMES: Mapping[str, Game] = _Catalogue()
"""Every game by its name, in alphabetical order: all that ale-py bundles and can safely load."""


def get_game(name: str) -> Game:
    """Look a game up by any usual spelling.

    >>> get_game("PongNoFrameskip-v4").name, get_game("Ms. Pac-Man").env_id
    ('pong', 'ALE/MsPacman-v5')

    Raises:
        UnknownName: no game is called that; the message names the nearest.
        UnsafeGame: the ROM would end the process.
        InvalidSetting: the name is not text.
    """
    if not isinstance(name, str):
        raise InvalidSetting(f"A game is asked for by its name, such as 'pong', not {name!r}.")
    key = _key(name)
    if key in {_key(unsafe) for unsafe in UNSAFE}:
        raise UnsafeGame(
            f"{name!r} cannot be played: ale-py offers this game to several players only, and "
            "ends the process when one loads it alone. `atari-vlm games --all` lists the others."
        )
    spellings = _spellings()
    if key not in spellings:
        near = get_close_matches(key, spellings, n=1)
        hint = f"Did you mean {spellings[near[0]]!r}? " if near else ""
        raise unknown("game", name, (), more=f"{hint}`atari-vlm games --all` lists every game.")
    return GAMES[spellings[key]]


_SUFFIX = re.compile(r"(-ram)?(NoFrameskip|Deterministic)?([-_ ]v\d+)?$", re.IGNORECASE)


def _key(name: str) -> str:
    """What is left of a name without namespace, version, case and punctuation."""
    bare = _SUFFIX.sub("", name.strip().rpartition("/")[2], count=1)
    return "".join(letter for letter in bare.lower() if letter.isalnum())


@cache
def _spellings() -> dict[str, str]:
    """Name of the game by the key of every spelling of it."""
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
