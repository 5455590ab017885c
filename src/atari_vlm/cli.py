"""The command `atari-vlm`: each verb parses, makes one call and prints."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Optional

import typer
from rich.console import Console

from atari_vlm.errors import AtariVLMError, InvalidSetting

app = typer.Typer(
    help="Pretrained vision-language models play Atari games, and get better at it.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
console = Console()

GameOption = Annotated[str, typer.Option(help="A game: pong, Breakout-v5, ...; see `games`.")]
ModelOption = Annotated[
    str, typer.Option(help="A model (see `models`), or a baseline: random, noop, expert.")
]
PromptOption = Annotated[
    Optional[str],
    typer.Option(help="basic, cot, expert, adaptive or specialist; default: the model's own."),
]
KeyOption = Annotated[
    Optional[str],
    typer.Option(help="API key; default: the vendor's environment variable. Never written."),
]
UrlOption = Annotated[
    Optional[str], typer.Option(help="An OpenAI-compatible server, e.g. http://localhost:8000/v1.")
]
SeedOption = Annotated[int, typer.Option(help="Episode k plays seed 1,000,000 x this + k.", min=0)]
RunOption = Annotated[
    Optional[Path], typer.Option("--run", help="Run folder; default: runs/, named by settings.")
]
SizeOption = Annotated[
    Optional[str], typer.Option(help="Size of the pictures sent, e.g. 224x224; default: native.")
]


@app.command("play")
def play_(
    game: GameOption = "pong",
    model: ModelOption = "embedded",
    prompt: PromptOption = None,
    episodes: Annotated[int, typer.Option(help="Whole games to play.", min=1)] = 1,
    seed: SeedOption = 0,
    icl: Annotated[bool, typer.Option(help="Learn in context from the best moments.")] = False,
    plans: Annotated[bool, typer.Option(help="Let the model say how long to hold.")] = True,
    frame_skip: Annotated[int, typer.Option(help="Emulator frames a decision.")] = 4,
    sticky: Annotated[float, typer.Option(help="Sticky-action probability.")] = 0.25,
    frames: Annotated[Optional[int], typer.Option(help="Frames in the prompt.")] = None,
    frame_stack: Annotated[int, typer.Option(help="Screens the policy sees.")] = 4,
    history: Annotated[int, typer.Option(help="Recent actions in the prompt.")] = 8,
    image_size: SizeOption = None,
    temperature: Annotated[Optional[float], typer.Option(help="Sampling temperature.")] = None,
    max_tokens: Annotated[Optional[int], typer.Option(help="Longest answer.")] = None,
    max_decisions: Annotated[Optional[int], typer.Option(help="Cut episodes short.")] = None,
    parallel: Annotated[int, typer.Option(help="Episodes at the same time.", min=1)] = 1,
    api_key: KeyOption = None,
    base_url: UrlOption = None,
    run: RunOption = None,
    save_dir: Annotated[Path, typer.Option(help="Where run folders go.")] = Path("runs"),
    screen: Annotated[bool, typer.Option(help="Draw the game in the terminal.")] = True,
    replay: Annotated[bool, typer.Option(help="Write the replay page.")] = True,
) -> None:
    """Play, show it live, and write the replay. The same command continues what was stopped."""
    from atari_vlm.display import Board, print_summary
    from atari_vlm.games import get_game
    from atari_vlm.trainer import VLMTrainer

    with Board(console, get_game(game), f"{game} · {model}", screen=screen) as board:
        trainer = VLMTrainer(
            game,
            model,
            api_key,
            prompt,
            icl,
            frame_stack=frame_stack,
            frames_in_prompt=frames,
            resize_shape=read_size(image_size),
            frame_skip=frame_skip,
            repeat_action_probability=sticky,
            plans=plans,
            history=history,
            temperature=temperature,
            max_tokens=max_tokens,
            max_decisions=max_decisions,
            seed=seed,
            parallel=parallel,
            save_dir=save_dir,
            run_folder=run,
            base_url=base_url,
            watch=board.watch,
        )
        summary = trainer.train(episodes)
    print_summary(console, summary)
    if replay:
        _replay(summary.folder, None)


app.command("train", help="Learn in context: `play` with --icl and more episodes.")(
    lambda: None
)  # replaced below


@app.command()
def games(
    every: Annotated[bool, typer.Option("--all", help="All games, not only the 12.")] = False,
) -> None:
    """List the games, with random and human scores."""
    from atari_vlm.display import games_table
    from atari_vlm.games import GAMES, SUGGESTED

    console.print(games_table([GAMES[name] for name in (GAMES if every else SUGGESTED)]))


@app.command()
def report(
    run: Annotated[Path, typer.Argument(help="A run folder.")],
    out: Annotated[Optional[Path], typer.Option(help="Default: replay.html in the run.")] = None,
) -> None:
    """Write the replay page of a run: one HTML file."""
    _replay(run, out)


def _replay(folder: Path, out: Path | None) -> None:
    from atari_vlm.report.run_page import write_replay

    path = write_replay(folder, out)
    console.print(f"Replay: {path}", highlight=False, soft_wrap=True)


def read_size(text: str | None) -> tuple[int, int] | None:
    """Read "224x224" as (224, 224)."""
    if text is None:
        return None
    width, _, height = text.lower().partition("x")
    if not (width.isdigit() and height.isdigit()):
        raise InvalidSetting(f"An image size looks like 224x224, not {text!r}.")
    return int(width), int(height)


def run_app(command: Callable[[], Any]) -> None:
    """Run a command line; what is the user's to mend ends in one sentence and exit code 1."""
    try:
        command()
    except AtariVLMError as error:
        typer.echo(f"Error: {error}", err=True)
        sys.exit(1)
    except KeyboardInterrupt:
        typer.echo("Stopped; nothing is lost. The same command continues.", err=True)
        sys.exit(130)


def main() -> None:
    """Entry point of `atari-vlm`."""
    run_app(lambda: app(standalone_mode=True))
