"""The models that can be asked for by name, how to build them, and what is known of them.

The rows are in models.toml; a new model is a new row there.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal

from atari_vlm.errors import InvalidSetting, MissingExtra, ModelUnusable, unknown
from atari_vlm.models.hosted.dialects import GENERIC
from atari_vlm.models.hosted.message_conversion import Price
from atari_vlm.models.hosted.model import HostedModel, HostedSettings
from atari_vlm.models.hosted.options import AS_SET, Hosting
from atari_vlm.models.hosted.vendors import VENDORS, Effort, Provider
from atari_vlm.models.local.options import placing, refuse
from atari_vlm.types import Model

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
    """The rule of `prompts.tokens` that counts its pictures; empty where none is known."""
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


def build_model(
    name: str,
    *,
    api_key: str | None = None,
    base_url: str | None = None,
    temperature: float | None = None,
    max_tokens: int | None = None,
    timeout_s: float | None = None,
    hosting: Hosting = AS_SET,
    local: Mapping[str, Any] | None = None,
) -> Model:
    """The model of that name, ready to answer.

    Args:
        name: a name of the catalogue, PROVIDER:ID, local:ORG/NAME for an image-text-to-text model
            of huggingface.co, or the folder of one; with `base_url`, also any name that server
            knows. A folder with the ONNX graphs of `atari-vlm distill` runs without torch;
            local:FOLDER runs any folder in torch.
        api_key: None takes it from the vendor's environment variable.
        base_url: an OpenAI-compatible server that serves it.
        temperature: of sampling; None for the vendor's own.
        max_tokens: longest answer; None for the default.
        timeout_s: seconds to wait for one answer; None for the default.
        hosting: how a hosted model is asked; a model in this process takes none of it.
        local: how a model in this process is held and shown the screens: see `models.placing`.

    Raises:
        UnknownName: nothing is called that.
        InvalidSetting: the model does not take the setting.
        ModelUnusable: a key or a server is missing.
        MissingExtra: the vendor's client is not installed.
    """
    given = {"temperature": temperature, "max_tokens": max_tokens, "timeout_s": timeout_s}
    chosen = {key: value for key, value in given.items() if value is not None}
    placed = {key: value for key, value in (local or {}).items() if value is not None}
    base_url = base_url or hosting.address
    if base_url is not None:
        refuse(name, placed)
        return _asked(_served(name, base_url, chosen, hosting), api_key, hosting)
    place = name.lower() not in MODELS and _is_place(name)
    spec = None if place else get_model_spec(name)
    if spec is not None and spec.provider not in ("embedded", "local"):
        refuse(name, placed)
        return _asked(_hosted(spec, chosen, hosting), api_key, hosting)
    hosting.refuse(name)
    if spec is None:
        return _in_folder(name, chosen, placed)
    if spec.provider == "local":
        return _open_weights(spec, chosen, placed)
    refuse(name, placed)
    return _embedded(chosen, None)


def _asked(settings: HostedSettings, api_key: str | None, hosting: Hosting) -> HostedModel:
    if hosting.caps.in_dollars and settings.known_price is None:
        raise InvalidSetting(
            f"The price of {settings.name} is not known, so no budget in dollars can be kept: cap "
            "it with --budget-tokens, or choose a model with a price (`atari-vlm models`)."
        )
    return HostedModel(settings, api_key=api_key, rate=hosting.rate, cache=hosting.cache_settings)


def _is_place(name: str) -> bool:
    """Whether a name says where weights are: local:..., a path, or a folder that exists."""
    path = name.startswith(("local:", "/", "./", "../", "~"))
    return path or (bool(name) and Path(name).is_dir())


def _in_folder(name: str, chosen: dict[str, Any], placed: dict[str, Any]) -> Model:
    if name.startswith("local:"):
        return _local(name.removeprefix("local:"), name, chosen, placed)
    from atari_vlm.models.embedded.model import members

    folder = Path(name).expanduser()
    if any((place / "eyes.onnx").is_file() for place in members(folder)):
        refuse(f"{name} on onnxruntime", placed)
        return _embedded(chosen, folder)
    return _local(name, name, chosen, placed)


def _open_weights(spec: ModelSpec, chosen: dict[str, Any], placed: dict[str, Any]) -> Model:
    served = (
        f"run `{spec.serve}` where there is {spec.hardware}, and add "
        f"--base-url http://localhost:{spec.port}/v1."
    )
    if not spec.in_process and "trust_remote_code" not in placed:
        raise ModelUnusable(
            f"{spec.name} brings Python code of its own, which is not run here unless you ask for "
            f"it by name (--trust-remote-code {spec.model_id}@COMMIT). GLM-4.1V and GLM-4.6V "
            f"succeed it and need none (local:zai-org/GLM-4.1V-9B-Thinking). Or {served}"
        )
    try:
        return _local(spec.model_id, spec.name, chosen, placed)
    except (ModelUnusable, MissingExtra) as error:
        raise type(error)(f"{error} Or {served}") from error


def _local(source: str, name: str, chosen: dict[str, Any], placed: dict[str, Any]) -> Model:
    if "timeout_s" in chosen:
        raise InvalidSetting("A model in this process takes no timeout_s.")
    from atari_vlm.models.local.model import LocalModel, LocalSettings

    return LocalModel(source, name=name, settings=LocalSettings(**chosen, **placing(placed)))


def _hosted(spec: ModelSpec, chosen: dict[str, Any], hosting: Hosting) -> HostedSettings:
    assert spec.provider != "embedded"
    assert spec.provider != "local"
    if "temperature" in chosen and not spec.temperature:
        raise InvalidSetting(
            f"{spec.name} takes no temperature, because it reasons; leave --temperature out."
        )
    if hosting.effort is not None and spec.name in MODELS and spec.effort is None:
        raise InvalidSetting(f"{spec.name} does not reason; leave --effort out.")
    if hosting.detail is not None and spec.provider == "anthropic":
        raise InvalidSetting(f"{spec.name} looks at every picture the same; leave --detail out.")
    thinks = {"effort": spec.effort} if spec.effort else {}
    return HostedSettings(
        name=spec.name,
        model_id=spec.model_id,
        provider=spec.provider,
        price=None if spec.listed else spec.price,
        advice=spec.advice,
        **{**thinks, **hosting.question, **chosen},
    )


def _served(name: str, base_url: str, chosen: dict[str, Any], hosting: Hosting) -> HostedSettings:
    """A model on the user's server: the catalogue's id for it, or the name itself."""
    spec = MODELS.get(name.lower())
    if spec is not None and spec.provider == "embedded":
        raise InvalidSetting("The embedded model runs in this process; leave --base-url out.")
    dialect = hosting.spoken
    if hosting.effort is not None and dialect.effort is None:
        raise InvalidSetting(f"{dialect.label} cannot be told to think; leave --effort out.")
    if hosting.detail is not None and not dialect.detail:
        raise InvalidSetting(f"{dialect.label} takes no detail of pictures; leave --detail out.")
    return HostedSettings(
        name=name,
        model_id=spec.model_id if spec is not None else name,
        provider="openai-compatible",
        base_url=base_url,
        dialect=hosting.dialect or GENERIC,
        **{**hosting.question, **chosen},
    )


def _embedded(chosen: dict[str, Any], folder: Path | None) -> Model:
    if chosen:
        flags = ", ".join("--" + name.replace("_", "-") for name in chosen)
        raise InvalidSetting(f"The embedded model takes no {flags}.")
    from atari_vlm.models.embedded.model import EmbeddedModel

    return EmbeddedModel(folder)
