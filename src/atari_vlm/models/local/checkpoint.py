"""A Hugging Face checkpoint on disk: found by folder or hub id, checked, loaded.

Code that comes with a checkpoint is run only where it was named (`cogvlm2.trusted`), pickled
weights are never read, and nothing is downloaded without a line that says what.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from atari_vlm.errors import InvalidSetting, ModelUnusable, missing_extra
from atari_vlm.models.embedded.checkpoints import checkpoints
from atari_vlm.models.local import cogvlm2
from atari_vlm.models.local.hub import CODE, FILES, fetch, lacking, read_json

PACKAGES = ("torch", "transformers", "accelerate")
"""What the extra `local` installs."""

SMALL = 100_000_000
"""Parameters below which one thread is the fastest, and several on a busy machine 50 times
slower."""

DTYPES = ("auto", "float32", "bfloat16", "float16")

ATTENTIONS = ("sdpa", "eager", "flash_attention_2", "flash_attention_3", "flex_attention")

QUANTIZED = {"4bit": "bitsandbytes", "8bit": "bitsandbytes", "int8": "torchao"}
"""How weights can be held in fewer bits -> the package that does it, of the extra `quantize`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Placement:
    """Where and in what form the weights are held."""

    device: str | None = None
    """"cpu", "cuda", "cuda:1", "mps", or "auto" to spread over all GPUs; None for a GPU where
    there is one."""
    dtype: str | None = None
    """One of `DTYPES`; "auto" is the checkpoint's own. None: float32 on a CPU, else "auto"."""
    attention: str | None = None
    """One of `ATTENTIONS`; None leaves it to transformers."""
    quantize: str | None = None
    """One of `QUANTIZED`; None holds them as they are. A checkpoint that is quantised already needs
    nothing here."""
    threads: int | None = None
    """Threads on a CPU; None: one for small models, as many as torch likes for others."""
    note: str = ""
    """What was asked for and is not here, for the record of a run."""

    def __post_init__(self) -> None:
        for name, known in (
            ("dtype", DTYPES),
            ("attention", ATTENTIONS),
            ("quantize", tuple(QUANTIZED)),
        ):
            value = getattr(self, name)
            if value is not None and value not in known:
                raise InvalidSetting(f"{name} is one of {', '.join(known)}, not {value!r}.")
        if self.threads is not None and self.threads < 1:
            raise InvalidSetting(f"threads is at least 1, not {self.threads}.")

    @property
    def description(self) -> str:
        """What was asked for, in words, for the record of a run; empty for the defaults."""
        plural = "" if self.threads == 1 else "s"
        threads = f"{self.threads} thread{plural}" if self.threads else None
        parts = (self.quantize, self.dtype, self.attention, self.device, threads, self.note)
        return ", ".join(part for part in parts if part)

    def settled(self) -> Placement:
        """The same with what this machine has.

        Raises:
            MissingExtra: a package that `quantize` needs is not installed.
        """
        package = QUANTIZED.get(self.quantize or "", "")
        if package and find_spec(package) is None:
            raise missing_extra(f"--quantize {self.quantize}", package, "quantize")
        if self.attention is None or not self.attention.startswith("flash") or _has(self.attention):
            return self
        note = f"as {self.attention} needs an NVIDIA GPU and its package (pip install flash-attn)"
        return replace(self, attention="sdpa", note=note)


def _has(attention: str) -> bool:
    """Whether a kind of flash attention is here."""
    from transformers import utils

    number = attention.removeprefix("flash_attention_")
    return bool(getattr(utils, f"is_flash_attn_{number}_available", bool)())


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A folder that holds a model which takes pictures and text, and writes text."""

    folder: Path
    name: str
    """The hub id, or the name of the folder."""
    model_type: str
    """The family, as in config.json."""
    code: bool = False
    """Whether it is loaded by Python code of its own, which was asked for by name."""


def find(source: str, trust: str | None = None) -> Checkpoint:
    """The checkpoint in a folder, or of a hub id, which is downloaded where it is not cached.

    Args:
        source: the folder or id.
        trust: the folder or ORG/NAME@COMMIT whose own code may run; None for no such code.

    Raises:
        MissingExtra: the extra `local` is not installed.
        ModelUnusable: there is none, or it is no model of this kind.
    """
    for package in PACKAGES:
        if find_spec(package) is None:
            raise missing_extra(f"The local model {source}", package, "local")
    commit = cogvlm2.trusted(source, trust)
    folder = Path(source).expanduser()
    if folder.is_dir():
        folder, *others = checkpoints(folder)
        if others:
            raise ModelUnusable(
                f"{source} holds several checkpoints; name one of them: {folder}, "
                f"{', '.join(map(str, others))}."
            )
        name = folder.resolve().name
    elif _looks_like_a_path(source):
        raise ModelUnusable(f"There is no folder {source}.")
    else:
        folder, name = fetch(source, revision=commit), source
    if commit is not None:
        return Checkpoint(folder, name, _own_code(folder, name), code=True)
    return Checkpoint(folder, name, _model_type(folder, name))


def _own_code(folder: Path, name: str) -> str:
    """The family of a checkpoint whose own code may run, once it is sure how to call it."""
    config = read_json(folder / "config.json")
    if cogvlm2.ARCHITECTURE not in (config.get("architectures") or ()):
        raise ModelUnusable(
            f"{name} needs no --trust-remote-code, or is not CogVLM2, the only model whose own "
            "code is known how to be called here."
        )
    gone = lacking(folder)
    if gone:
        raise ModelUnusable(f"The checkpoint in {folder} is incomplete: it lacks {gone[0]}.")
    return "cogvlm2"


def _looks_like_a_path(source: str) -> bool:
    return source.startswith(("/", ".", "~")) or source.count("/") != 1 or "\\" in source


def _model_type(folder: Path, name: str) -> str:
    """The family, once it is sure that this kind of model can be used."""
    import transformers
    from transformers.models.auto.configuration_auto import CONFIG_MAPPING_NAMES
    from transformers.models.auto.modeling_auto import MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES

    path = folder / "config.json"
    if not path.is_file():
        raise ModelUnusable(
            f"{folder} holds no checkpoint: it lacks config.json. Name the folder that "
            "save_pretrained wrote, or that `hf download` printed."
        )
    config = read_json(path)
    found = config.get("model_type")
    if found in MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES:
        gone = lacking(folder)
        if gone:
            raise ModelUnusable(f"The checkpoint in {folder} is incomplete: it lacks {gone[0]}.")
        return str(found)
    if "auto_map" in config:
        raise ModelUnusable(
            f"{name} brings Python code of its own, which is not run here. Serve it in a process "
            "of its own and add --base-url, or choose a model that transformers knows."
        )
    if found not in CONFIG_MAPPING_NAMES:
        raise ModelUnusable(
            f"transformers {transformers.__version__} does not know the architecture {found!r} of "
            f"{name}. A newer transformers may: pip install -U transformers"
        )
    raise ModelUnusable(
        f"{name} is a {found!r} model, which takes no pictures with its text. Choose a "
        "vision-language model, such as local:Qwen/Qwen2-VL-7B-Instruct."
    )


def digest(checkpoint: Checkpoint) -> str:
    """Of the files that decide what a checkpoint answers; of large ones, 64 parts of 64 kB."""
    part, parts = 1 << 16, 64
    whole = hashlib.sha256()
    patterns = (*FILES, *CODE) if checkpoint.code else FILES
    for path in sorted(p for pattern in patterns for p in checkpoint.folder.glob(pattern)):
        size = path.stat().st_size
        whole.update(f"{path.name} {size}\n".encode())
        with path.open("rb") as file:
            if size <= part * parts:
                whole.update(file.read())
                continue
            for number in range(parts):
                file.seek((size - part) * number // (parts - 1))
                whole.update(file.read(part))
    return whole.hexdigest()[:12]


def load(checkpoint: Checkpoint, place: Placement, processor: dict[str, Any]) -> tuple[Any, Any]:
    """The model and its processor.

    Args:
        checkpoint: from `find`.
        place: where and how to hold the weights.
        processor: settings of the image processor to change, where it has them.

    Raises:
        ModelUnusable: weights that are damaged, or do not fit the device or the architecture.
        MissingExtra: a package that this family needs is missing.
    """
    from transformers.utils import logging as notices

    level, bars = notices.get_verbosity(), notices.is_progress_bar_enabled()
    notices.set_verbosity_error()
    notices.disable_progress_bar()
    try:
        if checkpoint.code:
            options = _options(place)
            loaded: tuple[Any, Any] = _sentence(
                lambda: cogvlm2.load(checkpoint.folder, checkpoint.name, options),
                checkpoint,
                "by its own code",
            )
            return loaded
        return _load_model(checkpoint, place), _load_processor(checkpoint, processor)
    finally:
        notices.set_verbosity(level)
        if bars:
            notices.enable_progress_bar()


def _options(place: Placement) -> dict[str, Any]:
    """Arguments of `from_pretrained`."""
    import torch

    device = place.device or ("cuda" if torch.cuda.is_available() else "cpu")
    options: dict[str, Any] = {"dtype": place.dtype or ("float32" if device == "cpu" else "auto")}
    if device != "cpu":
        options["device_map"] = "auto" if device == "auto" else {"": device}
    if place.attention is not None:
        options["attn_implementation"] = place.attention
    if place.quantize is not None:
        options["quantization_config"] = _quantization(place.quantize, device)
    return options


def _load_model(checkpoint: Checkpoint, place: Placement) -> Any:
    import torch
    from transformers import AutoModelForImageTextToText

    options = _options(place)

    def read() -> Any:
        return AutoModelForImageTextToText.from_pretrained(
            checkpoint.folder,
            trust_remote_code=False,
            local_files_only=True,
            use_safetensors=True,
            output_loading_info=True,
            **options,
        )

    device = place.device or ("cuda" if torch.cuda.is_available() else "cpu")
    model, told = _sentence(read, checkpoint, f"on {device}")
    absent = sorted(told["missing_keys"])
    if absent:
        raise ModelUnusable(
            f"The weights of {checkpoint.name} are damaged, or of another architecture: they lack "
            f"{absent[0]} and {len(absent) - 1} more."
        )
    small = sum(weight.numel() for weight in model.parameters()) < SMALL
    if place.threads or small:
        torch.set_num_threads(place.threads or 1)
    return model.eval()


def _quantization(kind: str, device: str) -> Any:
    """The configuration that makes transformers quantise weights as it loads them."""
    import torch

    if kind == "int8":
        from torchao.quantization import Int8WeightOnlyConfig
        from transformers import TorchAoConfig

        return TorchAoConfig(quant_type=Int8WeightOnlyConfig())
    from transformers import BitsAndBytesConfig

    # On a CPU it writes a line for every layer of every token.
    logging.getLogger("bitsandbytes").setLevel(logging.ERROR)
    if kind == "8bit":
        return BitsAndBytesConfig(load_in_8bit=True)
    return BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_compute_dtype=torch.float32 if device == "cpu" else torch.bfloat16,
    )


def _load_processor(checkpoint: Checkpoint, settings: dict[str, Any]) -> Any:
    from transformers import AutoProcessor

    from atari_vlm.models.local.image_processor import processor_for_stills
    from atari_vlm.models.local.video_processor import build_video_processor

    def read() -> Any:
        try:
            return AutoProcessor.from_pretrained(
                checkpoint.folder, trust_remote_code=False, local_files_only=True
            )
        except (ImportError, AttributeError, TypeError):
            if find_spec("torchvision") is not None:
                raise
            return processor_for_stills(checkpoint.folder)

    processor = _sentence(read, checkpoint, "with its processor")
    for name, value in settings.items():
        if hasattr(processor.image_processor, name):
            setattr(processor.image_processor, name, value)
    film = build_video_processor(checkpoint.model_type, processor.image_processor)
    if film is not None:
        processor.video_processor = film
    return processor


def _sentence(read: Callable[[], Any], checkpoint: Checkpoint, how: str) -> Any:
    """What `read` gives, or one sentence."""
    try:
        return read()
    except ModelUnusable:
        raise
    except MemoryError as error:
        raise ModelUnusable(f"{checkpoint.name} does not fit into memory {how}.") from error
    except Exception as error:  # whatever transformers, safetensors and torch may raise
        words = " ".join(str(error).split())[:300]
        if "out of memory" in words.lower():
            raise ModelUnusable(
                f"{checkpoint.name} does not fit into memory {how}; choose a smaller model or "
                "another device."
            ) from error
        raise ModelUnusable(
            f"The checkpoint {checkpoint.name} in {checkpoint.folder} cannot be loaded {how} "
            f"({type(error).__name__}: {words})"
        ) from error
