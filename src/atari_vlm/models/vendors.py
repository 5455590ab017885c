"""Who serves models, and how each is reached: one entry a vendor.

Each client is built with its own retries off, because the SDKs disagree: OpenAI's makes two and
gives up above a Retry-After of 120 s, Anthropic's waits as long as it is told, Google's makes none.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from typing import TYPE_CHECKING, Literal

from atari_vlm.errors import ModelUnusable, missing_extra
from atari_vlm.models.wire import Picture

if TYPE_CHECKING:
    from httpx2 import AsyncClient
    from pydantic_ai.models import Model as Backend

Provider = Literal["openai", "anthropic", "google", "openai-compatible"]
Detail = Literal["auto", "low", "high"]


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
    connect: Callable[[str, str | None, str, AsyncClient, bool], Backend]
    """(model id, base address, key, HTTP client, whether the model reasons) -> backend."""
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
            ModelUnusable: the vendor wants one and there is none.
        """
        found = given or next((k for v in self.key_variables if (k := os.environ.get(v))), "")
        if self.needs_key and not found.strip():
            raise ModelUnusable(f"{name} needs a key from {self.label}. {self.key_advice}")
        return found.strip()

    def check_installed(self, name: str) -> None:
        """Raise MissingExtra unless the vendor's client can be imported."""
        top = self.package.partition(".")[0]
        if find_spec(top) is None or find_spec(self.package) is None:
            raise missing_extra(name, self.package, self.extra)


def _openai(
    model_id: str, base_url: str | None, key: str, http: AsyncClient, reasons: bool
) -> Backend:
    from openai import AsyncOpenAI
    from pydantic_ai.models.openai import OpenAIChatModel
    from pydantic_ai.profiles.openai import OpenAIModelProfile
    from pydantic_ai.providers.openai import OpenAIProvider

    client = AsyncOpenAI(api_key=key, base_url=base_url, http_client=http, max_retries=0)
    # Models newer than the library's table would have their effort dropped without a word.
    known = OpenAIModelProfile(supports_thinking=True, openai_supports_reasoning=True)
    return OpenAIChatModel(
        model_id,
        provider=OpenAIProvider(openai_client=client),
        profile=known if reasons else None,
    )


def _compatible(
    model_id: str, base_url: str | None, key: str, http: AsyncClient, reasons: bool
) -> Backend:
    from openai import AsyncOpenAI
    from pydantic_ai.models.openai import OpenAIChatModel
    from pydantic_ai.profiles.openai import OpenAIModelProfile
    from pydantic_ai.providers.openai_compatible import OpenAICompatibleProvider

    # The client refuses to be without a key, and would take OPENAI_API_KEY to a stranger's server.
    client = AsyncOpenAI(api_key=key or "none", base_url=base_url, http_client=http, max_retries=0)
    profile = OpenAIModelProfile(
        supports_json_schema_output=True,
        openai_chat_supports_max_completion_tokens=False,
        openai_chat_supports_multiple_system_messages=False,
    )
    provider = OpenAICompatibleProvider("openai-compatible", openai_client=client)
    return OpenAIChatModel(model_id, provider=provider, profile=profile)


def _anthropic(
    model_id: str, base_url: str | None, key: str, http: AsyncClient, reasons: bool
) -> Backend:
    from anthropic import AsyncAnthropic
    from pydantic_ai.models.anthropic import AnthropicModel
    from pydantic_ai.providers.anthropic import AnthropicProvider

    client = AsyncAnthropic(api_key=key, base_url=base_url, http_client=http, max_retries=0)
    return AnthropicModel(model_id, provider=AnthropicProvider(anthropic_client=client))


def _google(
    model_id: str, base_url: str | None, key: str, http: AsyncClient, reasons: bool
) -> Backend:
    from pydantic_ai.models.google import GoogleModel
    from pydantic_ai.providers.google import GoogleProvider

    # google-genai makes no retries unless told to.
    provider = GoogleProvider(api_key=key, base_url=base_url, http_client=http)
    return GoogleModel(model_id, provider=provider)


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
        extra="openai",
        connect=_openai,
        picture=_openai_picture,
    ),
    "anthropic": Vendor(
        label="Anthropic",
        key_variables=("ANTHROPIC_API_KEY",),
        needs_key=True,
        package="anthropic",
        extra="anthropic",
        connect=_anthropic,
        picture=_no_picture,
    ),
    "google": Vendor(
        label="Google",
        key_variables=("GEMINI_API_KEY", "GOOGLE_API_KEY"),
        needs_key=True,
        package="google.genai",
        extra="google",
        connect=_google,
        picture=_google_picture,
    ),
    "openai-compatible": Vendor(
        label="The server",
        key_variables=("ATARI_VLM_API_KEY",),
        needs_key=False,
        package="openai",
        extra="openai",
        connect=_compatible,
        picture=_openai_picture,
        listed=False,
    ),
}
"""Every way to reach a hosted model."""
