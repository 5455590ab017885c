"""Best of n: the model answers several times, and a judge chooses one of the answers.

The judge is the model itself, shown the screens and the numbered answers with their reasoning, or a
function of the caller's own. Cobbe et al. 2021, "Training Verifiers to Solve Math Word Problems",
arXiv:2110.14168, choose the best of n by a trained verifier; here nothing is trained.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import numpy as np

from atari_vlm.errors import InvalidSetting
from atari_vlm.options import check_number
from atari_vlm.policies.checking import check_inside
from atari_vlm.policies.think.effort import Effort, Range, WithPriorOfInside, beyond_first, noted
from atari_vlm.policies.think.samples import (
    MOST_SAMPLES,
    asked_beside,
    base_of,
    check_has_model,
    count_from,
    next_in_queue,
    sample,
)
from atari_vlm.policies.think.vote import elected
from atari_vlm.policies.vlm import VLMPolicy
from atari_vlm.protocols import Policy, version_of
from atari_vlm.replies.plan_parser import thoughts_of
from atari_vlm.types import Call, Decision, Frame, Message, Observation, Prompt, Step

Judge: TypeAlias = Callable[[Observation, Sequence[Decision]], "int | Awaitable[int]"]
"""(observation, candidates) -> the place of the best one, from 0 on; may be `async`."""

LONGEST_REASONING = 600
"""Characters of a candidate's reasoning, its end, that the judge is shown."""

BROKEN = "The judge "
"""How the reason of a decision begins whose judge could not be used."""


@dataclass(frozen=True)
class BestOf(WithPriorOfInside):
    """Plays the one of several answers of the policy inside that a judge prefers.

    The judge is not asked if all candidates are the same plan, or all but one are fallbacks. A
    judge that fails, or names none of the candidates, is said in the decision's reason, which then
    begins with "The judge"; the candidates vote instead, so nothing is lost.

    Args:
        policy: asked for the candidates.
        samples: how many candidates, 2 to 100.
        judge: a judge of the caller's own; None for the model of the policy inside. A run knows it
            by its name, and by its attribute `version` if it has one.
    """

    policy: Policy
    samples: int = 3
    judge: Judge | None = None

    def __post_init__(self) -> None:
        """Refuse what cannot work."""
        check_inside(self)
        check_number("samples", self.samples, 2, MOST_SAMPLES)
        if self.judge is not None and not callable(self.judge):
            raise InvalidSetting(
                f"{self.judge!r} is no judge: it needs a call (observation, candidates) -> place."
            )
        base = base_of(self.policy)
        if self.judge is None and not _reads(base):
            raise InvalidSetting(
                f"{base.name} cannot judge its own answers, as it does not read them; let them "
                "vote (+vote), or give a judge of your own in Python: BestOf(policy, judge=...)."
            )

    @property
    def name(self) -> str:
        """The name of the policy inside and the candidates, e.g. "gpt-4o+best-of:3"."""
        return f"{self.policy.name}+best-of:{self.samples}"

    @property
    def settings(self) -> dict[str, Any]:
        """For the record of a run."""
        judge = None if self.judge is None else getattr(self.judge, "__name__", repr(self.judge))
        version = None if self.judge is None else version_of(self.judge, "")
        told = {} if version is None else {"judge_version": version}
        return {"samples": self.samples, "judge": judge, **told}

    @property
    def asked(self) -> Policy:
        """The policy that makes the candidates."""
        return self.policy

    def effort(self, inside: Effort) -> Effort:
        """The candidates, and at most one call of the judge, which quotes them."""
        made = inside.calls.times(self.samples)
        if self.judge is not None:
            return Effort(made, inside.frames.times(self.samples), inside.quoted)
        quoted = Range(0, self.samples, self.samples)
        return Effort(made.plus(Range(0, 1, 1)), inside.frames.times(self.samples), quoted)

    async def decide(
        self, observation: Observation, history: Sequence[Step], rng: np.random.Generator
    ) -> Decision:
        """Ask for the candidates at once, then the judge."""
        if (planned := next_in_queue(self.policy, observation, history)) is not None:
            return noted(planned, history, "an earlier answer planned it")
        made = await sample(self.policy, observation, history, rng, self.samples)
        return await self.choose(made, observation, history, rng)

    async def choose(
        self,
        made: Sequence[Decision],
        observation: Observation,
        history: Sequence[Step],
        rng: np.random.Generator,
    ) -> Decision:
        """The decision, of given candidates.

        Args:
            made: the candidates, in order.
            observation: for which they were made.
            history: likewise.
            rng: draws the seed of the judge's call.
        """
        candidates = [each for each in made if each.source != "fallback"]
        calls: tuple[Call, ...] = ()
        if len({(each.plan, each.queue) for each in candidates}) < 2:
            decision = elected(made)
        else:
            place, problem = 0, ""
            if self.judge is not None:
                place, problem = await _own_verdict(self.judge, observation, candidates)
            else:
                seed = int(rng.integers(2**63))
                place, problem, calls = await _verdict(self.policy, candidates, seed)
            if problem:
                decision = elected(made)
                decision = replace(decision, reason=f"{problem} {decision.reason}")
            else:
                best = candidates[place]
                number = next(k for k, each in enumerate(made, 1) if each is best)
                reason = f"The best of {len(made)} by the judge: answer {number}"
                decision = replace(best, reason=reason, considered=tuple(made))
        decision = replace(decision, calls=calls)
        spent = beyond_first(decision, made)
        return noted(decision, history, f"the best of {len(made)}", spent)


def _reads(base: Policy) -> bool:
    """Whether the model of a policy reads general prompts."""
    return isinstance(base, VLMPolicy) and base.model.prompt_type != "embedded"


# --- judges --------------------------------------------------------------------------------------


async def _own_verdict(
    judge: Judge, observation: Observation, candidates: Sequence[Decision]
) -> tuple[int, str]:
    """(place of the best candidate, what is wrong with the judge)."""
    try:
        place = judge(observation, tuple(candidates))
        if inspect.isawaitable(place):
            place = await place
    except Exception as error:  # whatever a judge of the caller's own raises
        return 0, f"{BROKEN}failed ({type(error).__name__}: {error}), so the answers voted."
    whole = isinstance(place, int | np.integer) and not isinstance(place, bool)
    if not whole or not 0 <= int(place) < len(candidates):
        return 0, (
            f"{BROKEN}gave {place!r}, which is none of 0 to {len(candidates) - 1}, so the answers "
            "voted."
        )
    return int(place), ""


async def _verdict(
    policy: Policy, candidates: Sequence[Decision], seed: int
) -> tuple[int, str, tuple[Call, ...]]:
    """(place of the best candidate, what is wrong with the judge, its call)."""
    base = base_of(policy)
    assert isinstance(base, VLMPolicy)
    if _spoken(candidates[0]) is None:  # a wrapper of the caller's own dropped the calls
        return 0, f"{BROKEN}was not asked, as the answers have no prompt, so they voted.", ()
    prompt = judge_prompt(candidates)
    call = await asked_beside(base, prompt, seed)
    if call.fault:
        return 0, f"{BROKEN}gave no answer ({call.fault}), so the answers voted.", (call,)
    place, fault = _read(call.reply.text, len(candidates))
    problem = f"{BROKEN}{fault}, so the answers voted." if fault else ""
    return place, problem, (replace(call, fault=problem),)


_BEST = re.compile(r"\bBEST\b[\"'*_\s]*[:=]?[\"'*_\s]*(?:answer\s*)?#?([0-9]{1,4})", re.IGNORECASE)
_NUMBER = re.compile(r"(?<![\w.])#?([0-9]{1,4})(?![\w%]|\.\d)")


def _read(text: str, count: int) -> tuple[int, str]:
    """(place that the judge's words name, what is wrong with them)."""
    named = _BEST.findall(text)
    numbers = {int(number) for number in named[-1:] or _NUMBER.findall(text)}
    if len(numbers) != 1:
        return 0, "named no answer" if not numbers else "named several answers"
    (number,) = numbers
    if not 1 <= number <= count:
        return 0, f"named answer {number} of {count}"
    return number - 1, ""


def judge_prompt(candidates: Sequence[Decision]) -> Prompt:
    """The prompt of the judge: that of the candidates, with their answers in place of its question.

    Args:
        candidates: made from one prompt, each with its call.
    """
    first = _spoken(candidates[0])
    assert first is not None
    asked = first.prompt
    system = (
        "You judge answers to the question what to do next in an Atari 2600 game. Compare what "
        "they say with the screens, and what each of them would lead to."
    )
    known = [part for part in asked.messages[0].parts[:-1] if isinstance(part, str)]
    shown = [part for message in asked.messages[1:] for part in message.parts]
    if len(asked.messages) == 1:
        known, shown = [], list(asked.messages[0].parts)
    numbered = "\n".join(
        f"Answer {number}: {_told(each)}" for number, each in enumerate(candidates, 1)
    )
    parts: tuple[str | Frame, ...] = (
        *_without_question(shown),
        f"{numbered}\nWhich answer is best? End with one line: BEST: <1 to {len(candidates)}>",
    )
    return replace(
        asked,
        messages=(Message("system", ("\n".join([system, *known]),)), Message("user", parts)),
        legal=(),  # so that no server constrains the words to an action
        json=False,
        chunk_size=1,
    )


def _without_question(shown: Sequence[str | Frame]) -> Sequence[str | Frame]:
    """The changing parts of a prompt; its last text asks for an action."""
    return shown[:-1] if shown and isinstance(shown[-1], str) else shown


def _spoken(decision: Decision, *, last: bool = False) -> Call | None:
    """The first, or the last, call of a decision; of a vote, of the first that it followed."""
    if decision.calls:
        return decision.calls[-1 if last else 0]
    followed = (other for other in decision.considered if other.action == decision.action)
    return next(filter(None, (_spoken(other, last=last) for other in followed)), None)


def _told(candidate: Decision) -> str:
    """A candidate in words: its plans, and the end of its reasoning."""
    plans = ", ".join(
        f"{action} x{frames}" for action, frames in (candidate.plan, *candidate.queue)
    )
    call = _spoken(candidate, last=True)
    reply = call.reply if call else None
    words = _reasoning(reply.text) or reply.thinking or thoughts_of(reply.text) if reply else ""
    words = " ".join(words.split())[-2 * LONGEST_REASONING :]
    words = _without_plans(words, candidate)[-LONGEST_REASONING:]
    return f"{plans}. {words}" if words else plans


def _without_plans(words: str, candidate: Decision) -> str:
    """Words without an end, or a whole, that only repeats the plans of the candidate."""
    names = "|".join(dict.fromkeys(plan.action for plan in (candidate.plan, *candidate.queue)))
    plans = rf"(?:ACTIONS?[\s\d*]*[:=][\s*]*)?(?:{names})(?:\s*x\s*\d{{1,6}})?[\s,;.*]*"
    if re.fullmatch(rf"[\s*]*(?:{plans})+", words, re.IGNORECASE):
        return ""
    end = rf"[\s*]*\bACTIONS?[\s\d*]*[:=][\s*]*(?:{plans})+$"
    return re.sub(end, "", words, flags=re.IGNORECASE)


_REASONING = re.compile(r'"reasoning"\s*:\s*"((?:[^"\\]|\\.)*)"')


def _reasoning(text: str) -> str:
    """The reasoning in a JSON answer; a text that is no such answer as it is."""
    found = _REASONING.search(text)
    return found[1] if found else "" if text.lstrip().startswith("{") else text


def best_of(policy: Policy, game: str, samples: str = "3") -> BestOf:
    """The wrapper +best-of:3 of a player's name.

    Raises:
        InvalidSetting: it cannot be built.
    """
    check_has_model(policy, "best-of")
    return BestOf(policy, count_from(samples, "best-of", "answers", 2))
