"""How a setting is declared: once, as a field of a dataclass.

    @dataclass(frozen=True, kw_only=True)
    class GameOptions:
        frame_skip: int = option(4, "Emulator frames (60 a second) a decision.")

Such groups live in the rooms that use them. `VLMTrainer` and `play` take their fields as keywords,
and every command makes flags of them.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Concatenate, ParamSpec, TypeVar

from atari_vlm.errors import InvalidSetting, setting

T = TypeVar("T")
A = TypeVar("A")
B = TypeVar("B")
P = ParamSpec("P")
Group = TypeVar("Group")
Result = TypeVar("Result")

_KEY = "atari_vlm"


@dataclass(frozen=True, slots=True)
class About:
    """What the command line needs to know of a setting."""

    help: str
    flag: str = ""
    """Its flag, or "--on/--off" for a switch; empty for "--" and its name with dashes."""
    least: float | None = None
    most: float | None = None
    read: Callable[[str], Any] | None = None
    """Reads a value that the command line gives as text, e.g. "224x224"."""


def option(
    default: T,
    help: str,
    *,
    flag: str = "",
    least: float | None = None,
    most: float | None = None,
    read: Callable[[str], Any] | None = None,
    secret: bool = False,
) -> T:
    """A field of an option group.

    Args:
        default: its value where nothing is given.
        help: one sentence, for `--help` and for the documentation of the keyword.
        flag: see `About`.
        least: smallest number allowed.
        most: largest number allowed.
        read: see `About`.
        secret: left out of the group's repr.
    """
    about = About(help, flag, least, most, read)
    return field(default=default, metadata={_KEY: about}, repr=not secret)


def abouts(group: type) -> dict[str, About]:
    """The settings of a group by name, those without a flag left out."""
    return {f.name: f.metadata[_KEY] for f in fields(group) if _KEY in f.metadata}


def values(group: object, kind: type | None = None) -> dict[str, Any]:
    """The values of a group by name; only those of `kind`, if it is one of its base classes."""
    return {f.name: getattr(group, f.name) for f in fields(kind or type(group))}


def part(group: object, kind: type[Group]) -> Group:
    """The part of a larger group that is of one kind."""
    return kind(**values(group, kind))


def given(group: object) -> dict[str, Any]:
    """The values that differ from their defaults, by name."""
    every = values(group)
    defaults = {f.name: f.default for f in fields(type(group))}  # type: ignore[arg-type]
    return {name: value for name, value in every.items() if value != defaults[name]}


def refuse(who: str, asked: Mapping[str, Any], advice: str) -> None:
    """Raise InvalidSetting if settings were given that would change nothing.

    Args:
        who: cannot follow them, e.g. "The baseline 'random'".
        asked: the settings by name; None counts as not given.
        advice: what to do, as the end of a sentence.
    """
    names = [
        setting(name, value if value is False else None)
        for name, value in asked.items()
        if value is not None
    ]
    if names:
        marked = ", ".join(names)
        raise InvalidSetting(f"{who} cannot follow {marked}; leave it out, or {advice}.")


def check_numbers(group: object) -> None:
    """Raise InvalidSetting for a number out of the range its field declares."""
    for name, about in abouts(type(group)).items():
        value = getattr(group, name)
        if value is None or (about.least is None and about.most is None):
            continue
        whole = isinstance(about.least, int)
        check_number(name, value, about.least, about.most, whole=whole)


def check_number(
    name: str,
    value: object,
    least: float | None = None,
    most: float | None = None,
    *,
    whole: bool = True,
) -> None:
    """Raise InvalidSetting unless `value` is a number from `least` to `most`.

    Args:
        name: of the setting.
        value: to check; a bool is no number.
        least: None for no lower limit.
        most: None for no upper limit.
        whole: whether it must be an integer.
    """
    number = isinstance(value, int if whole else int | float) and not isinstance(value, bool)
    low, high = -float("inf") if least is None else least, float("inf") if most is None else most
    if not number or not low <= value <= high:  # type: ignore[operator]
        limits = f"at least {least}" if most is None else f"{least} to {most}"
        wanted = (
            f"must be a whole number of {limits}" if whole else f"is within {low:g} and {high:g}"
        )
        raise InvalidSetting(f"{setting(name)} {wanted}, not {value!r}.")


def check_all(group: object, kind: type) -> None:
    """Run the `__post_init__` of every group that `kind`, a larger one, inherits from."""
    for each in kind.__mro__[1:]:
        if check := vars(each).get("__post_init__"):
            check(group)


def takes(
    group: Callable[P, Group],
) -> Callable[[Callable[[A, B, Group], Result]], Callable[Concatenate[A, B, P], Result]]:
    """Let a function of two arguments and a group take the group's fields as keywords.

    Type checkers and `inspect.signature` see every keyword.
    """

    def decorate(
        function: Callable[[A, B, Group], Result],
    ) -> Callable[Concatenate[A, B, P], Result]:
        @functools.wraps(function)
        def called(first: A, second: B, /, *args: P.args, **keywords: P.kwargs) -> Result:
            return function(first, second, group(*args, **keywords))

        own = list(inspect.signature(function).parameters.values())[:2]
        more = [
            parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY)
            for parameter in inspect.signature(group).parameters.values()
        ]
        called.__signature__ = inspect.Signature([*own, *more])  # type: ignore[attr-defined]
        return called

    return decorate
