"""How sure a model is of an answer: as it says, or by the probability of its words."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from atari_vlm.errors import InvalidSetting
from atari_vlm.policies.vlm import VLMPolicy
from atari_vlm.protocols import Policy, Wrapper
from atari_vlm.types import Decision, Lessons, Message, Observation, Prompt, Step, Strategy

_LINE = (
    "Then, on a second line, say how sure you are that this is the best choice: "
    "Confidence: <0 to 100>%."
)
_NAMED = " Write the action as ACTION: <name>."
_JSON = (
    'End the text of "reasoning" with how sure you are that this is the best choice: '
    '"Confidence: <0 to 100>%".'
)


def with_confidence(prompt: Prompt) -> Prompt:
    """The prompt, which also asks how sure the model is.

    The request follows the answer format, which is the last part of the first message.
    """
    request = _JSON if prompt.json else _LINE
    first, *others = prompt.messages
    *parts, form = first.parts
    if not isinstance(form, str):
        return prompt.followed_by(Message("user", (request,)))
    bare = "" if prompt.json or prompt.plans or prompt.chunk_size > 1 else _NAMED
    form = f"{form.replace(' with one line only', '')}{bare} {request}"
    return replace(prompt, messages=(replace(first, parts=(*parts, form)), *others))


@dataclass(frozen=True)
class _WithConfidence:
    strategy: Strategy

    def __call__(
        self, observation: Observation, history: Sequence[Step], lessons: Lessons
    ) -> Prompt:
        return with_confidence(self.strategy(observation, history, lessons))


def asking_for_confidence(policy: Policy) -> Policy:
    """The same policy, whose model is also asked how sure it is.

    Raises:
        InvalidSetting: the policy inside asks no model, or one that cannot say so.
    """
    if isinstance(policy, VLMPolicy):
        if policy.model.prompt_type != "embedded":
            return replace(policy, strategy=_WithConfidence(policy.strategy))
    elif isinstance(policy, Wrapper):
        inside = asking_for_confidence(policy.policy)
        try:
            changed: Policy = replace(policy, policy=inside)  # type: ignore[type-var]
        except TypeError:
            pass
        else:
            return changed
    raise InvalidSetting(
        f"{policy.name} cannot be asked how sure it is; leave :confidence out. Votes are then "
        "weighed by the probability of the words where the model gives it, or count the same."
    )


_PERCENT = re.compile(
    r"\bconfidence\b[\"'*_\s]*(?:is|of|:|=)?[\"'*_\s]*"
    r"(?P<number>[0-9]{1,3}(?:\.[0-9]+)?|\.[0-9]+)\s*(?P<sign>%|percent)?",
    re.IGNORECASE,
)


def stated_confidence(text: str) -> float | None:
    r"""How sure a reply says it is, 0 to 1; None if it does not, or says something impossible.

    The last statement counts, as that of an action does. A number up to 1 without a percent sign is
    a share.

    >>> stated_confidence("ACTION: LEFT x3\nConfidence: 80%")
    0.8
    >>> stated_confidence('{"reasoning": "It falls.", "confidence": 0.4, "action": "LEFT"}')
    0.4
    """
    found = [*_PERCENT.finditer(text)]
    if not found:
        return None
    number = float(found[-1]["number"])
    share = number / 100 if found[-1]["sign"] or number > 1 else number
    return share if share <= 1 else None


UNSAID = "no answer says how sure it is"
"""How the reason of a vote by confidence ends where all votes count the same for that."""


def none_stated(replies: Iterable[str]) -> bool:
    """Whether there are replies, and none says how sure it is."""
    stated = [stated_confidence(each) for each in replies]
    return bool(stated) and all(each is None for each in stated)


def likelihood(decision: Decision) -> float | None:
    """Mean probability of a token of the answer (geometric); None if it is not known."""
    logs = decision.calls[-1].reply.log_probabilities if decision.calls else ()
    return math.exp(sum(logs) / len(logs)) if logs else None
