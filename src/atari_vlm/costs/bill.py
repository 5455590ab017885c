"""The estimated cost of a run compared with its actual cost."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
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

    def lines(self) -> list[tuple[str, str]]:
        """(title, "... estimated, ... billed, ... times the estimate") of each quantity."""
        rows = [("Calls", _describe(f"{self.calls[0]:,}", f"{self.calls[1]:,}", *self.calls))]
        for name, pair in (("Tokens in", self.input_tokens), ("Tokens out", self.output_tokens)):
            billed = f"{pair[1]:,}" if pair[1] else ""
            rows.append((name, _describe(f"{pair[0]:,}", billed, *pair)))
        if self.dollars != (None, None):
            a, b = self.dollars
            rows.append(("Dollars", _describe(_money(a), _money(b), a, b)))
        return rows


def compare(settings: Mapping[str, Any], decisions: int, usage: Usage) -> Comparison | None:
    """Compare the estimate of a run with its usage.

    Args:
        settings: settings of the run, with the estimate under "estimate" (see `record_of`).
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
    )


def _money(value: float | None) -> str:
    return "unknown" if value is None else f"${value:.4f}"


def _describe(estimated: str, billed: str, a: float | None, b: float | None) -> str:
    if not billed:
        return f"{estimated} estimated; the server did not count them"
    ratio = f", {b / a:.2f} times the estimate" if a and b is not None else ""
    return f"{estimated} estimated, {billed} billed{ratio}"


def unanswered_note(usage: Usage) -> str:
    """What may have been charged beyond the bill, and why; "" for nothing."""
    parts = []
    known = usage.uncertain_dollars
    most = "" if known is None or not usage.uncertain else f", at most ${known:.4f} more"
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
