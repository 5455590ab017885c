"""How a model in this process is held."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from atari_vlm.errors import InvalidSetting, setting
from atari_vlm.models.local.placement import Placement
from atari_vlm.options import given, option, part


@dataclass(frozen=True, kw_only=True)
class LocalOptions:
    """How a model in this process is held; None leaves it to the model and the machine."""

    quantize: str | None = option(None, "Hold the weights in 4bit, 8bit or int8.")
    attention: str | None = option(None, "Attention: sdpa, eager, flash_attention_2.")
    dtype: str | None = option(None, "Number format: float32, bfloat16, float16, auto.")
    device: str | None = option(None, "cpu, cuda, cuda:1, or auto for all GPUs.")
    threads: int | None = option(None, "Threads on a CPU.")
    together: int | None = option(None, "Most prompts in one batch; default: 16.")
    trust_remote_code: str | None = option(
        None, "Run the Python code of this one checkpoint: ORG/NAME@COMMIT, or its folder."
    )

    @property
    def placement(self) -> Placement:
        """Where and in what form the weights are held."""
        return Placement(
            quantize=self.quantize,
            attention=self.attention,
            dtype=self.dtype,
            device=self.device,
            threads=self.threads,
        )

    @property
    def rest(self) -> dict[str, Any]:
        """What was set of the other settings of a local model, by name."""
        names = ("together", "trust_remote_code")
        return {name: value for name in names if (value := getattr(self, name)) is not None}


def refuse_local(who: str, options: LocalOptions) -> None:
    """Raise InvalidSetting if options were given that would change nothing."""
    if chosen := given(part(options, LocalOptions)):
        names = ", ".join(setting(name) for name in chosen)
        raise InvalidSetting(
            f"{who} takes no {names}: it is for models in this process, a folder or local:ORG/NAME."
        )
