"""Checkpoints of huggingface.co: taken from the local cache, or downloaded after a notice."""

from __future__ import annotations

import sys
from collections.abc import Callable
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

from atari_vlm.errors import ModelUnusable
from atari_vlm.files.untrusted import json_of, read_regular

FILES = ("*.json", "*.safetensors", "*.jinja", "*.model", "*.txt")
"""Patterns of the files downloaded from a hub repository. Pickled weights are not among them."""

CODE = ("*.py",)
"""Patterns downloaded as well if the user trusts the repository's code."""

_OFFLINE = {"OfflineModeIsEnabled", "LocalEntryNotFoundError", "TransportError", "ConnectionError"}
"""Class names of network errors. Names, because huggingface_hub has changed its HTTP library and
the classes with it."""


def print_notice(line: str) -> None:
    """Print a line to stderr."""
    print(line, file=sys.stderr, flush=True)


def download(
    model_id: str, notify: Callable[[str], None] = print_notice, *, revision: str | None = None
) -> Path:
    """The folder of a hub model, downloaded unless the cache has it.

    Args:
        model_id: ORG/NAME.
        notify: called with one line before a download begins.
        revision: a commit, downloaded with its Python code; None for the newest, without code.

    Raises:
        ModelUnusable: the model does not exist, is not open to this user, or cannot be reached.
    """
    from huggingface_hub import HfApi, snapshot_download
    from huggingface_hub.errors import (
        GatedRepoError,
        HFValidationError,
        RepositoryNotFoundError,
    )

    patterns = list(FILES if revision is None else (*FILES, *CODE))
    cached = _cached_folder(model_id, revision)
    if cached is not None:
        return cached
    try:
        info = HfApi().model_info(model_id, revision=revision, files_metadata=True)
        notify(_download_notice(model_id, info, patterns))
        return Path(snapshot_download(model_id, revision=revision, allow_patterns=patterns))
    except GatedRepoError as error:
        raise ModelUnusable(
            f"{model_id} is open only to those who accepted its terms. Accept them at "
            f"https://huggingface.co/{model_id}, then run: hf auth login"
        ) from error
    except (RepositoryNotFoundError, HFValidationError) as error:
        raise ModelUnusable(
            f"There is no folder {model_id}, and huggingface.co shows no model of that name. A "
            "private one needs: hf auth login"
        ) from error
    except Exception as error:  # no network, a full disk, a proxy's page, a broken transfer
        if _OFFLINE & {kind.__name__ for kind in type(error).__mro__}:
            raise ModelUnusable(
                f"{model_id} is not in the local cache, and huggingface.co cannot be reached "
                f"({type(error).__name__}). Connect, unset HF_HUB_OFFLINE, or name a folder."
            ) from error
        text = " ".join(str(error).split())[:200]
        raise ModelUnusable(
            f"{model_id} could not be downloaded ({type(error).__name__}: {text})"
        ) from error


def _cached_folder(model_id: str, revision: str | None) -> Path | None:
    """The cached folder of a model; None if it is missing or incomplete."""
    from huggingface_hub import try_to_load_from_cache
    from huggingface_hub.errors import HFValidationError

    try:
        config = try_to_load_from_cache(model_id, "config.json", revision=revision)
    except HFValidationError:
        return None
    folder = Path(config).parent if isinstance(config, str) else None
    if folder is None or missing_weights(folder) or (revision and not list(folder.glob(CODE[0]))):
        return None
    return folder


def _download_notice(model_id: str, info: Any, patterns: list[str]) -> str:
    from huggingface_hub import constants

    files = [
        file for file in info.siblings if any(fnmatch(file.rfilename, kind) for kind in patterns)
    ]
    size = sum(file.size or 0 for file in files)
    return (
        f"Downloading {model_id} from huggingface.co: {size / 1e9:.2f} GB in {len(files)} files, "
        f"to be kept in {constants.HF_HUB_CACHE}."
    )


def missing_weights(folder: Path) -> list[str]:
    """Names of the weight files that a checkpoint's index lists and its folder lacks.

    All of them if the index cannot be read.
    """
    names = ["model.safetensors"]
    index = folder / "model.safetensors.index.json"
    if index.is_file():
        try:
            placed = json_of(read_regular(index))["weight_map"]
            names = sorted({str(name) for name in placed.values()}) or names
        except (OSError, ValueError, TypeError, KeyError, AttributeError):
            return [index.name]
    return [name for name in names if not (folder / name).is_file()]
