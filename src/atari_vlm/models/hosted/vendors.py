"""Who serves models, and how each is reached: one entry a vendor.

Each client is built with its own retries off, because the SDKs disagree: OpenAI's makes two and
gives up above a Retry-After of 120 s, Anthropic's waits as long as it is told, Google's makes none.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from importlib import import_module
from typing import TYPE_CHECKING, Any, Literal

from atari_vlm.errors import MissingExtra, ModelUnusable, missing_extra
from atari_vlm.models.hosted.dialects import get_dialect
from atari_vlm.models.hosted.message_conversion import Picture

if TYPE_CHECKING:
    from httpx2 import AsyncClient
    from pydantic_ai.models import Model as Backend

Provider = Literal["openai", "anthropic", "google", "openai-compatible"]
Detail = Literal["auto", "low", "high"]
Effort = Literal["low", "medium", "high"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """Where one model is reached."""

    model_id: str
    base_url: str | None
    """None for the vendor's own address."""
    key: str = field(repr=False)
    http: AsyncClient
    reasons: bool
    """Whether the model is asked to think before it answers."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Vendor:
    """A company, or a kind of server, that answers prompts."""

    label: str
    key_variables: tuple[str, ...]
    """Environment variables that may hold the key, in order of preference."""
    needs_key: bool
    package: str
    """The importable package of its client."""
    extra: str
    """The extra of atari-vlm that installs it; empty for the base install."""
    connect: Callable[[Endpoint], Backend]
    think: Callable[[Effort], dict[str, Any]]
    """The request settings that make a model reason this long, and tell what it thought."""
    picture: Callable[[str, Detail], Picture]
    """(model id, detail) -> what to say beside every picture."""
    listed: bool = True
    """Whether the public price list speaks of it."""

    @property
    def key_advice(self) -> str:
        """How to give a key."""
        return f"Set {self.key_variables[0]} or pass --api-key."

    def key(self, name: str, given: str | None) -> str:
        """The key: as given, or from the environment.

        Raises:
            ModelUnusable: the vendor wants one and there is none, or it can be no key.
        """
        found = given or next((k for v in self.key_variables if (k := os.environ.get(v))), "")
        key = found.strip()
        if self.needs_key and not key:
            raise ModelUnusable(f"{name} needs a key from {self.label}. {self.key_advice}")
        if not key.isascii() or any(c.isspace() or not c.isprintable() for c in key):
            raise ModelUnusable(
                f"The key for {name} holds characters that no key has; copy it again."
            )
        return key

    def check_installed(self, name: str) -> None:
        """Raise MissingExtra unless the vendor's client can be imported."""
        try:
            import_module(self.package)
        except ImportError:
            package = self.package.replace(".", "-")
            if self.extra:
                raise missing_extra(name, package, self.extra) from None
            message = f"{name} needs {package}. Run: pip install {package}"
            raise MissingExtra(message) from None


def _openai(to: Endpoint) -> Backend:
    from openai import AsyncOpenAI
    from pydantic_ai.models.openai import OpenAIChatModel, OpenAIResponsesModel
    from pydantic_ai.profiles.openai import OpenAIModelProfile
    from pydantic_ai.providers.openai import OpenAIProvider

    client = AsyncOpenAI(api_key=to.key, base_url=to.base_url, http_client=to.http, max_retries=0)
    provider = OpenAIProvider(openai_client=client)
    if not to.reasons:
        return OpenAIChatModel(to.model_id, provider=provider)
    # Only the Responses API tells what was thought. A model newer than the library's table would
    # lose its effort and cache settings unnoticed; each question stands alone, so that thoughts
    # need not come back encrypted.
    known = OpenAIModelProfile(
        supports_thinking=True,
        openai_supports_reasoning=True,
        openai_supports_encrypted_reasoning_content=False,
        supports_cache=True,
        supported_cache_retentions=("30m",),
        openai_supports_prompt_cache_breakpoints=True,
    )
    return OpenAIResponsesModel(to.model_id, provider=provider, profile=known)


def _compatible(to: Endpoint) -> Backend:
    from openai import AsyncOpenAI
    from pydantic_ai.models.openai import OpenAIChatModel
    from pydantic_ai.profiles.openai import OpenAIModelProfile
    from pydantic_ai.providers.openai_compatible import OpenAICompatibleProvider

    # The client refuses to be without a key, and would take OPENAI_API_KEY to a stranger's server.
    client = AsyncOpenAI(
        api_key=to.key or "none", base_url=to.base_url, http_client=to.http, max_retries=0
    )
    profile = OpenAIModelProfile(
        supports_json_schema_output=True,
        openai_chat_supports_max_completion_tokens=False,
        openai_chat_supports_multiple_system_messages=False,
    )
    provider = OpenAICompatibleProvider("openai-compatible", openai_client=client)
    return OpenAIChatModel(to.model_id, provider=provider, profile=profile)


def _anthropic(to: Endpoint) -> Backend:
    from anthropic import AsyncAnthropic
    from pydantic_ai.models.anthropic import AnthropicModel
    from pydantic_ai.providers.anthropic import AnthropicProvider

    client = AsyncAnthropic(
        api_key=to.key, base_url=to.base_url, http_client=to.http, max_retries=0
    )
    return AnthropicModel(to.model_id, provider=AnthropicProvider(anthropic_client=client))


def _google(to: Endpoint) -> Backend:
    from pydantic_ai.models.google import GoogleModel
    from pydantic_ai.providers.google import GoogleProvider

    # google-genai makes no retries unless told to.
    provider = GoogleProvider(api_key=to.key, base_url=to.base_url, http_client=to.http)
    return GoogleModel(to.model_id, provider=provider)


def _effort(effort: Effort) -> dict[str, Any]:
    return {"thinking": effort}


def _openai_effort(effort: Effort) -> dict[str, Any]:
    # Without a summary the thoughts stay with OpenAI.
    return {"thinking": effort, "openai_reasoning_summary": "auto"}


def _no_effort(effort: Effort) -> dict[str, Any]:
    return {}


def _anthropic_effort(effort: Effort) -> dict[str, Any]:
    # Without `display` the thoughts stay with Anthropic.
    thinking = {"type": "adaptive", "display": "summarized"}
    return {"anthropic_thinking": thinking, "anthropic_effort": effort}


def _openai_picture(model_id: str, detail: Detail) -> Picture:
    return None if detail == "auto" else {"detail": detail}


def _google_picture(model_id: str, detail: Detail) -> Picture:
    # Gemini 3 and 4 spend 1120 tokens on a picture of any size, 280 at low resolution, which an
    # Atari screen does not exceed; earlier models know no resolution of a single picture.
    if model_id.startswith(("gemini-1", "gemini-2")):
        return None
    level = "HIGH" if detail == "high" else "LOW"
    return {"media_resolution": {"level": f"MEDIA_RESOLUTION_{level}"}}


def _no_picture(model_id: str, detail: Detail) -> Picture:
    return None


VENDORS: dict[Provider, Vendor] = {
    "openai": Vendor(
        label="OpenAI",
        key_variables=("OPENAI_API_KEY",),
        needs_key=True,
        package="openai",
        extra="",
        connect=_openai,
        think=_openai_effort,
        picture=_openai_picture,
    ),
    "anthropic": Vendor(
        label="Anthropic",
        key_variables=("ANTHROPIC_API_KEY",),
        needs_key=True,
        package="anthropic",
        extra="anthropic",
        connect=_anthropic,
        think=_anthropic_effort,
        picture=_no_picture,
    ),
    "google": Vendor(
        label="Google",
        key_variables=("GEMINI_API_KEY", "GOOGLE_API_KEY"),
        needs_key=True,
        package="google.genai",
        extra="google",
        connect=_google,
        think=_effort,
        picture=_google_picture,
    ),
    "openai-compatible": Vendor(
        label="The server",
        key_variables=("ATARI_VLM_API_KEY",),
        needs_key=False,
        package="openai",
        extra="",
        connect=_compatible,
        think=_no_effort,  # its dialect says how
        picture=_openai_picture,
        listed=False,
    ),
}
"""Every way to reach a hosted model."""


def in_dialect(name: str) -> Vendor:
    """The vendor that a server of this dialect is.

    Raises:
        UnknownName: no dialect is called that.
    """
    spoken = get_dialect(name)
    return replace(
        VENDORS["openai-compatible"],
        label=spoken.label,
        key_variables=spoken.key_variables,
        needs_key=spoken.needs_key,
    )
