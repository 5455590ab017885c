"""Models behind an API: OpenAI, Anthropic, Google, and every OpenAI-compatible server.

One request, our own retries, one Reply. What is sent and read is in `wire`, who is asked in
`vendors`, what can go wrong in `faults`; this file is the loop that joins them.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from random import Random
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from atari_vlm.errors import AtariVLMError, InvalidSetting, ModelFault, ModelUnusable
from atari_vlm.models import wire
from atari_vlm.models.faults import Respondent, Verdict, judge
from atari_vlm.models.vendors import VENDORS, Detail, Effort, Endpoint, Provider
from atari_vlm.types import Prompt, Reply

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
    """Whether the answer's JSON schema is enforced by the vendor."""
    effort: Effort | None = None
    """How long a reasoning model thinks; None for models that do not reason."""
    detail: Detail = "auto"
    """How closely the vendor looks at a picture, where it asks; see `vendors`."""
    price: wire.Price | None = None
    """Price, where it is known better than from the public list; a server of your own has none."""
    prompt_type: str = "basic"
    advice: str = ""
    """What to use once the vendor has withdrawn the model."""

    def __post_init__(self) -> None:
        if self.provider not in VENDORS:
            raise InvalidSetting(
                f"No provider is called {self.provider!r}. Choose from: {', '.join(VENDORS)}."
            )
        if self.provider == "openai-compatible" or self.base_url is not None:
            _check_address(self.base_url)
        for field, least in (("max_tokens", 1), ("timeout_s", 1e-3), ("tries", 1)):
            if not getattr(self, field) >= least:
                raise InvalidSetting(f"{field} is at least {least}, not {getattr(self, field)!r}.")
        if self.temperature is not None and not 0 <= self.temperature <= 2:
            raise InvalidSetting(f"temperature is 0 to 2, not {self.temperature!r}.")


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


class HostedModel:
    """A model that is asked over the network.

    Args:
        settings: what to ask, and whom.
        api_key: None takes it from the vendor's environment variable. It goes to the vendor's
            client and into no setting, message or log.
        sleep: waits between tries; tests pass their own.

    Raises:
        MissingExtra: the vendor's client is not installed.
        ModelUnusable: there is no key and the vendor wants one.
    """

    def __init__(
        self,
        settings: HostedSettings,
        *,
        api_key: str | None = None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        vendor = VENDORS[settings.provider]
        self.settings = settings
        self._vendor = vendor
        self._who = Respondent(
            vendor=vendor.label,
            model_id=settings.model_id,
            base_url=settings.base_url,
            compatible=settings.provider == "openai-compatible",
            key_advice=vendor.key_advice,
            advice=settings.advice,
            key=vendor.key(settings.name, api_key),
        )
        vendor.check_installed(settings.name)
        self._sleep = sleep
        self._picture = vendor.picture(settings.model_id, settings.detail)
        self._line: _Line | None = None
        self._proven = False

    def __repr__(self) -> str:
        return f"HostedModel({self.settings!r})"

    @property
    def name(self) -> str:
        """The name it is asked for by."""
        return self.settings.name

    @property
    def prompt_type(self) -> str:
        """The prompt strategy to use when none is asked for."""
        return self.settings.prompt_type

    async def answer(self, prompt: Prompt, *, seed: int) -> Reply:
        """Ask until the vendor answers, at most `tries` times.

        A refusal or an answer cut off by `max_tokens` is a Reply; `finish` says so.

        Args:
            prompt: with no `legal` actions, the answer is free text.
            seed: spreads the waits between tries; servers of your own also sample by it.

        Raises:
            ModelFault: no answer after `tries` requests; `kind` is "rate limit", "server error",
                "timeout", "connection" or "garbage".
            ModelUnusable: no request of this kind can be answered.
        """
        messages = wire.to_messages(prompt, self._picture)
        legal = prompt.legal if self.settings.structured and prompt.json else ()
        form = wire.answer_format(legal, prompt.longest, prompt.plans, prompt.ahead)
        options = self._options(seed)
        jitter = Random(seed)
        backend = self._connected()
        start = time.perf_counter()
        for attempt in range(self.settings.tries):
            outcome = await self._ask(backend, messages, form, options)
            if not isinstance(outcome, Verdict):
                self._proven = True
                seconds = time.perf_counter() - start
                return wire.to_reply(outcome, seconds, self.settings.price, self._vendor.listed)
            if not outcome.passing or attempt == self.settings.tries - 1:
                raise self._final(outcome.error)
            await self._sleep(self._pause(attempt, outcome.wait, jitter))
        raise AssertionError("unreachable: tries is at least 1")

    async def _ask(
        self,
        backend: Backend,
        messages: list[ModelMessage],
        form: ModelRequestParameters,
        options: ModelSettings,
    ) -> ModelResponse | Verdict:
        """One request: the answer, or what is wrong."""
        from pydantic_ai.direct import model_request
        from pydantic_ai.exceptions import AgentRunError, UserError

        # A body that is JSON, but not the vendor's, trips the SDKs wherever they first look.
        broken = (LookupError, TypeError, AttributeError, ValueError, AssertionError)
        try:
            response = await model_request(
                backend, messages, model_settings=options, model_request_parameters=form
            )
        except (AgentRunError, UserError, *broken) as error:
            return judge(error, self._who)
        if not response.parts and response.finish_reason is None:
            return judge(ValueError("nothing was in the answer"), self._who)
        return response

    def _options(self, seed: int) -> ModelSettings:
        options: dict[str, Any] = {
            "max_tokens": self.settings.max_tokens,
            "request_timeout": self.settings.timeout_s,
        }
        if self.settings.temperature is not None:
            options["temperature"] = self.settings.temperature
        if self.settings.effort is not None:
            options |= self._vendor.think(self.settings.effort)
        if self.settings.provider == "openai-compatible":
            options["seed"] = seed % 2**31
        else:
            # Frames change with every decision: writing them to a prefix cache is paid for nothing.
            options["cache"] = {"messages": False}
        return options  # type: ignore[return-value]

    def _pause(self, attempt: int, asked: float | None, jitter: Random) -> float:
        """Seconds to the next try: what the server asked, or doubling from half a second."""
        wanted = asked
        if wanted is None:
            wanted = 0.5 * 2.0**attempt * jitter.uniform(0.75, 1.25)
        return min(wanted, self.settings.longest_wait_s)

    def _final(self, error: AtariVLMError) -> AtariVLMError:
        """The error, or that the address is wrong: it never gave an answer one could read."""
        never = isinstance(error, ModelFault) and error.kind == "garbage" and not self._proven
        return ModelUnusable(str(error)) if never else error

    def _connected(self) -> Backend:
        """The backend of the running event loop; connections cannot move between loops."""
        loop = asyncio.get_running_loop()
        if self._line is None or self._line.loop is not loop:
            from pydantic_ai.models import create_async_httpx2_client

            http = create_async_httpx2_client()
            endpoint = Endpoint(
                model_id=self.settings.model_id,
                base_url=self.settings.base_url,
                key=self._who.key,
                http=http,
                reasons=self.settings.effort is not None,
            )
            backend = self._vendor.connect(endpoint)
            self._line = _Line(loop, http, backend)
        return self._line.backend

    async def close(self) -> None:
        """Release the connections; asking again opens new ones."""
        line, self._line = self._line, None
        if line is not None and line.loop is asyncio.get_running_loop():
            await line.http.aclose()


@dataclass(frozen=True, slots=True)
class _Line:
    """Open connections and the event loop they belong to."""

    loop: asyncio.AbstractEventLoop
    http: AsyncClient
    backend: Backend
