"""At which server a run asks its model, and when it may go on at another one."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from atari_vlm.errors import StoreError, setting
from atari_vlm.models.hosted.environment import is_same


def moved(
    folder: Path, recorded: Mapping[str, Any], address: str | None, answered: Callable[[], int]
) -> dict[str, Any]:
    """What to record so that a run may go on at this address, and a warning if that is another one.

    Servers of your own may move. But a name stands for one model at its vendor and perhaps for
    another one elsewhere, so a run that has answers of the one does not go on at the other.

    Args:
        folder: of the run, for the messages.
        recorded: the settings of the run.
        address: of the server to ask; None for that of a vendor, or for no server.
        answered: tells how many answers the run has.

    Returns:
        Settings to replace: none if it is the same server; the address if the other one gave no
        answer; otherwise also who gave how many.

    Raises:
        StoreError: it may not.
    """
    later = list(recorded.get("later_servers") or ())
    last = last_server(recorded)
    if _is_one(last, address):
        return {}
    answers = answered()
    counted = later[-1]["earlier_answers"] if later else 0
    if answers <= counted:
        return (
            {"later_servers": [*later[:-1], {**later[-1], "base_url": address}]}
            if later
            else {"base_url": address}
        )
    begun, now = last or "its vendor", address or "its vendor"
    said = f"{answers - counted:,} answer{'s' * (answers - counted > 1)}"
    if last is None or address is None:
        raise StoreError(
            f"{folder} has {said} of the model at {begun}, and does not go on at {now}, where the "
            f"name may be that of another model. Ask the same server ({setting('base_url')}, or "
            "the variable that moves the vendor), or use another folder for a new run."
        )
    warnings.warn(
        f"{folder} has {said} of the server at {begun}, and goes on at {now}.", stacklevel=3
    )
    return {"later_servers": [*later, {"base_url": address, "earlier_answers": answers}]}


def last_server(recorded: Mapping[str, Any]) -> str | None:
    """The address of the server that a run asked last; None for that of a vendor, or for none."""
    later = recorded.get("later_servers") or ()
    address: str | None = later[-1]["base_url"] if later else recorded.get("base_url")
    return address


def _is_one(one: str | None, other: str | None) -> bool:
    return one == other or bool(one and other and is_same(one, other))


def check_teacher(folder: Path, recorded: Mapping[str, Any], address: str | None) -> None:
    """Say that the lessons of a training run are shown to the model of another server.

    Args:
        folder: of the training run, for the message.
        recorded: its settings.
        address: of the server whose model reads them; None for that of a vendor, or for none.

    Raises:
        StoreError: one is a vendor and the other is not, so the models may be different ones.
    """
    last = last_server(recorded)
    if _is_one(last, address):
        return
    begun, now = last or "its vendor", address or "its vendor"
    if last is None or address is None:
        raise StoreError(
            f"{folder} was played by the model at {begun}, and its lessons are not shown to the "
            f"one at {now}, where the name may be that of another model. Ask the same server "
            f"({setting('base_url')}, or the variable that moves the vendor), or train in another "
            "folder."
        )
    warnings.warn(
        f"{folder} was played at {begun}, and its lessons are shown at {now}.", stacklevel=3
    )
