"""Why an answer names no action, where its end tells: a limit, a filter, only thoughts."""

from __future__ import annotations

import re
from dataclasses import dataclass

from atari_vlm.errors import AtariVLMError, setting
from atari_vlm.replies.plan_parser import REFUSAL
from atari_vlm.types import Reply


@dataclass(frozen=True, slots=True)
class Ending:
    """What the end of an answer tells about an action that is missing."""

    reason: str
    """For the user; empty if the end tells nothing."""
    repairable: bool = True
    """Whether asking again could help; if not, a second call would be paid in vain."""


def ending_of(reply: Reply) -> Ending:
    """What the end of an answer tells, if the answer names no action.

    >>> ending_of(Reply(text="", finish="content_filter")).reason
    'A content filter stopped the answer, or the model refused without a word.'
    """
    said = bool(reply.text.strip())
    if reply.finish == "content_filter":
        filtered = REFUSAL if said else _FILTERED
        return Ending(filtered, repairable=False)
    if reply.finish == "length":
        return Ending(_cut_off(reply, said), repairable=said)
    if said:
        return Ending("")
    if reply.finish == "tool_call":
        return Ending("The model called a tool and wrote no answer.")
    if reply.thinking.strip():
        return Ending("All words of the answer are in its reasoning, which is never played.")
    return Ending("")


_FILTERED = "A content filter stopped the answer, or the model refused without a word."


def _cut_off(reply: Reply, said: bool) -> str:
    tokens = reply.usage.output_tokens
    where = f"at {tokens:,} tokens" if tokens else "at the limit of its tokens"
    thought = bool(reply.thinking.strip()) or reply.usage.reasoning_tokens > 0 or not said
    lower = f", or lower {setting('effort')}" if thought else ""
    spent = "" if said else ", before its first word"
    # Reasons are stored with the run, so settings have their names in Python; see `marked`.
    return str(
        AtariVLMError(
            f"The answer was cut off {where}{spent}: raise {setting('max_tokens')}{lower}."
        )
    )


def marked(text: str) -> str:
    """A text with the settings that a stored reason names marked, to show them as flags.

    >>> str(AtariVLMError(marked("It was cut off at 9 tokens: raise max_tokens, or lower effort.")))
    'It was cut off at 9 tokens: raise max_tokens, or lower effort.'
    """
    return _ADVICE.sub(
        lambda found: (
            f"{found[1]}{setting('max_tokens')}"
            + (f", or lower {setting('effort')}" if found[2] else "")
        ),
        text,
    )


_ADVICE = re.compile(r"(\bcut off at [^:.\x1e]{1,60}: raise )max_tokens\b(, or lower effort\b)?")
