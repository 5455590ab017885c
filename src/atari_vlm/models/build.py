"""A model by its name, ready to answer."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from atari_vlm.errors import InvalidSetting, MissingExtra, ModelUnusable
from atari_vlm.models.catalogue import MODELS, ModelSpec, get_model_spec
from atari_vlm.models.hosted.dialects import GENERIC
from atari_vlm.models.hosted.model import HostedModel
from atari_vlm.models.hosted.options import AS_SET, Hosting
from atari_vlm.models.hosted.settings import HostedSettings
from atari_vlm.models.local.options import placing, refuse
from atari_vlm.types import Model


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
    from atari_vlm.models.embedded.checkpoints import checkpoints, has_onnx

    folder = Path(name).expanduser()
    if any(has_onnx(path) for path in checkpoints(folder)):
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
    if hosting.effort is not None and dialect.effort_fields is None:
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
