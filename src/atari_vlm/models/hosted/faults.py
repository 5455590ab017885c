"""What went wrong with a call, in one sentence, and whether asking again could help.

    passing   rate limits, 5xx, timeouts, dropped connections, garbage -> retried, then ModelFault
    lasting   wrong key, no such model or server, no quota, rejected request -> ModelUnusable

The vendor's own words are quoted, cut short and with the key blotted out. A verdict keeps no
reference to the vendor's exception, which carries the request and with it the key.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from atari_vlm.errors import AtariVLMError, ModelFault, ModelUnusable

LONGEST_QUOTE = 200
"""Characters of a vendor's message that an error repeats."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """The error to raise, and whether to ask again before raising it."""

    error: AtariVLMError
    passing: bool = False
    wait: float | None = None
    """Seconds the server asked to be left alone."""
    slow_down: bool = False
    """Whether that holds for everyone who uses the account."""
    uncertain: bool = False
    """Whether the request may have been charged all the same: it was sent, and not refused."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Respondent:
    """Who was asked, for the wording of errors."""

    vendor: str
    """"OpenAI", or "The server" behind an address of the user's."""
    model_id: str
    key_advice: str
    """How to give a key, e.g. "Set OPENAI_API_KEY or pass --api-key."."""
    base_url: str | None = None
    """The address the user gave; None where the vendor's own is asked."""
    compatible: bool = False
    """Whether it is a server of the user's that speaks as OpenAI does."""
    advice: str = ""
    """What to use when the model is gone."""
    key: str = field(default="", repr=False)
    """Only to be blotted out."""

    @property
    def name(self) -> str:
        """Who, and where if the user said where."""
        return f"{self.vendor} at {self.base_url}" if self.base_url else self.vendor

    def blot(self, text: str) -> str:
        """The text on one line, cut short, without the key."""
        text = re.sub(r"\s+", " ", text).strip()
        if self.key:
            text = text.replace(self.key, "[key]")
        return text if len(text) <= LONGEST_QUOTE else text[:LONGEST_QUOTE] + "..."


def judge(error: Exception, who: Respondent) -> Verdict:
    """Word any exception that pydantic-ai or a vendor's client raises for one request."""
    from pydantic_ai import exceptions as told

    # The order matters: the particular before the general.
    rules: tuple[tuple[type[Exception], Callable[..., Verdict]], ...] = (
        (told.ModelQuotaExceededError, _quota),
        (told.ModelAuthenticationError, _key),
        (told.ModelNotFoundError, _unknown_model),
        (told.ModelRateLimitError, _rate_limit),
        (told.ModelServerError, _server_error),
        (told.ModelUnavailableError, _server_error),
        (told.ModelRequestTimeout, _timeout),
        (told.ModelConnectionError, _connection),
        (told.ModelContextWindowExceededError, _too_long),
        (told.ModelHTTPError, _rejected),
        (told.UserError, _unsupported),
    )
    for kind, rule in rules:
        if isinstance(error, kind):
            return rule(error, who)
    return _garbage(error, who)


def _status(error: Exception) -> int | None:
    return getattr(error, "status_code", None)


def _said(error: Exception, who: Respondent) -> str:
    """The vendor's own words in quotes, with a space before; empty if it had none."""
    words = _message(getattr(error, "body", None))
    return f' It said: "{who.blot(words)}"' if words else ""


def _message(body: object) -> str:
    """The message in any shape of error body: {"error": {"message": ...}}, a string, HTML."""
    if isinstance(body, bytes):
        return body.decode(errors="replace")
    if isinstance(body, dict):
        inner = body.get("error", body.get("message", body.get("detail")))
        return _message(inner) if inner is not None else json.dumps(body, default=str)
    if isinstance(body, list) and body:
        return _message(body[0])
    return str(body) if body is not None else ""


def _unusable(sentence: str, what: str = "") -> Verdict:
    return Verdict(ModelUnusable(sentence, what))


def _quota(error: Exception, who: Respondent) -> Verdict:
    return _unusable(
        f"{who.name} says the quota of this account is used up ({_status(error) or 'no status'})."
        f" Add credit or use another key, then give the same command to continue."
        f"{_said(error, who)}",
        "quota",
    )


def _key(error: Exception, who: Respondent) -> Verdict:
    return _unusable(
        f"{who.name} refused the key ({_status(error)}). {who.key_advice}{_said(error, who)}",
        "key",
    )


def _unknown_model(error: Exception, who: Respondent) -> Verdict:
    if who.compatible:
        return _unusable(
            f"{who.name} answered 404 for the model {who.model_id!r}. {who.base_url}/models lists"
            f" what it serves; such an address usually ends in /v1.{_said(error, who)}",
            "model",
        )
    more = who.advice or "See `atari-vlm models` for others."
    sentence = f"{who.name} has no model {who.model_id!r} (404). {more}{_said(error, who)}"
    return _unusable(sentence, "model")


def _rejected(error: Exception, who: Respondent) -> Verdict:
    status = _status(error)
    if status in (408, 409):  # timed out or in conflict on their side
        return _server_error(error, who)
    if status == 400 and "api key" in _message(getattr(error, "body", None)).lower():
        return _key(error, who)  # Google's word for a wrong key
    return _unusable(
        f"{who.name} rejected the request for {who.model_id!r} ({status}).{_said(error, who)}"
    )


def _too_long(error: Exception, who: Respondent) -> Verdict:
    return _unusable(
        f"The prompt is longer than {who.model_id!r} can read ({_status(error)}). Send fewer or "
        f"smaller frames, or a shorter history.{_said(error, who)}"
    )


def _unsupported(error: Exception, who: Respondent) -> Verdict:
    return _unusable(f"{who.model_id!r} cannot be asked this way: {who.blot(str(error))}")


def _rate_limit(error: Exception, who: Respondent) -> Verdict:
    sentence = f"{who.name} limits the rate of requests ({_status(error) or 429})."
    return Verdict(
        ModelFault("rate limit", sentence + _said(error, who)),
        passing=True,
        wait=getattr(error, "retry_after", None),
        slow_down=True,
    )


def _server_error(error: Exception, who: Respondent) -> Verdict:
    sentence = f"{who.name} failed ({_status(error) or 'no status'})."
    return Verdict(
        ModelFault("server error", sentence + _said(error, who)),
        passing=True,
        wait=getattr(error, "retry_after", None),
    )


def _timeout(error: Exception, who: Respondent) -> Verdict:
    seconds = getattr(error, "timeout", None)
    after = f" within {seconds:g} seconds" if seconds is not None else " in time"
    fault = ModelFault("timeout", f"{who.name} did not answer{after}.")
    return Verdict(fault, passing=True, uncertain=True)


def _connection(error: Exception, who: Respondent) -> Verdict:
    from pydantic_ai.exceptions import ModelTimeoutError

    slow = isinstance(error, ModelTimeoutError)
    if getattr(error, "phase", None) == "connect":
        where = f"at {who.base_url}" if who.base_url else f"for {who.vendor}"
        mend = (
            "Start it, or correct --base-url."
            if who.base_url
            else "Check the network, then give the same command to continue."
        )
        sentence = f"No server answers {where} ({_reason(error, slow)}). {mend}"
        return Verdict(ModelUnusable(sentence, "server"), passing=slow)
    if slow:
        return _timeout(error, who)
    sentence = f"{who.name} dropped the connection ({who.blot(_reason(error, slow))})."
    return Verdict(ModelFault("connection", sentence), passing=True, uncertain=True)


def _garbage(error: Exception, who: Respondent) -> Verdict:
    astray = who.compatible and not (who.base_url or "").rstrip("/").endswith("/v1")
    hint = " Such an address usually ends in /v1." if astray else ""
    words = who.blot(str(error).partition("\n")[0])
    sentence = f"{who.name} did not answer as its API should ({words}).{hint}"
    return Verdict(ModelFault("garbage", sentence), passing=True, uncertain=True)


def _reason(error: Exception, slow: bool) -> str:
    """The operating system's word for it, e.g. "connection refused"."""
    if slow:
        return "timed out"
    causes = list(_causes(error))
    for cause in causes:
        if isinstance(cause, OSError) and cause.strerror:
            # asyncio puts "Connect call failed" and the address in place of the system's word.
            if cause.errno and cause.strerror.startswith("Connect call"):
                return os.strerror(cause.errno).lower()
            return cause.strerror.lower()
    return str(causes[-1]) or type(causes[-1]).__name__


def _causes(error: BaseException) -> Iterator[BaseException]:
    """The error and what it was raised from, outermost first."""
    seen: set[int] = set()
    current: BaseException | None = error
    while current is not None and id(current) not in seen:
        seen.add(id(current))
        yield current
        if isinstance(current, BaseExceptionGroup):
            yield from current.exceptions
        current = current.__cause__ or current.__context__
