"""Python code that comes with a checkpoint: when it may run, and how it is loaded.

CogVLM2 is the one model of the catalogue that needs code of its own, because transformers does not
know it. That code runs only if the user names the repository and a commit.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from atari_vlm.errors import InvalidSetting, ModelUnusable, setting
from atari_vlm.files.paths import is_folder, typed_path

ARCHITECTURE = "CogVLMForCausalLM"
"""The one architecture whose own code can be called here."""

SUCCESSOR = (
    "GLM-4.1V and GLM-4.6V succeed it and bring no code: local:zai-org/GLM-4.1V-9B-Thinking."
)

_COMMIT = re.compile(r"[0-9a-f]{40}")


def trusted_commit(source: str, trust: str | None) -> str | None:
    """The commit whose code may run.

    Args:
        source: the folder or hub id of the model.
        trust: the folder, or ORG/NAME@COMMIT, that the user trusts; None for none.

    Returns:
        The commit of a hub id, "" for a folder, None if no code may run.

    Raises:
        InvalidSetting: `trust` names another model, or no commit.
    """
    if trust is None:
        return None
    name, at, commit = trust.rpartition("@")
    if not at:
        name, commit = trust, ""
    if is_folder(source) and typed_path(source).resolve() == typed_path(trust).resolve():
        return ""
    if name != source:
        raise InvalidSetting(
            f"{setting('trust_remote_code')} names {name}, and the model is {source}. Code runs "
            "only of the model that is named."
        )
    if not _COMMIT.fullmatch(commit):
        raise InvalidSetting(
            f"{setting('trust_remote_code', trust)} names no commit: add the commit that you have "
            f"read, {name}@ and its 40 digits, from https://huggingface.co/{name}/commits/main."
        )
    return commit


def load(folder: Path, name: str, kwargs: dict[str, Any]) -> tuple[Any, Any]:
    """Load the model and its tokenizer by their own code.

    Args:
        folder: contains the trusted code.
        name: for error messages.
        kwargs: of `from_pretrained`: dtype, device_map, ...

    Raises:
        ModelUnusable: the code does not run here.
    """
    from transformers import AutoModelForCausalLM, AutoTokenizer, GenerationConfig

    local = {"trust_remote_code": True, "local_files_only": True}
    try:
        model = AutoModelForCausalLM.from_pretrained(
            folder, use_safetensors=True, **local, **kwargs
        )
        if (folder / "generation_config.json").is_file():  # has both of its EOS tokens
            model.generation_config = GenerationConfig.from_pretrained(folder)
        return model.eval(), AutoTokenizer.from_pretrained(folder, **local)
    except ImportError as error:
        text = " ".join(str(error).split())[:200]
        raise ModelUnusable(
            f"The code of {name} does not run here ({text}): it was written for an NVIDIA GPU "
            f"with triton and xformers. {SUCCESSOR}"
        ) from error
