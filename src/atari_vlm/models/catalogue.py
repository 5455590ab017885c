"""The models that can be asked for by name, and what is known of each.

The rows are in models.toml; a new model is a new row there. `build` makes one ready to answer.
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from datetime import date
from importlib.resources import files
from typing import Any, Literal

from atari_vlm.costs.prices import Price
from atari_vlm.errors import unknown
from atari_vlm.models.hosted.vendors import VENDORS, Effort, Provider

Where = Literal["embedded", "local"] | Provider
"""`local`: open weights, in this process or on a server of the user's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelSpec:
    """One name of the catalogue."""

    name: str
    provider: Where
    model_id: str
    """The vendor's id, or the Hugging Face repository."""
    title: str
    """What people call it."""
    status: str = ""
    """What to know today: what it replaces, when it goes."""
    advice: str = ""
    """What to use once the vendor has withdrawn it."""
    best_for: str = ""
    hardware: str = "none"
    """What you need yourself."""
    images: str = ""
    """The rule of `costs.picture_tokens` that counts its pictures; empty where none is known."""
    context: int | None = None
    """Tokens it can read; None where that is not known."""
    successor: str = ""
    """What its maker offers in its place."""
    prices: tuple[tuple[date, Price], ...] = ()
    """US dollars per million tokens from each day on, oldest first; empty when unknown."""
    price_note: str = ""
    listed: bool = True
    """Whether the genai-prices list knows the price."""
    effort: Effort | None = None
    """How long it reasons; None for models that do not reason."""
    temperature: bool = True
    """Whether it takes one."""
    serve: str = ""
    """The command that serves open weights."""
    port: int = 8000
    """Where that command listens."""
    in_process: bool = True
    """Whether transformers can load open weights without running code of theirs."""

    def price_day(self, day: date) -> date | None:
        """The day from which the price of a day holds; None when unknown."""
        known = [start for start, _ in self.prices if start <= day]
        return known[-1] if known else self.prices[0][0] if self.prices else None

    def price_on(self, day: date) -> Price | None:
        """The price of a day, the earliest known for days before it; None when unknown."""
        known = [price for start, price in self.prices if start <= day]
        return known[-1] if known else self.prices[0][1] if self.prices else None

    @property
    def price(self) -> Price | None:
        """Today's price."""
        return self.price_on(date.today())

    @property
    def key_variable(self) -> str:
        """The environment variable that holds the key; empty where none is needed."""
        if self.provider == "embedded" or self.provider == "local":
            return ""
        return VENDORS[self.provider].key_variables[0]


@dataclass(frozen=True, slots=True, kw_only=True)
class Recommendation:
    """One row of the comparison the project was asked for with, beside what is known today."""

    model: str
    ask: str
    """The name to ask for it by."""
    kind: str
    performance: int
    """The document's stars, of five: its claim, not ours."""
    speed: str
    cost: str
    hardware: str
    best_for: str
    claim: str
    """What the document says it scores."""
    verdict: Literal["contradicted", "unsupported", "supported"]
    evidence: str
    """What has been published instead."""
    strengths: str = ""
    use: str = ""
    """What the document would use it for, in full."""
    price: str = ""
    latency: str = ""
    scores: tuple[str, ...] = ()
    """What it expects in Pong, Breakout and Space Invaders; empty where it says nothing."""

    @property
    def today(self) -> str:
        """What asking for it gets today."""
        return MODELS[self.ask].status


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """A general claim of that document, and what is known of it."""

    claim: str
    verdict: Literal["published", "measured here", "contradicted", "unsupported"]
    evidence: str


def _load() -> tuple[date, dict[str, ModelSpec], tuple[Recommendation, ...], tuple[Claim, ...]]:
    text = files("atari_vlm.models").joinpath("models.toml").read_text(encoding="utf-8")
    table = tomllib.loads(text)
    specs = {name: _spec(name, row) for name, row in table["models"].items()}
    compared = tuple(
        Recommendation(**{**row, "scores": tuple(row.get("scores", ()))})
        for row in table["compared"]
    )
    return table["as_of"], specs, compared, tuple(Claim(**row) for row in table["claims"])


def _spec(name: str, row: dict[str, Any]) -> ModelSpec:
    rest = {key: value for key, value in row.items() if key not in ("id", "prices", "title")}
    prices = tuple(
        (p["from"], Price(p["input"], p["cached"], p["output"])) for p in row.get("prices", ())
    )
    return ModelSpec(
        name=name,
        model_id=row.get("id", name),
        title=row.get("title", name),
        prices=prices,
        **rest,
    )


AS_OF, MODELS, _COMPARED, _CLAIMS = _load()
"""The day the rows were checked, every model by name, the comparison, and general claims."""


def recommendations() -> tuple[Recommendation, ...]:
    """The nine models the project was asked for with, in that document's order."""
    return _COMPARED


def claims() -> tuple[Claim, ...]:
    """What that document claims of prompts, learning, speed and cost, checked."""
    return _CLAIMS


def get_model_spec(name: str) -> ModelSpec:
    """The model of that name, or PROVIDER:ID for any id a vendor has.

    >>> get_model_spec("claude").model_id, get_model_spec("openai:gpt-7").provider
    ('claude-sonnet-5-5', 'openai')

    Raises:
        UnknownName: with the nearest name.
    """
    spec = MODELS.get(name.lower())
    if spec is not None:
        return spec
    for provider, vendor in VENDORS.items():
        model_id = name.removeprefix(f"{provider}:")
        if vendor.listed and model_id not in ("", name):
            known = MODELS.get(model_id)
            if known is not None and (known.provider, known.model_id) == (provider, model_id):
                return known
            return ModelSpec(name=name, provider=provider, model_id=model_id, title=model_id)
    raise unknown(
        "model",
        name,
        MODELS,
        more=f"Choose from: {', '.join(MODELS)}. Others: PROVIDER:ID (openai, anthropic, google), "
        "a folder of weights (./NAME), local:ORG/NAME of huggingface.co, or any name that a server "
        "of yours knows, with --base-url.",
    )
