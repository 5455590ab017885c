"""The flags that say how a hosted model is asked, written once for every command that takes them.

    @app.command()
    @hosted
    def play(..., hosting: dict[str, Any]) -> None:

`hosting` is a dict of arguments of VLMTrainer; the command line shows its flags one by one.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, get_type_hints

import typer


def _flags(
    dialect: Annotated[
        str | None,
        typer.Option(
            help="What the server is: vllm, sglang, lmdeploy, ollama, llamacpp, "
            "transformers-serve, openrouter or generic. Without --base-url, where it usually is."
        ),
    ] = None,
    effort: Annotated[
        str | None, typer.Option(help="How long a reasoning model thinks: low, medium, high.")
    ] = None,
    detail: Annotated[
        str | None, typer.Option(help="How closely pictures are looked at: auto, low, high.")
    ] = None,
    timeout: Annotated[
        float | None, typer.Option(help="Seconds to wait for one answer; default: 60.")
    ] = None,
    rpm: Annotated[float | None, typer.Option(help="Most requests a minute.")] = None,
    concurrency: Annotated[int | None, typer.Option(help="Most requests at the same time.")] = None,
    cache: Annotated[
        Path | None, typer.Option(help="File of answers that runs share; see --cache-mode.")
    ] = None,
    cache_mode: Annotated[
        str | None,
        typer.Option(
            help="readwrite (default), replay (asks nobody, needs no key, costs nothing), refresh, "
            "off."
        ),
    ] = None,
    cache_share: Annotated[
        bool, typer.Option("--cache-share", help="Equal states get equal answers.")
    ] = False,
    budget: Annotated[
        float | None,
        typer.Option(help="Most US dollars of a run; raise it to continue a run that stopped."),
    ] = None,
    budget_episode: Annotated[
        float | None, typer.Option(help="Most US dollars of an episode, which is then cut short.")
    ] = None,
    budget_tokens: Annotated[int | None, typer.Option(help="Most tokens of a run.")] = None,
) -> None:
    """Only its signature is used."""


def hosted(command: Callable[..., None]) -> Callable[..., None]:
    """The command with these flags in place of its argument `hosting`."""
    shared, own = _parameters(_flags), _parameters(command)

    @functools.wraps(command)
    def with_flags(**arguments: Any) -> None:
        hosting = {name: arguments.pop(name) for name in shared}
        command(**arguments, hosting=hosting)

    parameters = {**own, **shared}
    del parameters["hosting"]
    with_flags.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
        list(parameters.values())
    )
    with_flags.__annotations__ = {name: p.annotation for name, p in parameters.items()}
    return with_flags


def _parameters(function: Callable[..., None]) -> dict[str, inspect.Parameter]:
    """The arguments of a function, all by keyword, with what their annotations mean."""
    hints = get_type_hints(function, include_extras=True)
    return {
        name: parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY, annotation=hints[name])
        for name, parameter in inspect.signature(function).parameters.items()
    }
