"""`python train_atari_vlm.py`: the command line of the document this project was asked for."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from atari_vlm.cli.app import console, run_app, train_and_evaluate
from atari_vlm.cli.wording import FLAGS

app = typer.Typer(pretty_exceptions_enable=False, rich_markup_mode=None, add_completion=False)


@app.command()
def train_atari_vlm(
    game: Annotated[str, typer.Option(help="e.g. Pong-v5")] = "Pong-v5",
    vlm: Annotated[str, typer.Option(help="e.g. embedded, gpt-4o, claude, qwen-vl")] = "embedded",
    num_episodes: Annotated[int, typer.Option(help="Episodes to train on.", min=1)] = 10,
    use_icl: Annotated[bool, typer.Option("--use-icl", help="In-context learning.")] = False,
    prompt_type: Annotated[
        str | None, typer.Option(help="basic, cot, expert, adaptive; default: the model's own.")
    ] = None,
    api_key: Annotated[
        str | None, typer.Option(help="Default: the vendor's environment variable. Never written.")
    ] = None,
    base_url: Annotated[
        str | None, typer.Option(help="An OpenAI-compatible server that has the model.")
    ] = None,
    eval_only: Annotated[bool, typer.Option("--eval-only", help="Evaluate, do not train.")] = False,
    num_eval_episodes: Annotated[int, typer.Option(help="Episodes of evaluation.", min=1)] = 5,
    max_decisions: Annotated[
        int | None, typer.Option(help="End episodes after this many decisions.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0)] = 0,
    save_dir: Annotated[Path, typer.Option(help="Where run folders go.")] = Path("runs"),
    show_recommendations: Annotated[
        bool, typer.Option("--show-recommendations", help="Compare the models, and stop.")
    ] = False,
) -> None:
    """Train a vision-language model on an Atari game, then evaluate it on fresh seeds."""
    if show_recommendations:
        from atari_vlm.cli.listings import print_recommendations

        print_recommendations(console)
        return
    train_and_evaluate(
        0 if eval_only else num_episodes,
        num_eval_episodes,
        game_name=game,
        vlm_type=vlm,
        api_key=api_key,
        prompt_type=prompt_type,
        use_in_context_learning=use_icl,
        max_decisions=max_decisions,
        seed=seed,
        save_dir=save_dir,
        base_url=base_url,
    )


def main() -> None:
    """Entry point of `python train_atari_vlm.py`."""
    run_app(app, FLAGS | {"use_in_context_learning": "--use-icl", "prompt_type": "--prompt-type"})
