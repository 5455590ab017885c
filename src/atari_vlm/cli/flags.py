"""The flags that say how a model is held and asked, written once for every command that takes them.

    @app.command()
    @hosted
    @local
    def play(hosting: dict[str, Any], held: dict[str, Any], ...) -> None:

Both are dicts of arguments of VLMTrainer; the command line shows their flags one by one.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, get_type_hints

import typer


def _hosted(
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


def _local(
    decide: Annotated[
        str,
        typer.Option(
            help="words, or score: rate every answer in one pass (embedded, local models)."
        ),
    ] = "words",
    quantize: Annotated[
        str | None, typer.Option(help="Local models: hold weights in 4bit, 8bit or int8.")
    ] = None,
    attention: Annotated[
        str | None, typer.Option(help="Local models: sdpa, eager, flash_attention_2.")
    ] = None,
    dtype: Annotated[
        str | None, typer.Option(help="Local models: float32, bfloat16, float16, auto.")
    ] = None,
    device: Annotated[
        str | None, typer.Option(help="Local models: cpu, cuda, cuda:1, auto for all GPUs.")
    ] = None,
    threads: Annotated[
        int | None, typer.Option(help="Local models: threads on a CPU.", min=1)
    ] = None,
    video: Annotated[
        bool | None,
        typer.Option(
            "--video/--pictures", help="Local models: several screens as one video, or as pictures."
        ),
    ] = None,
    trust_remote_code: Annotated[
        str | None,
        typer.Option(
            help="Run the Python code of this one checkpoint: ORG/NAME@COMMIT, or its folder."
        ),
    ] = None,
) -> None:
    """Only its signature is used."""


def hosted(command: Callable[..., None]) -> Callable[..., None]:
    """The command with the flags of hosted models in place of its argument `hosting`."""
    return _with_flags(command, _hosted, "hosting")


def local(command: Callable[..., None]) -> Callable[..., None]:
    """The command with the flags of models in this process in place of its argument `held`."""
    return _with_flags(command, _local, "held")


def _with_flags(
    command: Callable[..., None], flags: Callable[..., None], argument: str
) -> Callable[..., None]:
    """The command with the arguments of `flags` in place of `argument`, which gets their dict."""
    shared, own = _parameters(flags), _parameters(command)

    @functools.wraps(command)
    def with_flags(**arguments: Any) -> None:
        arguments[argument] = {name: arguments.pop(name) for name in shared}
        command(**arguments)

    parameters = {**own, **shared}
    del parameters[argument]
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
