"""What a server says that an answer used, and how much of that is believed.

A bill is made of numbers that a server sends. Numbers that such a request cannot have had (more
cached than read, less than nothing, more than was sent or allowed) are not believed: the answer is
used, and its request counts at the most that it can have cost, like one without a token count.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from atari_vlm.costs.picture_tokens import Rule
from atari_vlm.costs.prices import Price
from atari_vlm.costs.prompt_tokens import SCREEN_TOKENS, newest_screens, picture_size
from atari_vlm.types import Charge, Prompt, Usage

if TYPE_CHECKING:
    from pydantic_ai.messages import ModelResponse

OVERHEAD_TOKENS = 1000
"""Upper bound of the tokens that a server adds to a prompt: the schema of the answer, turn markers,
a system prompt of its own."""

FRAME_MARKERS = 4
"""Upper bound of the tokens that say where an image begins and ends."""

VIDEO_MARGIN = 5
"""Upper bound of what a frame of a video may count beyond its rule: where there are several frames
a second, the length of their time stamps is not published."""


# --- before a request is sent --------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Most:
    """The most that one request can use and cost."""

    input_tokens: int
    output_tokens: int
    dollars: float | None
    """None if the price is unknown."""

    @property
    def charge(self) -> Charge:
        """What is reserved before the request is sent."""
        return Charge(self.input_tokens + self.output_tokens, self.dollars)


def most_of(
    prompt: Prompt,
    price: Price | None,
    rule: Rule,
    max_tokens: int,
    video_rule: Rule | None = None,
) -> Most:
    """The most that one request can use and cost.

    Args:
        prompt: with its frames.
        price: of the model; None if it is unknown.
        rule: counts the tokens of an image; see `picture_tokens.rule_for`.
        max_tokens: limit of the answer, hidden reasoning included.
        video_rule: counts those of a frame of a video, if the newest screens are one.
    """
    read = max_input_tokens(prompt, rule, video_rule)
    return Most(read, max_tokens, None if price is None else price.cost(read, 0, max_tokens))


def max_input_tokens(prompt: Prompt, rule: Rule, video_rule: Rule | None = None) -> int:
    """The most input tokens that a vendor counts for a prompt.

    No tokenizer makes more than one token of a byte of text; English has three to five bytes a
    token. See `most_of`; the vendor may look at one frame more than a video has.
    """
    parts = [part for message in prompt.messages for part in message.parts]
    text = OVERHEAD_TOKENS + sum(
        len(part.encode(errors="surrogatepass")) for part in parts if isinstance(part, str)
    )
    sizes = [picture_size(frame, prompt) for frame in prompt.frames]
    screens = len(newest_screens(prompt))
    if video_rule is None or screens < 2:
        return text + sum(rule(*size) + FRAME_MARKERS for size in sizes)
    pictures = sum(rule(*size) + FRAME_MARKERS for size in sizes[:-screens])
    each = video_rule(*sizes[-1]) + VIDEO_MARGIN
    return text + SCREEN_TOKENS * screens + pictures + (screens + 1) * each


# --- once it is answered -------------------------------------------------------------------------


def reported(response: ModelResponse, price: Price | None, vendor: str) -> Usage:
    """The usage of a response as its server reports it; none of it need be true.

    Args:
        response: of a vendor's client.
        price: of the model that was asked; None if it is unknown.
        vendor: whose public price list has the price of the model that answered, which may be
            another one; "" if only `price` counts.
    """
    used = response.usage
    counts = (used.input_tokens, used.cache_read_tokens, used.output_tokens)
    try:
        dollars = _listed_dollars(response, vendor) if vendor else None
        if dollars is None and price is not None:
            dollars = price.cost(*counts)
    except ArithmeticError:  # absurd numbers
        dollars = None
    return Usage(
        calls=1,
        input_tokens=counts[0],
        cached_tokens=counts[1],
        output_tokens=counts[2],
        dollars=dollars,
        reasoning_tokens=used.output_reasoning_tokens,
    )


def _listed_dollars(response: ModelResponse, vendor: str) -> float | None:
    """The cost by the public list; None if it lacks the model."""
    from genai_prices import calc_price

    if not response.model_name or response.usage.input_tokens == 0:
        return None
    try:
        # By today's price: the day that a response names is the server's to choose.
        found = calc_price(
            response.usage,
            response.model_name,
            provider_id=vendor,
            price_context=response.provider_details,
        )
    except (LookupError, ValueError):
        return None
    return float(found.total_price)


def believed(usage: Usage, most: Most, *, answered: bool = True) -> Usage:
    """The usage of one answer as reported, or what is known of it if that makes no sense.

    Args:
        usage: as reported, with its price.
        most: the most that its request can use.
        answered: whether the answer has any text, which takes at least one token.

    Returns:
        A usage whose numbers are possible; or one call with `uncounted`, whose cost is uncertain.
    """
    if _is_possible(usage, most, int(answered)):
        return usage
    dollars = None if most.dollars is None else 0.0
    return Usage(calls=1, dollars=dollars, seconds=usage.seconds, uncounted=1)


def _is_possible(usage: Usage, most: Most, least_output: int) -> bool:
    read, written = usage.input_tokens, usage.output_tokens
    counts = (read, usage.cached_tokens, written, usage.reasoning_tokens)
    if not all(isinstance(count, int) for count in counts):
        return False
    if not 1 <= read <= most.input_tokens or not 0 <= usage.cached_tokens <= read:
        return False
    if not least_output <= written <= most.output_tokens:
        return False
    if not 0 <= usage.reasoning_tokens <= written:
        return False
    if most.dollars is None:
        return True
    return usage.dollars is not None and 0 <= usage.dollars <= most.dollars * (1 + 1e-9)
