"""The cost of a run before it is played: calls, tokens and dollars.

    python -c "from atari_vlm.advice.estimate import estimate_run
    print(estimate_run('pong', 'gpt-6-luna', episodes=10).expected)"

Every assumption is a sentence of `Estimate.assumptions`. The player is resolved as for a run, but
its model is never called.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import date
from math import ceil
from typing import Any

from atari_vlm.advice.assumptions import assumptions_of
from atari_vlm.advice.call_sizes import CallSizes
from atari_vlm.advice.rates import max_tokens_of, price_of, video_rule_of
from atari_vlm.advice.reviews import Reviews, reviews_of
from atari_vlm.advice.thinking import Case, check_budgets, thinking_effort
from atari_vlm.costs.episode_lengths import episode_length
from atari_vlm.costs.prices import Price
from atari_vlm.costs.prompt_tokens import text_tokens
from atari_vlm.errors import (
    AtariVLMError,
    InvalidSetting,
    ModelUnusable,
    UnknownName,
    setting,
)
from atari_vlm.models.catalogue import MODELS, ModelSpec
from atari_vlm.models.hosted.addresses import check_name
from atari_vlm.models.hosted.environment import moved_to
from atari_vlm.models.hosted.model import HostedModel
from atari_vlm.models.hosted.options import HostedOptions, SpendOptions
from atari_vlm.models.hosted.settings import HostedSettings
from atari_vlm.models.hosted.vendors import VENDORS
from atari_vlm.models.local.options import LocalOptions
from atari_vlm.models.picture_rule import rule_of, spec_of
from atari_vlm.options import check_number, values
from atari_vlm.players import Options, Player, resolve
from atari_vlm.policies.registry import is_policy, parse_name
from atari_vlm.policies.think.best_of import LONGEST_REASONING
from atari_vlm.prompts.strategies import LONGEST_REPLY
from atari_vlm.types import Prompt, Reply

THINKING = 250
"""Hidden reasoning tokens of an answer, assumed of models that reason (effort "low")."""

REPAIR = text_tokens("word " * (LONGEST_REPLY // 5)) + 100
"""Most tokens a repair turn adds to the prompt: the quoted reply, its fault, the answer format."""


QUOTED = text_tokens("word " * (LONGEST_REASONING // 5)) + 10
"""Most tokens of an answer that a judge is shown."""


class NotBilled(InvalidSetting):
    """The player runs in this process, so nobody bills its tokens."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """Totals over the episodes of a run."""

    decisions: int
    calls: int
    input_tokens: int
    output_tokens: int
    dollars: float | None
    """None if the price is unknown, which does not mean free."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """The cost of a run in three cases."""

    game: str
    model: str
    prompt: str
    episodes: int
    low: Figures
    """Games as short as the shortest of random play; the shortest answers that can be played."""
    expected: Figures
    """Games as long as the mean of random play; answers as long as the prompt asks for."""
    worst: Figures
    """Games played to their limit; answers of the greatest length, each repaired once."""
    input_per_call: int
    output_per_call: int
    """Expected tokens of one call."""
    price: Price | None
    price_source: str
    rule: str
    """Name of the rule that counts pictures; see `costs.picture_tokens`."""
    video_rule: str
    """Name of the rule that counts the frames of a video; empty if none is shown."""
    marked_assumptions: tuple[str, ...]
    """The assumptions in sentences, with settings marked as by `errors.setting`."""

    @property
    def assumptions(self) -> tuple[str, ...]:
        """The assumptions in sentences, with settings as Python arguments."""
        return tuple(str(AtariVLMError(sentence)) for sentence in self.marked_assumptions)

    def __repr__(self) -> str:
        return f"Estimate({self.game}, {self.model}: {self.line})"

    @property
    def line(self) -> str:
        """The expected case in one line."""
        return total_line([self])


def total(figures: Iterable[Figures]) -> Figures:
    """The sum; its dollars are None if one price is unknown."""
    every = list(figures)
    dollars = [each.dollars for each in every]
    return Figures(
        decisions=sum(each.decisions for each in every),
        calls=sum(each.calls for each in every),
        input_tokens=sum(each.input_tokens for each in every),
        output_tokens=sum(each.output_tokens for each in every),
        dollars=None if None in dollars else sum(value or 0.0 for value in dollars),
    )


def total_line(estimates: Sequence[Estimate]) -> str:
    """The expected case of several runs together, in one line."""
    expected = total(estimate.expected for estimate in estimates)
    worst = total(estimate.worst for estimate in estimates)
    dollars = "price unknown"
    if expected.dollars is not None and worst.dollars is not None:
        dollars = f"${expected.dollars:,.2f} (at the very worst ${worst.dollars:,.2f})"
    return (
        f"about {expected.calls:,} calls, {expected.input_tokens:,} tokens in, "
        f"{expected.output_tokens:,} out, {dollars}; see `atari-vlm estimate`"
    )


class _UncalledModel:
    """Stands in for a model, whose prompts are counted and never sent; it needs no key."""

    def __init__(self, name: str) -> None:
        self.name, self.prompt_type = name, "basic"

    async def answer(self, prompt: Prompt, *, seed: int) -> Reply:
        """Refuse."""
        raise ModelUnusable(f"{self.name} is being estimated, not played.")

    async def close(self) -> None:
        """Nothing to close."""


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
    """Estimate the cost of `VLMTrainer(game, model, ...).train(episodes)`. Needs no key.

    Args:
        game: any spelling of a game.
        model: a model of the catalogue, PROVIDER:ID, or with `base_url` any name.
        episodes: of the run.
        prompt_type: overrides that of `options`.
        learn: whether to learn in context, likewise.
        options: of the run; None for the defaults.
        base_url: your own server, likewise; the price is then unknown.
        day: day of the price; None for today.

    Raises:
        NotBilled: the player is not billed by tokens (a baseline, the embedded model).
        InvalidSetting: the length of an episode is unknown, or a setting cannot be.
        UnknownName: no game, model or prompt has this name.
    """
    chosen: dict[str, Any] = {
        "prompt_type": prompt_type,
        "use_in_context_learning": learn,
        "base_url": base_url,
    }
    options = replace(
        options or Options(),
        **{name: value for name, value in chosen.items() if value},
    )
    return estimate_of(uncalled_player(game, model, options), episodes, day=day)


def uncalled_player(game: str, model: str, options: Options) -> Player:
    """The player of a model by name, whose model is never called; see `estimate_run`."""
    check_name(model)
    name = parse_name(model, known=lambda base: base.lower() in MODELS).base
    base_url = options.base_url
    spec = None if is_policy(name) else spec_of(name, base_url)
    if is_policy(name) or (spec is not None and spec.provider == "embedded"):
        raise NotBilled(
            f"{name!r} plays in this process and is not billed by tokens, so there is nothing to "
            "estimate."
        )
    shown = {**_shown(spec, name, options), **_asked_at(spec, options)}
    # The others change no tokens, and the model that stands in refuses them.
    left_out = (HostedOptions(base_url=base_url), SpendOptions(), LocalOptions())
    unused = {key: value for group in left_out for key, value in values(group).items()}
    options = replace(options, video=None, decide="words", **unused)
    player = resolve(game, model, options, model=_UncalledModel(name))
    return replace(player, settings={**player.settings, **shown})


def _shown(spec: ModelSpec | None, name: str, options: Options) -> dict[str, Any]:
    """How the model is shown the screens, as in the settings of its run.

    Raises:
        InvalidSetting: the model takes no video.
    """
    shown: dict[str, Any] = {"detail": options.detail} if options.detail else {}
    if not options.video:
        return shown
    if options.base_url is not None:
        HostedSettings(
            name=name,
            model_id=name,
            provider="openai-compatible",
            base_url=options.base_url,
            video=True,
        )
    elif spec is not None and spec.provider != "embedded" and spec.provider != "local":
        HostedSettings(name=name, model_id=spec.model_id, provider=spec.provider, video=True)
    return {**shown, "video": True}


def _asked_at(spec: ModelSpec | None, options: Options) -> dict[str, Any]:
    """Where the model is asked, as in the settings of its run: what decides its price."""
    if options.base_url is not None or options.dialect is not None:
        return {"base_url": options.address, "dialect": options.dialect}
    for provider, vendor in VENDORS.items():
        if spec is not None and spec.provider == provider:
            moved = moved_to(vendor.address_variable, vendor.address)
            return {"base_url": moved} if moved else {}
    return {}


def estimate_of(
    player: Player, episodes: int, *, learning: bool = True, day: date | None = None
) -> Estimate:
    """Estimate the cost of a resolved player; see `estimate_run`.

    Args:
        player: with its learner, if it has one.
        episodes: to play.
        learning: False for an evaluation, which shows what was learned and makes no lessons.
        day: of the price; None for today.
    """
    check_number("episodes", episodes, 1, 10**6)
    name, day = _name_of_model(player), day or date.today()
    settings = {**player.settings, "model": name}
    spec = _spec(player, name)
    rule, worst_rule, about_rule = rule_of(spec, settings)
    video_rule, about_video = video_rule_of(spec, settings)
    price, price_source = price_of(spec, settings, day)
    if price is None and isinstance(player.model, HostedModel) and player.model.price is not None:
        price, price_source = player.model.price, "of a model of your own"
    length = episode_length(player.game.name)
    sizes = worst_sizes = CallSizes.of(player, rule, video_rule)
    if worst_rule != rule:
        worst_sizes = CallSizes.of(player, worst_rule, video_rule)
    chunk_size = settings.get("decisions_per_call", 1)
    thinking = THINKING if spec is not None and spec.effort and not settings["base_url"] else 0
    longest_answer = settings["max_tokens"] or max_tokens_of(spec, settings)
    most = settings["max_decisions"] or settings["max_frames"] // settings["frame_skip"]
    effort = thinking_effort(player)
    reviews = reviews_of(player, rule, worst_rule, video_rule) if learning else Reviews()

    def figures(
        decisions: int, asked: int, prompt: float, answer: float, case: Case = "usual"
    ) -> Figures:
        """The totals if the model is asked for `asked` decisions of an episode."""
        games = episodes + reviews.games(case, episodes)
        calls = effort.calls_of(case, asked, games)
        quoted = effort.quoted_of(case, asked, games) * min(answer, QUOTED)
        more, read, written = reviews.asked(
            case, episodes, thinking=thinking, longest=longest_answer, repair=REPAIR
        )
        tokens = round(prompt * calls + quoted) + read, round(answer * calls) + written
        return Figures(
            decisions=decisions * episodes,
            calls=calls + more,
            input_tokens=tokens[0],
            output_tokens=tokens[1],
            dollars=None if price is None else price.cost(tokens[0], 0, tokens[1]),
        )

    if length is None and settings["max_decisions"] is None:
        raise InvalidSetting(
            f"The length of an episode of {player.game.name} has not been measured. Limit it with "
            f"{setting('max_decisions')}, or run: python benchmarks/episode_lengths.py"
        )
    length = length and length.at_frame_skip(settings["frame_skip"])
    least, mean = (min(length.least, most), min(length.mean, most)) if length else (most, most)
    least_calls, mean_calls = ceil(least / chunk_size), ceil(mean / chunk_size)
    # An evaluation shows what was learned before it.
    at_once = not learning or settings.get("examples_from") or settings.get("lessons_from")
    examples = sizes.examples * (1 if at_once else (episodes - 1) / episodes)
    prompt = sizes.mean_prompt(mean_calls, chunk_size) + examples
    answer = sizes.answer + thinking
    check_budgets(player, prompt, answer, price)
    # In the worst case every second call is a repair.
    largest_prompt = worst_sizes.largest_prompt + worst_sizes.examples + REPAIR / 2
    given = sizes.given + sizes.given_first / (episodes if learning else 1)
    shortest_prompt = sizes.mean_prompt(least_calls, chunk_size) + given
    return Estimate(
        game=player.game.name,
        model=player.settings["model"],
        prompt=player.prompt_type,
        episodes=episodes,
        low=figures(least, least_calls, shortest_prompt, sizes.shortest_answer, "least"),
        expected=figures(mean, mean_calls, prompt, answer),
        worst=figures(most, 2 * most, largest_prompt, longest_answer, "most"),
        input_per_call=round(prompt),
        output_per_call=round(answer),
        price=price,
        price_source=price_source,
        rule=rule,
        video_rule=video_rule,
        marked_assumptions=tuple(
            assumptions_of(
                settings,
                length,
                sizes,
                thinking,
                longest_answer,
                about_rule + about_video,
                bool(examples) and bool(settings["examples"]),
                " ".join(filter(None, (effort.about, reviews.about))),
            )
        ),
    )


def _name_of_model(player: Player) -> str:
    """The name of the player's model, or its label, without the wrappers around it."""
    own = None if player.model is None else player.model.name
    name = str(player.settings["model"])
    return parse_name(name, known=lambda base: base.lower() in MODELS, own=own).base


def _spec(player: Player, name: str) -> ModelSpec | None:
    """The catalogue's row of the model; for a model of the caller's own, from its settings.

    Args:
        player: with the model.
        name: of the model, without wrappers.
    """
    try:
        return spec_of(name, player.settings["base_url"])
    except UnknownName:
        if not isinstance(player.model, HostedModel):
            raise
        own = player.model.settings
        if own.provider == "openai-compatible":
            return None
        return spec_of(f"{own.provider}:{own.model_id}", None)
