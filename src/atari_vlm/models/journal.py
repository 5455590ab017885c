"""A model that records every answer before it is used, and requests none twice.

Answers are found by the call's seed, which the loop derives from the episode's seed and the step.
After `kill -9` the calls of the interrupted decision are found again; only the one in flight is
repeated. This is not a response cache: an equal prompt at another step is requested again.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from operator import attrgetter
from typing import Any, Protocol

from atari_vlm.errors import AtariVLMError, ModelUnusable
from atari_vlm.files.untrusted import json_of
from atari_vlm.models.wrapped import WrappedModel
from atari_vlm.protocols import awaitable
from atari_vlm.replies.plan_parser import thoughts_of
from atari_vlm.types import Prompt, Reply, Usage


class Journal(Protocol):
    """A store of answers; `runs.run.Run` implements it."""

    def recall(self, seed: int) -> Reply | None:
        """The answer to the call with this seed; None if there is none."""
        ...

    def remember(self, seed: int, reply: Reply) -> None:
        """Commit an answer."""
        ...


@dataclass(frozen=True)
class JournaledModel(WrappedModel):
    """Records the answers of a model in a journal."""

    journal: Journal
    blot: Callable[[str], str] = str
    """What a text is without keys: a model of the user's own may ask a server that repeats one."""

    async def answer(self, prompt: Prompt, *, seed: int) -> Reply:
        """The recorded answer of this seed, or a new one, which is recorded with its thoughts."""
        reply = self.journal.recall(seed)
        if reply is None:
            try:
                answering = awaitable(self.model.answer(prompt, seed=seed), self.model, "answer")
                reply = checked(await answering, self.name)
            except AtariVLMError as error:
                error.args = (self.blot(error.message), *error.args[1:])
                raise
            if (text := self.blot(reply.text)) != reply.text:
                reply = replace(reply, text=text)
            if (thinking := self.blot(reply.thinking)) != reply.thinking:
                reply = replace(reply, thinking=thinking)
            if not reply.thinking and (thinking := thoughts_of(reply.text)):
                reply = replace(reply, thinking=thinking)
            self.journal.remember(seed, reply)
        return reply

    async def close(self) -> None:
        """Close the model inside."""
        await self.model.close()


_REPLY, _USAGE = (tuple(each.name for each in fields(kind)) for kind in (Reply, Usage))


LONGEST_ANSWER = 2**21
"""The most characters of a text of a reply: in JSON they stay below those that are read again."""


def checked(reply: object, name: str) -> Reply:
    """The reply of a model, which may be of the user's own, with numbers of NumPy as Python's.

    Args:
        reply: what it returned.
        name: of the model, for messages.

    Raises:
        ModelUnusable: it is no Reply, or has a value that could not be read again: a text that is
            none, a cost below 0.
    """
    if not isinstance(reply, Reply):
        raise ModelUnusable(f"{name} returned {repr(reply)[:80]}, which is no Reply.")
    if not isinstance(reply.usage, Usage):
        raise ModelUnusable(f"{name} returned a Reply whose usage is {repr(reply.usage)[:80]}.")
    for field in _TEXTS:
        text = getattr(reply, field)
        if type(text) is not str:
            raise ModelUnusable(f"{name} returned a Reply whose {field} is {repr(text)[:80]}.")
        if len(text) > LONGEST_ANSWER:
            raise ModelUnusable(
                f"{name} returned a Reply whose {field} has {len(text):,} characters; at most "
                f"{LONGEST_ANSWER:,} are stored."
            )
    found = _usage_values(reply.usage)
    plain = [value if type(value) in _PLAIN else _plain(value) for value in found]
    for field, value in zip(_USAGE, plain, strict=True):
        if not _can_be(field, value):
            raise ModelUnusable(
                f"{name} returned a Reply whose usage has {str(value)[:40]} for {field}."
            )
    tokens = _numbers(reply.token_ids, (int,), f"{name} returned a Reply whose token_ids")
    logs = _numbers(reply.log_probabilities, (int, float), f"{name} returned logarithms that")
    if all(old is new for old, new in zip(found, plain, strict=True)) and not (tokens or logs):
        return reply
    usage = Usage(**dict(zip(_USAGE, plain, strict=True)))
    return replace(reply, usage=usage, token_ids=tokens, log_probabilities=logs)


_PLAIN = (int, float, type(None))
_usage_values = attrgetter(*_USAGE)


def _numbers(values: Any, kinds: tuple[type, ...], what: str) -> tuple[Any, ...]:
    numbers = tuple(map(_plain, values)) if isinstance(values, tuple | list) else None
    if numbers is None or any(type(each) not in kinds for each in numbers):
        raise ModelUnusable(f"{what} are no numbers; give () for none.")
    return numbers


def _plain(value: Any) -> Any:
    """A number of NumPy or torch as one of Python."""
    return value.item() if hasattr(value, "item") else value


def reply_to_json(reply: Reply) -> str:
    """Serialize a reply with its usage."""
    # asdict would copy every value, which takes longer than all the rest.
    values = {name: getattr(reply, name) for name in _REPLY}
    values["usage"] = dict(zip(_USAGE, _usage_values(reply.usage), strict=True))
    if not reply.token_ids:  # most models give none
        del values["token_ids"], values["log_probabilities"]
    return json.dumps(values)


MOST_REPLY = 16 * 2**20
"""The longest reply that is read, in characters of its JSON."""

_TEXTS = ("text", "thinking", "model", "finish", "request_id")
_AMOUNTS = ("dollars", "uncertain_dollars", "seconds")


def reply_from_json(blob: str, *, finite: bool = False) -> Reply:
    """Deserialize a reply of `reply_to_json`, which may have been written by someone else.

    Args:
        blob: its JSON.
        finite: refuse infinite numbers too. The probability of a token may be 0, and its logarithm
            -Infinity.

    Raises:
        ValueError, TypeError, LookupError: it is no reply, or has a value that cannot be: a cost
            below 0, a text that is a number.
    """
    if type(blob) is not str:
        raise TypeError("a reply is no text")
    values = json_of(blob, most=MOST_REPLY, finite=finite)
    if type(values) is not dict or type(values["usage"]) is not dict:
        raise TypeError("a reply is no JSON object with its usage")
    if any(type(values[name]) is not str for name in _TEXTS if name in values):
        raise TypeError("a reply has other values than texts")
    usage = values["usage"]
    for name, value in usage.items():
        if not _can_be(name, value):
            raise ValueError(f"a reply has {str(value)[:40]!r} for {name[:40]}")
    for name, kinds in (("token_ids", (int,)), ("log_probabilities", (int, float))):
        values[name] = tuple(values.get(name, ()))
        if any(type(value) not in kinds for value in values[name]):
            raise TypeError(f"a reply has other {name} than numbers")
    return Reply(**{**values, "usage": Usage(**usage)})


def _can_be(name: str, value: object) -> bool:
    """Whether a field of Usage can have a value."""
    if value is None:
        return name in ("dollars", "uncertain_dollars")
    if type(value) is int or (type(value) is float and name in _AMOUNTS):
        return 0 <= value < 1e15  # so no NaN
    return False
