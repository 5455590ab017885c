"""Vendors of hosted models and how to connect to them: one table entry per vendor.

The retries of each SDK are off, because they differ: OpenAI's makes two and gives up above a
Retry-After of 120 s, Anthropic's waits as long as the server asks, Google's makes none.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from importlib import import_module
from typing import TYPE_CHECKING, Any, Literal

from atari_vlm.errors import ModelUnusable, missing_extra, setting
from atari_vlm.models.hosted.dialects import get_dialect
from atari_vlm.models.hosted.message_conversion import ImageMetadata
from atari_vlm.options import Key

if TYPE_CHECKING:
    from httpx2 import AsyncClient
    from pydantic_ai.models import Model as Backend

Provider = Literal["openai", "anthropic", "google", "openai-compatible"]
Detail = Literal["auto", "low", "high"]
Effort = Literal["low", "medium", "high"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """How to reach one model."""

    model_id: str
    base_url: str | None
    """None for the vendor's own address."""
    key: str = field(repr=False)
    http: AsyncClient
    reasons: bool
    """Whether the request sets a reasoning effort."""


def _no_video(model_id: str, detail: Detail, fps: float) -> dict[str, Any]:
    return {}


def _never(model_id: str) -> bool:
    return False


def _always(model_id: str) -> bool:
    return True


@dataclass(frozen=True, slots=True, kw_only=True)
class Vendor:
    """A company that hosts models, or the OpenAI-compatible servers."""

    label: str
    key_variables: tuple[str, ...]
    """Environment variables that are searched for the key, in this order."""
    needs_key: bool
    package: str
    """The import name of its client."""
    extra: str
    """The extra of atari-vlm that installs the client."""
    connect: Callable[[Endpoint], Backend]
    effort_settings: Callable[[Effort], dict[str, Any]]
    """The request settings for an effort, which also ask for the reasoning text."""
    image_metadata: Callable[[str, Detail], ImageMetadata]
    """(model id, detail) -> the options sent with every image."""
    video_metadata: Callable[[str, Detail, float], dict[str, Any]] = _no_video
    """(model id, detail, screens a second) -> the options sent with a video."""
    takes_video: Callable[[str], bool] = _never
    """Whether a model, by its id, takes video."""
    takes_temperature: Callable[[str], bool] = _always
    """Whether a model, by its id, takes a temperature; its client drops it where it does not."""
    takes_detail: Callable[[str], bool] = _always
    """Whether a model, by its id, offers several resolutions for images."""
    listed: bool = True
    """Whether the public price list covers it."""
    address: str = ""
    """Its own address; empty if there is none."""
    address_variable: str = ""
    """The environment variable that moves it to another address; see `environment`."""

    @property
    def key_advice(self) -> str:
        """How to give a key; of another server, that those of vendors are not sent there."""
        how = f"Set {self.key_variables[0]} or pass {setting('api_key')}"
        every = [name for vendor in VENDORS.values() for name in vendor.key_variables]
        others = (name for name in every if name not in self.key_variables)
        unused = next(filter(os.environ.get, others), None)
        if self.address or unused is None:
            return f"{how}."
        return f"{how}; {unused} is not sent to this server."

    def key(self, name: str, given: str | None) -> Key:
        """The key, as given or from the environment.

        Raises:
            ModelUnusable: the vendor needs a key and there is none, or the key is malformed.
        """
        given = Key(given or "")  # no frame has a variable that shows it
        for variable in self.key_variables:
            given = given or Key(os.environ.get(variable, ""))
        key = Key(given.strip())
        if self.needs_key and not key:
            raise ModelUnusable(f"{name} needs a key from {self.label}. {self.key_advice}")
        if not key.isascii() or any(c.isspace() or not c.isprintable() for c in key):
            raise ModelUnusable(
                f"The key for {name} contains characters that no key has; copy it again."
            )
        return key

    def check_installed(self, name: str) -> None:
        """Raise MissingExtra unless the vendor's client can be imported."""
        try:
            import_module(self.package)
        except ImportError:
            raise missing_extra(name, self.package.replace(".", "-"), self.extra) from None


def _openai(endpoint: Endpoint) -> Backend:
    from openai import AsyncOpenAI
    from pydantic_ai.models.openai import OpenAIChatModel, OpenAIResponsesModel
    from pydantic_ai.profiles.openai import OpenAIModelProfile
    from pydantic_ai.providers.openai import OpenAIProvider

    client = AsyncOpenAI(
        api_key=endpoint.key, base_url=endpoint.base_url, http_client=endpoint.http, max_retries=0
    )
    _as_it_is(client.chat.completions, "messages")
    _as_it_is(client.responses, "input")
    provider = OpenAIProvider(openai_client=client)
    if not endpoint.reasons:
        return OpenAIChatModel(endpoint.model_id, provider=provider)
    # Only the Responses API returns the reasoning text. Without this profile, a model that the
    # library does not list would silently lose its effort and cache settings. Requests are
    # independent, so encrypted reasoning is not needed.
    profile = OpenAIModelProfile(
        supports_thinking=True,
        openai_supports_reasoning=True,
        openai_supports_encrypted_reasoning_content=False,
        supports_cache=True,
        supported_cache_retentions=("30m",),
        openai_supports_prompt_cache_breakpoints=True,
    )
    return OpenAIResponsesModel(endpoint.model_id, provider=provider, profile=profile)


def _compatible(endpoint: Endpoint) -> Backend:
    from openai import AsyncOpenAI
    from pydantic_ai.models.openai import OpenAIChatModel
    from pydantic_ai.profiles.openai import OpenAIModelProfile
    from pydantic_ai.providers.openai_compatible import OpenAICompatibleProvider

    # The client requires a key, and would otherwise send OPENAI_API_KEY to another server.
    client = AsyncOpenAI(
        api_key=endpoint.key or "none",
        base_url=endpoint.base_url,
        http_client=endpoint.http,
        max_retries=0,
    )
    _as_it_is(client.chat.completions, "messages")
    profile = OpenAIModelProfile(
        supports_json_schema_output=True,
        openai_chat_supports_max_completion_tokens=False,
        openai_chat_supports_multiple_system_messages=False,
    )
    provider = OpenAICompatibleProvider("openai-compatible", openai_client=client)
    return OpenAIChatModel(endpoint.model_id, provider=provider, profile=profile)


def _as_it_is(resource: Any, field: str) -> None:
    """Let a vendor's client send one field of its requests, the prompt, as it is.

    The client looks through it for fields that have another name in JSON. There are none, and with
    OpenAI's, looking takes a sixth of the time of a decision.

    Args:
        resource: part of the client with a method `create`.
        field: the argument that holds the prompt, a list.
    """
    create = resource.create

    async def plain(*, extra_body: Any = None, **others: Any) -> Any:
        body = {field: others.pop(field), **(extra_body or {})}
        return await create(**{field: []}, **others, extra_body=body)

    resource.create = plain


def _anthropic(endpoint: Endpoint) -> Backend:
    from anthropic import AsyncAnthropic
    from pydantic_ai.models.anthropic import AnthropicModel
    from pydantic_ai.providers.anthropic import AnthropicProvider

    client = AsyncAnthropic(
        api_key=endpoint.key, base_url=endpoint.base_url, http_client=endpoint.http, max_retries=0
    )
    _as_it_is(client.beta.messages, "messages")
    return AnthropicModel(endpoint.model_id, provider=AnthropicProvider(anthropic_client=client))


def _google(endpoint: Endpoint) -> Backend:
    from google.genai import Client
    from google.genai.types import HttpOptions
    from httpx2 import Client as SynchronousClient
    from httpx2 import MockTransport, Response
    from pydantic_ai.models.google import GoogleModel
    from pydantic_ai.providers.google import GoogleProvider

    from atari_vlm.models.hosted.network import certificates
    from atari_vlm.models.hosted.ways import certificates_from

    if certificates_from():  # google-genai reads them for calls of its own, at any address
        certificates()
    # It would also open a second client with the proxies of the environment, for calls that are
    # never made here. It makes no retries by default.
    unused = SynchronousClient(transport=MockTransport(lambda request: Response(500)))
    options = HttpOptions(
        base_url=endpoint.base_url,
        httpx_async_client=endpoint.http,
        httpx_client=unused,
        timeout=600_000,  # milliseconds; the time-out of a request ends it earlier
    )
    client = Client(vertexai=False, api_key=endpoint.key, http_options=options)
    return GoogleModel(endpoint.model_id, provider=GoogleProvider(client=client))


def _effort(effort: Effort) -> dict[str, Any]:
    return {"thinking": effort}


def _openai_effort(effort: Effort) -> dict[str, Any]:
    # Without a summary OpenAI does not return the reasoning text.
    return {"thinking": effort, "openai_reasoning_summary": "auto"}


def _no_effort(effort: Effort) -> dict[str, Any]:
    return {}


def _anthropic_effort(effort: Effort) -> dict[str, Any]:
    # Without `display` Anthropic does not return the reasoning text.
    thinking = {"type": "adaptive", "display": "summarized"}
    return {"anthropic_thinking": thinking, "anthropic_effort": effort}


def _openai_image(model_id: str, detail: Detail) -> ImageMetadata:
    return None if detail == "auto" else {"detail": detail}


def _google_image(model_id: str, detail: Detail) -> ImageMetadata:
    # Gemini 3 and 4 count 1120 tokens for an image of any size, or 280 at low resolution, which
    # is enough for an Atari screen. Earlier models take no resolution per image.
    if model_id.startswith(("gemini-1", "gemini-2")):
        return None
    level = "HIGH" if detail == "high" else "LOW"
    return {"media_resolution": {"level": f"MEDIA_RESOLUTION_{level}"}}


def _google_video(model_id: str, detail: Detail, fps: float) -> dict[str, Any]:
    # Without `fps` Gemini looks at one frame a second.
    return {"fps": fps, **(_google_image(model_id, detail) or {})}


def _openai_temperature(model_id: str) -> bool:
    return "chat" in model_id or not re.match(r"o\d|gpt-[5-9]", model_id)


def _anthropic_temperature(model_id: str) -> bool:
    return not re.match(r"claude-(opus-4-[7-9]|[a-z]+-[5-9])", model_id)


def _google_detail(model_id: str) -> bool:
    return _google_image(model_id, "auto") is not None


def _is_gemini(model_id: str) -> bool:
    return model_id.startswith("gemini")


def _no_image_metadata(model_id: str, detail: Detail) -> ImageMetadata:
    return None


VENDORS: dict[Provider, Vendor] = {
    "openai": Vendor(
        label="OpenAI",
        key_variables=("OPENAI_API_KEY",),
        needs_key=True,
        package="openai",
        extra="openai",
        connect=_openai,
        effort_settings=_openai_effort,
        takes_temperature=_openai_temperature,
        image_metadata=_openai_image,
        address="https://api.openai.com/v1",
        address_variable="OPENAI_BASE_URL",
    ),
    "anthropic": Vendor(
        label="Anthropic",
        key_variables=("ANTHROPIC_API_KEY",),
        needs_key=True,
        package="anthropic",
        extra="anthropic",
        connect=_anthropic,
        effort_settings=_anthropic_effort,
        takes_temperature=_anthropic_temperature,
        takes_detail=_never,
        image_metadata=_no_image_metadata,
        address="https://api.anthropic.com",
        address_variable="ANTHROPIC_BASE_URL",
    ),
    "google": Vendor(
        label="Google",
        key_variables=("GEMINI_API_KEY", "GOOGLE_API_KEY"),
        needs_key=True,
        package="google.genai",
        extra="google",
        connect=_google,
        effort_settings=_effort,
        image_metadata=_google_image,
        video_metadata=_google_video,
        takes_video=_is_gemini,
        takes_detail=_google_detail,
        address="https://generativelanguage.googleapis.com",
        address_variable="GOOGLE_GEMINI_BASE_URL",
    ),
    "openai-compatible": Vendor(
        label="The server",
        key_variables=("ATARI_VLM_API_KEY",),
        needs_key=False,
        package="openai",
        extra="openai",
        connect=_compatible,
        effort_settings=_no_effort,  # set by the dialect
        image_metadata=_openai_image,
        listed=False,
    ),
}
"""All vendors by provider."""


def compatible_vendor(dialect_name: str) -> Vendor:
    """The vendor entry of an OpenAI-compatible server.

    Raises:
        UnknownName: no dialect has this name.
    """
    dialect = get_dialect(dialect_name)
    return replace(
        VENDORS["openai-compatible"],
        label=dialect.label,
        key_variables=dialect.key_variables,
        needs_key=dialect.needs_key,
    )
