"""Every picture is looked at once: its pixels prepared, and its vision features computed.

Four frames a decision, three of them seen before: the vision tower of a local model is most of its
work, so what it made of a picture is kept beside the picture and handed to the next prompt. What
comes out is what a prompt read from scratch would give, to the last bits of the arithmetic.
"""

from __future__ import annotations

import inspect
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from PIL import Image

from atari_vlm.models.local.families import Conversation, images_of

KEPT = 128
"""Pictures remembered: 32 games that show four each."""

_PIXELS = {"pixel_values", "pixel_values_images", "pixel_attention_mask", "image_sizes"}
"""Inputs that only the vision tower reads."""


@dataclass(slots=True)
class _Seen:
    """What is known of a picture."""

    picture: Image.Image
    """Held, so that no other picture can take its identity."""
    pixels: Mapping[str, Any]
    """What the image processor made of it; its floats are only a shape once it has features."""
    features: _Features | None = None


@dataclass(frozen=True, slots=True)
class _Features:
    pooled: Any
    """(tokens, width) of the words' model."""
    deep: tuple[Any, ...] | None
    """Of deeper layers, each (tokens, width); only Qwen3-VL has them."""


class _Once:
    """An image processor that prepares no picture twice."""

    def __init__(self, inner: Any) -> None:
        self.inner = inner
        self.seen: OrderedDict[int, _Seen] = OrderedDict()
        self.expected: list[Image.Image] = []
        """The pictures of the prompts being read, in order; processors may pass on copies."""
        self.paired: bool | None = None
        """Whether its first two dimensions are (prompt, picture), as in Idefics, and not (picture,
        ...); None before the first picture."""

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)

    def __call__(self, images: Any, **settings: Any) -> Any:
        """The inputs for all images, from those of each."""
        nested = isinstance(images[0], list | tuple)
        groups = images if nested else [images]
        if sum(map(len, groups)) != len(self.expected):
            return self.inner(images, **settings)
        pictures = iter(self.expected)
        parts = [
            [self._of(next(pictures), image, nested, settings).pixels for image in group]
            for group in groups
        ]
        joined = _joined(parts, bool(self.paired))
        return self.inner(images, **settings) if joined is None else joined

    def _of(
        self, picture: Image.Image, image: Any, nested: bool, settings: Mapping[str, Any]
    ) -> _Seen:
        found = self.seen.get(id(picture))
        if found is None:
            if self.paired is None:
                two = self.inner([[image, image]] if nested else [image, image], **settings)
                self.paired = len(next(iter(two.values()))) == 1
            pixels = self.inner([[image]] if nested else [image], **settings)
            found = self.seen[id(picture)] = _Seen(picture, dict(pixels))
            limit = max(KEPT, len(self.expected))
            while len(self.seen) > limit:
                self.seen.popitem(last=False)
        self.seen.move_to_end(id(picture))
        return found


class VisionFeatureCache:
    """The vision half of a model, with a memory.

    Args:
        model: takes `mm_encoder_outputs`.
        processor: its image processor is replaced by one that remembers.
    """

    def __init__(self, model: Any, processor: Any) -> None:
        self._model = model
        self._once = _Once(processor.image_processor)
        processor.image_processor = self._once
        self._takes = set(inspect.signature(model.get_image_features).parameters)
        self.looked = 0
        """Pictures that went through the vision tower so far."""

    def expect(self, conversations: Sequence[Conversation]) -> None:
        """Say which pictures the processor is about to see."""
        self._once.expected = [p for talk in conversations for p in images_of(talk)]

    def seen(self, inputs: dict[str, Any]) -> dict[str, Any]:
        """The inputs of the expected pictures, with features in place of pixels."""
        seen = [self._once.seen.get(id(picture)) for picture in self._once.expected]
        known = [one for one in seen if one is not None]
        if not seen or len(known) < len(seen):
            return inputs
        self._look([one for one in known if one.features is None])
        features = [one.features for one in known if one.features is not None]
        kept = {name: value for name, value in inputs.items() if name not in _PIXELS}
        return {**kept, "mm_encoder_outputs": {"image": self._outputs(features)}}

    def _look(self, new: Sequence[_Seen]) -> None:
        """Compute the features of pictures, all in one pass where they are of one size."""
        new = list({id(one.picture): one for one in new}.values())
        if not new:
            return
        paired = bool(self._once.paired)
        every = [[one.pixels] for one in new] if paired else [[one.pixels for one in new]]
        joined = _joined(every, paired)
        if joined is None:
            for one in new:
                self._look([one])
            return
        device, dtype = self._model.device, self._model.dtype
        given = {
            name: value.to(device, dtype if value.is_floating_point() else None)
            for name, value in joined.items()
            if hasattr(value, "to")
        }
        given = {("pixel_values" if n == "pixel_values_images" else n): v for n, v in given.items()}
        out = self._model.get_image_features(
            **{name: value for name, value in given.items() if name in self._takes},
            return_dict=True,
        )
        self._kind = type(out)
        self._stacked = not isinstance(out.pooler_output, list | tuple)
        deep = getattr(out, "deepstack_features", None)
        for place, one in enumerate(new):
            below = None if deep is None else tuple(layer[place] for layer in deep)
            one.features = _Features(out.pooler_output[place], below)
            one.pixels = {name: _shape(value) for name, value in one.pixels.items()}
        self.looked += len(new)

    def _outputs(self, features: Sequence[_Features]) -> Any:
        """Features of pictures as the output of one pass over all of them."""
        import torch

        pooled = [one.pooled for one in features]
        given: dict[str, Any] = {"pooler_output": torch.stack(pooled) if self._stacked else pooled}
        if features[0].deep is not None:
            layers = zip(*(one.deep for one in features if one.deep is not None), strict=True)
            given["deepstack_features"] = [list(layer) for layer in layers]
        return self._kind(**given)


def _shape(value: Any) -> Any:
    """Floats that take no room: from now on only their shape is asked for."""
    if getattr(value, "is_floating_point", bool)():
        return value.new_zeros(()).expand(value.shape)
    return value


def _joined(groups: Sequence[Sequence[Mapping[str, Any]]], paired: bool) -> Any:
    """The inputs of single pictures as those of all; None where their shapes differ.

    Args:
        groups: of each prompt.
        paired: see `_Once.paired`.
    """
    import torch
    from transformers import BatchFeature

    every = [pixels for group in groups for pixels in group]
    first = every[0]
    start = 2 if paired else 1
    for name, value in first.items():
        if isinstance(value, torch.Tensor) and any(
            one[name].shape[start:] != value.shape[start:] for one in every
        ):
            return None
    if paired and len({len(group) for group in groups}) > 1:
        return None
    joined: dict[str, Any] = {}
    for name, value in first.items():
        tensor = isinstance(value, torch.Tensor)
        if tensor and paired:
            rows = [torch.cat([one[name] for one in group], 1) for group in groups]
            joined[name] = torch.cat(rows, 0)
        elif tensor:
            joined[name] = torch.cat([one[name] for one in every], 0)
        elif paired:
            joined[name] = [[x for one in group for x in one[name][0]] for group in groups]
        else:
            joined[name] = [x for one in every for x in one[name]]
    return BatchFeature(joined)
