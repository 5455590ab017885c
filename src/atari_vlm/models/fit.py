"""What a model can play and follow, and what the record says of its settings."""

from __future__ import annotations

from difflib import get_close_matches
from typing import Any

from atari_vlm.atari.pooling import DEFAULT
from atari_vlm.errors import CannotPlay, InvalidSetting, setting
from atari_vlm.models.hosted.environment import is_same, moved_to
from atari_vlm.models.hosted.model import HostedModel
from atari_vlm.models.hosted.options import HostedOptions, SpendOptions, refuse_hosted
from atari_vlm.models.hosted.settings import HostedSettings
from atari_vlm.models.local.options import LocalOptions, refuse_local
from atari_vlm.models.options import refuse_video
from atari_vlm.protocols import (
    Depicting,
    Described,
    Model,
    Specialised,
    TrainedOnScreens,
    settings_of,
)


def check_game(model: Model, name: str, game: str) -> None:
    """Refuse a game that the model was never trained for.

    Raises:
        CannotPlay: naming the games it knows.
    """
    games = model.games if isinstance(model, Specialised) else None
    if games is not None and game not in games:
        near = "".join(
            f" Did you mean {each!r}?" for each in get_close_matches(game, games, 1, 0.75)
        )
        raise CannotPlay(
            f"{name} was not taught {game}.{near} It was taught {', '.join(sorted(games))}. Choose "
            "one of these games, another model (`atari-vlm models`), or a baseline: random, noop."
        )


def pool_frames_for(model: Model | None, name: str, game: str, asked: str | None) -> str:
    """How the screens of a game are pooled for a model: as in its training, as asked, or as usual.

    Raises:
        InvalidSetting: the model was trained on screens pooled in another way.
    """
    own = model.pool_frames_for(game) if isinstance(model, TrainedOnScreens) else None
    if own is not None and asked not in (None, own):
        raise InvalidSetting(
            f"{name} was trained on screens pooled by {own!r} and cannot follow "
            f"{setting('pool_frames', asked)}; leave it out."
        )
    return own or asked or DEFAULT


def check_own(
    model: Model,
    name: str,
    hosted: HostedOptions,
    spend: SpendOptions,
    local: LocalOptions,
    video: bool | None,
) -> None:
    """Refuse options that the model cannot follow: all but caps, if it is a hosted one.

    Raises:
        InvalidSetting: an option would change nothing, or a cap could not be kept.
    """
    refuse_local(name, local)
    refuse_video(f"A model of your own ({name})", video)
    if not isinstance(model, HostedModel):
        refuse_hosted(name, hosted, spend)
        return
    refuse_hosted(f"A model of your own ({name})", hosted, SpendOptions())
    if spend.caps.in_dollars and model.price is None:
        raise InvalidSetting(
            f"The price of {name} is not known; cap it with {setting('budget_tokens')}."
        )


def check_thinking(model: Model | None, instead: str) -> None:
    """Refuse a budget of thinking in dollars if the price of a hosted model is not known.

    Args:
        model: that plays.
        instead: how else thinking can be limited, as the beginning of a sentence; "" if no dollars
            are limited.
    """
    if instead and isinstance(model, HostedModel) and model.price is None:
        raise unpriced(model.settings.name, instead, moved_by(model.settings))


def moved_by(settings: HostedSettings) -> str:
    """The variable that names the address at which a model is asked; "" if none does."""
    variable = settings.vendor.address_variable
    moved = moved_to(variable, settings.vendor.address)
    return variable if moved is not None and is_same(settings.base_url or "", moved) else ""


def unpriced(name: str, instead: str, variable: str = "") -> InvalidSetting:
    """The error where dollars are limited and the price of the model is not known.

    Args:
        name: of the model.
        instead: what to do instead, as the beginning of a sentence.
        variable: that names the address at which it is asked, if one does.
    """
    where = f" at the address that {variable} names" if variable else ""
    unset = f", unset {variable}" if variable else ""
    return InvalidSetting(
        f"The price of {name}{where} is not known, so a budget in dollars cannot be "
        f"enforced. {instead}{unset}, or choose a model with a price (`atari-vlm models`)."
    )


def described(model: Model, game: str) -> dict[str, Any]:
    """What a model says of itself, for the record: how it is held, and what it is shown."""
    description = model.description if isinstance(model, Described) else None
    video = isinstance(model, HostedModel) and model.settings.video
    return {
        **({"local": description} if description else {}),
        **({"video": True} if video else {}),
        **({"pictures": model.pictures_for(game)} if isinstance(model, Depicting) else {}),
    }


def address_of(model: Model | None) -> str | None:
    """The address of the server that a model is asked at; None for the vendor's, or none."""
    return model.settings.base_url if isinstance(model, HostedModel) else None


def own_settings(own: Model | None) -> dict[str, Any]:
    """The settings of a model of the caller's own, for the record."""
    if isinstance(own, HostedModel):
        settings = own.settings.cache_fields()
        del settings["base_url"]  # a server may move
    else:
        settings = settings_of(own)
    return {"model_settings": settings} if settings else {}
