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
import math
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from difflib import get_close_matches
from numbers import Integral, Real
from pathlib import Path
from typing import Any, Concatenate, NoReturn, ParamSpec, TypeVar

from atari_vlm.errors import InvalidSetting, setting

T = TypeVar("T")
A = TypeVar("A")
B = TypeVar("B")
P = ParamSpec("P")
Group = TypeVar("Group")
Result = TypeVar("Result")

_KEY = "atari_vlm"


class Key(str):
    """A secret that is not shown where the values of variables are, and is not pickled."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "'[key]'"

    def __getitem__(self, index: object) -> Key:  # such displays cut long values
        return Key(super().__getitem__(index))  # type: ignore[index]

    def __deepcopy__(self, memo: object) -> Key:
        return self

    def __reduce__(self) -> NoReturn:
        raise TypeError("A key is not sent to other processes: set the environment variable.")


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
    secret: bool = False


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
        secret: left out of the group's repr, and a `Key` in it.
    """
    about = About(help, flag, least, most, read, secret)
    return field(default=default, metadata={_KEY: about}, repr=not secret)


def abouts(group: type) -> dict[str, About]:
    """The settings of a group by name, those without a flag left out."""
    return {f.name: f.metadata[_KEY] for f in fields(group) if _KEY in f.metadata}


def values(group: object, kind: type | None = None) -> dict[str, Any]:
    """The values of a group by name; only those of `kind`, if it is one of its base classes."""
    return {f.name: getattr(group, f.name) for f in fields(kind or type(group))}


def documented_options(group: type) -> str:
    """The options of a group as lines of a docstring's Args."""
    lines = (f"        {name}: {about.help}" for name, about in abouts(group).items())
    return "\n".join(lines)


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


def hides_keys(kind: type[Group]) -> type[Group]:
    """Decorator of a group: its secrets become a `Key` before anything else sees them."""
    given: Callable[..., None] = kind.__init__
    about, names = abouts(kind), list(inspect.signature(given).parameters)[1:]

    @functools.wraps(given)
    def init(self: Group, *args: Any, **keywords: Any) -> None:
        hidden = _hidden(about, dict(zip(names, args, strict=False)))
        shown = [hidden.get(name, arg) for name, arg in zip(names, args, strict=False)]
        args = (*shown, *args[len(names) :])
        keywords.update(_hidden(about, keywords))
        given(self, *args, **keywords)

    kind.__init__ = init  # type: ignore[method-assign,assignment]
    return kind


def _hidden(about: Mapping[str, About], given: Mapping[str, Any]) -> dict[str, Key]:
    """The secrets among values."""
    return {
        name: Key(value)
        for name, value in given.items()
        if name in about and about[name].secret and isinstance(value, str)
    }


_WORDS: dict[str, tuple[tuple[type, ...], str]] = {
    "bool": ((bool,), "True or False"),
    "int": ((int,), "a whole number"),
    "float": ((int, float), "a number"),
    "str": ((str,), "text"),
    "Path": ((Path,), "a path"),
    "None": ((type(None),), "None"),
}
"""Annotation -> the types of its values, and their name in a message."""


def check_types(group: object) -> None:
    """Raise InvalidSetting for a value of another type than its field declares.

    Only fields of numbers, text, paths, True, False and None are checked. Text and paths must hold
    something that a file can hold. Whole numbers of NumPy become Python's. The value is not shown:
    it may be a key.
    """
    for each in fields(group):  # type: ignore[arg-type]
        names = str(each.type).split(" | ")
        if _KEY not in each.metadata or not _WORDS.keys() >= {*names}:
            continue
        value = getattr(group, each.name)
        if isinstance(value, Integral) and not isinstance(value, int):
            value = int(value)  # of NumPy
            object.__setattr__(group, each.name, value)
        types = tuple(kind for name in names for kind in _WORDS[name][0])
        stray = isinstance(value, bool) and "bool" not in names
        if stray or not isinstance(value, types):
            wanted = " or ".join(_WORDS[name][1] for name in names)
            kind = type(value).__name__
            raise InvalidSetting(f"{setting(each.name)} must be {wanted}, not of type {kind}.")
        if isinstance(value, str | os.PathLike):
            check_text(each.name, value)


def check_text(name: str, value: str | os.PathLike[str]) -> None:
    """Raise InvalidSetting for a text or a path that is empty or that no file can hold.

    Args:
        name: of the setting.
        value: is not shown in the message: it may be a key.
    """
    text = str(value)
    if not text.strip():
        raise InvalidSetting(f"{setting(name)} is empty; leave it out, or say what it should be.")
    if "\0" in text or any("\ud800" <= letter <= "\udfff" for letter in text):
        raise InvalidSetting(
            f"{setting(name)} holds a character that neither a file nor a server can take: a NUL "
            "or half of a surrogate pair."
        )


def check_path(name: str, value: object) -> Path:
    """The path of a file or folder, or raise InvalidSetting."""
    if not isinstance(value, str | Path):
        kind = type(value).__name__
        raise InvalidSetting(f"{setting(name)} must be a path, not of type {kind}.")
    check_text(name, value)
    return Path(value)


def check_switch(name: str, value: object, *, optional: bool = False) -> None:
    """Raise InvalidSetting unless `value` is True or False, Python's or numpy's; or None."""
    if optional and value is None:
        return
    if type(value).__name__ not in ("bool", "bool_"):
        raise InvalidSetting(f"{setting(name)} must be True or False, not {value!r}.")


def check_numbers(group: object) -> None:
    """Raise InvalidSetting for a number out of the range its field declares."""
    optional = {f.name for f in fields(group) if f.default is None}  # type: ignore[arg-type]
    for name, about in abouts(type(group)).items():
        value = getattr(group, name)
        if about.least is None and about.most is None:
            continue
        if value is None and name in optional:
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
        value: to check: an int or a float, Python's or numpy's; a bool is no number.
        least: None for no lower limit.
        most: None for no upper limit.
        whole: whether it must be an integer.
    """
    number = isinstance(value, Integral if whole else Real) and not isinstance(value, bool)
    low, high = -math.inf if least is None else least, math.inf if most is None else most
    if not number or not low <= value <= high:  # type: ignore[operator]
        limits = f"at least {least}" if most is None else f"{least} to {most}"
        wanted = (
            f"must be a whole number of {limits}"
            if whole
            else f"must be within {low:g} and {high:g}"
        )
        raise InvalidSetting(f"{setting(name)} {wanted}, not {value!r}.")


def check_all(group: object, kind: type) -> None:
    """Run the `__post_init__` of every group that `kind`, a larger one, inherits from."""
    for each in kind.__mro__[1:]:
        if check := vars(each).get("__post_init__"):
            check(group)


def _check_keywords(function: str, known: Sequence[str], given: Mapping[str, Any]) -> None:
    for name in given:
        if name not in known:
            close = get_close_matches(name, known, n=1)
            hint = f" Did you mean {close[0]!r}?" if close else f" See help({function})."
            raise TypeError(f"{function}() has no keyword {name!r}.{hint}")


def takes(
    group: Callable[P, Group],
) -> Callable[[Callable[[A, B, Group], Result]], Callable[Concatenate[A, B, P], Result]]:
    """Let a function of two arguments and a group take the group's fields as keywords.

    Type checkers and `inspect.signature` see every keyword.
    """
    known = [each.name for each in inspect.signature(group).parameters.values()]
    secret = abouts(group) if isinstance(group, type) else {}

    def decorate(
        function: Callable[[A, B, Group], Result],
    ) -> Callable[Concatenate[A, B, P], Result]:
        @functools.wraps(function)
        def called(first: A, second: B, /, *args: P.args, **keywords: P.kwargs) -> Result:
            _check_keywords(function.__name__, known, keywords)
            keywords.update(_hidden(secret, keywords))
            return function(first, second, group(*args, **keywords))

        own = list(inspect.signature(function).parameters.values())[:2]
        more = [
            parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY)
            for parameter in inspect.signature(group).parameters.values()
        ]
        called.__signature__ = inspect.Signature([*own, *more])  # type: ignore[attr-defined]
        return called

    return decorate
