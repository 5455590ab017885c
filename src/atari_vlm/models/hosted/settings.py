"""Settings of one hosted model."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

from atari_vlm.costs.prices import Price, listed_price
from atari_vlm.errors import InvalidSetting, setting
from atari_vlm.models.hosted.addresses import check_address, check_name
from atari_vlm.models.hosted.dialects import GENERIC, get_dialect
from atari_vlm.models.hosted.environment import is_same, moved_to
from atari_vlm.models.hosted.vendors import (
    VENDORS,
    Detail,
    Effort,
    Provider,
    Vendor,
    compatible_vendor,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class HostedSettings:
    """All settings of a hosted model, without the API key.

    Raises:
        InvalidSetting: a value that cannot work.
        UnknownName: no dialect has this name.
    """

    name: str
    """The name the user chose, e.g. "gpt-4o"."""
    model_id: str
    """The vendor's id of the model."""
    provider: Provider
    base_url: str | None = None
    """Address of the server, up to /v1; None for the vendor's own, or where its environment
    variable (OPENAI_BASE_URL, ANTHROPIC_BASE_URL, GOOGLE_GEMINI_BASE_URL) moves it."""
    dialect: str = GENERIC
    """The kind of OpenAI-compatible server; see `dialects`."""
    temperature: float | None = None
    """None uses the vendor's default."""
    max_tokens: int = 4096
    """Longest answer in tokens, hidden reasoning included. A truncated answer has no action."""
    timeout_s: float = 60.0
    """Seconds to wait for the answer to one request."""
    tries: int = 4
    """Most requests for one answer."""
    longest_wait_s: float = 60.0
    """Most seconds between two tries, even if the server asks for more."""
    structured: bool = True
    """Whether the vendor enforces the form of the answer."""
    effort: Effort | None = None
    """How long a reasoning model thinks; None for models that do not reason."""
    detail: Detail = "auto"
    """Resolution at which the vendor reads images, if it offers a choice; see `vendors`."""
    video: bool = False
    """Whether the newest screens are sent as one video, not as pictures."""
    price: Price | None = None
    """Overrides the public price list. Unset, a server of your own has no price."""
    prompt_type: str = "basic"
    advice: str = ""
    """What to use once the vendor has withdrawn the model."""

    def __post_init__(self) -> None:
        if self.provider not in VENDORS:
            raise InvalidSetting(
                f"No provider is called {self.provider!r}. Choose from: {', '.join(VENDORS)}."
            )
        get_dialect(self.dialect)
        check_name(self.name)
        check_name(self.model_id)
        if self.base_url is None:
            moved = moved_to(self.vendor.address_variable, self.vendor.address)
            object.__setattr__(self, "base_url", moved)
        if self.provider == "openai-compatible" or self.base_url is not None:
            check_address(self.base_url)
        for field, least in (("max_tokens", 1), ("timeout_s", 1e-3), ("tries", 1)):
            if not getattr(self, field) >= least:
                name = _ARGUMENTS.get(field, field)
                raise InvalidSetting(
                    f"{name} must be at least {least}, not {getattr(self, field)!r}."
                )
        if self.temperature is not None and not 0 <= self.temperature <= 2:
            raise InvalidSetting(
                f"{setting('temperature')} must be 0 to 2, not {self.temperature!r}."
            )
        if self.temperature is not None and not self.vendor.takes_temperature(self.model_id):
            raise InvalidSetting(
                f"{self.name} takes no temperature, because it reasons; leave out "
                f"{setting('temperature')}."
            )
        if self.detail != "auto" and not self.vendor.takes_detail(self.model_id):
            raise InvalidSetting(
                f"{self.name} offers one resolution for images; leave out {setting('detail')}."
            )
        if self.video and not self.vendor.takes_video(self.model_id):
            raise InvalidSetting(
                f"{self.name} takes no video; Google's Gemini models do. Leave {setting('video')} "
                f"out: {setting('frames_in_prompt')} sets how many screens it is shown as pictures."
            )

    @property
    def vendor(self) -> Vendor:
        """The vendor to ask."""
        compatible = self.provider == "openai-compatible"
        return compatible_vendor(self.dialect) if compatible else VENDORS[self.provider]

    @property
    def is_elsewhere(self) -> bool:
        """Whether a vendor's model is asked for at an address that is not the vendor's."""
        own = self.vendor.address
        return bool(own) and self.base_url is not None and not is_same(self.base_url, own)

    @property
    def known_price(self) -> Price | None:
        """The price, as given or from the public list; None if unknown."""
        if self.price is not None or self.is_elsewhere:
            return self.price
        compatible = self.provider == "openai-compatible"
        list_name = get_dialect(self.dialect).price_list if compatible else self.provider
        return listed_price(list_name, self.model_id) if list_name else None

    @property
    def price_list(self) -> str:
        """The public price list of the model that answers; "" if `price` replaces it."""
        listed = self.vendor.listed and not self.is_elsewhere
        return self.provider if listed and self.price is None else ""

    def cache_fields(self) -> dict[str, Any]:
        """The settings that can change an answer, for the key of the response cache."""
        names = [field.name for field in fields(self) if field.name not in NOT_IN_CACHE_KEY]
        if not self.video:
            names.remove("video")  # added later: answers about pictures keep their keys
        return {name: getattr(self, name) for name in names}


NOT_IN_CACHE_KEY = frozenset(
    {"name", "timeout_s", "tries", "longest_wait_s", "price", "prompt_type", "advice"}
)
"""Settings that cannot change an answer."""

_ARGUMENTS = {"max_tokens": setting("max_tokens"), "timeout_s": setting("timeout")}
"""The names that users of `VLMTrainer` give to fields."""
