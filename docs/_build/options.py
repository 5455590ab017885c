"""Griffe extension: `{options}` in a docstring becomes the options, as it does at run time."""

from __future__ import annotations

import inspect
from typing import Any

import griffe


class Options(griffe.Extension):
    """Fills in what `atari_vlm.trainer` fills in when it is imported."""

    def on_object(self, *, obj: griffe.Object, **_: Any) -> None:
        """Called for every object that was found in the source."""
        if obj.docstring is None or "{options}" not in obj.docstring.value:
            return
        from importlib import import_module

        found = getattr(import_module(obj.module.path), obj.name)
        obj.docstring.value = inspect.cleandoc(found.__doc__)
