"""What a hosted model is asked with: its settings, and one request to whoever serves it.

Nothing here repeats, limits, pays for or remembers a request; `hosted` puts those layers around it.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from atari_vlm.costs.prices import Price, listed_price
from atari_vlm.errors import InvalidSetting
from atari_vlm.models.hosted import message_conversion as wire
from atari_vlm.models.hosted.dialects import GENERIC, constraint, get_dialect
from atari_vlm.models.hosted.faults import Respondent, Verdict, judge
from atari_vlm.models.hosted.vendors import (
    VENDORS,
    Detail,
    Effort,
    Endpoint,
    Provider,
    Vendor,
    in_dialect,
)
from atari_vlm.types import Prompt

if TYPE_CHECKING:
    from httpx2 import AsyncClient
    from pydantic_ai.messages import ModelMessage, ModelResponse
    from pydantic_ai.models import Model as Backend
    from pydantic_ai.models import ModelRequestParameters
    from pydantic_ai.settings import ModelSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class HostedSettings:
    """Everything that decides what a hosted model is asked; never the key."""

    name: str
    """The name it is asked for by, e.g. "gpt-4o"."""
    model_id: str
    """The vendor's own id."""
    provider: Provider
    base_url: str | None = None
    """Address of the server, up to /v1; None for the vendor's own."""
    dialect: str = GENERIC
    """What kind of OpenAI-compatible server it is; see `dialects`."""
    temperature: float | None = None
    """None leaves it to the vendor."""
    max_tokens: int = 4096
    """Longest answer, in tokens. Hidden reasoning counts, and an answer cut off is no answer."""
    timeout_s: float = 60.0
    """Seconds to wait for one answer, retries not included."""
    tries: int = 4
    """Requests made for one answer before it is a fault."""
    longest_wait_s: float = 60.0
    """Most seconds between two tries, whatever the server asks for."""
    structured: bool = True
    """Whether the answer's form is enforced by the vendor."""
    effort: Effort | None = None
    """How long a reasoning model thinks; None for models that do not reason."""
    detail: Detail = "auto"
    """How closely the vendor looks at a picture, where it asks; see `vendors`."""
    price: Price | None = None
    """Price, where it is known better than from the public list; a server of your own has none."""
    prompt_type: str = "basic"
    advice: str = ""
    """What to use once the vendor has withdrawn the model."""

    def __post_init__(self) -> None:
        if self.provider not in VENDORS:
            raise InvalidSetting(
                f"No provider is called {self.provider!r}. Choose from: {', '.join(VENDORS)}."
            )
        get_dialect(self.dialect)
        if self.provider == "openai-compatible" or self.base_url is not None:
            _check_address(self.base_url)
        for field, least in (("max_tokens", 1), ("timeout_s", 1e-3), ("tries", 1)):
            if not getattr(self, field) >= least:
                raise InvalidSetting(f"{field} is at least {least}, not {getattr(self, field)!r}.")
        if self.temperature is not None and not 0 <= self.temperature <= 2:
            raise InvalidSetting(f"temperature is 0 to 2, not {self.temperature!r}.")

    @property
    def vendor(self) -> Vendor:
        """Who is asked."""
        compatible = self.provider == "openai-compatible"
        return in_dialect(self.dialect) if compatible else VENDORS[self.provider]

    @property
    def known_price(self) -> Price | None:
        """What it costs: as given, or by the public list; None when nobody knows."""
        if self.price is not None:
            return self.price
        compatible = self.provider == "openai-compatible"
        list_name = get_dialect(self.dialect).price_list if compatible else self.provider
        return listed_price(list_name, self.model_id) if list_name else None

    def deciding(self) -> dict[str, Any]:
        """The settings that can change an answer, for the response cache."""
        names = [field.name for field in fields(self) if field.name not in PATIENCE]
        return {name: getattr(self, name) for name in names}


PATIENCE = frozenset(
    {"name", "timeout_s", "tries", "longest_wait_s", "price", "prompt_type", "advice"}
)
"""Settings that change how long one waits, what it costs or what it is called: no answer."""


def _check_address(base_url: str | None) -> None:
    if "@" in (base_url or ""):
        raise InvalidSetting(
            "Keep name and password out of --base-url, which is written into the record of the "
            "run; pass the key as --api-key."
        )
    try:
        address = urlsplit(base_url or "")
        usable = address.scheme in ("http", "https") and address.hostname and address.port != 0
    except ValueError:  # a port that is no number
        usable = False
    if not usable:
        raise InvalidSetting(
            f"{base_url!r} is no address of a server; --base-url http://localhost:8000/v1 is one."
        )


@dataclass(frozen=True, slots=True)
class Question:
    """A prompt as it is sent, as often as it takes."""

    messages: list[ModelMessage]
    form: ModelRequestParameters
    options: ModelSettings


class Line:
    """The line to one model: opened when first used, one request at a time of asking.

    Args:
        settings: what to ask, and whom.
        api_key: None takes it from the vendor's environment variable. It goes to the vendor's
            client and into no setting, message or log.

    Raises:
        MissingExtra: the vendor's client is not installed.
        ModelUnusable: there is no key and the vendor wants one.
    """

    def __init__(self, settings: HostedSettings, api_key: str | None) -> None:
        self._settings, self._vendor = settings, settings.vendor
        self._who = Respondent(
            vendor=self._vendor.label,
            model_id=settings.model_id,
            base_url=settings.base_url,
            compatible=settings.provider == "openai-compatible",
            key_advice=self._vendor.key_advice,
            advice=settings.advice,
            key=self._vendor.key(settings.name, api_key),
        )
        self._vendor.check_installed(settings.name)
        self._picture = self._vendor.picture(settings.model_id, settings.detail)
        self._open: _Open | None = None

    @property
    def key(self) -> str:
        """The key, to tell one account from another."""
        return self._who.key

    def question(self, prompt: Prompt, seed: int) -> Question:
        """The prompt in the vendor's terms.

        Raises:
            InvalidSetting: a frame stands where no vendor takes one.
        """
        settings = self._settings
        messages = wire.to_messages(prompt, self._picture)
        if settings.provider == "openai-compatible":
            form = wire.answer_format((), 1, False)  # its dialect asks for the form of the answer
            return Question(messages, form, self._compatible(prompt, seed))
        legal = prompt.legal if settings.structured and prompt.json else ()
        form = wire.answer_format(legal, prompt.longest, prompt.plans, prompt.ahead)
        options = self._options()
        if settings.effort is not None:
            options |= self._vendor.think(settings.effort)
        # Frames change with every decision: writing them to a prefix cache is paid for nothing.
        options["cache"] = {"messages": False}
        return Question(messages, form, options)  # type: ignore[arg-type]

    def _compatible(self, prompt: Prompt, seed: int) -> ModelSettings:
        settings, dialect = self._settings, get_dialect(self._settings.dialect)
        options, body = self._options(), dict(dialect.always)
        if dialect.seed:
            options["seed"] = seed % 2**31
        if settings.effort is not None and dialect.effort is not None:
            body |= dialect.effort(settings.effort)
        if settings.structured:
            body |= constraint(
                settings.dialect,
                prompt.legal,
                prompt.longest,
                prompt.plans,
                prompt.json,
                prompt.ahead,
            )
        if body:
            options["extra_body"] = body
        return options  # type: ignore[return-value]

    def _options(self) -> dict[str, Any]:
        options: dict[str, Any] = {
            "max_tokens": self._settings.max_tokens,
            "request_timeout": self._settings.timeout_s,
        }
        if self._settings.temperature is not None:
            options["temperature"] = self._settings.temperature
        return options

    async def ask(self, question: Question) -> ModelResponse | Verdict:
        """One request: the answer, or what is wrong."""
        from pydantic_ai.direct import model_request
        from pydantic_ai.exceptions import AgentRunError, UserError

        # A body that is JSON, but not the vendor's, trips the SDKs wherever they first look.
        broken = (LookupError, TypeError, AttributeError, ValueError, AssertionError)
        try:
            response = await model_request(
                self._connected(),
                question.messages,
                model_settings=question.options,
                model_request_parameters=question.form,
            )
        except (AgentRunError, UserError, *broken) as error:
            return judge(error, self._who)
        if not response.parts and response.finish_reason is None:
            return judge(ValueError("nothing was in the answer"), self._who)
        return response

    def _connected(self) -> Backend:
        """The backend of the running event loop; connections cannot move between loops."""
        loop = asyncio.get_running_loop()
        if self._open is None or self._open.loop is not loop:
            from pydantic_ai.models import create_async_httpx2_client

            http = create_async_httpx2_client()
            endpoint = Endpoint(
                model_id=self._settings.model_id,
                base_url=self._settings.base_url,
                key=self._who.key,
                http=http,
                reasons=self._settings.effort is not None,
            )
            self._open = _Open(loop, http, self._vendor.connect(endpoint))
        return self._open.backend

    async def close(self) -> None:
        """Release the connections; asking again opens new ones."""
        was, self._open = self._open, None
        if was is not None and was.loop is asyncio.get_running_loop():
            await was.http.aclose()


@dataclass(frozen=True, slots=True)
class _Open:
    """Open connections and the event loop they belong to."""

    loop: asyncio.AbstractEventLoop
    http: AsyncClient
    backend: Backend
