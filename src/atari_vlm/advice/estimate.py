"""What a run will cost, before anything is asked: calls, tokens and dollars.

    python -c "from atari_vlm.advice.estimate import estimate_run
    print(estimate_run('pong', 'gpt-6-luna', episodes=10).expected)"

Every assumption is a sentence of `Estimate.assumptions`. The same settings as a run's are resolved
by the same code, so what is estimated is what would be played; only the model is never asked.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from datetime import date
from math import ceil
from typing import Any

from atari_vlm.advice.call_sizes import WORDS, Sizes
from atari_vlm.advice.rates import longest_of, price_of, rule_of, spec_of
from atari_vlm.costs.episode_lengths import EpisodeLength, episode_length
from atari_vlm.costs.prices import Price
from atari_vlm.costs.prompt_tokens import text_tokens
from atari_vlm.errors import InvalidSetting, ModelUnusable, UnknownName
from atari_vlm.models.catalogue import MODELS, ModelSpec
from atari_vlm.models.hosted.model import HostedModel
from atari_vlm.models.hosted.options import HostedOptions, SpendOptions
from atari_vlm.models.local.options import LocalOptions
from atari_vlm.options import check_number, values
from atari_vlm.players import Options, Player, resolve
from atari_vlm.policies.registry import is_policy, parse_name
from atari_vlm.prompts.strategies import LONGEST_REPLY
from atari_vlm.types import Prompt, Reply

THINKING = 250
"""Hidden reasoning tokens assumed of an answer where the model reasons (effort "low")."""

REPAIR = text_tokens("word " * (LONGEST_REPLY // 5)) + 100
"""Most tokens that a repair turn adds to its prompt: the reply it quotes, the fault, the form."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """What some episodes come to."""

    decisions: int
    calls: int
    input_tokens: int
    output_tokens: int
    dollars: float | None
    """None when the price is unknown: unknown is not free."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """What a run will cost, in three cases."""

    game: str
    model: str
    prompt: str
    episodes: int
    low: Figures
    """The shortest games of random play, and the shortest answers that can be played."""
    expected: Figures
    """Games as long as random play's, and answers as long as the prompt asks for."""
    worst: Figures
    """Games to their limit; every answer as long as it may be, and repaired once."""
    input_per_call: int
    output_per_call: int
    """Expected tokens of one call."""
    price: Price | None
    price_source: str
    rule: str
    """The rule by which a picture is counted; see `costs.picture_tokens`."""
    assumptions: tuple[str, ...]

    @property
    def line(self) -> str:
        """What is expected, in one line."""
        expected, worst = self.expected, self.worst
        dollars = "price unknown"
        if expected.dollars is not None and worst.dollars is not None:
            dollars = f"${expected.dollars:,.2f} (at the very worst ${worst.dollars:,.2f})"
        return (
            f"about {expected.calls:,} calls, {expected.input_tokens:,} tokens in, "
            f"{expected.output_tokens:,} out, {dollars}; `atari-vlm estimate` says why"
        )


class _Uncalled:
    """Stands for a hosted model without its key: its prompts are counted and never sent."""

    def __init__(self, name: str) -> None:
        self.name, self.prompt_type = name, "basic"

    async def answer(self, prompt: Prompt, *, seed: int) -> Reply:
        """Refuse."""
        raise ModelUnusable(f"{self.name} is being estimated, not played.")

    async def close(self) -> None:
        """Nothing is held open."""


def estimate_run(
    game: str,
    model: str,
    *,
    episodes: int = 1,
    prompt_type: str | None = None,
    learn: bool = False,
    options: Options | None = None,
    base_url: str | None = None,
    day: date | None = None,
) -> Estimate:
    """What `VLMTrainer(game, model, ...).train(episodes)` will cost. Needs no key.

    Args:
        game: any spelling of a game.
        model: a model of the catalogue, PROVIDER:ID, or with `base_url` any name.
        episodes: of the run.
        prompt_type: None for the model's own.
        learn: in context.
        options: how it is played; the defaults where None.
        base_url: a server of your own, which sends no bill.
        day: whose price; None for today's.

    Raises:
        InvalidSetting: nothing there is billed by tokens (a baseline, the embedded model).
        UnknownName: nothing is called that.
    """
    name = parse_name(model, known=lambda base: base.lower() in MODELS).base
    chosen: dict[str, Any] = {
        "prompt_type": prompt_type,
        "use_in_context_learning": learn,
        "base_url": base_url,
    }
    options = replace(
        options or Options(),
        **{name: value for name, value in chosen.items() if value},
    )
    base_url = options.base_url
    spec = None if is_policy(name) else spec_of(name, base_url)
    if is_policy(name) or (spec is not None and spec.provider == "embedded"):
        raise InvalidSetting(
            f"{name!r} plays in this process and reads no tokens that anybody bills; there is "
            "nothing to estimate."
        )
    # These change no token; only the model that stands in for the real one would refuse them.
    hosted = values(HostedOptions(base_url=base_url))
    options = replace(options, **hosted, **values(SpendOptions()), **values(LocalOptions()))
    player = resolve(game, model, options, model=_Uncalled(model))
    return estimate_of(player, episodes, day=day)


def estimate_of(player: Player, episodes: int, *, day: date | None = None) -> Estimate:
    """What a resolved player will cost; see `estimate_run`."""
    check_number("episodes", episodes, 1, 10**6)
    settings, day = player.settings, day or date.today()
    spec = _spec(player)
    rule, rule_told = rule_of(spec, settings)
    price, price_source = price_of(spec, settings, day)
    length = episode_length(player.game.name)
    sizes = Sizes.of(player, rule)
    ahead = settings.get("decisions_per_call", 1)
    thinking = THINKING if spec is not None and spec.effort and not settings["base_url"] else 0
    longest = settings["max_tokens"] or longest_of(spec, settings)
    cut = settings["max_decisions"] or settings["max_frames"] // settings["frame_skip"]

    def figures(decisions: int, calls: int, read: float, written: float) -> Figures:
        tokens = round(read * calls * episodes), round(written * calls * episodes)
        return Figures(
            decisions=decisions * episodes,
            calls=calls * episodes,
            input_tokens=tokens[0],
            output_tokens=tokens[1],
            dollars=None if price is None else price.cost(tokens[0], 0, tokens[1]),
        )

    if length is None and settings["max_decisions"] is None:
        raise InvalidSetting(
            f"Nobody has measured how long an episode of {player.game.name} lasts. Say how "
            "long it may (max_decisions), or run: python benchmarks/episode_lengths.py"
        )
    length = length and length.at_frame_skip(settings["frame_skip"])
    least, mean = (min(length.least, cut), min(length.mean, cut)) if length else (cut, cut)
    few, many = ceil(least / ahead), ceil(mean / ahead)
    seen = sizes.examples * (episodes - 1) / episodes
    read, written = sizes.read(many, ahead) + seen, sizes.answer + thinking
    repair = sizes.full + sizes.examples + REPAIR / 2
    return Estimate(
        game=player.game.name,
        model=settings["model"],
        prompt=player.prompt_type,
        episodes=episodes,
        low=figures(least, few, sizes.read(few, ahead), sizes.shortest),
        expected=figures(mean, many, read, written),
        worst=figures(cut, 2 * cut, repair, longest),
        input_per_call=round(read),
        output_per_call=round(written),
        price=price,
        price_source=price_source,
        rule=rule,
        assumptions=tuple(
            _told(settings, length, sizes, thinking, longest, ahead, rule_told, bool(seen))
        ),
    )


def _spec(player: Player) -> ModelSpec | None:
    """What the catalogue has of the model, or what a model of the caller's own says of itself."""
    name = parse_name(str(player.settings["model"]), known=lambda base: base.lower() in MODELS).base
    try:
        return spec_of(name, player.settings["base_url"])
    except UnknownName:
        if not isinstance(player.model, HostedModel):
            raise
        own = player.model.settings
        if own.provider == "openai-compatible":
            return None
        return spec_of(f"{own.provider}:{own.model_id}", None)


def billed(player: Player) -> bool:
    """Whether somebody counts its tokens, a vendor or a server of the user's, and we can too."""
    measured = episode_length(player.game.name) or player.settings["max_decisions"]
    return player.counted and isinstance(player.model, HostedModel) and bool(measured)


def record_of(player: Player) -> dict[str, Any] | None:
    """What the record of a run keeps, so that its bill can be held against it.

    Returns:
        None where nothing is billed by tokens.
    """
    if not billed(player):
        return None
    made = estimate_of(player, 1)
    expected = made.expected
    shares = {
        name: value / expected.decisions
        for name, value in asdict(expected).items()
        if name != "decisions" and value is not None
    }
    return {
        "made": date.today().isoformat(),
        "images": made.rule,
        "price": made.price_source,
        "per_decision": {"dollars": None, **shares},
    }


def _told(
    settings: dict[str, Any],
    length: EpisodeLength | None,
    sizes: Sizes,
    thinking: int,
    longest: int,
    ahead: int,
    rule: str,
    taught: bool,
) -> Iterator[str]:
    """The assumptions, in sentences."""
    if length:
        yield (
            f"An episode of random play takes {length.mean:,} decisions of "
            f"{settings['frame_skip']} frames ({length.least:,} to {length.most:,} over "
            f"{length.episodes} episodes, measured {length.measured} by "
            "benchmarks/episode_lengths.py); a better player plays longer in most games."
        )
    if settings["max_decisions"]:
        yield f"Episodes end after {settings['max_decisions']:,} decisions (--max-decisions)."
    yield rule + " Text is counted without a tokenizer, to about 5%."
    form = (
        f"{WORDS} words of reasoning, the most the prompt asks for, and " if sizes.reasons else ""
    )
    yield f"An answer is {form}the plan in the form asked for: {sizes.answer:.0f} tokens."
    if thinking:
        yield (
            f"Hidden reasoning is taken to be {thinking} tokens an answer at effort low: an "
            "assumption, not a measurement; where it is longer it soon dominates the price."
        )
    elif settings["model"] not in MODELS:
        yield "Nobody knows here whether it reasons; hidden reasoning is not counted."
    if ahead > 1:
        yield f"An answer plans {ahead} decisions; lost lives, which end a plan, are not counted."
    if taught:
        yield "Examples are shown from the second episode on."
    yield (
        f"Worst: every game to its limit, every answer {longest:,} tokens long and repaired once, "
        "one decision a call; --max-decisions and --max-tokens bound it. Retries after failures, "
        "and cached input, are not counted."
    )
