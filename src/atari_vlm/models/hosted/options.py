"""How a hosted model is asked, and what may be spent on it, as the user sets it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

from atari_vlm.errors import InvalidSetting, setting, unknown
from atari_vlm.models.hosted.addresses import check_no_secret
from atari_vlm.models.hosted.budget import Caps
from atari_vlm.models.hosted.cache import CacheMode, CacheSettings
from atari_vlm.models.hosted.dialects import GENERIC, Dialect, get_dialect
from atari_vlm.models.hosted.limiter import Rate
from atari_vlm.models.hosted.vendors import Detail, Effort
from atari_vlm.options import check_numbers, given, option


@dataclass(frozen=True, kw_only=True)
class HostedOptions:
    """How a hosted model is asked; None leaves it to the catalogue and the vendor."""

    base_url: str | None = option(
        None, "An OpenAI-compatible server, e.g. http://localhost:8000/v1."
    )
    dialect: str | None = option(
        None,
        "What the server is: vllm, sglang, lmdeploy, ollama, llamacpp, transformers-serve, "
        "openrouter or generic. Without an address, where it usually is.",
    )
    effort: Effort | None = option(None, "How long a reasoning model thinks: low, medium, high.")
    detail: Detail | None = option(None, "How closely pictures are looked at: auto, low, high.")
    timeout: float | None = option(
        None, "Seconds to wait for one answer; default: 60.", least=0.001, most=86_400
    )
    rpm: float | None = option(None, "Most requests a minute.")
    concurrency: int | None = option(None, "Most requests at the same time.", least=1, most=100_000)
    cache: str | Path | None = option(None, "File of answers that runs share.")
    cache_mode: CacheMode | None = option(
        None,
        "readwrite (default), replay (no request, no key, no cost), refresh or off.",
    )
    cache_share: bool = option(False, "Equal states get equal answers.", flag="--cache-share")

    def __post_init__(self) -> None:
        check_numbers(self)
        check_no_secret(self.base_url)
        for name, value, known in (
            ("effort", self.effort, get_args(Effort)),
            ("detail", self.detail, get_args(Detail)),
        ):
            if value is not None and value not in known:
                raise unknown(f"{setting(name)} setting", value, known)
        _ = self.spoken, self.rate
        if self.cache is None and (self.cache_share or self.cache_mode not in (None, "off")):
            raise InvalidSetting(
                f"{setting('cache_mode')} and {setting('cache_share')} need a file: name it with "
                f"{setting('cache')}."
            )

    @property
    def rate(self) -> Rate:
        """How fast it may be asked."""
        return Rate(concurrency=self.concurrency, per_minute=self.rpm)

    @property
    def cache_settings(self) -> CacheSettings | None:
        """Where answers are kept; None for nowhere."""
        if self.cache is None:
            return None
        mode = self.cache_mode or "readwrite"
        return CacheSettings(file=Path(self.cache), mode=mode, share=self.cache_share)

    @property
    def deciding(self) -> dict[str, Any]:
        """What was set of that which can change what is played."""
        names = ("dialect", "effort", "detail", "cache_share")
        return {name: value for name in names if (value := getattr(self, name))}

    @property
    def request(self) -> dict[str, Any]:
        """What was set of HostedSettings, by its names there."""
        chosen = {"timeout_s": self.timeout, "effort": self.effort, "detail": self.detail}
        return {name: value for name, value in chosen.items() if value is not None}

    @property
    def spoken(self) -> Dialect:
        """The dialect."""
        return get_dialect(self.dialect or GENERIC)

    @property
    def address(self) -> str | None:
        """The server: as given, or where one of this dialect usually listens; None for no server.

        Raises:
            InvalidSetting: servers of this dialect have no usual address.
        """
        if self.base_url is not None or self.dialect is None:
            return self.base_url
        if self.spoken.base_url is None:
            raise InvalidSetting(
                f"Where is the {self.dialect} server? Name it with {setting('base_url')}."
            )
        return self.spoken.base_url


@dataclass(frozen=True, kw_only=True)
class SpendOptions:
    """What may be spent; None for no cap."""

    budget: float | None = option(
        None, "Most US dollars of a run, or of a whole bench or training; raise it to continue."
    )
    budget_episode: float | None = option(
        None,
        "Most US dollars of an episode, or of a game that tries a lesson; it is then cut short.",
    )
    budget_tokens: int | None = option(None, "As the budget, in tokens, read and written.")

    def __post_init__(self) -> None:
        _ = self.caps

    @property
    def caps(self) -> Caps:
        """The caps on spending."""
        return Caps(
            dollars=self.budget, episode_dollars=self.budget_episode, tokens=self.budget_tokens
        )


def hosted_only(hosted: HostedOptions, spend: SpendOptions) -> dict[str, Any]:
    """What was set of that which only hosted models follow, by name; not the address."""
    chosen = {**given(hosted), **given(spend)}
    chosen.pop("base_url", None)
    return chosen


def refuse_hosted(who: str, hosted: HostedOptions, spend: SpendOptions) -> None:
    """Raise InvalidSetting if a player that needs no network was given such options."""
    if chosen := hosted_only(hosted, spend):
        names = ", ".join(setting(name) for name in chosen)
        raise InvalidSetting(
            f"{who} cannot follow {names}, which only hosted models do: leave it out, or choose "
            "one (`atari-vlm models`)."
        )
