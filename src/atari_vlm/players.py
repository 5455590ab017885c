"""What plays what, and how: settings checked, resolved and made into a policy."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import urlsplit

from atari_vlm.atari.games import Game, get_game
from atari_vlm.atari.images import check_size
from atari_vlm.errors import InvalidSetting, ModelUnusable
from atari_vlm.learning.examples import BestMoments, Progress
from atari_vlm.models.build import build_model
from atari_vlm.models.hosted.model import HostedModel
from atari_vlm.models.hosted.options import AS_SET, Hosting
from atari_vlm.models.journal import JournaledModel
from atari_vlm.models.local.options import refuse
from atari_vlm.policies.ablations import ablate, split
from atari_vlm.policies.registry import is_player, player
from atari_vlm.policies.scored import ScoredPolicy
from atari_vlm.policies.vlm import VLMPolicy
from atari_vlm.prompts.strategies import PromptSettings, get_strategy, prompt_name
from atari_vlm.runs.run import Run
from atari_vlm.types import Learner, Lessons, Limits, Model, Policy, Scorer, Strategy

HISTORY = 8
"""Recent actions a prompt lists when nothing is said."""

MOST_AHEAD = 60
"""Most decisions that one answer may plan."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What may be chosen; see `VLMTrainer` for the meanings."""

    num_examples: int = 3
    frame_stack: int = 4
    frames_in_prompt: int | None = None
    resize_shape: tuple[int, int] | None = None
    frame_skip: int = 4
    repeat_action_probability: float = 0.25
    plans: bool = True
    history: int | None = None
    temperature: float | None = None
    max_tokens: int | None = None
    max_decisions: int | None = None
    full_action_space: bool = False
    parallel: int = 1
    decisions_per_call: int = 1
    hosting: Hosting = AS_SET

    def __post_init__(self) -> None:
        """Refuse what cannot work."""
        for name in ("num_examples", "frame_stack", "frame_skip", "parallel"):
            whole(name, getattr(self, name), 1, 10_000)
        whole("decisions_per_call", self.decisions_per_call, 1, MOST_AHEAD)
        for name, least in (("max_decisions", 1), ("frames_in_prompt", 1), ("history", 0)):
            if getattr(self, name) is not None:
                whole(name, getattr(self, name), least)
        if not 0 <= self.repeat_action_probability <= 1:
            raise InvalidSetting(
                "repeat_action_probability is within 0 and 1, not "
                f"{self.repeat_action_probability}."
            )
        if (self.frames_in_prompt or 1) > self.frame_stack:
            raise InvalidSetting(
                f"A prompt cannot show {self.frames_in_prompt} frames of a stack of "
                f"{self.frame_stack}; raise frame_stack."
            )
        if self.resize_shape is not None:
            check_size(self.resize_shape)


@dataclass(frozen=True, slots=True, kw_only=True)
class Experiment:
    """A game and its player, resolved."""

    game: Game
    prompt_type: str
    """Name of the prompt; "none" for players without one."""
    model: Model | None
    strategy: Strategy | None
    baseline: Policy | None
    """The player, where it is no model."""
    learner: Learner | None
    sight: str | None
    """The ablation: what is shown in place of the screen; None for the screen itself."""
    limits: Limits
    scorer: ScoredPolicy | None
    """The player, where a model is asked for probabilities and not for words; without lessons."""
    settings: dict[str, Any]
    """Everything that decides what is played, as the run folder keeps it; never a key."""

    def policy(self, run: Run, taught: Lessons | None) -> Callable[[Lessons], Policy]:
        """The player, given what earlier episodes taught; `taught` overrides what is learned."""
        if self.baseline is not None:
            baseline = self.baseline
            return lambda lessons: baseline
        assert self.model is not None
        assert self.strategy is not None
        model, strategy = JournaledModel(self.model, run), self.strategy
        name, sight = self.game.name, self.sight

        def build(lessons: Lessons) -> Policy:
            policy: Policy = VLMPolicy(model, strategy, taught or lessons)
            if self.scorer is not None:
                policy = replace(self.scorer, lessons=taught or lessons)
            return policy if sight is None else ablate(policy, name, sight, run.adopt)

        return build

    @property
    def privileges(self) -> tuple[str, ...]:
        """What the player reads beyond the screen."""
        return tuple(sorted(self.baseline.privileges)) if self.baseline else ()


def prepare(
    game_name: str,
    vlm_type: str,
    options: Options,
    *,
    api_key: str | None = None,
    prompt_type: str | None = None,
    learn: bool | None = False,
    base_url: str | None = None,
    decide: str = "words",
    local: Mapping[str, Any] | None = None,
    model: Model | None = None,
) -> Experiment:
    """Find the game, the player, its prompt and its learner.

    Args:
        game_name: any spelling of a game.
        vlm_type: a model, a baseline, or the name of `model`; "+blank", "+frozen" or "+shuffled"
            behind a model's name shows it wrong screens, to prove that it looks.
        options: how.
        api_key: goes to the vendor's client and nowhere else.
        prompt_type: None for the model's own.
        learn: in context; None where the prompt can show examples.
        base_url: an OpenAI-compatible server.
        decide: "words" or "score".
        local: settings of a model in this process.
        model: a model of the caller's own.

    Raises:
        UnknownName, InvalidSetting, ModelUnusable, MissingExtra: what was asked for cannot be.
    """
    game = get_game(game_name)
    if model is not None:
        refuse(
            vlm_type, {name: value for name, value in (local or {}).items() if value is not None}
        )
    asked_for = vlm_type
    vlm_type, sight = split(vlm_type) if model is None else (vlm_type, None)
    baseline = player(vlm_type, game.name) if model is None and is_player(vlm_type) else None
    if baseline is None and model is None:
        model = build_model(
            vlm_type,
            api_key=api_key,
            base_url=base_url,
            # Where it rates answers, the policy draws, and nothing is written.
            temperature=options.temperature if decide == "words" else None,
            max_tokens=options.max_tokens,
            hosting=options.hosting,
            local=local,
        )
    elif model is None:
        options.hosting.refuse(f"The baseline {vlm_type!r}")
    else:
        _check_own(model, vlm_type, options.hosting)
    prompt = prompt_name(prompt_type or (model.prompt_type if model else "none"))
    if model is None:
        asked = {
            "prompt_type": prompt_type,
            "use_in_context_learning": learn or None,
            "an ablation": sight,
            "decide": None if decide == "words" else decide,
            **(local or {}),
        }
        model_only = {"temperature": options.temperature, "max_tokens": options.max_tokens}
        _refuse(f"The baseline {vlm_type!r}", {**asked, **model_only, **_shown(options)})
    if model is not None:
        _must_fit(model, vlm_type, prompt, game, options)
    if prompt == "embedded":
        _refuse("The 'embedded' prompt", {"use_in_context_learning": learn, **_shown(options)})
    shows = prompt not in ("embedded", "none")
    learner = _learner(prompt, shows if learn is None else learn, options.num_examples)
    strategy, told = _strategy(prompt, options) if model else (None, {})
    scorer = _scorer(decide, vlm_type, model, strategy, options)
    return Experiment(
        game=game,
        prompt_type=prompt,
        model=model,
        strategy=strategy,
        baseline=baseline,
        learner=learner,
        sight=sight,
        limits=Limits(decisions=options.max_decisions),
        scorer=scorer,
        settings={
            "game": game.name,
            "model": asked_for,
            "version": _version(model or baseline, game),
            **_shown_to(model),
            "base_url": host(base_url),
            "prompt": prompt,
            "learner": learner.name if learner else None,
            "examples": options.num_examples if isinstance(learner, BestMoments) else None,
            **told,
            **({} if scorer is None else {"decide": decide}),
            "temperature": options.temperature,
            "max_tokens": options.max_tokens,
            **options.hosting.deciding,
            "frame_stack": options.frame_stack,
            "frame_skip": options.frame_skip,
            "repeat_action_probability": options.repeat_action_probability,
            "full_action_space": options.full_action_space,
            "max_decisions": options.max_decisions,
            "max_frames": Limits().frames,
            "parallel": options.parallel if learner else None,
        },
    )


def _check_own(model: Model, name: str, hosting: Hosting) -> None:
    """Refuse what a model of the caller's own cannot follow: all but caps, if it is hosted."""
    if not isinstance(model, HostedModel):
        hosting.refuse(name)
    else:
        rest = replace(hosting, budget=None, budget_episode=None, budget_tokens=None)
        rest.refuse(f"A model of your own ({name})")
        if hosting.caps.in_dollars and model.price is None:
            raise InvalidSetting(f"The price of {name} is not known; cap it with --budget-tokens.")


def _scorer(
    decide: str, name: str, model: Model | None, strategy: Strategy | None, options: Options
) -> ScoredPolicy | None:
    """The policy that rates answers, where that is asked for."""
    if decide not in ("words", "score"):
        raise InvalidSetting(f"decide is words or score, not {decide!r}.")
    if decide == "words" or model is None or strategy is None:
        return None
    if not isinstance(model, Scorer):
        raise InvalidSetting(
            f"{name} gives words and no probabilities, so --decide score cannot be. The embedded "
            "model and models in this process (a folder, local:ORG/NAME) give them."
        )
    if options.max_tokens is not None:
        raise InvalidSetting("--decide score writes no answer; leave --max-tokens out.")
    if options.decisions_per_call > 1:
        raise InvalidSetting("--decide score rates one decision; leave --decisions-per-call out.")
    return ScoredPolicy(model, strategy, Lessons(), model.name, options.temperature or 0.0)


def _version(player: Model | Policy | None, game: Game) -> str | None:
    """What tells a player from another of its name, where there can be another."""
    of_game: Callable[[str], str] | None = getattr(player, "version_for", None)
    return of_game(game.name) if of_game else getattr(player, "version", None)


def _shown_to(model: Model | None) -> dict[str, Any]:
    """What a model in this process makes of the screens."""
    description = getattr(model, "description", None)
    return {"local": description} if description else {}


def _must_fit(model: Model, name: str, prompt: str, game: Game, options: Options) -> None:
    """Refuse what an embedded model was never taught, before anything is played."""
    get_strategy(prompt)  # an unknown one says so first
    if (prompt_name(model.prompt_type) == "embedded") != (prompt == "embedded"):
        raise InvalidSetting(
            f"{name} does not read the prompt {prompt!r}. The prompt 'embedded' and embedded "
            "models go together; all other models read basic, cot, expert and adaptive."
        )
    games = getattr(model, "games", None)
    if games is not None and game.name not in games:
        raise ModelUnusable(
            f"{name} was taught {', '.join(games)}, not {game.name}. Choose one of these games, "
            "another model (`atari-vlm models`), or a baseline: random, noop."
        )
    if prompt == "embedded" and options.frame_skip != 4:
        raise InvalidSetting(
            f"{name} was taught to decide every 4 frames, not every {options.frame_skip}."
        )


def _learner(prompt: str, learn: bool, examples: int) -> Learner | None:
    if learn:
        return BestMoments(examples)
    return Progress() if prompt == "adaptive" else None


def _strategy(prompt: str, options: Options) -> tuple[Strategy, dict[str, Any]]:
    """The strategy, and what the record says of it."""
    if prompt == "embedded":
        return get_strategy(prompt), {"plans": True, "frames_in_prompt": 2}
    settings = PromptSettings(
        history=HISTORY if options.history is None else options.history,
        frames=options.frames_in_prompt or min(2, options.frame_stack),
        plans=options.plans,
        image_size=options.resize_shape,
        chunk_size=options.decisions_per_call,
    )
    return get_strategy(prompt, settings), {
        "plans": options.plans,
        "frames_in_prompt": settings.frames,
        "history": settings.history,
        "resize_shape": list(options.resize_shape) if options.resize_shape else None,
        **({"decisions_per_call": settings.chunk_size} if settings.chunk_size > 1 else {}),
    }


def _shown(options: Options) -> dict[str, Any]:
    """The options that only a general prompt can follow; None where nothing was asked."""
    return {
        "history": options.history,
        "frames_in_prompt": options.frames_in_prompt,
        "resize_shape": options.resize_shape,
        "plans=False": None if options.plans else True,
        "decisions_per_call": options.decisions_per_call
        if options.decisions_per_call > 1
        else None,
    }


def _refuse(who: str, asked: dict[str, Any]) -> None:
    """An option that would change nothing must not be recorded as if it had."""
    given = [name for name, value in asked.items() if value not in (None, False)]
    if given:
        raise InvalidSetting(
            f"{who} cannot follow {', '.join(given)}; leave it out, or choose a model that reads "
            "the prompts basic, cot, expert or adaptive."
        )


def whole(name: str, value: object, least: int, most: int | None = None) -> None:
    """Raise InvalidSetting unless the value is a whole number of at least `least`."""
    number = isinstance(value, int) and not isinstance(value, bool)
    if not number or value < least or (most is not None and value > most):  # type: ignore[operator]
        range_ = f"at least {least}" if most is None else f"{least} to {most}"
        raise InvalidSetting(f"{name} must be a whole number of {range_}, not {value!r}.")


def host(url: str | None) -> str | None:
    """The server without what a URL may hide (user:password, tokens in the query)."""
    if url is None:
        return None
    parts = urlsplit(url)
    port = f":{parts.port}" if parts.port else ""
    return f"{parts.scheme}://{parts.hostname or ''}{port}{parts.path}"
