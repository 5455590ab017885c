"""A player: a policy without a model, or a model and its prompt, and the wrappers around it.

`resolve` checks names and options, builds the policy once, and reads name, version, settings and
privileges off what was built. A new policy or wrapper is an entry in `policies.registry`, a new
model a row in `models/models.toml`, a new prompt an entry in `prompts.strategies`. Values work too:
`resolve("pong", policy=Up())`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, TypeAlias

from atari_vlm.atari.games import Game, get_game
from atari_vlm.atari.options import GameOptions
from atari_vlm.errors import InvalidSetting
from atari_vlm.learning.choice import (
    choose_learner,
    learner_setting,
    learning_record,
    refuse_learning,
    refuse_two,
)
from atari_vlm.learning.options import LearningOptions
from atari_vlm.models import fit
from atari_vlm.models.build import build_model
from atari_vlm.models.catalogue import MODELS
from atari_vlm.models.hosted.addresses import check_name, without_secrets
from atari_vlm.models.hosted.options import HostedOptions, SpendOptions, refuse_hosted
from atari_vlm.models.local.options import LocalOptions
from atari_vlm.models.options import AnswerOptions
from atari_vlm.models.picture_rule import tokens_of_picture
from atari_vlm.options import check_all, check_types, given, hides_keys, option, part, refuse
from atari_vlm.policies.options import ThinkOptions, check_thinking, with_thinking
from atari_vlm.policies.registry import get_policy, is_policy, parse_name, wrapper_settings
from atari_vlm.policies.scored import refuse_chunks, scored_policy
from atari_vlm.policies.vlm import VLMPolicy
from atari_vlm.prompts.options import PromptOptions
from atari_vlm.prompts.strategies import VERSIONS, PromptSettings, get_strategy, prompt_name
from atari_vlm.protocols import (
    Learner,
    Model,
    Policy,
    check_interval,
    check_parts,
    identity_of,
    privileges_of,
    version_of,
)
from atari_vlm.runs.options import RunOptions
from atari_vlm.runs.settings import current_versions
from atari_vlm.types import Lessons, Limits, Strategy

NO_PROMPT = "none"
"""The prompt of players without a model, in records and tables."""

EMBEDDED = "embedded"
"""The prompt that embedded models read, and no other model."""

Build: TypeAlias = Callable[[Model | None, Lessons, int], Policy]
"""(model, lessons, version of the words of the prompts) -> the policy."""

OTHER_MODEL = "choose a model that can, such as gpt-4o, claude or qwen-vl (`atari-vlm models`)"
"""What to do where a player cannot follow a setting, as the end of a sentence."""


@dataclass(frozen=True)
class PlayerOptions:
    """How the player of a run is set up beyond its name."""

    api_key: str | None = option(
        None,
        "API key; default: the vendor's environment variable. Never written.",
        secret=True,
    )
    prompt_type: str | None = option(
        None,
        "basic, cot, expert, adaptive or embedded; default: the model's own.",
        flag="--prompt",
    )


@hides_keys
@dataclass(frozen=True, kw_only=True)
class Options(
    GameOptions,
    PromptOptions,
    AnswerOptions,
    ThinkOptions,
    HostedOptions,
    SpendOptions,
    LocalOptions,
    RunOptions,
    LearningOptions,
    PlayerOptions,
):
    """Everything that may be chosen, beside the game and the player: see the groups."""

    def __post_init__(self) -> None:
        check_types(self)
        check_all(self, Options)
        object.__setattr__(self, "frame_stack", max(self.frame_stack, self.frames_in_prompt or 1))


@dataclass(frozen=True, slots=True, kw_only=True)
class Player:
    """A game and what plays it."""

    game: Game
    name: str
    """By the grammar of `policies.registry`, or the name of the value that was given."""
    prompt_type: str
    """Name of the prompt; `NO_PROMPT` for players without one."""
    model: Model | None
    """None for policies without a model."""
    learner: Learner | None
    limits: Limits
    policy: Policy
    """As built, without lessons; its name, version and privileges are the player's."""
    build: Build
    """Builds it anew with a model (`model`, or that in a journal) and lessons."""
    settings: dict[str, Any]
    """Everything that decides what is played, for the record of a run; never a key."""

    @property
    def privileges(self) -> tuple[str, ...]:
        """What the player reads beyond the screen."""
        return tuple(sorted(privileges_of(self.policy)))

    @property
    def counted(self) -> bool:
        """Whether its prompts are those of `prompts.strategies`, so that they can be estimated."""
        return self.model is not None and "strategy" not in self.settings


@dataclass(frozen=True, slots=True, kw_only=True)
class _Base:
    """A player without its wrappers."""

    build: Build
    prompt_type: str = NO_PROMPT
    model: Model | None = None
    learner: Learner | None = None
    record: dict[str, Any] = field(default_factory=dict)
    """What it adds to the settings of a run."""


def resolve(
    game_name: str,
    name: str | None,
    options: Options,
    *,
    model: Model | None = None,
    policy: Policy | None = None,
    strategy: Strategy | None = None,
    learner: Learner | None = None,
) -> Player:
    """Find the game and the player, check that they fit, and build the policy.

    Args:
        game_name: any spelling of a game.
        name: MODEL+wrapper:argument+...; MODEL may be any label of the model or policy given. None
            for the name of that one, or the embedded model.
        options: how.
        model: a model of the caller's own.
        policy: a policy of the caller's own, played as it is.
        strategy: a prompt of the caller's own, for any model.
        learner: a learner of the caller's own, for any player with a model.

    Raises:
        UnknownName, InvalidSetting, ModelUnusable, MissingExtra: the player cannot be built.
    """
    game = get_game(game_name)
    if model is not None and policy is not None:
        raise InvalidSetting("A policy or a model plays the game; leave one of them out.")
    check_parts(model=model, policy=policy, strategy=strategy, learner=learner)
    options.check_cartridge(game)
    own = policy if model is None else model
    if name is not None:
        check_name(name)
    else:
        name = EMBEDDED if own is None else own.name
    thinking = part(options, ThinkOptions)
    name = with_thinking(name, thinking.think)
    named = parse_name(name, _is_model, own=None if own is None else own.name)
    # A model may have the label of a baseline: in tables its prompt stands beside it.
    taken = _is_model(named.base) or (policy is not None and is_policy(named.base))
    if own is not None and named.base != own.name and taken:
        raise InvalidSetting(
            f"{name!r} is another player; the one of your own is called {own.name!r}. Leave one of "
            "them out."
        )
    if policy is not None:
        base = _policy_base(policy, f"The policy {name!r}", options)
        base = replace(base, record={"policy": identity_of(policy, game.name)})
    elif model is None and is_policy(named.base):
        found = get_policy(named.base, game.name)
        base = _policy_base(found, f"The baseline {named.base!r}", options)
    else:
        base = _model_base(game, named.base, options, model, strategy, learner)
    if base.model is None and strategy is not None:
        raise InvalidSetting(f"{name} has no model, so it cannot use a strategy; leave it out.")

    def build(model: Model | None, lessons: Lessons, words: int) -> Policy:
        built = base.build(model, lessons, words)
        for wrapper in named.wrappers:
            built = wrapper(built, game.name)
        return thinking.limited(built)

    _check_learner(name, learner, base, options)
    fit.check_thinking(base.model, thinking.instead_of_dollars)
    built = build(base.model, Lessons(), VERSIONS[-1])
    check_thinking(built, game.name, options.temperature)
    check_interval(built, options.frame_skip)
    wrappers = wrapper_settings(built, named)
    learner = learner or base.learner
    return Player(
        game=game,
        name=name,
        prompt_type=base.prompt_type,
        model=base.model,
        learner=learner,
        limits=Limits(decisions=options.max_decisions),
        policy=built,
        build=build,
        settings={
            **current_versions(),
            "game": game.name,
            "model": name,
            "version": version_of(built, game.name, options.frame_skip),
            "privileges": sorted(privileges_of(built)),
            "base_url": without_secrets(fit.address_of(base.model) or options.base_url),
            "prompt": base.prompt_type,
            **learning_record(learner),
            **({} if learner is base.learner else {"taught": identity_of(learner, game.name)}),
            **base.record,
            **({"wrappers": wrappers} if wrappers else {}),
            **thinking.budgets,
            "temperature": options.temperature,
            "max_tokens": options.max_tokens,
            **part(options, HostedOptions).deciding,
            "frame_stack": options.frame_stack,
            "frame_skip": options.frame_skip,
            "repeat_action_probability": options.repeat_action_probability,
            "full_action_space": options.full_action_space,
            "pool_frames": fit.pool_frames_for(base.model, name, game.name, options.pool_frames),
            "mode": options.mode,
            "difficulty": options.difficulty,
            "max_decisions": options.max_decisions,
            "max_frames": Limits().frames,
            "parallel": options.parallel if learner else None,
            **options.stuck_record,
        },
    )


def _is_model(name: str) -> bool:
    return name.lower() in MODELS


def _check_learner(name: str, own: Learner | None, base: _Base, options: Options) -> None:
    embedded = base.prompt_type == EMBEDDED
    if embedded or base.model is None:
        refuse_learning(name, part(options, LearningOptions), own, OTHER_MODEL, embedded=embedded)
    elif own is not None:
        refuse_two(options)


# --- policies without a model --------------------------------------------------------------------


def _policy_base(policy: Policy, who: str, options: Options) -> _Base:
    refuse_hosted(who, part(options, HostedOptions), part(options, SpendOptions))
    asked = {
        "prompt_type": options.prompt_type,
        **given(part(options, LocalOptions)),
        **given(part(options, AnswerOptions)),
        **options.general_only,
    }
    refuse(who, asked, OTHER_MODEL)
    return _Base(build=lambda model, lessons, words: policy)


# --- models --------------------------------------------------------------------------------------


def _model_base(
    game: Game,
    name: str,
    options: Options,
    own: Model | None,
    own_strategy: Strategy | None,
    own_learner: Learner | None,
) -> _Base:
    if own is None:
        model = model_for(name, options)
    else:
        model = own
        hosted, spend = part(options, HostedOptions), part(options, SpendOptions)
        fit.check_own(model, name, hosted, spend, part(options, LocalOptions), options.video)
    fit.check_game(model, name, game.name)
    if own_strategy is not None:
        prompt = str(identity_of(own_strategy, game.name)["name"])
        refuse(
            f"The strategy {prompt!r}",
            {"prompt_type": options.prompt_type, **options.general_only},
            "use one of the prompts that it is for",
        )
        settings, record = PromptSettings(), {"strategy": identity_of(own_strategy, game.name)}
    else:
        prompt = prompt_name(options.prompt_type or model.prompt_type)
        _must_fit(model, name, prompt, options)
        settings, record = _settings(prompt, options)

    def strategy_in(words: int) -> Strategy:
        return own_strategy or get_strategy(prompt, replace(settings, version=words))

    scorer = None
    if options.decide == "score":
        refuse_chunks(options.decisions_per_call)
        answers = part(options, AnswerOptions)
        scorer = scored_policy(name, model, strategy_in(VERSIONS[-1]), answers)

    def build(model: Model | None, lessons: Lessons, words: int) -> Policy:
        strategy = strategy_in(words)
        if scorer is not None:
            return replace(scorer, strategy=strategy, lessons=lessons)
        assert model is not None
        return VLMPolicy(model, strategy, lessons)

    return _Base(
        build=build,
        prompt_type=prompt,
        model=model,
        learner=None if own_learner else _learner(game, name, model, prompt, options),
        record={
            **fit.described(model, game.name),
            **fit.own_settings(own),
            **record,
            **({} if scorer is None else {"decide": options.decide}),
        },
    )


def model_for(name: str, options: Options) -> Model:
    """The model of a base name, set up by the options that apply to it."""
    return build_model(
        name,
        api_key=options.api_key,
        # With scores the policy samples, and nothing is written.
        temperature=options.temperature if options.decide == "words" else None,
        max_tokens=options.max_tokens,
        video=options.video,
        hosted=part(options, HostedOptions),
        spend=part(options, SpendOptions),
        local=part(options, LocalOptions),
    )


def _must_fit(model: Model, name: str, prompt: str, options: Options) -> None:
    """Refuse a prompt that the model does not read, and options that the prompt cannot follow."""
    get_strategy(prompt)  # raises UnknownName
    if (prompt_name(model.prompt_type) == EMBEDDED) != (prompt == EMBEDDED):
        raise InvalidSetting(
            f"{name} does not read the prompt {prompt!r}. The prompt {EMBEDDED!r} and embedded "
            "models go together; all other models read basic, cot, expert and adaptive."
        )
    if prompt != EMBEDDED:
        return
    if options.frame_skip != 4:
        raise InvalidSetting(
            f"{name} was taught to decide every 4 frames, not every {options.frame_skip}."
        )
    who = "The embedded model" if name == EMBEDDED else f"{name}, an embedded model,"
    who += " reads a fixed prompt, so it" if options.nudge else ""
    refuse(who, options.general_only, OTHER_MODEL)


def _settings(prompt: str, options: Options) -> tuple[PromptSettings, dict[str, Any]]:
    """The settings of a prompt, and their part of the record."""
    if prompt == EMBEDDED:
        return PromptSettings(), {"plans": True, "frames_in_prompt": 2}
    settings = replace(options.prompt_settings(options.frame_stack), mode=options.mode)
    return settings, settings.record


def _learner(game: Game, name: str, model: Model, prompt: str, options: Options) -> Learner | None:
    learning = part(options, LearningOptions)
    if prompt == EMBEDDED and learning.use_in_context_learning is None:
        learning = replace(learning, use_in_context_learning=False)
    size = options.resize_shape
    asked = {"base_url": options.address, "detail": options.detail}
    tokens = tokens_of_picture(model, name, asked, size)
    groups = part(options, GameOptions), part(options, PromptOptions), part(options, RunOptions)
    return choose_learner(prompt, learning, learner_setting(game, *groups, tokens))
