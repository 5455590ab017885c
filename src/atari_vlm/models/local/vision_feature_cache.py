"""Prepares and encodes every image once, however many prompts show it.

Three of the four frames of a decision were in the prompt before, and the vision tower is most of a
local model's work. Its features are therefore cached and passed to the next prompt. The results are
those of a prompt that is read from scratch, up to the last bits of the arithmetic.
"""

from __future__ import annotations

import inspect
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from PIL import Image

from atari_vlm.models.local.conversation import Conversation, images_of

CAPACITY = 128
"""Images in the cache: 32 games that show four each."""

_PIXEL_INPUTS = {"pixel_values", "pixel_values_images", "pixel_attention_mask", "image_sizes"}
"""Inputs that only the vision tower reads."""


@dataclass(frozen=True, slots=True)
class _Features:
    pooled: Any
    """(tokens, width of the language model)."""
    deepstack: tuple[Any, ...] | None
    """Of deeper layers, each (tokens, width); only Qwen3-VL has them."""


@dataclass(slots=True)
class _CachedImage:
    image: Image.Image
    """Referenced so that its id is not reused by another image."""
    inputs: Mapping[str, Any]
    """Output of the image processor. Once there are features its floats are empty tensors of the
    same shape."""
    features: _Features | None = None


class _CachingImageProcessor:
    """Wraps an image processor and prepares no image twice."""

    def __init__(self, inner: Any) -> None:
        self.inner = inner
        self.cache: OrderedDict[int, _CachedImage] = OrderedDict()
        """By `id` of the image, least recently used first."""
        self.expected: list[Image.Image] = []
        """The images of the next call, in order. Processors may pass on copies of them."""
        self.per_prompt: bool | None = None
        """Whether the first two dimensions of the outputs are (prompt, image), as in Idefics, and
        not (image, ...); None before the first image."""

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)

    def __call__(self, images: Any, **settings: Any) -> Any:
        """The inputs of all images, joined from those of each."""
        nested = isinstance(images[0], list | tuple)
        groups = images if nested else [images]
        if sum(map(len, groups)) != len(self.expected):
            return self.inner(images, **settings)
        originals = iter(self.expected)
        parts = [
            [self._prepare(next(originals), image, nested, settings).inputs for image in group]
            for group in groups
        ]
        joined = _join(parts, bool(self.per_prompt))
        return self.inner(images, **settings) if joined is None else joined

    def _prepare(
        self, original: Image.Image, image: Any, nested: bool, settings: Mapping[str, Any]
    ) -> _CachedImage:
        cached = self.cache.get(id(original))
        if cached is None:
            if self.per_prompt is None:
                two = self.inner([[image, image]] if nested else [image, image], **settings)
                self.per_prompt = len(next(iter(two.values()))) == 1
            inputs = self.inner([[image]] if nested else [image], **settings)
            cached = self.cache[id(original)] = _CachedImage(original, dict(inputs))
            limit = max(CAPACITY, len(self.expected))
            while len(self.cache) > limit:
                self.cache.popitem(last=False)
        self.cache.move_to_end(id(original))
        return cached


class VisionFeatureCache:
    """Keeps the vision features of recent images and passes them to the model.

    Args:
        model: its forward pass takes `mm_encoder_outputs`.
        processor: its image processor is replaced by a caching one.
    """

    def __init__(self, model: Any, processor: Any) -> None:
        self._model = model
        self._image_processor = _CachingImageProcessor(processor.image_processor)
        processor.image_processor = self._image_processor
        self._parameters = set(inspect.signature(model.get_image_features).parameters)
        self.encoded = 0
        """Images that went through the vision tower so far."""

    def expect(self, conversations: Sequence[Conversation]) -> None:
        """Set the conversations whose images the processor receives next."""
        images = [image for talk in conversations for image in images_of(talk)]
        self._image_processor.expected = images

    def replace_pixels(self, inputs: dict[str, Any]) -> dict[str, Any]:
        """The model's inputs with features in place of pixels.

        Unchanged if there are no images, or not all of them are cached.
        """
        expected = self._image_processor.expected
        found = [self._image_processor.cache.get(id(image)) for image in expected]
        cached = [one for one in found if one is not None]
        if not found or len(cached) < len(found):
            return inputs
        self._encode([one for one in cached if one.features is None])
        features = [one.features for one in cached if one.features is not None]
        kept = {name: value for name, value in inputs.items() if name not in _PIXEL_INPUTS}
        return {**kept, "mm_encoder_outputs": {"image": self._outputs(features)}}

    def _encode(self, new: Sequence[_CachedImage]) -> None:
        """Compute the features of images, in one pass if they have one size."""
        new = list({id(one.image): one for one in new}.values())
        if not new:
            return
        per_prompt = bool(self._image_processor.per_prompt)
        groups = [[one.inputs] for one in new] if per_prompt else [[one.inputs for one in new]]
        joined = _join(groups, per_prompt)
        if joined is None:
            for one in new:
                self._encode([one])
            return
        device, dtype = self._model.device, self._model.dtype
        inputs = {
            "pixel_values" if name == "pixel_values_images" else name: value.to(
                device, dtype if value.is_floating_point() else None
            )
            for name, value in joined.items()
            if hasattr(value, "to")
        }
        out = self._model.get_image_features(
            **{name: value for name, value in inputs.items() if name in self._parameters},
            return_dict=True,
        )
        self._output_class = type(out)
        self._is_stacked = not isinstance(out.pooler_output, list | tuple)
        deepstack = getattr(out, "deepstack_features", None)
        for place, one in enumerate(new):
            layers = None if deepstack is None else tuple(layer[place] for layer in deepstack)
            one.features = _Features(out.pooler_output[place], layers)
            one.inputs = {name: _shape_only(value) for name, value in one.inputs.items()}
        self.encoded += len(new)

    def _outputs(self, features: Sequence[_Features]) -> Any:
        """The output of the vision tower as if it had encoded all images in one pass."""
        import torch

        pooled = [one.pooled for one in features]
        fields: dict[str, Any] = {
            "pooler_output": torch.stack(pooled) if self._is_stacked else pooled
        }
        if features[0].deepstack is not None:
            layers = zip(
                *(one.deepstack for one in features if one.deepstack is not None), strict=True
            )
            fields["deepstack_features"] = [list(layer) for layer in layers]
        return self._output_class(**fields)


def _shape_only(value: Any) -> Any:
    """A tensor of the same shape that takes no memory, for floats."""
    if getattr(value, "is_floating_point", bool)():
        return value.new_zeros(()).expand(value.shape)
    return value


def _join(groups: Sequence[Sequence[Mapping[str, Any]]], per_prompt: bool) -> Any:
    """Join the inputs of single images; None if their shapes differ.

    Args:
        groups: the inputs of each image, for each prompt.
        per_prompt: see `_CachingImageProcessor.per_prompt`.
    """
    import torch
    from transformers import BatchFeature

    every = [inputs for group in groups for inputs in group]
    first = every[0]
    start = 2 if per_prompt else 1
    for name, value in first.items():
        if isinstance(value, torch.Tensor) and any(
            one[name].shape[start:] != value.shape[start:] for one in every
        ):
            return None
    if per_prompt and len({len(group) for group in groups}) > 1:
        return None
    joined: dict[str, Any] = {}
    for name, value in first.items():
        is_tensor = isinstance(value, torch.Tensor)
        if is_tensor and per_prompt:
            rows = [torch.cat([one[name] for one in group], 1) for group in groups]
            joined[name] = torch.cat(rows, 0)
        elif is_tensor:
            joined[name] = torch.cat([one[name] for one in every], 0)
        elif per_prompt:
            joined[name] = [[x for one in group for x in one[name][0]] for group in groups]
        else:
            joined[name] = [x for one in every for x in one[name]]
    return BatchFeature(joined)
