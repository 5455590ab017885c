"""Prices of tokens in US dollars."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from atari_vlm.errors import InvalidSetting


@dataclass(frozen=True, slots=True)
class Price:
    """The price of a model, in US dollars per million tokens."""

    input: float
    cached: float
    """Input tokens that the vendor had cached."""
    output: float

    def __post_init__(self) -> None:
        for amount in (self.input, self.cached, self.output):
            number = isinstance(amount, int | float) and not isinstance(amount, bool)
            if not number or not 0 <= amount < float("inf"):
                raise InvalidSetting(
                    f"A price is 0 or more dollars per million tokens, not {amount!r}."
                )

    def cost(self, input_tokens: int, cached_tokens: int, output_tokens: int) -> float:
        """Dollars for these tokens; `input_tokens` includes the cached ones."""
        fresh = input_tokens - cached_tokens
        parts = (fresh * self.input, cached_tokens * self.cached, output_tokens * self.output)
        return sum(parts) / 1e6


@lru_cache(maxsize=64)
def listed_price(vendor: str, model_id: str) -> Price | None:
    """Today's price of a model by the public list of genai-prices.

    Args:
        vendor: the vendor's name in the list, e.g. "openai".
        model_id: the vendor's id of the model.

    Returns:
        None if the list does not contain the model.
    """
    from genai_prices import Usage as ListedUsage
    from genai_prices import calc_price

    def per_million(**tokens: int) -> float:
        price = calc_price(ListedUsage(**tokens), model_id, provider_id=vendor).total_price
        return float(price) * 1e6 / 1000

    try:  # priced for 1,000 tokens, because long prompts can cost more per token
        return Price(
            per_million(input_tokens=1000),
            per_million(input_tokens=1000, cache_read_tokens=1000),
            per_million(output_tokens=1000),
        )
    except (LookupError, ValueError):
        return None
