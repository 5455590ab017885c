"""Classification of failed requests: the error to raise, and whether to retry.

    temporary   rate limits, 5xx, timeouts, dropped connections, garbage -> retried, then ModelFault
    permanent   wrong key, address or model, no server, no quota, rejected request -> ModelUnusable

An error that a server states in an answer with status 200 gets the verdict of the status it means.

Errors quote the vendor's message, shortened and with the key redacted. They keep no reference to
the vendor's exception, because it carries the request and with it the key.
"""

from __future__ import annotations

import json
import os
import re
import ssl
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import TypeAlias

from atari_vlm.errors import AtariVLMError, ModelFault, ModelUnusable, setting
from atari_vlm.files.untrusted import storable
from atari_vlm.models.hosted.answer_fields import StatedError, UnusableAnswer, is_page
from atari_vlm.models.hosted.deadline import Shortage, TooSlow
from atari_vlm.models.hosted.redaction import Secrets
from atari_vlm.models.hosted.ways import ProxyFailed, certificates_from

LONGEST_QUOTE = 200
"""Characters of a vendor's message that an error quotes."""

_LONGEST_READ = 20_000
"""Characters of a message that are searched for secrets before it is shortened."""


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a request failed: the error to raise, and whether to retry before raising it."""

    error: AtariVLMError
    retryable: bool = False
    retry_after: float | None = None
    """Seconds that the server asks to wait before the next request; None if it does not."""
    rate_limited: bool = False
    """Whether every model that shares the vendor's account must wait."""
    uncertain: bool = False
    """Whether the request may have been charged: it was sent and not refused."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorContext:
    """Facts about the model and its server that error messages mention."""

    vendor: str
    """The vendor's name, or "The server" for an address that the user gave."""
    model_id: str
    key_advice: str
    """How to give a key, e.g. "Set OPENAI_API_KEY or pass api_key."."""
    base_url: str | None = None
    """The address the user gave; None for the vendor's own."""
    address_from: str = setting("base_url")
    """What sets that address: the setting, or an environment variable."""
    compatible: bool = False
    """Whether it is the user's OpenAI-compatible server."""
    advice: str = ""
    """What to use if the vendor has withdrawn the model."""
    secrets: Secrets = field(default_factory=lambda: Secrets(()), repr=False)
    """The keys to redact."""

    @property
    def name(self) -> str:
        """The vendor, with the address if the user gave one."""
        return f"{self.vendor} at {self.base_url}" if self.base_url else self.vendor

    def redact(self, text: str) -> str:
        """The text on one line, shortened, printable and storable, without secrets."""
        text = self.secrets.blot(text[:_LONGEST_READ])
        text = re.sub(r"[\s\x00-\x1f\x7f-\x9f]+", " ", storable(text)).strip()
        return text if len(text) <= LONGEST_QUOTE else text[:LONGEST_QUOTE] + "..."


def classify_error(error: Exception, context: ErrorContext) -> Failure:
    """Classify any exception that pydantic-ai or a vendor's client raises for one request.

    What our own transport raised is among its causes.
    """
    from pydantic_ai import exceptions as ai

    for cause in _causes(error):
        if isinstance(cause, ModelUnusable):
            return _unusable(cause.message, cause.what)
        if isinstance(cause, StatedError):
            return _stated(cause, context)
        if isinstance(cause, UnusableAnswer):
            return _garbage(cause, context)
        if isinstance(cause, ProxyFailed):
            return _proxy(cause, context)
        if isinstance(cause, TooSlow):
            return _timeout(cause, context)
        if isinstance(cause, Shortage):
            return _shortage(cause, context)
    # Subclasses come before their base classes.
    rules: tuple[tuple[type[Exception], Callable[[Exception, ErrorContext], Failure]], ...] = (
        (ai.ModelQuotaExceededError, _quota),
        (ai.ModelAuthenticationError, _key),
        (ai.ModelNotFoundError, _unknown_model),
        (ai.ModelRateLimitError, _rate_limit),
        (ai.ModelServerError, _server_error),
        (ai.ModelUnavailableError, _server_error),
        (ai.ModelRequestTimeout, _timeout),
        (ai.ModelConnectionError, _connection),
        (ai.ModelContextWindowExceededError, _too_long),
        (ai.ModelHTTPError, _rejected),
        (ai.UserError, _unsupported),
    )
    for kind, rule in rules:
        if isinstance(error, kind):
            return rule(error, context)
    return _garbage(error, context)


def _status(error: Exception) -> int | str | None:
    """The HTTP status; of an error in an answer with status 200, the server's own code."""
    if isinstance(error, StatedError):
        return f"{error.code or error.status_code or 'error'}, in an answer with status 200"
    status: int | None = getattr(error, "status_code", None)
    return status


def _quote(error: Exception, context: ErrorContext) -> str:
    """The vendor's message in quotes, after a space; empty if there is none."""
    message = context.redact(_message(getattr(error, "body", None)))
    return f' It said: "{message}"' if message else ""


def _message(body: object) -> str:
    """The message in any form of error body: {"error": {"message": ...}}, a string, HTML."""
    if isinstance(body, bytes):
        return body.decode(errors="replace")
    if isinstance(body, dict):
        inner = body.get("error", body.get("message", body.get("detail")))
        return _message(inner) if inner is not None else json.dumps(body, default=str)
    if isinstance(body, list) and body:
        return _message(body[0])
    return str(body) if body is not None else ""


def _unusable(message: str, what: str = "") -> Failure:
    return Failure(ModelUnusable(message, what))


def _quota(error: Exception, context: ErrorContext) -> Failure:
    return _unusable(
        f"{context.name} says the quota of this account is used up "
        f"({_status(error) or 'no status'}). Add credit or use another key, then give the same "
        f"command to continue.{_quote(error, context)}",
        "quota",
    )


def _key(error: Exception, context: ErrorContext) -> Failure:
    return _unusable(
        f"{context.name} refused the key ({_status(error)}). {context.key_advice}"
        f"{_quote(error, context)}",
        "key",
    )


def _wrong_address(error: Exception, context: ErrorContext) -> Failure:
    """A server that does not do what it is asked for, and will not do it later."""
    advice = ""
    if context.base_url is not None:
        slash = context.compatible and not context.base_url.rstrip("/").endswith("/v1")
        usual = " (it usually ends in /v1)" if slash else ""
        advice = f" Correct {context.address_from}{usual}, then give the same command to continue."
    return _unusable(
        f"{context.name} does not answer such requests ({_status(error)}), and will not later."
        f"{advice}{_quote(error, context)}",
        "server",
    )


def _unknown_model(error: Exception, context: ErrorContext) -> Failure:
    quote = _quote(error, context)
    if is_page(getattr(error, "body", None)):
        return _wrong_address(error, context)
    if context.compatible:
        return _unusable(
            f"{context.name} answered {_status(error)} for the model {context.model_id!r}. "
            f"{context.base_url}/models lists the models it serves; such an address usually ends "
            f"in /v1.{quote}",
            "model",
        )
    if context.base_url is not None:
        return _unusable(
            f"{context.name} answered {_status(error)} for the model {context.model_id!r}: it has "
            f"no such model, or it is not the address that {context.address_from} should name."
            f"{quote}",
            "model",
        )
    advice = context.advice or "See `atari-vlm models` for others."
    message = (
        f"{context.name} has no model {context.model_id!r} ({_status(error)}). {advice}{quote}"
    )
    return _unusable(message, "model")


def _rejected(error: Exception, context: ErrorContext) -> Failure:
    status = getattr(error, "status_code", None)
    if status in (408, 409):  # a timeout or conflict on the server's side
        return _server_error(error, context)
    if status in _WRONG_ADDRESS:
        return _wrong_address(error, context)
    if status == 400 and "api key" in _message(getattr(error, "body", None)).lower():
        return _key(error, context)  # Google answers 400 to a wrong key
    return _unusable(
        f"{context.name} rejected the request for {context.model_id!r} ({_status(error)})."
        f"{_quote(error, context)}",
        "request",
    )


def _too_long(error: Exception, context: ErrorContext) -> Failure:
    return _unusable(
        f"The prompt is longer than {context.model_id!r} can read ({_status(error)}). Send fewer "
        f"or smaller frames, or a shorter history.{_quote(error, context)}",
        "request",
    )


def _unsupported(error: Exception, context: ErrorContext) -> Failure:
    return _unusable(
        f"{context.model_id!r} does not support this request: {context.redact(str(error))}"
    )


def _stated(error: StatedError, context: ErrorContext) -> Failure:
    """An error in an answer with status 200: the verdict of the status that it means."""
    status, code = error.status_code, error.code.lower()
    rule: _Rule
    if status == 402 or "quota" in code or "insufficient_credits" in code:
        rule = _quota
    elif status in _RULES:
        rule = _RULES[status]
    elif "context_length" in code:
        rule = _too_long
    else:
        rule = _rejected if status is not None and status < 500 else _server_error
    return replace(rule(error, context), uncertain=error.charged)


def _rate_limit(error: Exception, context: ErrorContext) -> Failure:
    message = f"{context.name} limits the rate of requests ({_status(error) or 429})."
    return Failure(
        ModelFault("rate limit", message + _quote(error, context)),
        retryable=True,
        retry_after=getattr(error, "retry_after", None),
        rate_limited=True,
    )


def _server_error(error: Exception, context: ErrorContext) -> Failure:
    if getattr(error, "status_code", None) in _WRONG_ADDRESS:
        return _wrong_address(error, context)
    message = f"{context.name} failed ({_status(error) or 'no status'})."
    return Failure(
        ModelFault("server error", message + _quote(error, context)),
        retryable=True,
        retry_after=getattr(error, "retry_after", None),
    )


_WRONG_ADDRESS = frozenset({405, 421, 501, 505, 506, 508, 510, 511})
"""Statuses that say that the server is none of this kind; time does not heal them."""

_Rule: TypeAlias = Callable[[Exception, ErrorContext], Failure]
_RULES: dict[int, _Rule] = {
    401: _key,
    403: _key,
    404: _unknown_model,
    429: _rate_limit,
}
"""Verdicts by status; others depend on the code."""


def _timeout(error: Exception, context: ErrorContext) -> Failure:
    seconds = getattr(error, "timeout", None)
    after = f" within {seconds:g} seconds" if seconds is not None else " in time"
    fault = ModelFault("timeout", f"{context.name} did not answer{after}.")
    return Failure(fault, retryable=True, uncertain=True)


def _shortage(error: Shortage, context: ErrorContext) -> Failure:
    return _unusable(
        f"This process cannot connect to {context.name}: {error}. Play fewer games at the same "
        f"time ({setting('parallel')}), or raise that limit; then give the same command to "
        "continue."
    )


def _connection(error: Exception, context: ErrorContext) -> Failure:
    from pydantic_ai.exceptions import ModelTimeoutError

    timed_out = isinstance(error, ModelTimeoutError)
    if getattr(error, "phase", None) == "connect":
        where = f"at {context.base_url}" if context.base_url else f"for {context.vendor}"
        advice = (
            f"Start it, or correct {context.address_from}."
            if context.base_url
            else "Check the network, then give the same command to continue."
        )
        if (verified := _certificate(error, context)) is not None:
            return verified
        reason = context.redact(_reason(error, timed_out))
        message = f"No server answers {where} ({reason}). {advice}"
        return Failure(ModelUnusable(message, "server"), retryable=timed_out)
    if timed_out:
        return _timeout(error, context)
    reason = context.redact(_reason(error, timed_out))
    if any(_is_no_http(cause) for cause in _causes(error)):
        return _garbage(UnusableAnswer(f"it is no HTTP: {reason}"), context)
    message = f"{context.name} dropped the connection ({reason})."
    return Failure(ModelFault("connection", message), retryable=True, uncertain=True)


def _is_no_http(error: BaseException) -> bool:
    """Whether what came was not HTTP; an answer that was cut off was."""
    kind = f"{type(error).__module__}.{type(error).__name__}"
    return kind == "h11._util.RemoteProtocolError" and not re.match("peer closed", str(error))


def _proxy(error: ProxyFailed, context: ErrorContext) -> Failure:
    timed_out = error.timed_out
    message = (
        f"{context.name} is asked through the proxy of {error.proxy}, which does not connect "
        f"({context.redact(_reason(error, timed_out))}). Correct it, unset it, or list the "
        f"server's host in NO_PROXY."
    )
    return Failure(ModelUnusable(message, "server"), retryable=timed_out)


def _certificate(error: Exception, context: ErrorContext) -> Failure | None:
    """The failure, if the server's certificate is to blame; else None."""
    cause = next((cause for cause in _causes(error) if isinstance(cause, ssl.SSLError)), None)
    if cause is None:
        return None
    reason = getattr(cause, "verify_message", "") or cause.reason or str(cause)
    reason = context.redact(reason).replace("_", " ").lower()
    if not isinstance(cause, ssl.SSLCertVerificationError):
        return _unusable(
            f"{context.name} does not speak HTTPS as it should ({reason}). The address of a server "
            f"without certificates begins with http://.",
            "server",
        )
    trusted = certificates_from()
    source = f"the certificates of {trusted}" if trusted else "the certificates of this system"
    return _unusable(
        f"{source[0].upper()}{source[1:]} do not vouch for {context.name} ({reason}). If you trust "
        f"it, set SSL_CERT_FILE to a file with the certificate of its authority"
        + (" (REQUESTS_CA_BUNDLE is not read)." if os.environ.get("REQUESTS_CA_BUNDLE") else "."),
        "server",
    )


def _garbage(error: Exception, context: ErrorContext) -> Failure:
    without_v1 = context.compatible and not (context.base_url or "").rstrip("/").endswith("/v1")
    hint = " Such an address usually ends in /v1." if without_v1 else ""
    reason = context.redact(context.secrets.blot(str(error)[:_LONGEST_READ]).partition("\n")[0])
    message = f"{context.name} did not answer as its API should ({reason}).{hint}"
    return Failure(ModelFault("garbage", message), retryable=True, uncertain=True)


def _reason(error: Exception, timed_out: bool) -> str:
    """The operating system's description, e.g. "connection refused"."""
    if timed_out:
        return "timed out"
    causes = list(_causes(error))
    for cause in causes:
        if isinstance(cause, OSError) and cause.strerror:
            # asyncio replaces the system's description by "Connect call failed" and the address.
            if cause.errno and cause.strerror.startswith("Connect call"):
                return os.strerror(cause.errno).lower()
            return cause.strerror.lower()
    return str(causes[-1]) or type(causes[-1]).__name__


def _causes(error: BaseException) -> Iterator[BaseException]:
    """The error and its chain of causes, outermost first."""
    seen: set[int] = set()
    current: BaseException | None = error
    while current is not None and id(current) not in seen:
        seen.add(id(current))
        yield current
        if isinstance(current, BaseExceptionGroup):
            yield from current.exceptions
        current = current.__cause__ or current.__context__
