"""Build a model from its name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from atari_vlm.errors import InvalidSetting, MissingExtra, ModelUnusable, setting
from atari_vlm.files.paths import is_folder, typed_path
from atari_vlm.models import fit
from atari_vlm.models.catalogue import MODELS, ModelSpec, get_model_spec
from atari_vlm.models.hosted.addresses import check_name
from atari_vlm.models.hosted.dialects import GENERIC
from atari_vlm.models.hosted.environment import moved_to
from atari_vlm.models.hosted.model import HostedModel
from atari_vlm.models.hosted.options import HostedOptions, SpendOptions, refuse_hosted
from atari_vlm.models.hosted.settings import HostedSettings
from atari_vlm.models.hosted.vendors import VENDORS
from atari_vlm.models.local.options import LocalOptions, refuse_local
from atari_vlm.models.options import refuse_video
from atari_vlm.options import Key
from atari_vlm.protocols import Model


def build_model(
    name: str,
    *,
    api_key: str | None = None,
    base_url: str | None = None,
    temperature: float | None = None,
    max_tokens: int | None = None,
    timeout_s: float | None = None,
    video: bool | None = None,
    hosted: HostedOptions | None = None,
    spend: SpendOptions | None = None,
    local: LocalOptions | None = None,
) -> Model:
    """Build a model from its name.

    Args:
        name: a name of the catalogue, PROVIDER:ID, local:ORG/NAME for an image-text-to-text model
            of huggingface.co, or the path of one; with `base_url`, any name that the server knows.
            A folder with the ONNX graphs of `atari-vlm distill` runs without torch; local:FOLDER
            runs any folder in torch.
        api_key: None takes it from the vendor's environment variable.
        base_url: address of an OpenAI-compatible server that serves the model.
        temperature: of sampling; None for the vendor's default.
        max_tokens: longest answer; None for the default.
        timeout_s: seconds to wait for the answer to one request; None for the default.
        video: whether several screens are shown as one video, by Gemini and models in this process;
            None for the model's default.
        hosted: options of hosted models; none may be set for a model in this process.
        spend: caps on spending, likewise.
        local: options of models in this process.

    Raises:
        UnknownName: no model has this name.
        InvalidSetting: the model does not support a setting.
        ModelUnusable: a key or a server is missing.
        MissingExtra: the vendor's client is not installed.
    """
    check_name(name)
    api_key = None if api_key is None else Key(api_key)
    sampling = {"temperature": temperature, "max_tokens": max_tokens, "timeout_s": timeout_s}
    chosen = {key: value for key, value in sampling.items() if value is not None}
    hosted, spend = hosted or HostedOptions(), spend or SpendOptions()
    local = local or LocalOptions()
    base_url = base_url or hosted.address
    if base_url is not None:
        refuse_local(name, local)
        settings = _server_settings(name, base_url, {**chosen, **_seen(video)}, hosted)
        return _hosted(settings, api_key, hosted, spend)
    path = name.lower() not in MODELS and is_path(name)
    spec = None if path else get_model_spec(name)
    if spec is not None and spec.provider not in ("embedded", "local"):
        refuse_local(name, local)
        settings = _vendor_settings(spec, {**chosen, **_seen(video)}, hosted)
        return _hosted(settings, api_key, hosted, spend)
    refuse_hosted(name, hosted, spend)
    if spec is None:
        return _from_path(name, chosen, local, video)
    if spec.provider == "local":
        return _open_weights(spec, chosen, local, video)
    refuse_local(name, local)
    refuse_video(name, video)
    return _embedded(chosen, None)


def _seen(video: bool | None) -> dict[str, bool]:
    """The setting of a hosted model, which is shown pictures unless it is asked to be otherwise."""
    return {"video": True} if video else {}


def _hosted(
    settings: HostedSettings, api_key: str | None, hosted: HostedOptions, spend: SpendOptions
) -> HostedModel:
    if spend.caps.in_dollars and settings.known_price is None:
        instead = f"Cap it with {setting('budget_tokens')}"
        raise fit.unpriced(settings.name, instead, fit.moved_by(settings))
    return HostedModel(settings, api_key=api_key, rate=hosted.rate, cache=hosted.cache_settings)


def is_path(name: str) -> bool:
    """Whether a name gives a place of weights: local:..., a path, or an existing folder."""
    path = name.startswith(("local:", "/", "./", "../", "~"))
    return path or (bool(name) and is_folder(name))


def _from_path(name: str, chosen: dict[str, Any], local: LocalOptions, video: bool | None) -> Model:
    if name.startswith("local:"):
        return _local(name.removeprefix("local:"), name, chosen, local, video)
    from atari_vlm.models.embedded.checkpoints import checkpoints, has_onnx

    folder = typed_path(name)
    if any(has_onnx(path) for path in checkpoints(folder)):
        refuse_local(f"{name} on onnxruntime", local)
        refuse_video(f"{name} on onnxruntime", video)
        return _embedded(chosen, folder)
    return _local(name, name, chosen, local, video)


def _open_weights(
    spec: ModelSpec, chosen: dict[str, Any], local: LocalOptions, video: bool | None
) -> Model:
    serve = (
        f"run `{spec.serve}` where there is {spec.hardware}, and add "
        f"{setting('base_url', f'http://localhost:{spec.port}/v1')}."
    )
    if not spec.in_process and local.trust_remote_code is None:
        allow = setting("trust_remote_code", f"{spec.model_id}@COMMIT")
        raise ModelUnusable(
            f"{spec.name} includes Python code of its own, which runs here only if you allow it "
            f"({allow}). GLM-4.1V and GLM-4.6V succeed it and need none "
            f"(local:zai-org/GLM-4.1V-9B-Thinking). Or {serve}"
        )
    try:
        return _local(spec.model_id, spec.name, chosen, local, video)
    except (ModelUnusable, MissingExtra) as error:
        raise type(error)(f"{error.message} Or {serve}") from error


def _local(
    source: str, name: str, chosen: dict[str, Any], local: LocalOptions, video: bool | None
) -> Model:
    if "timeout_s" in chosen:
        raise InvalidSetting(f"A model in this process takes no {setting('timeout')}.")
    from atari_vlm.models.local.model import LocalModel, LocalSettings

    settings = LocalSettings(**chosen, video=video, placement=local.placement, **local.rest)
    return LocalModel(source, name=name, settings=settings)


def _vendor_settings(
    spec: ModelSpec, chosen: dict[str, Any], hosted: HostedOptions
) -> HostedSettings:
    """Settings of a vendor's model."""
    assert spec.provider != "embedded"
    assert spec.provider != "local"
    if "temperature" in chosen and not spec.temperature:
        raise InvalidSetting(
            f"{spec.name} takes no temperature, because it reasons; leave out "
            f"{setting('temperature')}."
        )
    if hosted.effort is not None and spec.name in MODELS and spec.effort is None:
        raise InvalidSetting(f"{spec.name} does not reason; leave out {setting('effort')}.")
    effort = {"effort": spec.effort} if spec.effort else {}
    vendor = VENDORS[spec.provider]
    moved = moved_to(vendor.address_variable, vendor.address) is not None
    return HostedSettings(
        name=spec.name,
        model_id=spec.model_id,
        provider=spec.provider,
        price=None if spec.listed or moved else spec.price,
        advice=spec.advice,
        **{**effort, **hosted.request, **chosen},
    )


def _server_settings(
    name: str, base_url: str, chosen: dict[str, Any], hosted: HostedOptions
) -> HostedSettings:
    """Settings of a model on the user's server, by its id in the catalogue or the name itself."""
    spec = MODELS.get(name.lower())
    if spec is not None and spec.provider == "embedded":
        raise InvalidSetting(
            f"The embedded model runs in this process; leave out {setting('base_url')}."
        )
    dialect = hosted.spoken
    if hosted.effort is not None and dialect.effort_fields is None:
        raise InvalidSetting(
            f"{dialect.label} takes no reasoning effort; leave out {setting('effort')}."
        )
    if hosted.detail is not None and not dialect.detail:
        raise InvalidSetting(
            f"{dialect.label} takes no detail of images; leave out {setting('detail')}."
        )
    return HostedSettings(
        name=name,
        model_id=spec.model_id if spec is not None else name,
        provider="openai-compatible",
        base_url=base_url,
        dialect=hosted.dialect or GENERIC,
        **{**hosted.request, **chosen},
    )


def _embedded(chosen: dict[str, Any], folder: Path | None) -> Model:
    if chosen:
        names = ", ".join(setting(name.removesuffix("_s")) for name in chosen)
        raise InvalidSetting(f"The embedded model takes no {names}.")
    from atari_vlm.models.embedded.model import EmbeddedModel

    return EmbeddedModel(folder)
