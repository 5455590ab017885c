"""Models behind an API: OpenAI, Anthropic, Google, and OpenAI-compatible servers.

A call passes these layers, outermost first:

    cache      return the stored answer, if there is one
    retry      repeat requests that failed temporarily; each try passes the layers below
    budget     reserve the most that one request can cost
    limiter    wait for the account's rate limit
    client     send one request and classify its outcome

The repair of an answer without a legal action is a new call (`policies/vlm`).
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

from atari_vlm.costs.picture_tokens import FAMILIES, rule_for, video_family
from atari_vlm.errors import AtariVLMError, InvalidSetting, Lost, ModelFault, ModelUnusable
from atari_vlm.models.hosted.budget import ACCOUNT
from atari_vlm.models.hosted.cache import CacheSettings, ResponseCache, cache_key
from atari_vlm.models.hosted.client import Client
from atari_vlm.models.hosted.faults import Failure
from atari_vlm.models.hosted.limiter import Clock, Rate, RealClock, limiter_for
from atari_vlm.models.hosted.message_conversion import to_reply
from atari_vlm.models.hosted.redaction import all_secrets
from atari_vlm.models.hosted.request import Request
from atari_vlm.models.hosted.retry import RetryPolicy
from atari_vlm.models.hosted.settings import HostedSettings
from atari_vlm.models.hosted.usage import Most, believed, most_of, reported
from atari_vlm.options import Key
from atari_vlm.types import Charge, Prompt, Reply


class HostedModel:
    """A model that answers over the network.

    Args:
        settings: of the model and its vendor.
        api_key: None takes it from the vendor's environment variable. It is passed only to the
            vendor's client, never to settings, messages or logs. A replay needs none.
        rate: limits on requests.
        cache: stores answers for other runs; None stores none.
        clock: for waits; tests substitute their own.

    Raises:
        MissingExtra: the vendor's client, or the encoder of videos, is not installed.
        ModelUnusable: the vendor needs a key and there is none.
        StoreError: the cache cannot be used.
    """

    def __init__(
        self,
        settings: HostedSettings,
        *,
        api_key: str | None = None,
        rate: Rate | None = None,
        cache: CacheSettings | None = None,
        clock: Clock | None = None,
    ) -> None:
        self.settings = settings
        self._rate, self._clock = rate or Rate(), clock or RealClock()
        self._cache = ResponseCache(cache) if cache and cache.mode != "off" else None
        replay = cache is not None and cache.mode == "replay"
        api_key = None if api_key is None else Key(api_key)
        self._given: dict[str, Any] = {"rate": rate, "cache": cache, "clock": clock}
        self._given_key = api_key
        self._client = None if replay else Client(settings, api_key)
        self._secrets = self._client.secrets if self._client else all_secrets()
        self._retry = RetryPolicy(settings.tries, settings.longest_wait_s)
        self._image_tokens = rule_for(settings.provider, settings.model_id, settings.detail)
        family = video_family(settings.model_id, settings.detail) if settings.video else None
        self._frame_tokens = FAMILIES[family] if family else None
        self.price = settings.known_price
        """None if unknown."""
        self._price_list = settings.price_list
        self._has_answered = False

    def __repr__(self) -> str:
        return f"HostedModel({self.settings!r})"

    def __deepcopy__(self, memo: dict[int, Any]) -> HostedModel:
        """The same model with connections of its own."""
        return HostedModel(self.settings, api_key=self._given_key, **self._given)

    def __reduce__(self) -> tuple[Callable[..., HostedModel], tuple[Any, ...]]:
        """How it is sent to another process, which takes the key from its environment."""
        if self._given_key:
            variable = self.settings.vendor.key_variables[0]
            raise InvalidSetting(
                f"{self.name} was given its key in Python, which is written into no file and sent "
                f"to no other process: set {variable} in its place, or play in one process."
            )
        return partial(HostedModel, **self._given), (self.settings,)

    @property
    def name(self) -> str:
        """The name the user chose, e.g. "gpt-4o"."""
        return self.settings.name

    @property
    def prompt_type(self) -> str:
        """The default prompt strategy."""
        return self.settings.prompt_type

    def without_key(self, text: str) -> str:
        """A text that may be shown: "[key]" stands for every secret that the server repeated."""
        return self._secrets.blot(text)

    def most(self, prompt: Prompt) -> Most:
        """The most that one request can use and cost, which is reserved before it is sent."""
        longest = self.settings.max_tokens
        return most_of(prompt, self.price, self._image_tokens, longest, self._frame_tokens)

    async def answer(self, prompt: Prompt, *, seed: int) -> Reply:
        """Return the vendor's answer, after at most `tries` requests, or the cached one.

        A refusal or a truncated answer is a Reply too; its `finish` gives the reason.

        Args:
            prompt: without `legal` actions, the answer is free text.
            seed: of the jitter between tries, of sampling on OpenAI-compatible servers, and part of
                the cache key unless the cache is shared.

        Raises:
            ModelFault: no answer after `tries` requests; `kind` is "rate limit", "server error",
                "timeout", "connection" or "garbage".
            ModelUnusable: no request of this kind can be answered, or a replay lacks the answer.
            BudgetExceeded: the next request could exceed a cap.
        """
        if self._cache is None:
            return await self._ask(prompt, seed)
        nonce = "" if self._cache.shares else str(seed)
        key = cache_key(self.settings.cache_fields(), prompt, nonce)
        reply = await self._cache.get_or_ask(key, self.name, lambda: self._ask(prompt, seed))
        return self._blotted(reply) if reply.usage.replayed else reply

    async def _ask(self, prompt: Prompt, seed: int) -> Reply:
        assert self._client is not None
        client, account = self._client, ACCOUNT.get()
        uncertain: list[Charge] = []
        request, most = await client.build_request(prompt, seed), self.most(prompt)
        host = self.settings.base_url or self.settings.provider
        limiter = limiter_for(host, client.key, self._clock)
        start = time.perf_counter()

        async def send_once() -> Reply | Failure:
            with await account.reserve(most.charge) as reservation:
                async with limiter.slot(self._rate):
                    reservation.charge = most.charge  # until the outcome is known
                    uncertain.append(most.charge)
                    # Written before it is sent: whatever ends this process, it may be billed.
                    account.write_off(seed, _lost(uncertain))
                    outcome = await self._send(client, request, most)
                if not _is_uncertain(outcome):
                    reservation.charge = _actual_charge(outcome)
                    uncertain.pop()
                    if isinstance(outcome, Failure):  # an answer is stored in its place
                        account.write_off(seed, _lost(uncertain))
            return outcome

        outcome = await self._retry.run(send_once, seed=seed, clock=self._clock, limiter=limiter)
        if isinstance(outcome, Failure):
            raise self._final_error(outcome.error, _lost(uncertain))
        self._has_answered = True
        return _with_usage(outcome, time.perf_counter() - start, _lost(uncertain))

    async def _send(self, client: Client, request: Request, most: Most) -> Reply | Failure:
        outcome = await client.send(request)
        if isinstance(outcome, Failure):
            return outcome
        reply = to_reply(outcome)
        usage = reported(outcome, self.price, self._price_list)
        answered = bool(reply.text or reply.thinking)
        return self._blotted(replace(reply, usage=believed(usage, most, answered=answered)))

    def _blotted(self, reply: Reply) -> Reply:
        """The reply without secrets, before it is shown or stored."""
        blot = self._secrets.blot
        return replace(
            reply,
            text=blot(reply.text),
            thinking=blot(reply.thinking),
            model=blot(reply.model),
            finish=blot(reply.finish),
            request_id=blot(reply.request_id),
        )

    def _final_error(self, error: AtariVLMError, lost: Lost) -> AtariVLMError:
        """The error to raise; garbage before any good answer means that the address is wrong."""
        if not isinstance(error, ModelFault):
            return error
        if error.kind == "garbage" and not self._has_answered:
            return ModelUnusable(error.message)
        return ModelFault(error.kind, error.message, lost)

    async def close(self) -> None:
        """Close the connections and the cache; the next call opens them again."""
        if self._cache is not None:
            self._cache.close()
        if self._client is not None:
            await self._client.close()


def _is_uncertain(outcome: Reply | Failure) -> bool:
    """Whether the cost of the request is unknown."""
    if isinstance(outcome, Failure):
        return outcome.uncertain
    return outcome.usage.uncounted > 0


def _actual_charge(outcome: Reply | Failure) -> Charge:
    if isinstance(outcome, Failure):
        return Charge()  # refused
    usage = outcome.usage
    return Charge(usage.input_tokens + usage.output_tokens, usage.dollars)


def _lost(charges: list[Charge]) -> Lost:
    dollars = [charge.dollars for charge in charges]
    total = None if None in dollars else sum(value or 0.0 for value in dollars)
    return Lost(len(charges), sum(charge.tokens for charge in charges), total)


def _with_usage(reply: Reply, seconds: float, lost: Lost) -> Reply:
    usage = replace(
        reply.usage,
        seconds=seconds,
        uncertain=lost.requests,
        uncertain_tokens=lost.tokens,
        uncertain_dollars=lost.dollars,
    )
    return replace(reply, usage=usage)
