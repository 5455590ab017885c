"""What can be said of a model in this process beyond its name: where, in what form, as a video."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from atari_vlm.errors import InvalidSetting, unknown

_PLACEMENT = ("quantize", "attention", "dtype", "device", "threads")

SETTINGS = (*_PLACEMENT, "video", "together", "trust_remote_code")
"""`quantize` "4bit", "8bit" or "int8"; `attention` "sdpa", "eager", "flash_attention_2"; `dtype`
"float32", "bfloat16", "float16", "auto"; `device` "cpu", "cuda", "cuda:1", "auto" over all GPUs;
`threads` on a CPU; `video` True for several screens as one video; `together` most questions in one
batch; `trust_remote_code` the folder, or ORG/NAME@COMMIT, whose own Python code may run."""


def placing(chosen: Mapping[str, Any]) -> dict[str, Any]:
    """Settings by name as arguments of `LocalSettings`.

    Args:
        chosen: some of `SETTINGS`, none of them None.

    Raises:
        UnknownName, InvalidSetting: a setting is not known, or cannot work.
    """
    from atari_vlm.models.local.placement import Placement

    for name in chosen:
        if name not in SETTINGS:
            raise unknown("setting of a local model", name, SETTINGS)
    place = {name: chosen[name] for name in _PLACEMENT if name in chosen}
    rest = {name: value for name, value in chosen.items() if name not in _PLACEMENT}
    return {"placement": Placement(**place), **rest}


def refuse(who: str, chosen: Mapping[str, Any]) -> None:
    """An option that would change nothing must not be recorded as if it had."""
    if chosen:
        flags = ", ".join("--" + name.replace("_", "-") for name in chosen)
        raise InvalidSetting(
            f"{who} takes no {flags}: it is for models in this process, a folder or local:ORG/NAME."
        )
