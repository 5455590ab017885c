"""Listings: games, recommendations, estimates and model checks.

Every listing fits 80 columns, and is readable on narrower screens (see `tables`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import date
from typing import TYPE_CHECKING

from rich.console import Console, RenderableType
from rich.padding import Padding
from rich.text import Text

from atari_vlm.advice.estimate import Estimate, Figures, total
from atari_vlm.advice.model_check import ModelCheck
from atari_vlm.atari.games import SUGGESTED, Game
from atari_vlm.cli.console import printable
from atari_vlm.cli.flags import with_flags
from atari_vlm.cli.tables import Listing
from atari_vlm.models.catalogue import (
    MODELS,
    ModelSpec,
    Recommendation,
    claims,
    recommendations,
)

if TYPE_CHECKING:
    from atari_vlm.trainer.curve_costs import TrainingEstimate


def games_table(games: list[Game]) -> Listing:
    """Games with their scores, the suggested ones first with their tiers."""
    headings = ("game", "tier", "random", "human", "what it asks for, or what it is")
    table = Listing(*headings, right=("random", "human"))
    order = {name: index for index, name in enumerate(SUGGESTED)}
    for game in sorted(games, key=lambda game: (order.get(game.name, 99), game.name)):
        table.add_row(
            game.name,
            str(game.tier or ""),
            _number(game.random_score),
            _number(game.human_score),
            game.tier_reason or game.rules,
        )
    return table


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:g}"


def print_recommendations(console: Console) -> None:
    """The model comparison of the seed document, and what is known of its claims today."""
    rows = recommendations()
    headings = ("model", "type", "stars", "speed", "cost", "hardware", "best for")
    title = "The comparison in the document this project began with (its words and stars)"
    table = Listing(*headings, title=title)
    for row in rows:
        stars = "*" * row.performance
        facts = (row.kind, stars, row.speed, row.cost, row.hardware, row.best_for)
        table.add_row(row.model, *facts)
    console.print(table)
    scores = Listing(
        *("model", "Pong", "Breakout", "Space Invaders"), title="The scores that document expects"
    )
    for row in rows:
        if row.scores:
            scores.add_row(row.model, *row.scores)
    console.print(scores)
    console.print("What is known today. This project has measured no score in these lists.")
    for row in rows:
        for part in _assessment(row):
            console.print(part)
    console.print("\nIts general claims, checked", style="bold")
    for claim in claims():
        console.print(
            _indented(f'"{claim.claim}": ', (claim.verdict, "bold"), f". {claim.evidence}")
        )


def _assessment(row: Recommendation) -> Iterator[RenderableType]:
    spec = MODELS[row.ask]
    yield Text(f"\n{row.model} (--vlm {row.ask})", "bold")
    price = "nothing" if row.price == "free" else row.price
    cost = f"costs {price}" + (f", answers in {row.latency}" if row.latency else "")
    yield _indented(f"Document: {row.strengths}; for {row.use}; {cost}.")
    yield _indented(f"Claim: {row.claim}: ", (row.verdict, "bold"), f". {row.evidence}")
    later = "" if not spec.successor or spec.successor in row.today else f"; then {spec.successor}"
    yield _indented(f"Today: {row.today}{later}; {_price_or_hardware(spec)}.")


def _indented(*parts: str | tuple[str, str]) -> Padding:
    return Padding(Text.assemble(*parts), (0, 0, 0, 2))


def _price_or_hardware(spec: ModelSpec) -> str:
    today = date.today()
    cost = spec.price_on(today)
    if cost is None:
        return f"needs {spec.hardware}"
    return (
        f"${cost.input:g} in, ${cost.output:g} out per million tokens since {spec.price_day(today)}"
    )


# --- estimates -----------------------------------------------------------------------------------


CASES = ("low", "expected", "worst")
"""The cases of an estimate."""


def print_estimate(console: Console, estimate: Estimate) -> None:
    """The low, expected and worst case, then every assumption."""
    episodes = f"{estimate.episodes} episode{'s' if estimate.episodes > 1 else ''}"
    title = f"{estimate.game}, {estimate.model}, prompt {estimate.prompt}, {episodes}"
    headings = ("", "decisions", "calls", "tokens in", "tokens out", "dollars")
    table = Listing(*headings, title=title, right=headings[1:])
    for name in CASES:
        figures: Figures = getattr(estimate, name)
        table.add_row(
            name,
            f"{figures.decisions:,}",
            f"{figures.calls:,}",
            f"{figures.input_tokens:,}",
            f"{figures.output_tokens:,}",
            "unknown" if figures.dollars is None else f"{figures.dollars:,.2f}",
            style="bold" if name == "expected" else None,
        )
    console.print(table)
    console.print(
        f"Expected for one call: {estimate.input_per_call:,} tokens in, "
        f"{estimate.output_per_call:,} out.",
        highlight=False,
    )
    console.print(_price(estimate), highlight=False)
    for assumption in estimate.marked_assumptions:
        console.print(Text(f"- {with_flags(assumption)}"))


def print_estimates(console: Console, estimates: Sequence[Estimate]) -> None:
    """A row for each game and model, and the totals: of each model, and of all."""
    headings = ("game and model", "calls", "tokens in", "tokens out", "dollars", "at worst")
    table = Listing(*headings, title="Expected", right=headings[1:], fold=headings[0])
    rows = [(f"{each.game}, {each.model}", each.expected, each.worst) for each in estimates]
    models = list(dict.fromkeys(each.model for each in estimates))
    several = len(models) > 1 and len(rows) > len(models)
    sums = {f"all games, {model}": {model} for model in models} if several else {}
    for name, chosen in {**sums, "total": set(models)}.items():
        theirs = [each for each in estimates if each.model in chosen]
        expected = total(each.expected for each in theirs)
        rows.append((name, expected, total(each.worst for each in theirs)))
    for name, figures, worst in rows:
        table.add_row(
            Text(name),
            f"{figures.calls:,}",
            f"{figures.input_tokens:,}",
            f"{figures.output_tokens:,}",
            *map(_dollars, (figures, worst)),
            style="bold" if name in sums or name == "total" else None,
        )
    console.print(table)
    episodes = estimates[0].episodes
    console.print(f"{episodes} episode{'s' * (episodes != 1)} of each game.", highlight=False)
    for model in models:
        first = next(each for each in estimates if each.model == model)
        console.print(Text(f"{model}, prompt {first.prompt}: {_price(first)}"))
    console.print("One game and one model show every assumption.", highlight=False)


def print_training(console: Console, made: TrainingEstimate) -> None:
    """A row for each part of a training, and the totals: of its controls, and of all."""
    parts, first = made.parts, made.own["training"]
    headings = ("episodes of", "calls", "tokens in", "tokens out", "low", "dollars", "at worst")
    title = f"Expected of a training: {first.game}, {first.model}, prompt {first.prompt}"
    table = Listing(*headings, title=title, right=headings[1:])
    sums = {"both controls": [*made.controls.values()], "total": [*parts.values()]}
    rows = {name: [each] for name, each in parts.items()}
    rows |= {name: each for name, each in sums.items() if len(each) > 1}
    for name, estimates in rows.items():
        low, expected, worst = (total(getattr(each, case) for each in estimates) for case in CASES)
        table.add_row(
            f"{estimates[0].episodes} {name}" if name in parts else name,
            f"{expected.calls:,}",
            f"{expected.input_tokens:,}",
            f"{expected.output_tokens:,}",
            *map(_dollars, (low, expected, worst)),
            style="bold" if name in sums else None,
        )
    console.print(table)
    console.print(_price(first), highlight=False)
    for assumption in first.marked_assumptions:
        console.print(Text(f"- {with_flags(assumption)}"))


def budget_line(estimates: Sequence[Estimate], budget: float) -> str:
    """What a cap in dollars means for what is expected."""
    dollars = total(each.expected for each in estimates).dollars
    if dollars is None:
        return f"A budget of ${budget:,.2f} cannot be kept: a price is unknown."
    if dollars <= budget:
        return f"The budget of ${budget:,.2f} covers what is expected."
    share = budget / dollars
    return f"The budget of ${budget:,.2f} covers {share:.0%} of what is expected."


def _dollars(figures: Figures) -> str:
    """The dollars of figures, without cents from a thousand on."""
    if figures.dollars is None:
        return "unknown"
    return f"{figures.dollars:,.{0 if figures.dollars >= 1000 else 2}f}"


def _price(estimate: Estimate) -> str:
    price = estimate.price
    if price is None:
        return f"Price: {estimate.price_source}. Tokens only; unknown does not mean free."
    return (
        f"Price {estimate.price_source}: ${price.input:g} in, ${price.output:g} out per million "
        "tokens."
    )


# --- checks --------------------------------------------------------------------------------------


def print_check(console: Console, checked: ModelCheck) -> None:
    """The findings about a model, one a line, and whether it can play."""
    table = Listing("", "", "", title=f"{printable(checked.model)}: one call")
    for finding in checked.findings:
        style = {"works": "green", "fails": "red", "unknown": "yellow"}[finding.state]
        state = Text(finding.state.upper() if finding.state == "fails" else finding.state, style)
        table.add_row(finding.aspect, state, Text(printable(with_flags(finding.message))))
    console.print(table)
    console.print("It can play." if checked.works else "It cannot play like this.")
