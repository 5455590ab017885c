"""Models behind an API: OpenAI, Anthropic, Google, and every OpenAI-compatible server.

This file is the order of the layers. A question passes them from the outside in:

    cache      was this very question answered before?
    retry      ask again what may pass; each of its tries passes the layers below anew
    budget     is there money for the worst case of one request?
    limiter    is it this game's turn to ask the account?
    asking     one request to the vendor, and what came of it

The repair of an answer that names no legal action is a question of its own (`policies/vlm`).
"""

from __future__ import annotations

import time
from dataclasses import replace

from atari_vlm.costs.picture_tokens import rule_for
from atari_vlm.errors import AtariVLMError, Lost, ModelFault, ModelUnusable
from atari_vlm.models.hosted import message_conversion as wire
from atari_vlm.models.hosted.budget import PAYER, Charge, worst_case, worst_input
from atari_vlm.models.hosted.cache import CacheSettings, ResponseCache, key_of
from atari_vlm.models.hosted.client import HostedSettings, Line, Question
from atari_vlm.models.hosted.faults import Verdict
from atari_vlm.models.hosted.limiter import Clock, Rate, RealClock, limiter_for
from atari_vlm.models.hosted.retry import Retry
from atari_vlm.types import Prompt, Reply


class HostedModel:
    """A model that is asked over the network.

    Args:
        settings: what to ask, and whom.
        api_key: None takes it from the vendor's environment variable. It goes to the vendor's
            client and into no setting, message or log. A model that only replays needs none.
        rate: how fast it may be asked.
        cache: where answers are kept for other runs; None keeps none.
        clock: lets pauses pass; tests pass their own.

    Raises:
        MissingExtra: the vendor's client is not installed.
        ModelUnusable: there is no key and the vendor wants one.
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
        replays = cache is not None and cache.mode == "replay"
        self._line = None if replays else Line(settings, api_key)
        self._retry = Retry(settings.tries, settings.longest_wait_s)
        self._rule = rule_for(settings.provider, settings.model_id, settings.detail)
        self.price = settings.known_price
        """What it costs; None when nobody knows."""
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

    def worst(self, prompt: Prompt) -> Charge:
        """The most that one request can cost; `PAYER` holds it before the request is sent."""
        tokens = worst_input(prompt, self._rule) + self.settings.max_tokens
        if self.price is None:
            return Charge(tokens, None)
        return Charge(tokens, worst_case(prompt, self.price, self._rule, self.settings.max_tokens))

    async def answer(self, prompt: Prompt, *, seed: int) -> Reply:
        """Ask until the vendor answers, at most `tries` times; or find the answer in the cache.

        A refusal or an answer cut off by `max_tokens` is a Reply; `finish` says so.

        Args:
            prompt: with no `legal` actions, the answer is free text.
            seed: spreads the waits between tries; servers of your own also sample by it, and the
                cache tells equal questions apart by it unless told to share.

        Raises:
            ModelFault: no answer after `tries` requests; `kind` is "rate limit", "server error",
                "timeout", "connection" or "garbage".
            ModelUnusable: no request of this kind can be answered, or a replay lacks the answer.
            BudgetExceeded: the next request could pass a cap.
        """
        if self._cache is None:
            return await self._ask(prompt, seed)
        key = key_of(self.settings.deciding(), prompt, "" if self._cache.shares else str(seed))
        return await self._cache.through(key, self.name, lambda: self._ask(prompt, seed))

    async def _ask(self, prompt: Prompt, seed: int) -> Reply:
        assert self._line is not None
        lost: list[Charge] = []
        try:
            return await self._tried(self._line, prompt, seed, lost)
        except ModelFault:
            raise  # says itself what was lost
        except BaseException:  # stopped, or no use: there is no answer to keep it with
            if lost:
                PAYER.get().write_off(_lost(lost))
            raise

    async def _tried(self, line: Line, prompt: Prompt, seed: int, lost: list[Charge]) -> Reply:
        """The answer; `lost` gets the worst case of every request that may be paid for nothing."""
        question, worst = line.question(prompt, seed), self.worst(prompt)
        account = self.settings.base_url or self.settings.provider
        limiter = limiter_for(account, line.key, self._clock)
        start = time.perf_counter()

        async def once() -> Reply | Verdict:
            with await PAYER.get().hold(worst) as bill:
                async with limiter.slot(self._rate):
                    bill.due = worst  # sent: from here on it may be charged
                    lost.append(worst)
                    outcome = await self._request(line, question)
                if not _uncertain(outcome, worst):
                    bill.due = _due(outcome)
                    lost.pop()
            return outcome

        outcome = await self._retry.until_answered(
            once, seed=seed, clock=self._clock, limiter=limiter
        )
        if isinstance(outcome, Verdict):
            raise self._final(outcome.error, _lost(lost))
        self._proven = True
        return _with(outcome, time.perf_counter() - start, _lost(lost))

    async def _request(self, line: Line, question: Question) -> Reply | Verdict:
        outcome = await line.ask(question)
        if isinstance(outcome, Verdict):
            return outcome
        listed = self.settings.vendor.listed  # then the price is that of the model that answered
        return wire.to_reply(outcome, 0.0, self.settings.price if listed else self.price, listed)

    def _final(self, error: AtariVLMError, lost: Lost) -> AtariVLMError:
        """The error, or that the address is wrong: it never gave an answer one could read."""
        if not isinstance(error, ModelFault):
            return error
        if error.kind == "garbage" and not self._proven:
            return ModelUnusable(str(error))
        return ModelFault(error.kind, str(error), lost)

    async def close(self) -> None:
        """Release the connections and the cache; asking again opens them anew."""
        if self._cache is not None:
            self._cache.close()
        if self._line is not None:
            await self._line.close()


def _uncertain(outcome: Reply | Verdict, worst: Charge) -> bool:
    """Whether nobody knows what the request cost."""
    if isinstance(outcome, Verdict):
        return outcome.uncertain
    usage = outcome.usage
    return usage.input_tokens == 0 or (usage.dollars is None and worst.dollars is not None)


def _due(outcome: Reply | Verdict) -> Charge:
    if isinstance(outcome, Verdict):
        return Charge()  # refused
    usage = outcome.usage
    return Charge(usage.input_tokens + usage.output_tokens, usage.dollars)


def _lost(charges: list[Charge]) -> Lost:
    dollars = [charge.dollars for charge in charges]
    known = None if None in dollars else sum(value or 0.0 for value in dollars)
    return Lost(len(charges), sum(charge.tokens for charge in charges), known)


def _with(reply: Reply, seconds: float, lost: Lost) -> Reply:
    usage = replace(
        reply.usage,
        seconds=seconds,
        uncertain=lost.requests,
        uncertain_tokens=lost.tokens,
        uncertain_dollars=lost.dollars,
    )
    return replace(reply, usage=usage)


__all__ = ["HostedModel", "HostedSettings"]
