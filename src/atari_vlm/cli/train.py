"""`atari-vlm train`, and what `train_atari_vlm.py` shares with it."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING, Annotated, Any

import typer

from atari_vlm.cli.console import console, page_of_an_invalid_run, print_line, write_replay_page
from atari_vlm.cli.flags import with_flags, with_options
from atari_vlm.cli.help import PROMPT
from atari_vlm.cli.places import check_places
from atari_vlm.cli.play import GameOption, ModelOption, print_estimate_line
from atari_vlm.errors import AtariVLMError
from atari_vlm.runs.options import EVALUATION_EPISODES, TRAINING_EPISODES
from atari_vlm.types import Step, Usage

if TYPE_CHECKING:
    from pathlib import Path

    from atari_vlm.cli.live_view import LiveView

IclOption = Annotated[
    bool | None,
    typer.Option(
        "--icl/--no-icl",
        help="Show the best moments of earlier episodes; default: if the prompt supports it "
        "and none of --reflect, --examples and --lessons is given.",
        rich_help_panel=PROMPT,
    ),
]
BeforeOption = Annotated[
    bool, typer.Option(help="Evaluate before learning too, for a player that learns.")
]
EveryOption = Annotated[
    int | None,
    typer.Option(
        help="Evaluate after so many training episodes, too: held-out scores over the training."
    ),
]
ControlOption = Annotated[
    bool, typer.Option("--control", help="Play the same seeds with learning off beside it.")
]
ShuffledOption = Annotated[
    bool,
    typer.Option(
        "--shuffled", help="Evaluate with the lessons shuffled beside it: do their contents help?"
    ),
]


@with_options(without={"use_in_context_learning"})
def train(
    options: dict[str, Any],
    game: GameOption = "pong",
    model: ModelOption = "embedded",
    episodes: Annotated[int, typer.Option(help="Episodes of training.", min=1)] = TRAINING_EPISODES,
    evaluations: Annotated[
        int, typer.Option(help="Episodes of evaluation.", min=1)
    ] = EVALUATION_EPISODES,
    icl: IclOption = None,
    before: BeforeOption = True,
    evaluate_every: EveryOption = None,
    control: ControlOption = False,
    shuffled: ShuffledOption = False,
    replay: Annotated[bool, typer.Option(help="Write the replay page.")] = True,
) -> None:
    """Learn in context, evaluated before and after on seeds that are not trained on."""
    from atari_vlm.trainer.curve_plan import CurvePlan

    check_places(options)
    if icl is None and (options["reflect"] or options["examples_from"] or options["lessons_from"]):
        icl = _begun_with_examples(game, model, options)
    options["use_in_context_learning"] = icl
    plan = CurvePlan(
        episodes=episodes,
        evaluations=evaluations,
        every=evaluate_every,
        before=before,
        control=control,
        shuffled=shuffled,
    )
    train_and_evaluate(game, model, plan, options, replay=replay)


def _begun_with_examples(game: str, model: str, options: dict[str, Any]) -> bool | None:
    """True, said in a line, if the training to continue was begun with --icl too.

    Before --icl had to be given beside --reflect, it was on; such a run cannot be told from one
    that was asked for both. None for a new training, and for one without.
    """
    from atari_vlm.runs.run import Run
    from atari_vlm.runs.seeds import EPISODES
    from atari_vlm.trainer import VLMTrainer

    try:
        both = VLMTrainer(game, model, **options, use_in_context_learning=True)
        folder = both.folder("train", both.seed * EPISODES)
        with closing(Run.read(folder)) as run:
            begun = run.settings
        other = both.without_own_moments().folder("train", both.seed * EPISODES)
        if other != folder and Run.exists(other):
            return None
    except AtariVLMError:  # there is no such run; what cannot work is said when it is played
        return None
    same = all(
        begun.get(name) == both.settings.get(name) for name in ("learner", "examples_of_own")
    )
    if not same:
        return None
    elsewhere = " with another --run" if options["run_folder"] else ""
    print_line(
        console,
        f"The training in {folder} was begun with examples of its own play (--icl) and goes on "
        f"with them; --no-icl{elsewhere} begins one without.",
    )
    return True


def evaluate_only(game: str, model: str, evaluations: int, options: dict[str, Any]) -> None:
    """Evaluate what an earlier training taught, print the results and write the page."""
    from atari_vlm.cli.live_view import LiveView
    from atari_vlm.cli.scores import print_summary
    from atari_vlm.protocols import labelled
    from atari_vlm.trainer import VLMTrainer

    name = "Evaluation, on seeds never trained on"
    with LiveView(console, f"{game}, {model}: {name}", screen=False) as view:
        trainer = VLMTrainer(game, model, **options, watch=view)
        view.title = f"{game}, {labelled(trainer.player.name, trainer.player.privileges)}: {name}"
        print_estimate_line(trainer.player, evaluations, learning=False)
        print_line(console, f"{name} ...")
        with page_of_an_invalid_run():
            summary = trainer.evaluate(evaluations)
    console.print(name, style="bold")
    print_summary(console, summary)
    write_replay_page(summary.folder, None, evaluations=[])


class _Views:
    """Watches several runs, each in a view of its own."""

    view: LiveView

    def __call__(self, episode: int, step: Step) -> None:
        """Show a step."""
        self.view.watch(episode, step)

    def announce(self, text: str) -> None:
        """Show how far games are that are no episodes of the run."""
        self.view.announce(text)


def train_and_evaluate(
    game: str, model: str, plan: Any, options: dict[str, Any], *, replay: bool = True
) -> None:
    """Train, evaluate on other seeds, print the results, write the pages.

    Args:
        game: any spelling of a game.
        model: name of a player.
        plan: a `trainer.curve_plan.CurvePlan`: what is played.
        options: keywords of `VLMTrainer`.
        replay: whether to write the replay page.
    """
    from atari_vlm.cli.curve_table import print_curve
    from atari_vlm.cli.live_view import LiveView
    from atari_vlm.cli.scores import print_summary, usage_line
    from atari_vlm.players import Options
    from atari_vlm.protocols import labelled
    from atari_vlm.report.curve import write_curve
    from atari_vlm.runs.results import Summary
    from atari_vlm.trainer import VLMTrainer
    from atari_vlm.trainer.continued import continued
    from atari_vlm.trainer.curve import CurveRuns, Phase
    from atari_vlm.trainer.curve_plan import learns, why_nothing_is_learned

    def play(phase: Phase) -> Summary:
        print_line(console, f"{phase.name} ...")
        player = labelled(trainer.player.name, trainer.player.privileges)
        with LiveView(console, f"{game}, {player}: {phase.name}", screen=False) as view:
            views.view = view
            return phase.play()

    views = _Views()

    def make(folder: str | Path | None, seed: int) -> VLMTrainer:
        chosen = {**options, "run_folder": folder, "seed": seed}
        return VLMTrainer(game, model, **chosen, watch=views)

    trainer = continued(
        make,
        Options(**options),
        options["seed"],
        lambda begun: begun.ended(plan.episodes, plan.evaluations),
    )
    runs = CurveRuns(trainer, plan)
    for line in runs.estimate_lines():
        print_line(console, with_flags(line))
    if not learns(trainer.player):
        print_line(console, with_flags(why_nothing_is_learned(trainer.player)))
    with page_of_an_invalid_run(replay):
        played = [(phase, play(phase)) for phase in runs.phases()]
    for phase, summary in played if not plan.compares else ():
        console.print(phase.name, style="bold")
        print_summary(console, summary)
    total = {summary.folder: summary.usage for _, summary in played}
    if len(total) > 1 and any(usage.calls for usage in total.values()):
        print_line(console, f"All together: {usage_line(sum(total.values(), Usage()))}")
    curve = runs.curve(played)
    own = dict.fromkeys(s.folder for p, s in played if p.arm == "learning" and p.after is not None)
    if replay:
        write_replay_page(curve.folder, None, evaluations=[*own])
    if learns(trainer.player):
        print_curve(console, curve, write_curve(curve), told=not plan.compares)
