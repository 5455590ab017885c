"""What policies, models and learners must provide, and what they may provide besides.

    Policy    decide                       required of every player
    Model     name, prompt_type, answer, close
    Learner   name, learn

Everything else is an optional capability, one small protocol each. A class that has the attribute
has the capability; nothing needs to be inherited. The functions at the end read capabilities off a
policy and off the policies it wraps; others check what a caller or a policy gave.
"""

from __future__ import annotations

import json
import re
from collections.abc import Awaitable, Iterable, Iterator, Mapping, Sequence
from dataclasses import fields, is_dataclass
from typing import Any, Protocol, TypeVar, runtime_checkable

from atari_vlm.errors import InvalidSetting
from atari_vlm.protocols.learning import Account as Account
from atari_vlm.protocols.learning import Learner as Learner
from atari_vlm.protocols.learning import Proof as Proof
from atari_vlm.protocols.learning import Prove as Prove
from atari_vlm.protocols.learning import Reviews as Reviews
from atari_vlm.protocols.learning import Study as Study
from atari_vlm.protocols.players import Model as Model
from atari_vlm.protocols.players import Policy as Policy
from atari_vlm.protocols.priors import checked_chances as checked_chances
from atari_vlm.types import Observation, Plan, Privilege, Prompt, Step

# --- optional capabilities -----------------------------------------------------------------------


@runtime_checkable
class Privileged(Protocol):
    """A policy that reads more than the screen. Without it a policy has no privileges."""

    @property
    def privileges(self) -> frozenset[Privilege]:
        """What it reads beyond the screen; printed beside its scores."""
        ...


@runtime_checkable
class Wrapper(Protocol):
    """A policy around another one. It inherits privileges and versions of the one inside."""

    @property
    def policy(self) -> Policy:
        """The policy inside."""
        ...


@runtime_checkable
class Versioned(Protocol):
    """A policy, model, strategy or learner whose play can change under the same name."""

    @property
    def version(self) -> str:
        """Differs where the play differs. A run is only continued with the same version."""
        ...


@runtime_checkable
class VersionedByGame(Protocol):
    """The same, for one that has a version for each game."""

    def version_for(self, game: str) -> str | None:
        """The version that plays a game."""
        ...


@runtime_checkable
class VersionedByInterval(Protocol):
    """The same, for a policy some of whose settings matter at some intervals only."""

    def version_at(self, frames: int) -> str:
        """The version at so many emulator frames a decision."""
        ...


@runtime_checkable
class Configured(Protocol):
    """A policy, strategy or learner with settings for the record of a run."""

    @property
    def settings(self) -> Mapping[str, Any]:
        """Values that JSON can hold. A run is only continued with the same settings."""
        ...


@runtime_checkable
class Described(Protocol):
    """A model that describes how it is held and what it is shown."""

    @property
    def description(self) -> str:
        """For the record of a run."""
        ...


@runtime_checkable
class Depicting(Protocol):
    """A model that does not take each frame of a prompt as a picture of its own."""

    def pictures_for(self, game: str) -> dict[str, Any]:
        """How the frames of a prompt become the model's pictures, for the record of a run.

        Returns:
            "form", and what it needs:
            "each": every frame is a picture, enlarged "scale" times (1 if absent);
            "motion": the last two are one picture of "side" x "side" by `images.motion`;
            "mosaic": more than "most" are one picture, in rows as near to a square as they
            go, "gap" pixels apart, each enlarged "scale" times;
            "video": several are one video, filled up to a multiple of "multiple" by repeating the
            oldest, of the newest "most" (None for all), each enlarged "scale" times; those of
            examples too if "examples"; at most "fastest" a second (absent for no limit).
            A size in the prompt replaces the scale.
        """
        ...


@runtime_checkable
class CountsTokens(Protocol):
    """A model that knows how many tokens a call takes before it is asked."""

    def least_tokens(self, game: str) -> int:
        """The fewest tokens that a call about a game reads and writes."""
        ...


@runtime_checkable
class Specialised(Protocol):
    """A model that was trained for some games only."""

    @property
    def games(self) -> tuple[str, ...] | None:
        """The games it can play; None for any."""
        ...


@runtime_checkable
class TrainedOnScreens(Protocol):
    """A model that needs its screens pooled as those of its training were."""

    def pool_frames_for(self, game: str) -> str | None:
        """Name of the pooling for a game (see `atari.pooling`); None for any."""
        ...


@runtime_checkable
class Scorer(Protocol):
    """A model that can rate every plan in one forward pass."""

    async def score(self, prompt: Prompt) -> dict[Plan, float]:
        """Probability of each plan; they sum to 1."""
        ...


@runtime_checkable
class ScorerInside(Protocol):
    """A model around another one, which may be a scorer."""

    @property
    def scorer(self) -> Scorer | None:
        """The scorer inside; None if the model inside gives words only."""
        ...


@runtime_checkable
class WithPrior(Protocol):
    """A policy that can say how likely it is to play each plan, without deciding."""

    async def prior(
        self, observation: Observation, history: Sequence[Step]
    ) -> dict[Plan, float] | None:
        """Probability of each legal plan; they sum to 1.

        Nothing of it is charged or recorded, so only models in this process give one. The same
        arguments give the same probabilities.

        Returns:
            None if there is none: the model gives words only, or failed to score.
        """
        ...


# --- checking what a caller gave -----------------------------------------------------------------

T = TypeVar("T")

_PARTS: dict[str, tuple[type, str]] = {
    "policy": (Policy, "name and async decide(observation, history, rng)"),
    "model": (Model, "name, prompt_type, async answer(prompt, *, seed) and async close()"),
    "learner": (Learner, "name and async learn(trajectories, study)"),
}
_CALLS = {
    "strategy": "a call: (observation, history, lessons)",
    "watch": "a call: (episode, step)",
}


def check_parts(**parts: object) -> None:
    """Refuse a part of the caller's own that could not be used.

    Args:
        parts: a key of `_PARTS` or `_CALLS` and the value; None where none was given.

    Raises:
        InvalidSetting: a class instead of an instance, or a value without the methods needed.
    """
    for kind, value in parts.items():
        protocol, needs = _PARTS[kind] if kind in _PARTS else (object, _CALLS[kind])
        if isinstance(value, type):
            raise InvalidSetting(
                f"The {kind} is the class {value.__name__}; give an instance: {value.__name__}()."
            )
        usable = isinstance(value, protocol) if kind in _PARTS else callable(value)
        if value is not None and not usable:
            raise InvalidSetting(f"{value!r} is no {kind}: it needs {needs}.")
        name = getattr(value, "name", None)
        if value is not None and kind in _PARTS and not (isinstance(name, str) and name):
            raise InvalidSetting(f"The name of the {kind} must be a text, not {name!r}.")


def awaitable(returned: Awaitable[T], owner: Policy | Model | Learner, method: str) -> Awaitable[T]:
    """What a method of the caller's own returned, refused if it cannot be awaited.

    Args:
        returned: by the method.
        owner: whose method it is.
        method: "decide", "prior", "answer", "score" or "learn".

    Raises:
        InvalidSetting: it is a plain method.
    """
    if not hasattr(returned, "__await__"):
        raise InvalidSetting(f"{owner.name} must define `async def {method}`, not `def {method}`.")
    return returned


@runtime_checkable
class ChecksInterval(Protocol):
    """A policy that cannot decide every so often, e.g. because its budget is too small for it."""

    def check_interval(self, frames: int) -> None:
        """Called before a run begins, with the emulator frames of a decision.

        Raises:
            InvalidSetting: it cannot decide that often.
        """
        ...


# --- reading capabilities ------------------------------------------------------------------------


def uses_text(privileges: Iterable[str]) -> str:
    """What stands beside every score of a player that reads more than the screen; "" for others.

    >>> uses_text(["emulator"]), uses_text(["ram", "emulator"])
    ('uses emulator', 'uses emulator and RAM')
    """
    read = sorted({"ram": "RAM"}.get(name, name) for name in privileges)
    read.sort(key=str.isupper)
    return f"uses {' and '.join(read)}" if read else ""


def labelled(name: str, privileges: Iterable[str]) -> str:
    """The name of a player as it stands beside a score: "iw-1200 (uses emulator)"."""
    uses = uses_text(privileges)
    return f"{name} ({uses})" if uses else name


def chain_of(policy: Policy) -> Iterator[Policy]:
    """The policy and those it wraps, outermost first."""
    seen: set[int] = set()
    inner: object = policy
    while isinstance(inner, Policy) and id(inner) not in seen:
        seen.add(id(inner))
        yield inner
        inner = inner.policy if isinstance(inner, Wrapper) else None


def check_interval(policy: Policy, frames: int) -> None:
    """Raise InvalidSetting if the policy, or one inside it, cannot decide every `frames` frames."""
    for each in chain_of(policy):
        if isinstance(each, ChecksInterval):
            each.check_interval(frames)


def scorer_of(model: object) -> Scorer | None:
    """A model that can score, or the one inside of it; None if there is none."""
    if isinstance(model, Scorer):
        return model
    return model.scorer if isinstance(model, ScorerInside) else None


async def prior_of(
    policy: Policy, observation: Observation, history: Sequence[Step]
) -> dict[Plan, float] | None:
    """The prior of a policy, of legal plans; None if it gives none.

    Raises:
        InvalidSetting: its `prior` is a plain method, or returned no prior.
    """
    if not isinstance(policy, WithPrior):
        return None
    rated = await awaitable(policy.prior(observation, history), policy, "prior")
    if rated is None:
        return None
    chances = checked_chances(
        rated, policy.name, observation.legal, observation.interval, scored=False
    )
    whole = sum(chances.values())
    if abs(whole - 1) < 1e-9 or not chances:
        return chances or None
    return {plan: chance / whole for plan, chance in chances.items()}


def privileges_of(policy: Policy) -> frozenset[Privilege]:
    """What a policy, or one that it wraps, reads beyond the screen."""
    own = (each.privileges for each in chain_of(policy) if isinstance(each, Privileged))
    return frozenset().union(*own)


def version_of(thing: object, game: str, interval: int | None = None) -> str | None:
    """The version of anything; of a policy, those of all it wraps. None if there is none.

    Args:
        thing: a policy, a model, ...
        game: that it plays.
        interval: emulator frames of a decision, where that is known.
    """
    parts = chain_of(thing) if isinstance(thing, Policy) else [thing]
    versions = [_own_version(each, game, interval) for each in parts]
    return " ".join(version for version in versions if version) or None


def _own_version(thing: object, game: str, interval: int | None = None) -> str | None:
    if interval is not None and isinstance(thing, VersionedByInterval):
        return thing.version_at(interval)
    if isinstance(thing, VersionedByGame):
        return thing.version_for(game)
    return str(thing.version) if isinstance(thing, Versioned) else None


def settings_of(thing: object) -> dict[str, Any]:
    """The settings of anything: as declared, or the plain fields of a dataclass.

    Of a dataclass, fields without a repr and those that look like a key or an address are left out:
    the record holds no secrets, and a server may move.

    Raises:
        InvalidSetting: declared settings that JSON cannot hold.
    """
    declared = thing.settings if isinstance(thing, Configured) else None
    if isinstance(declared, Mapping):
        try:
            return dict(json.loads(json.dumps(dict(declared))))
        except (TypeError, ValueError) as error:
            raise InvalidSetting(
                f"The settings of {_name(thing)} cannot be recorded, because JSON cannot hold them "
                f"({error})."
            ) from error
    return _plain_fields(thing) | _plain_fields(declared)


_PRIVATE = re.compile("(^|_)(key|token|secret|password|url)$")


def _plain_fields(thing: object) -> dict[str, Any]:
    if not is_dataclass(thing) or isinstance(thing, type):
        return {}
    names = [f.name for f in fields(thing) if f.repr and not _PRIVATE.search(f.name)]
    values = {name: getattr(thing, name) for name in names}
    return {
        name: value
        for name, value in values.items()
        if value is None or isinstance(value, bool | int | float | str)
    }


def _name(thing: object) -> str:
    name = getattr(thing, "name", None) or getattr(thing, "__name__", type(thing).__name__)
    return str(name)


def identity_of(thing: object, game: str) -> dict[str, Any]:
    """Name, version and settings of a user's own policy, strategy or learner, for the record."""
    parts = list(chain_of(thing)) if isinstance(thing, Policy) else [thing]
    known: dict[str, Any] = {}
    for each in reversed(parts):
        inner = {"policy": known} if known else {}
        version = _own_version(each, game)
        known = {"name": _name(each), "version": version, "settings": settings_of(each), **inner}
    return known
