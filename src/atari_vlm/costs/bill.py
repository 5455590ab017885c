"""What a run was estimated to cost, beside what it did cost."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from atari_vlm.types import Usage


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """Estimate and bill of the decisions that were played."""

    decisions: int
    calls: tuple[int, int]
    """(estimated, made), as all pairs here; repairs are calls too."""
    input_tokens: tuple[int, int]
    output_tokens: tuple[int, int]
    dollars: tuple[float | None, float | None]
    """None where the price is unknown: unknown is not free."""

    def lines(self) -> list[tuple[str, str]]:
        """(what, "estimated ..., billed ..., ratio ...") for the reader."""
        told = [("Calls", _told(f"{self.calls[0]:,}", f"{self.calls[1]:,}", *self.calls))]
        for name, pair in (("Tokens in", self.input_tokens), ("Tokens out", self.output_tokens)):
            billed = f"{pair[1]:,}" if pair[1] else ""
            told.append((name, _told(f"{pair[0]:,}", billed, *pair)))
        if self.dollars != (None, None):
            a, b = self.dollars
            told.append(("Dollars", _told(_money(a), _money(b), a, b)))
        return told


def compare(settings: Mapping[str, Any], decisions: int, usage: Usage) -> Comparison | None:
    """Estimate and bill of a run; None where it was not estimated or made no call.

    Args:
        settings: of the run; "estimate" holds what `estimate.record_of` wrote at its beginning.
        decisions: that were played.
        usage: what they cost.
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


def _told(estimated: str, billed: str, a: float | None, b: float | None) -> str:
    if not billed:
        return f"{estimated} estimated; the server did not count them"
    ratio = f", {b / a:.2f} times the estimate" if a and b is not None else ""
    return f"{estimated} estimated, {billed} billed{ratio}"
