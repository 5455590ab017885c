"""Every deliberate error, and how its message names settings.

    AtariVLMError
    ├── UnknownName      no game, model, prompt or policy is called that
    ├── InvalidSetting   a value that cannot work (frame_stack=0, resize_shape=(0, 0))
    ├── IllegalAction    an action outside the game's legal list
    ├── UnsafeGame       a ROM that would end the whole process
    ├── MissingExtra     an optional package is not installed
    ├── ModelUnusable    the model cannot answer at all: stops the run, which can be resumed
    │   └── CannotPlay   the player knows other games, not this one (an UnknownName too)
    ├── ModelFault       one answer failed after its retries: counted, the run goes on
    ├── BudgetExceeded   a cap on spending ends an episode, or stops the run, which can be resumed
    ├── RunInvalid       too many fallbacks in a row: the model is dead, this is no score
    └── StoreError       the run folder cannot be read, written or continued

Each message is one sentence or two: what was asked, the nearest match, what would work.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from difflib import get_close_matches
from pathlib import Path
from typing import NamedTuple


class AtariVLMError(Exception):
    """Base class: catch this to catch everything the package raises on purpose.

    A message may name settings with `setting`. `str(error)` shows them as Python arguments
    (`max_tokens`); the command line shows them as flags with `error.worded(...)`.
    """

    @property
    def message(self) -> str:
        """The message with its settings still marked, to quote it in another error."""
        return str(self.args[0]) if self.args else ""

    def worded(self, name: Callable[[str, str], str]) -> str:
        """The message in the words of another user interface.

        Args:
            name: from the name and the value of a setting (empty if it has none) to what the user
                typed, e.g. from "cache_mode" and "replay" to "--cache-mode replay".
        """
        return _shortened(_MARKED.sub(lambda m: name(m[1], m[2] or ""), self.message))

    def __str__(self) -> str:
        """The message with settings as Python arguments."""
        return self.worded(_argument)


_MARKED = re.compile("\x1e([a-z_]+)(?:=([^\x1f]*))?\x1f")


LONGEST_WORD = 300
"""Characters of a word that a message shows; a longer one, e.g. a name of 5,000 letters, is cut."""

_LONG_WORD = re.compile(rf"\S{{{LONGEST_WORD + 1},}}")


def _shortened(text: str) -> str:
    """A message whose words can be read on a screen, and which can be printed anywhere."""
    text = text.encode("utf-8", "backslashreplace").decode("utf-8")  # half surrogates
    return _LONG_WORD.sub(lambda m: f"{m[0][:100]}... ({len(m[0]):,} characters)", text)


def _argument(name: str, value: str) -> str:
    """E.g. `cache_mode='replay'`, `plans=False`, `rpm=60`, `budget`."""
    if not value:
        return name
    if value in ("True", "False"):
        return f"{name}={value}"
    try:
        float(value)
    except ValueError:
        return f"{name}={value!r}"
    return f"{name}={value}"


def setting(name: str, value: object = None) -> str:
    """Name a setting in an error message.

    Python shows its argument, `cache_mode='replay'`; the command line its flag,
    `--cache-mode replay`.

    >>> str(InvalidSetting(f"Leave out {setting('effort')}, or try {setting('rpm', 60)}."))
    'Leave out effort, or try rpm=60.'

    Args:
        name: the keyword of `VLMTrainer`.
        value: shown with it; None names the setting alone.
    """
    return f"\x1e{name}\x1f" if value is None else f"\x1e{name}={value}\x1f"


class UnknownName(AtariVLMError, LookupError):
    """No game, model, prompt, policy or wrapper has this name."""


class InvalidSetting(AtariVLMError, ValueError):
    """A setting that cannot work."""


class IllegalAction(AtariVLMError, ValueError):
    """An action that the game does not offer."""


class UnsafeGame(AtariVLMError):
    """A ROM that ends the process when it is loaded."""


class MissingExtra(AtariVLMError, ImportError):
    """An optional package is needed and not installed."""


class ModelUnusable(AtariVLMError):
    """The model cannot answer at all: a wrong key, an unreachable server, missing weights.

    Args:
        message: what is wrong and what would help.
        what: "key", "server", "model" or "quota", if the server's answer says so; "request" if it
            rejected this one, as it may no other.
    """

    def __init__(self, message: str, what: str = "") -> None:
        super().__init__(message)
        self.what = what


class NoSuchFolder(ModelUnusable, UnknownName):
    """A model was named by a folder that is not there."""


class CannotPlay(ModelUnusable, UnknownName):
    """The player can play other games, but not this one."""


class ModelFault(AtariVLMError):
    """One answer failed after its retries.

    Args:
        kind: counted in reports, e.g. "timeout".
        message: what went wrong.
        lost: what its requests may have cost; None if they were not counted.
    """

    def __init__(self, kind: str, message: str, lost: Lost | None = None) -> None:
        super().__init__(message)
        self.kind, self.lost = kind, lost

    def __reduce__(self) -> tuple[type[ModelFault], tuple[str, str, Lost | None]]:
        return type(self), (self.kind, self.message, self.lost)


class Lost(NamedTuple):
    """Requests that may or may not have been charged: no answer came, or one without token counts.

    Requests that were refused (429, 4xx, 5xx) are not included: they cost nothing.
    """

    requests: int = 0
    tokens: int = 0
    """The most they may have used."""
    dollars: float | None = 0.0
    """The most they may have cost, in US dollars; None if the price is unknown."""


class BudgetExceeded(AtariVLMError):
    """The next request could pass a cap on spending, so it was not sent."""

    def __init__(self, message: str, *, episode: bool = False) -> None:
        super().__init__(message)
        self.episode = episode
        """Whether it is the cap of an episode, which ends the episode; that of a run stops it."""


class RunInvalid(AtariVLMError):
    """The model stopped naming legal actions, so the episode is no measure of it.

    Args:
        message: what happened, with the last answer.
        reply: the last answer, unedited.
        folder: the run, with all answers; None before it is known.
    """

    def __init__(self, message: str, *, reply: str = "", folder: Path | None = None) -> None:
        super().__init__(message)
        self.reply, self.folder = reply, folder


class StoreError(AtariVLMError):
    """The run folder cannot be read, written or continued."""


def unknown(
    kind: str, name: str, known: Iterable[str], *, more: str = "", cutoff: float = 0.6
) -> UnknownName:
    """An UnknownName with the nearest match, if it is at least `cutoff` (0 to 1), and the choices.

    >>> str(unknown("game", "pongg", ["pong", "breakout"]))
    "No game is called 'pongg'. Did you mean 'pong'? Choose from: breakout, pong."
    """
    choices = sorted(known)
    near = get_close_matches(str(name).lower(), [c.lower() for c in choices], 1, cutoff)
    hint = "".join(
        f" Did you mean {choice!r}?" for choice in choices if near and choice.lower() == near[0]
    )
    tail = more or f"Choose from: {', '.join(choices)}."
    return UnknownName(f"No {kind} is called {name!r}.{hint} {tail}")


def missing_extra(what: str, package: str, extra: str) -> MissingExtra:
    """A MissingExtra with the command that installs the package."""
    return MissingExtra(f"{what} needs {package}. {install_advice(extra)}.")


def install_advice(extra: str) -> str:
    """How an extra is installed, as the README says it; without a full stop."""
    command = f"pip install -c constraints.txt -e '.[{extra}]'"
    return f"Where you cloned this project, run: {command}"
