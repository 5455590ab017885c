"""Snapshots: the averaged weights of every group as checkpoints that play, written whole."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from atari_vlm.errors import ModelUnusable
from atari_vlm.learning.distill.architecture import Architecture, build_model, save_pretrained
from atari_vlm.learning.distill.export import export
from atari_vlm.learning.distill.resident.groups import Groups, group_name

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

State = Mapping[str, Any]
"""Name -> weight of one group, on the CPU, with the names of transformers."""

_WEIGHTS = "model.safetensors"

TIED = "lm_head.weight"
"""The weight that is another one under a second name, and is not stored."""


class Snapshots:
    """The folder `snapshots` of a training: a folder for each version, in it one for each group.

    Only the weights differ between versions: the other files, the graphs among them, are copied.
    """

    def __init__(
        self,
        folder: Path,
        groups: Groups,
        tokenizer: PreTrainedTokenizerFast,
        architecture: Architecture,
    ) -> None:
        self.folder, self._groups = folder, groups
        self._tokenizer, self._architecture = tokenizer, architecture
        self._template = folder / "template"

    def folder_of(self, version: int) -> Path:
        """Where a version is, or will be."""
        return self.folder / f"{version:06d}"

    def versions(self) -> set[int]:
        """The versions that are there."""
        return {int(path.name) for path in self.folder.glob("[0-9]*") if path.name.isdecimal()}

    def is_whole(self, version: int) -> bool:
        """Whether the weights of a version can be read."""
        from safetensors import SafetensorError, safe_open

        try:
            for group in self._groups:
                with safe_open(self.folder_of(version) / group_name(group) / _WEIGHTS, "pt"):
                    pass
        except (OSError, SafetensorError):
            return False
        return True

    def write(self, version: int, states: Sequence[State]) -> Path:
        """Write a version.

        Raises:
            ModelUnusable: a weight is not finite; nothing is written.
            OSError: the disk is full.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        if not self._template.exists():
            self._make_template(states)
        draft = Path(tempfile.mkdtemp(prefix=".draft-", dir=self.folder))
        try:
            for group, state in zip(self._groups, states, strict=True):
                folder = draft / group_name(group)
                shutil.copytree(self._template / folder.name, folder)
                _write_weights(state, folder)
            draft.chmod(0o755)  # mkdtemp lets only the owner read
            target = self.folder_of(version)
            shutil.rmtree(target, ignore_errors=True)
            draft.rename(target)
            return target
        finally:
            shutil.rmtree(draft, ignore_errors=True)

    def keep(self, versions: set[int]) -> None:
        """Delete all other versions."""
        for version in self.versions() - versions:
            shutil.rmtree(self.folder_of(version), ignore_errors=True)

    def remove_drafts(self) -> None:
        """Delete what a killed training left half written, and the files that all versions share.

        Those are written anew, in case this version of the package writes them differently.
        """
        for path in (*self.folder.glob(".draft-*"), self._template):
            shutil.rmtree(path, ignore_errors=True)

    def _make_template(self, states: Sequence[State]) -> None:
        draft = Path(tempfile.mkdtemp(prefix=".draft-", dir=self.folder))
        model = build_model(self._tokenizer, seed=0, architecture=self._architecture)
        for group, state in zip(self._groups, states, strict=True):
            folder = draft / group_name(group)
            save_pretrained(model, self._tokenizer, group, folder)
            _write_weights(state, folder)  # the graphs refer to places in this file
            export(folder)
            (folder / _WEIGHTS).unlink()
        draft.rename(self._template)


def _write_weights(state: State, folder: Path) -> None:
    """Write model.safetensors; equal names and shapes always have equal places in it.

    Raises:
        ModelUnusable: a weight is not finite.
        OSError: the disk is full.
    """
    from safetensors import SafetensorError
    from safetensors.torch import save_file

    for name, weight in state.items():
        if not bool(weight.isfinite().all()):
            raise ModelUnusable(f"The weight {name} is not finite, so nothing is written.")
    try:
        save_file(
            {name: weight.contiguous() for name, weight in state.items() if name != TIED},
            folder / _WEIGHTS,
            metadata={"format": "pt"},
        )
    except SafetensorError as error:  # all that can fail is the disk
        raise OSError(str(error)) from error
    (folder / _WEIGHTS).chmod(0o644)
