"""Finds the checkpoint of a local model, by folder or hub id, and checks it before loading.

Python code that comes with a checkpoint runs only if the user names it, see `remote_code`. Pickled
weights are never read.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from atari_vlm.errors import ModelUnusable, NoSuchFolder, missing_extra, setting
from atari_vlm.files.paths import is_folder, typed_path
from atari_vlm.models.embedded.checkpoints import checkpoints
from atari_vlm.models.local import remote_code
from atari_vlm.models.local.file_check import check_files, check_parts, check_weights, read_json
from atari_vlm.models.local.hub import CODE, FILES, download

PACKAGES = ("torch", "transformers", "accelerate")
"""Packages of the extra `local`."""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A folder with an image-text-to-text model."""

    folder: Path
    name: str
    """The hub id, or the name of the folder."""
    model_type: str
    """The family, as in config.json."""
    remote_code: bool = False
    """Whether it is loaded by Python code of its own, which the user trusted by name."""


def find_checkpoint(source: str, trust: str | None = None) -> Checkpoint:
    """Find the checkpoint in a folder or of a hub id, downloading it unless the cache has it.

    Args:
        source: the folder or hub id.
        trust: the folder or ORG/NAME@COMMIT whose own code may run; None for no such code.

    Raises:
        MissingExtra: the extra `local` is not installed.
        ModelUnusable: there is no checkpoint, or it is no image-text-to-text model.
        InvalidSetting: `trust` names another model, or no commit.
    """
    commit = remote_code.trusted_commit(source, trust)
    folder: Path | None = None
    if is_folder(source):
        folder, *others = checkpoints(typed_path(source))
        if others:
            raise ModelUnusable(
                f"{source} holds several checkpoints; name one of them: {folder}, "
                f"{', '.join(map(str, others))}."
            )
        name = folder.resolve().name
    elif _looks_like_a_path(source):
        raise NoSuchFolder(f"There is no folder {source}.")
    _check_installed(source)
    if folder is None:
        folder, name = download(source, revision=commit), source
    check_files(folder)
    if commit is not None:
        return Checkpoint(folder, name, _check_remote_code(folder, name), remote_code=True)
    return Checkpoint(folder, name, _check_model_type(folder, name))


def _check_installed(source: str) -> None:
    for package in PACKAGES:
        if find_spec(package) is None:
            raise missing_extra(f"The local model {source}", package, "local")


def _looks_like_a_path(source: str) -> bool:
    return source.startswith(("/", ".", "~")) or source.count("/") != 1 or "\\" in source


def _check_remote_code(folder: Path, name: str) -> str:
    """The family of a checkpoint whose own code is trusted.

    Raises:
        ModelUnusable: it is not CogVLM2, or incomplete.
    """
    config = read_json(folder / "config.json")
    if remote_code.ARCHITECTURE not in (config.get("architectures") or ()):
        raise ModelUnusable(
            f"{name} needs no {setting('trust_remote_code')}, or is not CogVLM2, the only model "
            "whose own code this package can call."
        )
    check_weights(folder)
    return "cogvlm2"


def _check_model_type(folder: Path, name: str) -> str:
    """The family of a checkpoint that transformers can load.

    Raises:
        ModelUnusable: it is incomplete, of another kind, or needs code of its own.
    """
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
    model_type = config.get("model_type")
    if isinstance(model_type, str) and model_type in MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES:
        check_weights(folder)
        check_parts(folder)
        return str(model_type)
    if "auto_map" in config:
        raise ModelUnusable(
            f"{name} brings Python code of its own, which is not run here. Serve it in a process "
            f"of its own and add {setting('base_url')}, or choose a model that transformers knows."
        )
    if not isinstance(model_type, str) or model_type not in CONFIG_MAPPING_NAMES:
        raise ModelUnusable(
            f"transformers {transformers.__version__} does not know the architecture "
            f"{str(model_type)[:80]!r} of {name}. A newer one may: pip install -U transformers"
        )
    raise ModelUnusable(
        f"{name} is a {model_type!r} model, which takes no images with its text. Choose a "
        "vision-language model, such as local:Qwen/Qwen2-VL-7B-Instruct."
    )


def digest(checkpoint: Checkpoint) -> str:
    """Twelve hex digits that change with the files that decide the answers.

    Of a file above 4 MB only 64 parts of 64 kB are read.
    """
    part, parts = 1 << 16, 64
    sha = hashlib.sha256()
    patterns = (*FILES, *CODE) if checkpoint.remote_code else FILES
    found = (path for pattern in patterns for path in checkpoint.folder.glob(pattern))
    for path in sorted(path for path in found if path.is_file()):
        size = path.stat().st_size
        sha.update(f"{path.name} {size}\n".encode())
        with path.open("rb") as file:
            if size <= part * parts:
                sha.update(file.read())
                continue
            for number in range(parts):
                file.seek((size - part) * number // (parts - 1))
                sha.update(file.read(part))
    return sha.hexdigest()[:12]
