"""What tokens cost, in US dollars."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache


@dataclass(frozen=True, slots=True)
class Price:
    """What a model costs, in US dollars per million tokens."""

    input: float
    cached: float
    output: float

    def cost(self, input_tokens: int, cached_tokens: int, output_tokens: int) -> float:
        """Dollars for one answer; `input_tokens` includes the cached ones."""
        fresh = input_tokens - cached_tokens
        parts = (fresh * self.input, cached_tokens * self.cached, output_tokens * self.output)
        return sum(parts) / 1e6


@lru_cache(maxsize=64)
def listed_price(vendor: str, model_id: str) -> Price | None:
    """Today's price of a model by the public list (genai-prices); None when it is not in it.

    Args:
        vendor: as the list calls it, e.g. "openai".
        model_id: the vendor's own id.
    """
    from genai_prices import Usage as Read
    from genai_prices import calc_price

    def of(**tokens: int) -> float:
        price = calc_price(Read(**tokens), model_id, provider_id=vendor).total_price
        return float(price) * 1e6 / 1000

    try:  # of a thousand tokens, as long prompts can cost more
        return Price(
            of(input_tokens=1000),
            of(input_tokens=1000, cache_read_tokens=1000),
            of(output_tokens=1000),
        )
    except (LookupError, ValueError):
        return None
