"""Frames as images: colour, scale, PNG, grayscale, motion.

Frames are palette indices (3 microseconds to read) until an image is needed. A palette PNG is
lossless and takes about 2 kB and 0.1 ms; JPEG with 4:2:0 chroma and lossy WebP would blur sprites
of 2 pixels.
"""

from __future__ import annotations

import io
from functools import lru_cache

import numpy as np
from PIL import Image

from atari_vlm.errors import InvalidSetting, setting
from atari_vlm.types import Frame, Pixels

# RGB of the even palette indices 0, 2 ... 254, read from ale-py 0.12.1 by pairing getScreen with
# getScreenRGB over all games. Odd indices occur in PAL games only and are the gray of the even
# index below them.
_NTSC = bytes.fromhex(
    "0000004a4a4a6f6f6f8e8e8eaaaaaac0c0c0d6d6d6ececec48480069690f86861da2a22abbbb35d2d240e8e84a"
    "fcfc547c2c00904811a26221b47a30c3903dd2a44adfb755ecc860901c00a33915b55328c66c3ad5824ae39759"
    "f0aa67fcbc74940000a71a1ab83232c84848d65c5ce46f6ff08080fc909084006497197aa8308fb846a2c659b3"
    "d46cc3e07cd2ec8ce050008468199a7d30ad9246c0a459d0b56ce0c57ceed48cfc140090331aa34e32b56848c6"
    "7f5cd5956fe3a980f0bc90fc000094181aa72d32b84248c8545cd6656fe47580f08490fc001c88183b9d2d57b0"
    "4272c2548ad265a0e175b5ef84c8fc0030641850802d6d984288b054a0c565b7d975cceb84e0fc00403018624e"
    "2d8169429e8254b89965d1ae75e7c284fcd40044001a661a32843248a0485cba5c6fd26f80e88090fc90143c00"
    "355f18527e2d6e9c4287b7549ed065b4e775c8fc843038005059166d762b88923ea0ab4fb7c25fccd86ee0ec7c"
    "482c00694d14866a26a28638bb9f47d2b656e8cc63fce070"
)
_PAL = bytes.fromhex(
    "0000002b2b2b525252767676979797b6b6b6d2d2d2ececec0000002b2b2b525252767676979797b6b6b6d2d2d2"
    "ececec80580096711aab8732be9c48cfaf5cdfc06feed180fce090445c005e791a7693328cac48a0c25cb3d76f"
    "c4ea80d4fc9070340089511aa06b32b68448c99a5cdcaf6fecc280fcd4900064141a803532985248b06e5cc587"
    "6fd99e80ebb490fcc8700014891a35a03252b6486ec95c87dc6f9eec80b4fc90c8005c5c1a7676328e8e48a4a4"
    "5cb8b86fcbcb80dcdc90ecec70005c841a74963289a8489eb75cb0c66fc1d380d1e090e0003c70195a892f75a0"
    "448eb657a5c968badc79ceec88e0fc5800706e1a898332a09648b6a75cc9b76fdcc680ecd490fc002070193f89"
    "2f5aa04474b6578bc968a1dc79b5ec88c8fc3400804a1a965f32ab7248be835ccf936fdfa280eeb090fc000088"
    "1a1a9d3232b04848c25c5cd26f6fe18080ef9090fc0000002b2b2b525252767676979797b6b6b6d2d2d2ececec"
    "0000002b2b2b525252767676979797b6b6b6d2d2d2ececec"
)


def _table(even: bytes) -> Pixels:
    """The (256, 3) RGB table of a television standard."""
    table = np.repeat(np.frombuffer(even, np.uint8).reshape(128, 3), 2, axis=0)
    table[1::2] = np.rint(table[1::2] @ np.array([0.2989, 0.587, 0.114]))[:, None]
    return table


PALETTES: dict[str, Pixels] = {"ntsc": _table(_NTSC), "pal": _table(_PAL)}
"""Television standard -> RGB of every palette index, shape (256, 3), uint8."""

_FLAT = {name: table.tobytes() for name, table in PALETTES.items()}
_LUMINANCE = {
    name: Image.fromarray(table[None]).convert("L").tobytes() for name, table in PALETTES.items()
}


def to_pil_image(frame: Frame, size: tuple[int, int] | None = None) -> Image.Image:
    """The frame as a Pillow image.

    Args:
        frame: palette indices and their television standard.
        size: (width, height); None keeps the native size. Enlarging repeats pixels and keeps the
            palette, so it loses nothing. Shrinking averages areas in RGB, so that small sprites
            fade instead of disappearing.

    Raises:
        InvalidSetting: the size is not two whole numbers from 1 to 4096.
    """
    height, width = frame.pixels.shape
    image = Image.frombuffer("P", (width, height), frame.pixels, "raw", "P", 0, 1)
    image.putpalette(_FLAT[frame.standard])
    if size is None or size == (width, height):
        return image
    check_size(size)
    if size[0] >= width and size[1] >= height:
        return image.resize(size, Image.Resampling.NEAREST)
    return image.convert("RGB").resize(size, Image.Resampling.BOX)


def rgb(frame: Frame, size: tuple[int, int] | None = None) -> Pixels:
    """The frame in colour, shape (height, width, 3), uint8, scaled as by `to_pil_image`."""
    return np.asarray(to_pil_image(frame, size).convert("RGB"))


@lru_cache(maxsize=64)
def grayscale(frame: Frame, size: tuple[int, int] | None = None) -> Pixels:
    """The frame's luminance (ITU-R 601), shape (height, width), uint8, read-only.

    Scaled by averaging areas. The last 64 results are cached, because each decision needs the frame
    of the decision before it again.
    """
    height, width = frame.pixels.shape
    luminance = frame.pixels.tobytes().translate(_LUMINANCE[frame.standard])
    image = Image.frombuffer("L", (width, height), luminance, "raw", "L", 0, 1)
    if size is not None and size != image.size:
        check_size(size)
        image = image.resize(size, Image.Resampling.BOX)
    pixels = np.asarray(image)
    pixels.flags.writeable = False
    return pixels


@lru_cache(maxsize=1024)
def png(frame: Frame, size: tuple[int, int] | None = None) -> bytes:
    """The frame as a PNG file. The last 1,024 results are cached."""
    out = io.BytesIO()
    to_pil_image(frame, size).save(out, "PNG", compress_level=1)
    return out.getvalue()


def check_size(size: tuple[int, int]) -> None:
    """Raise InvalidSetting unless `size` is (width, height), each 1 to 4096."""
    pair = isinstance(size, tuple | list) and len(size) == 2
    if not pair or not all(isinstance(n, int | np.integer) and 1 <= n <= 4096 for n in size):
        raise InvalidSetting(
            f"{setting('resize_shape')} must be (width, height), each 1 to 4096, not {size!r}; "
            "try (224, 224)."
        )


def motion(before: Frame, now: Frame, size: tuple[int, int] = (160, 160)) -> Pixels:
    """Two frames as one image that shows motion, shape (height, width, 3), uint8.

    Red is the luminance of `now`, green that of `before`, blue twice their absolute difference
    after a maximum filter of 7 x 7 pixels, so that a moving 2-pixel ball fills a patch that a small
    vision transformer can detect.
    """
    newer, older = grayscale(now, size), grayscale(before, size)
    image = np.empty((*newer.shape, 3), np.uint8)
    image[..., 0], image[..., 1] = newer, older
    difference = np.maximum(newer, older) - np.minimum(newer, older)
    image[..., 2] = np.minimum(_dilate(difference), 127) * 2
    return image


def _dilate(values: Pixels) -> Pixels:
    """The maximum of each value and all within 3 rows and 3 columns of it."""
    padded = np.zeros((values.shape[0] + 6, values.shape[1] + 6), np.uint8)
    padded[3:-3, 3:-3] = values
    two = np.maximum(padded[:-1], padded[1:])
    four = np.maximum(two[:-2], two[2:])
    rows = np.maximum(four[:-3], four[3:])
    two = np.maximum(rows[:, :-1], rows[:, 1:])
    four = np.maximum(two[:, :-2], two[:, 2:])
    return np.maximum(four[:, :-3], four[:, 3:])
