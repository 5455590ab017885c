"""How a hosted model is asked, as the user sets it: one value from the flags to the model."""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, get_args

from atari_vlm.errors import InvalidSetting, unknown
from atari_vlm.models.hosted.budget import Caps
from atari_vlm.models.hosted.cache import CacheMode, CacheSettings
from atari_vlm.models.hosted.dialects import GENERIC, Dialect, get_dialect
from atari_vlm.models.hosted.limiter import Rate
from atari_vlm.models.hosted.vendors import Detail, Effort


@dataclass(frozen=True, slots=True, kw_only=True)
class Hosting:
    """How a hosted model is asked; the fields are flags of the command line, and None is unset."""

    dialect: str | None = None
    """What kind of OpenAI-compatible server it is; see `dialects`."""
    effort: Effort | None = None
    """How long a reasoning model thinks."""
    detail: Detail | None = None
    """How closely the vendor looks at pictures."""
    timeout: float | None = None
    """Seconds to wait for one answer."""
    rpm: float | None = None
    """Most requests a minute."""
    concurrency: int | None = None
    """Most requests at the same time."""
    cache: str | Path | None = None
    """File of answers that runs share."""
    cache_mode: CacheMode | None = None
    """What it is used for; "readwrite" where a file is named."""
    cache_share: bool = False
    """Whether equal states get equal answers."""
    budget: float | None = None
    """Most US dollars of a run."""
    budget_episode: float | None = None
    """Most US dollars of an episode."""
    budget_tokens: int | None = None
    """Most tokens of a run."""

    def __post_init__(self) -> None:
        """Refuse what cannot work, by the names of the flags."""
        for flag, value, known in (
            ("--effort", self.effort, get_args(Effort)),
            ("--detail", self.detail, get_args(Detail)),
        ):
            if value is not None and value not in known:
                raise unknown(f"{flag} setting", value, known)
        _ = self.spoken, self.caps, self.rate
        if self.cache is None and (self.cache_share or self.cache_mode not in (None, "off")):
            raise InvalidSetting(
                "--cache-mode and --cache-share need a file: name it with --cache."
            )

    @property
    def caps(self) -> Caps:
        """What may be spent."""
        return Caps(
            dollars=self.budget, episode_dollars=self.budget_episode, tokens=self.budget_tokens
        )

    @property
    def rate(self) -> Rate:
        """How fast it may be asked."""
        return Rate(concurrency=self.concurrency, per_minute=self.rpm)

    @property
    def cache_settings(self) -> CacheSettings | None:
        """Where answers are kept."""
        if self.cache is None:
            return None
        mode = self.cache_mode or "readwrite"
        return CacheSettings(file=Path(self.cache), mode=mode, share=self.cache_share)

    @property
    def asked(self) -> dict[str, Any]:
        """What was set, by the names of the flags."""
        return {
            "--" + field.name.replace("_", "-"): value
            for field in fields(self)
            if (value := getattr(self, field.name)) is not None and value is not False
        }

    @property
    def deciding(self) -> dict[str, Any]:
        """What was set of that which can change what is played."""
        names = ("dialect", "effort", "detail", "cache_share")
        return {name: value for name in names if (value := getattr(self, name))}

    @property
    def question(self) -> dict[str, Any]:
        """What was set of HostedSettings, by its names there."""
        given = {"timeout_s": self.timeout, "effort": self.effort, "detail": self.detail}
        return {name: value for name, value in given.items() if value is not None}

    @property
    def spoken(self) -> Dialect:
        """The dialect."""
        return get_dialect(self.dialect or GENERIC)

    @property
    def address(self) -> str | None:
        """Where a server of this dialect listens by itself; None where no dialect is set.

        Raises:
            InvalidSetting: such servers have no usual address.
        """
        if self.dialect is None:
            return None
        if self.spoken.base_url is None:
            raise InvalidSetting(f"Where is the {self.dialect} server? Say it with --base-url.")
        return self.spoken.base_url

    def refuse(self, who: str) -> None:
        """Raise InvalidSetting if anything is set, for players that no network is asked for."""
        if self.asked:
            raise InvalidSetting(
                f"{who} cannot follow {', '.join(self.asked)}, which only hosted models do: leave "
                "it out, or choose one (`atari-vlm models`)."
            )


AS_SET = Hosting()
"""Nothing set: everything as the catalogue and the vendors have it."""
