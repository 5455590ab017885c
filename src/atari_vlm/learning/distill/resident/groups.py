"""Which games share a checkpoint."""

from __future__ import annotations

from collections.abc import Iterable

from atari_vlm.atari.games import get_game
from atari_vlm.errors import InvalidSetting, setting

Groups = tuple[tuple[str, ...], ...]
"""The games of each checkpoint."""

DEFAULT_GROUPS: Groups = (
    ("pong", "breakout", "freeway", "private_eye"),
    ("space_invaders", "enduro"),
    ("ms_pacman", "qbert"),
    ("asteroids", "seaquest"),
    ("montezuma_revenge", "pitfall"),
)
"""The easy games together, the others in pairs."""

EASY_GAMES = DEFAULT_GROUPS[0]
"""Games that need half as many rows as the others."""

LEAST_OF_GAME = 8
"""Rows of each game in a step of a process, at least."""

ALL = "all"
"""As groups: one checkpoint for all games."""


def groups_of(games: Iterable[str]) -> Groups:
    """The default groups of these games; games of no default group get a checkpoint each.

    >>> groups_of(("breakout", "qbert", "pong"))
    (('pong', 'breakout'), ('qbert',))
    """
    wanted = tuple(games)
    grouped = [tuple(game for game in group if game in wanted) for group in DEFAULT_GROUPS]
    known = {game for group in grouped for game in group}
    single = [(game,) for game in dict.fromkeys(wanted) if game not in known]
    return tuple(group for group in (*grouped, *single) if group)


def parse_groups(text: str, games: tuple[str, ...]) -> Groups:
    """The groups in the value of a flag; empty if it is, for the default ones.

    >>> parse_groups("pong, breakout; qbert", ())
    (('pong', 'breakout'), ('qbert',))
    >>> parse_groups("all", ("pong", "qbert"))
    (('pong', 'qbert'),)

    Args:
        text: groups with semicolons between them, their games with commas; or "all".
        games: those of "all".

    Raises:
        UnknownName: a game is not in the catalogue.
    """
    if text == ALL:
        return (games,)
    parts = [part.strip() for part in text.split(";") if part.strip()]
    return tuple(
        tuple(get_game(name.strip()).name for name in part.split(",") if name.strip())
        for part in parts
    )


def check_groups(groups: Groups, games: tuple[str, ...]) -> None:
    """Raise InvalidSetting unless every game is in one group, and in one only."""
    named = [game for group in groups for game in group]
    if not all(groups):
        raise InvalidSetting(f"{setting('groups')} has a group without a game.")
    twice = sorted({game for game in named if named.count(game) > 1})
    if twice:
        raise InvalidSetting(f"{setting('groups')} names {', '.join(twice)} more than once.")
    lacking = {
        "games": sorted(set(named) - set(games)),
        "groups": sorted(set(games) - set(named)),
    }
    if any(lacking.values()):
        said = ", and ".join(
            f"{setting(name)} does not name {', '.join(left)}"
            for name, left in lacking.items()
            if left
        )
        raise InvalidSetting(f"{said}. {setting('groups')} alone is enough.")


def group_name(group: tuple[str, ...]) -> str:
    """The folder of a group's checkpoint."""
    name = "-".join(group)
    return name if len(name) <= 100 else f"{group[0]}-and-{len(group) - 1}-more"


def share_of(game: str) -> float:
    """Rows of a game, relative to those of a hard one."""
    return 0.5 if game in EASY_GAMES else 1.0


def counted(number: int, noun: str) -> str:
    """A number with its noun: "1 game", "1,024 games"."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
