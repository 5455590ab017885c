"""The table of scores of a run, and its cost."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing

from rich.console import Console
from rich.markup import escape

from atari_vlm.cli.console import print_line, printable
from atari_vlm.cli.tables import Listing
from atari_vlm.costs.bill import FREE, compare, dollars_text, format_dollars, unanswered_note
from atari_vlm.protocols import Proof
from atari_vlm.report.settings_text import settings_line
from atari_vlm.runs.playback import pictures
from atari_vlm.runs.results import Summary
from atari_vlm.runs.run import Run
from atari_vlm.runs.settings import completed
from atari_vlm.stats import Interval, format_score, why_none
from atari_vlm.types import Usage


def score_table(summary: Summary) -> Listing:
    """The score of a run beside the random and the human score, with the settings it depends on."""
    game = summary.game
    table = _new_table(f"{game.title}: {summary.label}", "player")
    why = why_none([("", summary.mean)] if summary.scores else [])
    table.caption = escape(f"{settings_line(summary)} {why}".strip())
    table.caption_justify = "left"
    if game.random_score is not None:
        table.add_row("random (table)", format_score(game.random_score), "", "", "0")
    table.add_row(
        escape(summary.label),
        *_cells(summary.mean, len(summary.scores), summary.human_normalised),
        style="bold",
    )
    if game.human_score is not None:
        table.add_row("human (table)", format_score(game.human_score), "", "", "1")
    return table


def _new_table(title: str, first_column: str) -> Listing:
    """A table of scores; its first column is folded where the screen is narrow."""
    headings = ("mean", "95% interval", "episodes", "human-norm.")
    return Listing(first_column, *headings, title=title, right=headings, fold=first_column)


def _cells(mean: Interval, episodes: int, normalised: float | None) -> tuple[str, str, str, str]:
    human = "" if normalised is None else f"{normalised:.2f}"
    return mean.value_text(), mean.text(), str(episodes), human


def print_summary(console: Console, summary: Summary) -> None:
    """Print the score table, the sources of the decisions and the cost of a run."""
    console.print(score_table(summary))
    if len(summary.scores) > 1:
        scores = ", ".join(f"{score:.15g}" for score in summary.scores)
        console.print(f"Scores: {scores}", highlight=False)
    decisions = sum(row.decisions or 0 for row in summary.episodes)
    sources = ", ".join(f"{count} {source}" for source, count in sorted(summary.sources.items()))
    print_line(console, f"Decisions: {decisions} ({sources})")
    for line in _notices(summary, decisions):
        print_line(console, line)
    print_line(console, _now(summary))
    if summary.taught_by is not None and (untaught := _untaught(summary)):
        print_line(console, untaught)
    usage = summary.usage
    if usage.calls:
        console.print(usage_line(usage), highlight=False)
    if compared := compare(summary.settings, sum(summary.sources.values()), usage):
        for name, words in compared.lines():
            print_line(console, f"  {name}: {words}")
    print_line(console, f"Run folder: {summary.folder}")


def _now(summary: Summary) -> str:
    """What was played and asked in this call, in a sentence."""
    seconds = f"in {summary.seconds:.1f} s"
    games = f"{summary.tried} game{'s' * (summary.tried != 1)} in which lessons were tried"
    if summary.played:
        tried = f", and {games}," if summary.tried else ""
        decisions = f"{summary.played} decision{'s' * (summary.played != 1)}"
        return f"Played now: {decisions}{tried} {seconds}"
    if summary.tried:
        return f"Played now: {games}, {seconds}; the episodes had ended before"
    if summary.asked:
        answers = f"{summary.asked} answer{'s' * (summary.asked != 1)} to reviews"
        return f"Nothing was played now, as the episodes had ended; {answers} came {seconds}"
    return "This run was complete: nothing was played now. Another --seed plays more."


def _notices(summary: Summary, decisions: int) -> Iterator[str]:
    """What is to be known of the decisions, in lines."""
    if summary.refusals:
        yield f"Answers that refused to play: {summary.refusals}"
    if summary.stuck:
        yield stuck_line(summary, decisions)
    yield from map(proof_line, summary.proofs)
    if summary.unused_reviews:
        yield printable(summary.unused_reviews)
    if summary.thought:
        yield summary.thought.line


def stuck_line(summary: Summary, decisions: int) -> str:
    """How often the player was stuck, in a sentence."""
    after = completed(summary.settings)["stuck_after"]
    return (
        f"Stuck: {summary.stuck} of {decisions} decisions came after {after} or more in a row with "
        "the same action, or the same screen"
    )


def proof_line(proof: Proof) -> str:
    """What came of a lesson that was tried in paired games, in a line."""
    return printable(proof.line)


def _untaught(summary: Summary) -> str:
    """Why an evaluation showed nothing learned, in a sentence; empty if it showed something."""
    count = summary.taught_by
    with closing(Run.read(summary.folder)) as run:
        lessons = run.lessons(0, pictures(run))
    if lessons is not None and (lessons.examples or lessons.advice):
        return ""
    if not count:
        return "No training taught this evaluation: no examples or lessons were shown."
    if lessons is None:
        return ""
    episodes = f"{count} training episode{'s' * (count != 1)}"
    return f"{episodes} taught nothing: no examples or lessons were shown."


def usage_line(usage: Usage) -> str:
    """Calls, tokens and dollars in one line."""
    reasoning = f" ({usage.reasoning_tokens} of them reasoning)" if usage.reasoning_tokens else ""
    dollars = dollars_text(usage) or format_dollars(0.0)
    parts = [
        f"Calls: {usage.calls}",
        f"tokens {usage.input_tokens} in ({usage.cached_tokens} cached), "
        f"{usage.output_tokens} out{reasoning}",
        f"price {dollars}" if dollars == "unknown" else dollars,
    ]
    if usage.replayed:
        parts.append(f"{usage.replayed} {FREE}")
    return "; ".join(filter(None, [*parts, unanswered_note(usage)]))
