"""The estimated cost of a run compared with its actual cost."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from atari_vlm.types import Usage


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """Estimated and actual cost of the decisions of a run."""

    decisions: int
    calls: tuple[int, int]
    """(estimated, actual), like all pairs here. Repairs count as calls."""
    input_tokens: tuple[int, int]
    output_tokens: tuple[int, int]
    dollars: tuple[float | None, float | None]
    """None if the price is unknown, which does not mean free."""

    usage: Usage = field(default_factory=Usage)
    """What was counted, replayed and left uncertain."""

    def lines(self) -> list[tuple[str, str]]:
        """(title, "... estimated, ... billed, ... times the estimate") of each quantity.

        Of what was replayed from the response cache nothing was billed, so there is no ratio.
        """
        rows = [("Calls", self._calls())]
        for name, pair in (("Tokens in", self.input_tokens), ("Tokens out", self.output_tokens)):
            rows.append((name, self._tokens(*pair)))
        if self.dollars != (None, None):
            estimate = "unknown" if self.dollars[0] is None else format_dollars(self.dollars[0])
            rows.append(("Dollars", f"{estimate} estimated{self._dollars()}"))
        return rows

    def _calls(self) -> str:
        estimated, made = self.calls
        replayed = self.usage.replayed
        if not replayed:
            return f"{estimated:,} estimated, {made:,} billed{_ratio(made, estimated)}"
        billed = f", {made - replayed:,} billed" if made > replayed else ""
        return f"{estimated:,} estimated{billed}; {replayed:,} {FREE}"

    def _tokens(self, estimated: int, counted: int) -> str:
        if self._all_replayed:
            return f"{estimated:,} estimated; {f'{counted:,} ' if counted else ''}{FREE}"
        if not counted:
            return f"{estimated:,} estimated; the server did not count them"
        if self.usage.replayed:
            whose = f"with those of {_count(self.usage.replayed, 'call')} {FREE}"
            return f"{estimated:,} estimated; {counted:,} {whose}"
        if self.usage.uncounted:
            whose = f"the server did not count those of {_count(self.usage.uncounted, 'call')}"
            return f"{estimated:,} estimated, {counted:,} billed; {whose}"
        return f"{estimated:,} estimated, {counted:,} billed{_ratio(counted, estimated)}"

    def _dollars(self) -> str:
        estimated, billed = self.dollars
        if self._all_replayed:
            return f"; {FREE}"
        text = dollars_text(self.usage) or format_dollars(0.0)
        if text.startswith("unknown"):
            return ", unknown billed" if text == "unknown" else f"; {text}"
        if self.usage.replayed:
            return f", {text} billed; {_count(self.usage.replayed, 'call')} {FREE}"
        exact = billed is not None and not self.usage.uncertain_dollars
        return f", {text} billed{_ratio(billed, estimated) if exact else ''}"

    @property
    def _all_replayed(self) -> bool:
        return self.usage.replayed == self.usage.calls > 0 and not self.usage.uncertain


FREE = "replayed from the cache, free"
"""What is said of answers that nothing was paid for."""


def compare(settings: Mapping[str, Any], decisions: int, usage: Usage) -> Comparison | None:
    """Compare the estimate of a run with its usage.

    Args:
        settings: settings of the run, with the estimate under "estimate" (see `advice.records`).
        decisions: number of decisions played.
        usage: usage of those decisions.

    Returns:
        None if the run was not estimated or made no call.
    """
    estimate = settings.get("estimate")
    if not estimate or not usage.calls:
        return None
    per, dollars = estimate["per_decision"], estimate["per_decision"]["dollars"]
    return Comparison(
        decisions=decisions,
        calls=(round(per["calls"] * decisions), usage.calls),
        input_tokens=(round(per["input_tokens"] * decisions), usage.input_tokens),
        output_tokens=(round(per["output_tokens"] * decisions), usage.output_tokens),
        dollars=(None if dollars is None else dollars * decisions, usage.dollars),
        usage=usage,
    )


def _ratio(actual: float | None, estimated: float | None) -> str:
    if not estimated or actual is None:
        return ""
    return f", {actual / estimated:.2f} times the estimate"


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'s' * (number != 1)}"


def format_dollars(value: float) -> str:
    """An amount of US dollars; small ones with more digits."""
    return f"${value:.4f}" if value < 1 else f"${value:,.2f}"


def dollars_text(usage: Usage) -> str:
    """What was paid: "" for nothing; what cannot be known is not called free.

    >>> dollars_text(Usage(calls=1, dollars=0.25))
    '$0.2500'
    >>> dollars_text(Usage(calls=1, uncertain=1, uncertain_dollars=0.5, uncounted=1))
    'unknown, at most $0.5000'
    >>> dollars_text(Usage(calls=2, dollars=0.25, uncertain=1, uncertain_dollars=0.5))
    '$0.2500 to $0.7500'
    """
    if usage.dollars is None or (usage.uncertain and usage.uncertain_dollars is None):
        return "unknown"
    if not usage.uncertain or not usage.uncertain_dollars:
        return format_dollars(usage.dollars) if usage.dollars else ""
    most = format_dollars(usage.dollars + usage.uncertain_dollars)
    if not usage.dollars:
        return f"unknown, at most {most}"
    return f"{format_dollars(usage.dollars)} to {most}"


def unanswered_note(usage: Usage) -> str:
    """What may have been charged beyond the bill, and why; "" for nothing."""
    parts = []
    known, more = usage.uncertain_dollars, " more" if usage.dollars else ""
    bounded = usage.uncertain and known is not None
    most = f", at most {format_dollars(known or 0.0)}{more}" if bounded else ""
    failed = usage.uncertain - usage.uncounted
    if failed > 0:
        requests = f"{failed:,} request{'s' * (failed > 1)}"
        parts.append(f"{requests} failed and may have been charged{most}")
    if usage.uncounted:
        parts.append(uncounted_note(usage.uncounted) + ("" if parts else most))
    return "; ".join(parts)


def uncounted_note(answers: int) -> str:
    """What is said where servers gave token counts that cannot be."""
    of = f"{answers:,} answer{'s' * (answers > 1)}"
    return (
        f"the token counts of {of} were missing or made no sense and were counted at the most they "
        "could be"
    )
