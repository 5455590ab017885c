"""The catalogue: the models that have a name, and the facts about each.

The data is in models.toml; to add a model, add a table there. `build` builds a model from its name.
"""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass
from datetime import date
from importlib.resources import files
from typing import Any, Literal

from atari_vlm.costs.prices import Price
from atari_vlm.errors import setting, unknown
from atari_vlm.models.hosted.vendors import VENDORS, Effort, Provider

AnyProvider = Literal["embedded", "local"] | Provider
"""`local`: open weights, in this process or on the user's server."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelSpec:
    """One model of the catalogue."""

    name: str
    provider: AnyProvider
    model_id: str
    """The vendor's id, or the Hugging Face repository."""
    title: str
    """Name for tables and reports."""
    status: str = ""
    """Its current state: the model it replaces, the day it is withdrawn."""
    advice: str = ""
    """What to use if the vendor has withdrawn it."""
    best_for: str = ""
    hardware: str = "none"
    """The hardware it needs; "none" for hosted models."""
    images: str = ""
    """The rule of `costs.picture_tokens` that counts its image tokens; empty if unknown."""
    context: int | None = None
    """Context length in tokens; None if unknown."""
    successor: str = ""
    """The model that its maker offers as its replacement."""
    prices: tuple[tuple[date, Price], ...] = ()
    """US dollars per million tokens from each day on, oldest first; empty if unknown."""
    price_note: str = ""
    listed: bool = True
    """Whether the genai-prices list knows the price."""
    effort: Effort | None = None
    """Its default reasoning effort; None for models that do not reason."""
    temperature: bool = True
    """Whether it takes a temperature."""
    serve: str = ""
    """The command that serves open weights."""
    port: int = 8000
    """The port on which that command listens."""
    in_process: bool = True
    """Whether transformers can load its weights without code from the model's repository."""

    def price_day(self, day: date) -> date | None:
        """The first day of the price that is valid on a day; None if unknown."""
        known = [start for start, _ in self.prices if start <= day]
        return known[-1] if known else self.prices[0][0] if self.prices else None

    def price_on(self, day: date) -> Price | None:
        """The price on a day; before the first known price, that one. None if unknown."""
        known = [price for start, price in self.prices if start <= day]
        return known[-1] if known else self.prices[0][1] if self.prices else None

    @property
    def price(self) -> Price | None:
        """Today's price."""
        return self.price_on(date.today())

    @property
    def key_variable(self) -> str:
        """The environment variable of the API key; empty if none is needed."""
        if self.provider == "embedded" or self.provider == "local":
            return ""
        return VENDORS[self.provider].key_variables[0]


@dataclass(frozen=True, slots=True, kw_only=True)
class Recommendation:
    """One row of the original specification's model comparison, and what is known today."""

    model: str
    ask: str
    """Its name in the catalogue."""
    kind: str
    performance: int
    """Stars out of five, as the specification claims."""
    speed: str
    cost: str
    hardware: str
    best_for: str
    claim: str
    """The scores that the specification claims."""
    verdict: Literal["contradicted", "unsupported", "supported"]
    evidence: str
    """What has been published about it."""
    strengths: str = ""
    use: str = ""
    """The use that the specification recommends."""
    price: str = ""
    latency: str = ""
    scores: tuple[str, ...] = ()
    """The scores it expects in Pong, Breakout and Space Invaders; empty if it gives none."""

    @property
    def today(self) -> str:
        """The current status of the model."""
        return MODELS[self.ask].status


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """A general claim of the specification, and what is known about it."""

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
"""The day of the data, all models by name, the comparison, and the general claims."""


def recommendations() -> tuple[Recommendation, ...]:
    """The nine models that the original specification compares, in its order."""
    return _COMPARED


def claims() -> tuple[Claim, ...]:
    """The specification's claims about prompts, learning, speed and cost, with verdicts."""
    return _CLAIMS


def get_model_spec(name: str) -> ModelSpec:
    """The model of that name; PROVIDER:ID gives any model of a vendor.

    >>> get_model_spec("claude").model_id, get_model_spec("openai:gpt-7").provider
    ('claude-sonnet-5-5', 'openai')

    Raises:
        UnknownName: no model has this name.
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
    hint = _likely(name)
    raise unknown(
        "model",
        name,
        MODELS,
        more=f"{hint}Choose from: {', '.join(MODELS)}. Others: PROVIDER:ID (openai, anthropic, "
        "google), a folder of weights (./NAME), local:ORG/NAME of huggingface.co, or, with "
        f"{setting('base_url')}, any name that your server knows.",
        cutoff=0.8 if hint else 0.6,
    )


_FAMILIES: tuple[tuple[str, Provider], ...] = (
    (r"(gpt|chatgpt|o[1-9])(-|$)", "openai"),
    (r"claude(-|$)", "anthropic"),
    (r"gemini(-|$)", "google"),
)
"""How the ids of a vendor's models begin."""


def _likely(name: str) -> str:
    """How to ask for a model that a vendor or huggingface.co has by this name, as a sentence.

    >>> _likely("GPT-5")
    "OpenAI's model of that id is asked for as openai:gpt-5. "
    """
    owner, slash, last = name.rpartition("/")
    for pattern, provider in _FAMILIES:
        if re.match(pattern, last.lower()) and owner.lower() in ("", provider):
            asked = f"{provider}:{last.lower()}"
            return f"{VENDORS[provider].label}'s model of that id is asked for as {asked}. "
    if slash and owner and last:
        return (
            f"A model of huggingface.co is asked for as local:{name}; one that a server has as "
            f"{name} with {setting('base_url')}. "
        )
    return ""
