"""Where the weights of a local model are placed, and in which data type."""

from __future__ import annotations

from dataclasses import dataclass, replace
from importlib.util import find_spec

from atari_vlm.errors import InvalidSetting, missing_extra, setting

DTYPES = ("auto", "float32", "bfloat16", "float16")

ATTENTIONS = ("sdpa", "eager", "flash_attention_2", "flash_attention_3", "flex_attention")
"""Values of transformers' `attn_implementation`."""

QUANTIZED = {"4bit": "bitsandbytes", "8bit": "bitsandbytes", "int8": "torchao"}
"""Quantization -> the package it needs, of the extra `quantize`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Placement:
    """Device, data type, attention implementation and quantization of the weights.

    Raises:
        InvalidSetting: a value is not one of those listed, or `threads` is below 1.
    """

    device: str | None = None
    """"cpu", "cuda", "cuda:1", "mps", or "auto" to spread over all GPUs; None for the first GPU, or
    the CPU if there is none."""
    dtype: str | None = None
    """One of `DTYPES`; "auto" is the checkpoint's own. None: float32 on a CPU, else "auto"."""
    attention: str | None = None
    """One of `ATTENTIONS`; None for transformers' default."""
    quantize: str | None = None
    """One of `QUANTIZED`; None for no quantization. A checkpoint that is already quantized needs
    nothing here."""
    threads: int | None = None
    """CPU threads; None: one for small models, torch's default for others."""
    note: str = ""
    """What was asked for and is not available here, for the record of a run."""

    def __post_init__(self) -> None:
        for name, known in (
            ("dtype", DTYPES),
            ("attention", ATTENTIONS),
            ("quantize", tuple(QUANTIZED)),
        ):
            value = getattr(self, name)
            if value is not None and value not in known:
                raise InvalidSetting(
                    f"{setting(name)} is one of {', '.join(known)}, not {value!r}."
                )
        if self.threads is not None and self.threads < 1:
            raise InvalidSetting(f"{setting('threads')} is at least 1, not {self.threads}.")

    @property
    def description(self) -> str:
        """The settings that differ from the defaults, for the record of a run."""
        plural = "" if self.threads == 1 else "s"
        threads = f"{self.threads} thread{plural}" if self.threads else None
        parts = (self.quantize, self.dtype, self.attention, self.device, threads, self.note)
        return ", ".join(part for part in parts if part)

    def resolve(self) -> Placement:
        """The same settings, with "sdpa" for a flash attention that is not installed.

        Raises:
            MissingExtra: a package that `quantize` needs is not installed.
        """
        package = QUANTIZED.get(self.quantize or "", "")
        if package and find_spec(package) is None:
            raise missing_extra(setting("quantize", self.quantize), package, "quantize")
        if self.attention is None or not self.attention.startswith("flash"):
            return self
        if _is_available(self.attention):
            return self
        note = f"as {self.attention} needs an NVIDIA GPU and its package (pip install flash-attn)"
        return replace(self, attention="sdpa", note=note)


def _is_available(flash_attention: str) -> bool:
    from transformers import utils

    number = flash_attention.removeprefix("flash_attention_")
    return bool(getattr(utils, f"is_flash_attn_{number}_available", bool)())
