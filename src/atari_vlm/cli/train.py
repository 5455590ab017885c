"""`atari-vlm train`, and what `train_atari_vlm.py` shares with it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any

import typer

from atari_vlm.cli.console import console, page_of_an_invalid_run, print_line, write_replay_page
from atari_vlm.cli.flags import with_options
from atari_vlm.cli.help import PROMPT
from atari_vlm.cli.places import check_places
from atari_vlm.cli.play import GameOption, ModelOption, print_estimate_line
from atari_vlm.players import EMBEDDED, Options, Player
from atari_vlm.types import Charge, Step, Usage

if TYPE_CHECKING:
    from atari_vlm.trainer import VLMTrainer


@with_options(without={"use_in_context_learning"})
def train(
    options: dict[str, Any],
    game: GameOption = "pong",
    model: ModelOption = "embedded",
    episodes: Annotated[int, typer.Option(help="Episodes of training.", min=1)] = 10,
    evaluations: Annotated[int, typer.Option(help="Episodes of evaluation.", min=1)] = 5,
    icl: Annotated[
        bool | None,
        typer.Option(
            "--icl/--no-icl",
            help="Show the best moments of earlier episodes; default: if the prompt supports it.",
            rich_help_panel=PROMPT,
        ),
    ] = None,
    before: Annotated[
        bool, typer.Option(help="Evaluate before learning too, for a player that learns.")
    ] = True,
) -> None:
    """Learn in context, evaluated before and after on seeds that are not trained on."""
    check_places(options)
    options["use_in_context_learning"] = icl
    train_and_evaluate(game, model, episodes, evaluations, options, before=before)


def train_and_evaluate(
    game: str,
    model: str,
    episodes: int,
    evaluations: int,
    options: dict[str, Any],
    *,
    before: bool = False,
) -> None:
    """Train unless `episodes` is 0, evaluate on other seeds, print the results, write the page.

    Args:
        game: any spelling of a game.
        model: name of a player.
        episodes: episodes of training.
        evaluations: episodes of evaluation.
        options: keywords of `VLMTrainer`.
        before: evaluate before the training too, if the player learns.
    """
    from atari_vlm.cli.live_view import LiveView
    from atari_vlm.cli.scores import print_summary, usage_line
    from atari_vlm.models.hosted.budget import SharedBudget
    from atari_vlm.models.hosted.options import SpendOptions
    from atari_vlm.options import part
    from atari_vlm.runs.results import Summary
    from atari_vlm.trainer import VLMTrainer

    def phase(name: str, call: Callable[[], Summary]) -> None:
        print_line(console, f"{name} ...")
        with LiveView(console, f"{game}, {model}: {name}", screen=False) as view:
            views.append(view)
            done.append((name, call()))

    def work() -> None:
        if twice:
            untaught = partial(trainer.evaluate, evaluations, lessons=False)
            phase("Evaluation before learning", untaught)
        if episodes:
            phase("Training", partial(trainer.train, episodes))
        phase("Evaluation, on seeds never trained on", partial(trainer.evaluate, evaluations))

    def watch(episode: int, step: Step) -> None:
        views[-1].watch(episode, step)

    done: list[tuple[str, Summary]] = []
    views: list[LiveView] = []
    shared = SharedBudget(part(Options(**options), SpendOptions).caps, "training")
    trainer = VLMTrainer(game, model, **options, watch=watch, shared_budget=shared)
    for spent in _spent_earlier(trainer):
        shared.add(spent)
    learns = trainer.player.learner is not None
    twice = before and learns and episodes
    print_estimate_line(trainer.player, episodes + evaluations * (2 if twice else 1))
    if episodes and not learns:
        print_line(console, _why_nothing_is_learned(trainer.player))
    with page_of_an_invalid_run():
        work()
    for name, summary in done:
        console.print(name, style="bold")
        print_summary(console, summary)
    if len(done) > 1 and any(summary.usage.calls for _, summary in done):
        usage = sum((summary.usage for _, summary in done), Usage())
        print_line(console, f"All together: {usage_line(usage)}")
    done.sort(key=lambda phase: phase[0] != "Training")
    first, *others = (summary.folder for _, summary in done)
    write_replay_page(first, None, evaluations=others)


def _why_nothing_is_learned(player: Player) -> str:
    if player.model is None or player.prompt_type == EMBEDDED:
        how = " (`atari-vlm distill` trains its weights)" if player.model else ""
        return f"{player.name} learns nothing from what it plays{how}: these episodes only play."
    return "Without in-context learning nothing is learned: these episodes only play."


def _spent_earlier(trainer: VLMTrainer) -> Iterator[Charge]:
    """What earlier calls spent on the training run of a trainer, and on evaluations of it."""
    from atari_vlm.runs.run import Run
    from atari_vlm.runs.seeds import EPISODES, EVALUATION

    first, counts = trainer.seed * EPISODES, [0]
    trained = trainer.folder("train", first)
    if Run.exists(trained):
        with closing(Run.read(trained)) as run:
            yield Charge(*run.spent())
            counts = list(range(len(run.episodes()) + 1))
    for taught in (None, *counts):
        folder = trainer.folder("evaluate", first + EVALUATION, taught)
        if Run.exists(folder):
            with closing(Run.read(folder)) as run:
                yield Charge(*run.spent())
