"""Makes the flags of the commands from the option groups.

    @app.command()
    @with_options()
    def play(options: dict[str, Any], game: GameOption = "pong", ...) -> None:

The command gets a flag for each field of the groups, and `options` their values by field name.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Collection, Mapping
from dataclasses import fields
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

import typer

from atari_vlm.atari.options import GameOptions
from atari_vlm.cli import help as panels
from atari_vlm.errors import AtariVLMError
from atari_vlm.learning.options import LearningOptions
from atari_vlm.models.hosted.options import HostedOptions, SpendOptions
from atari_vlm.models.local.options import LocalOptions
from atari_vlm.models.options import AnswerOptions
from atari_vlm.options import About, abouts
from atari_vlm.players import Options, PlayerOptions
from atari_vlm.policies.options import ThinkOptions
from atari_vlm.prompts.options import PromptOptions
from atari_vlm.runs.options import RunOptions

_GROUPS: dict[type, str] = {
    GameOptions: panels.GAME,
    PlayerOptions: panels.PROMPT,
    PromptOptions: panels.PROMPT,
    LearningOptions: panels.PROMPT,
    AnswerOptions: panels.ANSWERS,
    ThinkOptions: panels.THINKING,
    HostedOptions: panels.HOSTED,
    SpendOptions: panels.SPENDING,
    LocalOptions: panels.LOCAL,
    RunOptions: panels.RUN,
}
"""Option group -> its heading in `--help`."""

_PANELS = {name: panel for group, panel in _GROUPS.items() for name in abouts(group)} | {
    "api_key": panels.HOSTED
}
"""Setting -> its heading in `--help`."""


def flag_of(name: str, value: str = "", own: Mapping[str, str] | None = None) -> str:
    """The flag of a setting, e.g. "--frames", "--no-plans", "--cache-mode replay".

    Args:
        name: keyword of `VLMTrainer`.
        value: shown after the flag; "False" gives the negative flag of a switch.
        own: the command's own flags, by setting, if they differ from the usual ones.
    """
    about = abouts(Options).get(name)
    flags = (own or {}).get(name) or (about.flag if about else "") or _default_flag(name)
    on, _, off = flags.partition("/")
    if value == "False":
        return off or f"--no-{on.removeprefix('--')}"
    return f"{on} {value}" if value and value != "True" else on


def with_flags(message: str, own: Mapping[str, str] | None = None) -> str:
    """A message with flags for the settings that `errors.setting` marked, or a reason names.

    Args:
        message: of an error, or a text with the reason of a decision.
        own: the command's own flags, by setting, if they differ from the usual ones.
    """
    from atari_vlm.replies.endings import marked

    return AtariVLMError(marked(message)).worded(functools.partial(flag_of, own=own))


def _default_flag(name: str) -> str:
    return "--" + name.replace("_", "-")


def with_options(
    *groups: type, without: Collection[str] = (), flags: Mapping[str, str] | None = None
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Replace the argument `options` of a command with the flags of option groups.

    Args:
        groups: default: all of `Options`.
        without: settings without a flag, or with a flag that the command declares itself.
        flags: the command's own flags, by setting, if they differ from the usual ones.
    """
    shared = {
        name: parameter
        for group in groups or (Options,)
        for name, parameter in _parameters(group, flags or {}).items()
        if name not in without
    }
    readers = {name: about.read for name, about in abouts(Options).items() if about.read}

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        @functools.wraps(command)
        def with_keywords(**arguments: Any) -> None:
            options = {name: arguments.pop(name) for name in shared}
            for name, read in readers.items():
                if options.get(name) is not None:
                    options[name] = read(options[name])
            command(options=options, **arguments)

        own = _own_parameters(command)
        del own["options"]
        parameters = {**own, **shared}
        with_keywords.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
            list(parameters.values())
        )
        with_keywords.__annotations__ = {name: p.annotation for name, p in parameters.items()}
        return with_keywords

    return decorate


def _parameters(group: type, flags: Mapping[str, str]) -> dict[str, inspect.Parameter]:
    """The settings of a group as parameters for typer."""
    hints, known = get_type_hints(group), abouts(group)
    defaults = {field.name: field.default for field in fields(group)}
    return {
        name: inspect.Parameter(
            name,
            inspect.Parameter.KEYWORD_ONLY,
            default=defaults[name],
            annotation=Annotated[_typed(hints[name], about), _typer_option(name, about, flags)],
        )
        for name, about in known.items()
    }


def _typer_option(name: str, about: About, flags: Mapping[str, str]) -> Any:
    flag = flags.get(name) or about.flag
    return typer.Option(
        *([flag] if flag else []), help=about.help, rich_help_panel=_PANELS.get(name)
    )


def _typed(hint: Any, about: About) -> Any:
    """The type for typer, which takes no unions: str for values that `About.read` parses."""
    optional = type(None) in get_args(hint)
    kinds = [kind for kind in get_args(hint) if kind is not type(None)]
    if get_origin(hint) not in (Union, UnionType):
        kinds = [hint]
    kind: Any = kinds[0]
    if about.read or get_origin(kind) is Literal:
        kind = str
    elif Path in kinds:
        kind = Path
    return kind | None if optional else kind


def _own_parameters(function: Callable[..., None]) -> dict[str, inspect.Parameter]:
    """The arguments of a command as keyword arguments with resolved annotations."""
    hints = get_type_hints(function, include_extras=True)
    return {
        name: parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY, annotation=hints[name])
        for name, parameter in inspect.signature(function).parameters.items()
    }
