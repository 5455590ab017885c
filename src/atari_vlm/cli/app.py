"""The command `atari-vlm`: each verb parses, makes one call and prints."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar, cast

import typer
from rich.console import Console

from atari_vlm.cli.flags import hosted, local
from atari_vlm.cli.wording import FLAGS, as_typed
from atari_vlm.errors import AtariVLMError, InvalidSetting

if TYPE_CHECKING:
    from atari_vlm.players import Experiment

app = typer.Typer(
    help="Pretrained vision-language models play Atari games, and get better at it.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
models_app = typer.Typer(
    help="List the models, or check one of them.", rich_markup_mode=None, add_completion=False
)
app.add_typer(models_app, name="models")
console = Console()


def _show_version(asked: bool) -> None:
    if asked:
        from importlib.metadata import version

        typer.echo(f"atari-vlm {version('atari-vlm')}")
        raise typer.Exit()


@app.callback()
def about(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_show_version, is_eager=True, help="Print the version."),
    ] = False,
) -> None:
    """Pretrained vision-language models play Atari games, and get better at it."""


GameOption = Annotated[str, typer.Option(help="A game: pong, Breakout-v5, ...; see `games`.")]
ModelOption = Annotated[
    str, typer.Option(help="A model (see `models`), or a baseline: random, noop, expert, iw, uct.")
]
PromptOption = Annotated[
    str | None,
    typer.Option(help="basic, cot, expert, adaptive or embedded; default: the model's own."),
]
KeyOption = Annotated[
    str | None,
    typer.Option(help="API key; default: the vendor's environment variable. Never written."),
]
UrlOption = Annotated[
    str | None, typer.Option(help="An OpenAI-compatible server, e.g. http://localhost:8000/v1.")
]
IclOption = Annotated[bool, typer.Option(help="Show the best moments of earlier episodes.")]
SeedOption = Annotated[int, typer.Option(help="Episode k plays seed 1,000,000 x this + k.", min=0)]
PlansOption = Annotated[bool, typer.Option(help="Let the model say how long to hold an action.")]
SkipOption = Annotated[int, typer.Option(help="Emulator frames (60 a second) a decision.")]
StackOption = Annotated[int, typer.Option(help="Screens the policy sees.")]
FramesOption = Annotated[
    int | None, typer.Option(help="Screens in the prompt, newest last; default: 2.", min=1)
]
HistoryOption = Annotated[
    int | None, typer.Option(help="Recent actions in the prompt; default: 8.", min=0)
]
SizeOption = Annotated[
    str | None, typer.Option(help="Size of the pictures sent, e.g. 224x224; default: native.")
]
StickyOption = Annotated[float, typer.Option(help="Probability that a frame repeats an action.")]
TemperatureOption = Annotated[float | None, typer.Option(help="Sampling temperature.")]
TokensOption = Annotated[int | None, typer.Option(help="Longest answer, in tokens.")]
AheadOption = Annotated[
    int, typer.Option(help="Decisions the model plans in one answer; a lost life ends the plan.")
]
CutOption = Annotated[int | None, typer.Option(help="End episodes after this many decisions.")]
ParallelOption = Annotated[int, typer.Option(help="Episodes at the same time.", min=1)]
RunOption = Annotated[
    Path | None, typer.Option("--run", help="Run folder; default: named after the settings.")
]
SaveOption = Annotated[Path, typer.Option(help="Where run folders go.")]


@app.command()
@hosted
@local
def play(
    hosting: dict[str, Any],
    held: dict[str, Any],
    game: GameOption = "pong",
    model: ModelOption = "embedded",
    prompt: PromptOption = None,
    episodes: Annotated[int, typer.Option(help="Episodes of the run, in all.", min=1)] = 1,
    icl: IclOption = False,
    seed: Annotated[
        int | None,
        typer.Option(help="Episode k plays seed 1,000,000 x this + k; default: first not played."),
    ] = None,
    plans: PlansOption = True,
    frame_skip: SkipOption = 4,
    frame_stack: StackOption = 4,
    frames: FramesOption = None,
    history: HistoryOption = None,
    image_size: SizeOption = None,
    sticky: StickyOption = 0.25,
    temperature: TemperatureOption = None,
    max_tokens: TokensOption = None,
    decisions_per_call: AheadOption = 1,
    max_decisions: CutOption = None,
    parallel: ParallelOption = 1,
    api_key: KeyOption = None,
    base_url: UrlOption = None,
    run: RunOption = None,
    save_dir: SaveOption = Path("runs"),
    screen: Annotated[bool, typer.Option(help="Draw the game in the terminal.")] = True,
    replay: Annotated[bool, typer.Option(help="Write the replay page.")] = True,
) -> None:
    """Play, show it live, and write the replay. The same command continues what was stopped."""
    from atari_vlm.cli.display import Board, print_summary
    from atari_vlm.trainer import Summary, VLMTrainer

    def work() -> Summary:
        with Board(console, f"{game} · {model}", screen=screen) as board:
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
                decisions_per_call=decisions_per_call,
                temperature=temperature,
                max_tokens=max_tokens,
                max_decisions=max_decisions,
                seed=seed or 0,
                parallel=parallel,
                save_dir=save_dir,
                run_folder=run,
                base_url=base_url,
                **held,
                watch=board.watch,
                **hosting,
            )
            if seed is None and run is None:
                trainer.seed = trainer.unplayed_seed(episodes)
            _say_estimate(trainer.experiment, episodes)
            return trainer.train(episodes)

    summary = uninterrupted(work)
    print_summary(console, summary)
    if replay:
        _write_replay(summary.folder, None)


def _say_estimate(experiment: Experiment, episodes: int) -> None:
    """One line before anything is spent, where anything will be."""
    from atari_vlm.advice.estimate import billed, estimate_of
    from atari_vlm.cli.display import say

    if billed(experiment):
        say(console, f"Estimate: {estimate_of(experiment, episodes).line}")


@app.command()
def estimate(
    game: GameOption = "pong",
    model: ModelOption = "gpt-6-luna",
    prompt: PromptOption = None,
    episodes: Annotated[int, typer.Option(help="Episodes of the run.", min=1)] = 1,
    icl: IclOption = False,
    plans: PlansOption = True,
    frame_skip: SkipOption = 4,
    frame_stack: StackOption = 4,
    frames: FramesOption = None,
    history: HistoryOption = None,
    image_size: SizeOption = None,
    max_tokens: TokensOption = None,
    decisions_per_call: AheadOption = 1,
    max_decisions: CutOption = None,
    base_url: UrlOption = None,
) -> None:
    """Say what a run will cost, in tokens and dollars, before anything is asked. Needs no key."""
    from atari_vlm.advice.estimate import estimate_run
    from atari_vlm.cli.listings import print_estimate
    from atari_vlm.players import Options

    options = Options(
        frame_stack=frame_stack,
        frames_in_prompt=frames,
        resize_shape=read_size(image_size),
        frame_skip=frame_skip,
        plans=plans,
        history=history,
        max_tokens=max_tokens,
        max_decisions=max_decisions,
        decisions_per_call=decisions_per_call,
    )
    known = estimate_run(
        game,
        model,
        episodes=episodes,
        prompt_type=prompt,
        learn=icl,
        options=options,
        base_url=base_url,
    )
    print_estimate(console, known)


@app.command()
@hosted
@local
def train(
    hosting: dict[str, Any],
    held: dict[str, Any],
    game: GameOption = "pong",
    model: ModelOption = "embedded",
    prompt: PromptOption = None,
    episodes: Annotated[int, typer.Option(help="Episodes to learn from.", min=1)] = 10,
    evaluations: Annotated[int, typer.Option(help="Episodes to evaluate on, after.", min=1)] = 5,
    icl: Annotated[
        bool | None,
        typer.Option(
            "--icl/--no-icl",
            help="Show the best moments of earlier episodes; default: where the prompt can.",
        ),
    ] = None,
    seed: SeedOption = 0,
    api_key: KeyOption = None,
    base_url: UrlOption = None,
    temperature: TemperatureOption = None,
    max_decisions: CutOption = None,
    save_dir: SaveOption = Path("runs"),
) -> None:
    """Learn in context over some episodes, then evaluate on seeds that were never trained on."""
    train_and_evaluate(
        episodes,
        evaluations,
        game_name=game,
        vlm_type=model,
        api_key=api_key,
        prompt_type=prompt,
        use_in_context_learning=icl,
        temperature=temperature,
        max_decisions=max_decisions,
        seed=seed,
        save_dir=save_dir,
        base_url=base_url,
        **held,
        **hosting,
    )


def train_and_evaluate(episodes: int, evaluations: int, **settings: Any) -> None:
    """Train (unless `episodes` is 0), evaluate on fresh seeds, and print both.

    Args:
        episodes: of training.
        evaluations: episodes of evaluation.
        settings: arguments of VLMTrainer.
    """
    from atari_vlm.cli.display import Board, print_summary
    from atari_vlm.trainer import Summary, VLMTrainer

    title = f"{settings['game_name']} · {settings['vlm_type']}"

    def work() -> tuple[Summary | None, Summary]:
        with Board(console, title, screen=False) as board:
            trainer = VLMTrainer(**settings, watch=board.watch)
            return trainer.train(episodes) if episodes else None, trainer.evaluate(evaluations)

    trained, evaluated = uninterrupted(work)
    if trained:
        console.print("Training", style="bold")
        print_summary(console, trained)
    console.print("Evaluation, on fresh seeds", style="bold")
    print_summary(console, evaluated)


@app.command()
@hosted
@local
def bench(
    hosting: dict[str, Any],
    held: dict[str, Any],
    games: Annotated[str, typer.Option(help="Games, with commas between; or: all12.")] = "pong",
    models: Annotated[str, typer.Option(help="Models, with commas between.")] = "embedded",
    episodes: Annotated[int, typer.Option(help="Whole games in each cell.", min=1)] = 10,
    seed: SeedOption = 0,
    baselines: Annotated[bool, typer.Option(help="Add random, noop, best-constant.")] = True,
    processes: Annotated[int, typer.Option(help="Cells played at the same time.", min=1)] = 1,
    max_decisions: CutOption = None,
    prompt: PromptOption = None,
    base_url: UrlOption = None,
    out: Annotated[Path, typer.Option(help="Folder of the runs and the results.")] = Path("bench"),
) -> None:
    """Play games x models with baselines in the same settings; the same command continues."""
    from atari_vlm.atari.games import SUGGESTED
    from atari_vlm.bench.matrix import BASELINES, BenchSettings
    from atari_vlm.bench.matrix import bench as run_bench
    from atari_vlm.cli.display import bench_table, say

    players = tuple(models.split(",")) + (BASELINES if baselines else ())
    settings = BenchSettings(
        games=SUGGESTED if games == "all12" else tuple(games.split(",")),
        players=tuple(dict.fromkeys(players)),
        episodes=episodes,
        seed=seed,
        out=out,
        processes=processes,
        max_decisions=max_decisions,
        prompt=prompt,
        base_url=base_url,
        hosting=hosting,
        local=held,
    )
    cells = uninterrupted(lambda: run_bench(settings, lambda line: say(console, line)))
    console.print(bench_table(cells))
    say(console, f"Results: {out / 'results.csv'}, {out / 'results.json'}")


@app.command()
def games(
    every: Annotated[bool, typer.Option("--all", help="All games, not only the 12.")] = False,
) -> None:
    """List the games, with random and human scores."""
    from atari_vlm.atari.games import GAMES, SUGGESTED
    from atari_vlm.cli.listings import games_table

    chosen = list(GAMES) if every else list(SUGGESTED)
    console.print(games_table([GAMES[name] for name in chosen]))
    if not every:
        console.print(f"{len(GAMES)} games in all: atari-vlm games --all", highlight=False)


@models_app.callback(invoke_without_command=True)
def models(context: typer.Context) -> None:
    """List the models: what they are asked for by, what they need, what they cost."""
    if context.invoked_subcommand is not None:
        return
    from atari_vlm.cli.display import say
    from atari_vlm.cli.listings import print_models, print_recommendations

    print_models(console)
    say(console, "\nBaselines: random, noop, expert (the 12 suggested games), always-ACTION;")
    say(console, "searches, which use the emulator: iw, uct, with a budget of frames iw-12000.")
    say(console, "Also: PROVIDER:ID, local:ORG/NAME, a folder, any name a --base-url server has.")
    say(console, "Does one work? atari-vlm models check NAME\n")
    print_recommendations(console)


@models_app.command()
def check(
    name: Annotated[str, typer.Argument(help="A model, as `play --model` takes it.")],
    game: Annotated[
        str | None, typer.Option(help="Answer with this game's actions; default: directions.")
    ] = None,
    api_key: KeyOption = None,
    base_url: UrlOption = None,
) -> None:
    """Ask a model one cheap question about a picture, and say what works; exit code 1 if not."""
    from atari_vlm.advice.model_check import check_model
    from atari_vlm.cli.listings import print_check

    checked = uninterrupted(
        lambda: check_model(name, api_key=api_key, base_url=base_url, game=game)
    )
    print_check(console, checked)
    if not checked.works:
        raise typer.Exit(1)


@app.command()
def report(
    run: Annotated[Path, typer.Argument(help="A run folder.")],
    out: Annotated[Path | None, typer.Option(help="Default: replay.html in the run.")] = None,
    gif: Annotated[Path | None, typer.Option(help="A moving picture instead of the page.")] = None,
    episode: Annotated[int, typer.Option(help="Episode of the moving picture.", min=0)] = 0,
    start: Annotated[int, typer.Option(help="Its first decision.", min=0)] = 0,
    decisions: Annotated[int, typer.Option(help="How many decisions it shows.", min=1)] = 240,
) -> None:
    """Write the replay page of a run, one HTML file; or a moving picture of a stretch of it."""
    if gif is None:
        _write_replay(run, out)
        return
    from atari_vlm.cli.display import say
    from atari_vlm.report.film import write_film

    film = write_film(run, gif, episode=episode, start=start, decisions=decisions)
    say(console, f"Film: {film}")


@app.command()
def collect(
    games: Annotated[str, typer.Option(help="Games to play, with commas between.")] = "pong",
    decisions: Annotated[int, typer.Option(help="Labelled decisions of each game.")] = 20_000,
    out: Annotated[Path, typer.Option(help="Folder of the data set.")] = Path("dataset"),
    student: Annotated[
        Path | None,
        typer.Option(help="Weights that play most decisions, the expert labelling them."),
    ] = None,
    seed: Annotated[int, typer.Option(help="Decides every decision.", min=0)] = 0,
    workers: Annotated[int, typer.Option(help="Processes that play.", min=1)] = 1,
    shard_size: Annotated[int, typer.Option(help="Decisions of a file.", min=1)] = 5_000,
) -> None:
    """Play and label what a model can learn from; the same command continues what was stopped."""
    from atari_vlm.atari.games import get_game
    from atari_vlm.cli.display import say
    from atari_vlm.learning.distill.collection import CollectSettings, collect_dataset

    settings = CollectSettings(
        games=tuple(get_game(name).name for name in games.split(",")),
        decisions=decisions,
        out=out,
        student=student,
        seed=seed,
        workers=workers,
        shard_size=shard_size,
    )
    done = uninterrupted(lambda: collect_dataset(settings, lambda line: say(console, line)))
    if done.decisions:
        say(
            console,
            f"{done.decisions:,} decisions in {done.seconds:.0f} s: "
            f"{done.rate:,.0f} a minute for each worker",
        )
    say(console, f"Data set: {done.folder}, described in its README.md")
    say(console, f"Learn from it: atari-vlm distill --games {games} --data {done.folder}")


@app.command()
def distill(
    games: Annotated[str, typer.Option(help="Games to teach, with commas between.")] = "pong",
    minutes: Annotated[float, typer.Option(help="Minutes of training.")] = 60.0,
    out: Annotated[Path, typer.Option(help="Folder of data, checkpoint and weights.")] = Path(
        "distilled"
    ),
    data: Annotated[
        Path | None, typer.Option(help="Learn from what `collect` put here, then play on.")
    ] = None,
    base: Annotated[
        Path | None,
        typer.Option("--from", help="Begin with these weights; default: with random ones."),
    ] = None,
    seed: Annotated[int, typer.Option(min=0)] = 0,
    threads: Annotated[int, typer.Option(help="Threads of the training process.", min=1)] = 1,
    workers: Annotated[int, typer.Option(help="Processes that play beside it.", min=0)] = 1,
    episodes: Annotated[int, typer.Option(help="Full episodes of the evaluation.", min=0)] = 5,
    precision: Annotated[
        str, typer.Option(help="fp32, or bf16: faster where the processor has bf16 units.")
    ] = "fp32",
    round_minutes: Annotated[
        float, typer.Option(help="Minutes between rounds in which the student plays.")
    ] = 3.0,
    round_decisions: Annotated[
        int, typer.Option(help="Decisions of each game in such a round.", min=1)
    ] = 8_000,
    opening: Annotated[
        float, typer.Option(help="Share of the minutes in which only the eyes learn.")
    ] = 0.1,
) -> None:
    """Train an embedded model; the same command continues what was stopped."""
    from atari_vlm.atari.games import get_game
    from atari_vlm.cli.display import say
    from atari_vlm.learning.distill.run import distill as run_distillation
    from atari_vlm.learning.distill.settings import DistillSettings, Precision

    settings = DistillSettings(
        games=tuple(get_game(name).name for name in games.split(",")),
        minutes=minutes,
        out=out,
        data=data,
        base=base,
        seed=seed,
        threads=threads,
        workers=workers,
        episodes=episodes,
        precision=cast(Precision, precision),
        round_minutes=round_minutes,
        round_decisions=round_decisions,
        opening=opening,
    )
    uninterrupted(lambda: run_distillation(settings, lambda line: say(console, line)))


def _write_replay(folder: Path, out: Path | None) -> None:
    from atari_vlm.cli.display import say
    from atari_vlm.report.run_page import write_replay

    say(console, f"Replay: {write_replay(folder, out)}")


def read_size(text: str | None) -> tuple[int, int] | None:
    """Read "224x224" as (224, 224)."""
    if text is None:
        return None
    width, _, height = text.lower().partition("x")
    if not (width.isdigit() and height.isdigit()):
        raise InvalidSetting(f"An image size looks like 224x224, not {text!r}.")
    return int(width), int(height)


Result = TypeVar("Result")


def uninterrupted(work: Callable[[], Result]) -> Result:
    """Do the work; Ctrl-C ends in a sentence and exit code 130."""
    try:
        return work()
    except KeyboardInterrupt:
        typer.echo("Stopped. What was done is kept; the same command continues.", err=True)
        raise typer.Exit(130) from None


def run_app(command: typer.Typer, flags: dict[str, str] = FLAGS) -> None:
    """Run a command line; what is the user's to mend ends in one sentence and exit code 1.

    Args:
        command: the command line.
        flags: how it calls the arguments that errors name.
    """
    try:
        command()
    except AtariVLMError as error:
        typed = error.worded(lambda name: flags.get(name, "--" + name.replace("_", "-")))
        words = as_typed(" ".join(typed.split()), flags)
        # Which may quote a model: no terminal codes.
        words = "".join(letter if letter.isprintable() else "?" for letter in words)
        typer.echo(f"Error: {words}", err=True)
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)
    except BrokenPipeError:  # `| head` has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(141)


def main() -> None:
    """Entry point of `atari-vlm`."""
    run_app(app)


if __name__ == "__main__":
    main()
