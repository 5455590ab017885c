"""Checkpoints of huggingface.co: from the local cache, or downloaded after saying so."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

from atari_vlm.errors import ModelUnusable

FILES = ("*.json", "*.safetensors", "*.jinja", "*.model", "*.txt")
"""What is taken of a hub repository."""

CODE = ("*.py",)
"""What is taken besides, where its code was asked for."""

_OFFLINE = {"OfflineModeIsEnabled", "LocalEntryNotFoundError", "TransportError", "ConnectionError"}
"""Names of errors: huggingface_hub has changed its HTTP library, and with it their classes."""


def say(sentence: str) -> None:
    """Tell the user at the terminal, outside any result."""
    print(sentence, file=sys.stderr, flush=True)


def fetch(model_id: str, tell: Callable[[str], None] = say, *, revision: str | None = None) -> Path:
    """The folder of a hub model; `tell` is given a line before anything is downloaded.

    Args:
        model_id: ORG/NAME.
        tell: says it.
        revision: the commit whose Python code is taken too; None for the newest, without code.

    Raises:
        ModelUnusable: it does not exist, is not open to this user, or cannot be reached.
    """
    from huggingface_hub import HfApi, snapshot_download
    from huggingface_hub.errors import (
        GatedRepoError,
        HFValidationError,
        RepositoryNotFoundError,
    )

    wanted = list(FILES if revision is None else (*FILES, *CODE))
    cached = _cached(model_id, revision)
    if cached is not None:
        return cached
    try:
        info = HfApi().model_info(model_id, revision=revision, files_metadata=True)
        tell(_announcement(model_id, info, wanted))
        return Path(snapshot_download(model_id, revision=revision, allow_patterns=wanted))
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
    except Exception as error:  # no backend, a full disk, a proxy's page, a broken transfer
        if _OFFLINE & {kind.__name__ for kind in type(error).__mro__}:
            raise ModelUnusable(
                f"{model_id} is not in the local cache, and huggingface.co cannot be reached "
                f"({type(error).__name__}). Connect, unset HF_HUB_OFFLINE, or name a folder."
            ) from error
        words = " ".join(str(error).split())[:200]
        raise ModelUnusable(
            f"{model_id} could not be downloaded ({type(error).__name__}: {words})"
        ) from error


def _cached(model_id: str, revision: str | None) -> Path | None:
    """The folder of a model whose weights are all there."""
    from huggingface_hub import try_to_load_from_cache
    from huggingface_hub.errors import HFValidationError

    try:
        found = try_to_load_from_cache(model_id, "config.json", revision=revision)
    except HFValidationError:
        return None
    folder = Path(found).parent if isinstance(found, str) else None
    if folder is None or lacking(folder) or (revision and not list(folder.glob(CODE[0]))):
        return None
    return folder


def _announcement(model_id: str, info: Any, patterns: list[str]) -> str:
    from huggingface_hub import constants

    wanted = [
        file for file in info.siblings if any(fnmatch(file.rfilename, kind) for kind in patterns)
    ]
    size = sum(file.size or 0 for file in wanted)
    return (
        f"Downloading {model_id} from huggingface.co: {size / 1e9:.2f} GB in {len(wanted)} files, "
        f"to be kept in {constants.HF_HUB_CACHE}."
    )


def lacking(folder: Path) -> list[str]:
    """The weight files a folder should hold and does not."""
    index = folder / "model.safetensors.index.json"
    names = {"model.safetensors"}
    if index.is_file():
        names = set(read_json(index).get("weight_map", {}).values()) or names
    return sorted(name for name in names if not (folder / name).is_file())


def read_json(path: Path) -> dict[str, Any]:
    """The object in a JSON file of a checkpoint."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(found, dict):
            raise ValueError("not an object")
    except (OSError, ValueError) as error:
        raise ModelUnusable(f"{path} is damaged ({type(error).__name__}).") from error
    return found
