"""Listings of the catalogue: the names on one screen, the prices, and all about one model."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import date

from rich.console import Console
from rich.padding import Padding
from rich.text import Text

from atari_vlm.cli.console import print_line
from atari_vlm.cli.tables import Listing
from atari_vlm.costs.picture_tokens import FAMILIES
from atari_vlm.errors import UnknownName
from atari_vlm.models.catalogue import AS_OF, MODELS, ModelSpec, get_model_spec
from atari_vlm.models.hosted.vendors import VENDORS
from atari_vlm.policies.registry import is_policy, parse_name

_OTHERS = {
    "Baselines": "random, noop, expert (for the 12 suggested games), always-ACTION",
    "Searches, which use the emulator": "iw, uct; iw-12000: 12,000 frames, uct-0.5s: time",
    "Any other": "openai:ID, anthropic:ID, google:ID, local:ORG/NAME, a folder of weights, or with "
    "--base-url any name that your server has",
}


def print_models(console: Console) -> None:
    """The names of all models and other players, and where to read on."""
    console.print(f"What --model takes (models as of {AS_OF})", style="bold", highlight=False)
    for provider in _providers():
        specs = _of(provider)
        _entry(console, _title(specs[0]), ", ".join(spec.name for spec in specs))
    for heading, names in _OTHERS.items():
        _entry(console, heading, names)
    console.print()
    console.print("One of them: atari-vlm models NAME. Prices: atari-vlm models prices.")
    console.print("Does it work, with one cheap call: atari-vlm models check NAME.")


def print_prices(console: Console) -> None:
    """Context, picture tokens and prices of all models, a table for each provider."""
    console.print(
        "reads: tokens of context; screen: tokens of one native screen of 160 x 210; in, cached, "
        "out: US dollars per million tokens since that day.",
        highlight=False,
    )
    for provider in _providers():
        specs = _of(provider)
        console.print()
        console.print(_prices_table(_title(specs[0]), specs))


def print_model(console: Console, spec: ModelSpec) -> None:
    """All that the catalogue knows of one model, a line for each fact."""
    console.print(Text(spec.name, "bold"))
    for name, value in _facts(spec):
        console.print(Padding(Text.assemble((f"{name}: ", "dim"), value), (0, 0, 0, 2)))
    if spec.provider in VENDORS:
        print_line(console, f"  Estimate a run: atari-vlm estimate --model {spec.name}")


def named_model(name: str) -> ModelSpec:
    """The model that is to be shown.

    Raises:
        UnknownName: there is no such model; a player that is none is told apart.
    """
    player = parse_name(name, known=lambda base: base.lower() in MODELS)
    if is_policy(player.base):
        raise UnknownName(
            f"{player.base} plays without a model, so there is nothing to show: play it with "
            f"`atari-vlm play --model {player.base}`."
        )
    if player.wrappers:
        raise UnknownName(
            f"{name} is the model {player.base} with a wrapper; try `atari-vlm models "
            f"{player.base}`."
        )
    return get_model_spec(name)


def _entry(console: Console, heading: str, names: str) -> None:
    console.print(Text.assemble((f"{heading}: ", "bold"), names, overflow="fold"))


def _providers() -> list[str]:
    return list(dict.fromkeys(spec.provider for spec in MODELS.values()))


def _of(provider: str) -> list[ModelSpec]:
    return [spec for spec in MODELS.values() if spec.provider == provider]


def _title(spec: ModelSpec) -> str:
    if spec.provider == "embedded":
        return "In the package"
    if spec.provider == "local":
        return "Open weights, in this process (extra 'local') or on a server (--base-url)"
    return f"{VENDORS[spec.provider].label} (key in {spec.key_variable})"


def _prices_table(title: str, specs: Sequence[ModelSpec]) -> Listing:
    hosted = any(spec.prices for spec in specs)
    price = ("in", "cached", "out", "since") if hosted else ("hardware",)
    numbers = ("reads", "screen", "in", "cached", "out")
    table = Listing("name", "reads", "screen", *price, title=title, right=numbers)
    today = date.today()
    for spec in specs:
        cost, since = spec.price_on(today), spec.price_day(today)
        last = [spec.hardware]
        if hosted:
            costs = (cost.input, cost.cached, cost.output) if cost else ()
            last = [*(f"{dollars:g}" for dollars in costs), str(since or "")]
        table.add_row(spec.name, _context(spec), _screen(spec), *last)
    return table


def _screen(spec: ModelSpec) -> str:
    return f"{FAMILIES[spec.images](160, 210):,}" if spec.images else ""


def _context(spec: ModelSpec) -> str:
    if spec.context is None:
        return "" if spec.provider == "embedded" else "unknown"
    return f"{round(spec.context / 1e6, 2):g}M" if spec.context >= 10**6 else f"{spec.context:,}"


def _facts(spec: ModelSpec) -> Iterator[tuple[str, str]]:
    """(name, value) of everything known."""
    today = date.today()
    cost = spec.price_on(today)
    facts = {
        "where": _title(spec),
        "its id": spec.model_id if spec.model_id != spec.name else "",
        "state": spec.status,
        "its vendor offers in its place": spec.successor,
        "for": spec.best_for,
        "context": f"{_context(spec)} tokens" if spec.context else _context(spec),
        "one screen": f"{_screen(spec)} tokens, counted by the rule {spec.images!r}"
        if spec.images
        else "",
        "price": f"${cost.input:g} in, ${cost.cached:g} cached, ${cost.output:g} out per million "
        f"tokens since {spec.price_day(today)}"
        if cost
        else "",
        "price changes": spec.price_note,
        "reasons": f"at effort {spec.effort} by default" if spec.effort else "",
        "temperature": "" if spec.temperature else "it takes none",
        "hardware": spec.hardware if spec.hardware != "none" else "",
        "server": spec.serve,
    }
    return ((name, value) for name, value in facts.items() if value)
