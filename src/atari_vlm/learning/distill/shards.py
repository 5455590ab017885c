"""Labelled decisions on disk: one self-describing parquet file for each shard.

Screens are uncompressed PNG files, because zstd then compresses the parts that successive screens
share: about 70 bytes a Pong screen instead of 330. Parquet tools can show them as images.
"""

from __future__ import annotations

import io
import json
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from atari_vlm.atari.images import to_pil_image
from atari_vlm.errors import InvalidSetting, StoreError, missing_extra
from atari_vlm.learning.distill.collect import HELD_OUT_SEED, Row
from atari_vlm.learning.distill.shard_header import FORMAT, ShardHeader, check
from atari_vlm.types import Frame

_KEY = b"atari_vlm"
_GROUP = 500
"""Decisions that are compressed together; 17 MB of screens in memory."""


@dataclass(frozen=True, slots=True)
class Shard:
    """A file of labelled decisions of one game, in order of play. Iterating it yields Rows."""

    path: Path
    header: ShardHeader
    decisions: int

    @property
    def game(self) -> str:
        """Catalogue name of the game."""
        return self.header.game

    @property
    def held_out(self) -> bool:
        """Whether the decisions are held out from training."""
        return self.header.seed == HELD_OUT_SEED

    def __len__(self) -> int:
        return self.decisions

    def __iter__(self) -> Iterator[Row]:
        """Read every decision and decode its screen.

        Raises:
            StoreError: the file is damaged.
        """
        try:
            with _open(self.path) as file:
                found = 0
                for batch in file.iter_batches(100):
                    yield from self._rows(batch)
                    found += batch.num_rows
            if found != self.decisions:
                raise ValueError(f"it has {found} of {self.decisions} decisions")
        except FileNotFoundError:
            raise
        except (OSError, ValueError, KeyError, TypeError, SyntaxError) as error:
            raise _damaged(self.path, error) from error

    def _rows(self, batch: Any) -> Iterator[Row]:
        columns = batch.to_pydict()
        chances = np.array(columns["plans"], np.float32)
        if chances.shape[1:] != (len(self.header.plans),):
            raise ValueError(f"{chances.shape[1:]} plans, not {len(self.header.plans)}")
        columns["plans"] = list(chances)
        columns["screen"] = [self._screen(cell["bytes"]) for cell in columns["screen"]]
        names = list(columns)
        for values in zip(*columns.values(), strict=True):
            yield Row(**dict(zip(names, values, strict=True)))

    def _screen(self, png: bytes) -> Frame:
        image = Image.open(io.BytesIO(png), formats=("PNG",))
        if image.mode != "P" or image.size != (self.header.width, self.header.height):
            raise ValueError(f"a screen is {image.mode} {image.size}")
        return Frame(np.asarray(image), standard="pal" if self.header.standard == "pal" else "ntsc")

    def table(self, columns: Sequence[str]) -> dict[str, list[Any]]:
        """Read some columns as lists; this is fast without the screens."""
        try:
            with _open(self.path) as file:
                found: dict[str, list[Any]] = file.read(list(columns)).to_pydict()
                return found
        except (OSError, ValueError) as error:
            raise _damaged(self.path, error) from error


def open_shard(path: Path) -> Shard:
    """Read the header of a shard.

    Raises:
        StoreError: the file is missing, damaged, of another format, or not a shard.
    """
    try:
        with _open(path) as file:
            metadata, decisions = file.schema_arrow.metadata or {}, file.metadata.num_rows
    except FileNotFoundError as error:
        raise StoreError(f"There is no {path}.") from error
    except (OSError, ValueError) as error:
        raise _damaged(path, error) from error
    if _KEY not in metadata:
        raise StoreError(f"{path} is parquet, but holds no decisions that atari-vlm collected.")
    try:
        found = json.loads(metadata[_KEY])
        if found["format"] != FORMAT:
            raise StoreError(
                f"{path} is of format {found['format']}; this atari-vlm reads format {FORMAT}. "
                "Collect it anew with `atari-vlm collect`."
            )
        return Shard(path, ShardHeader(**found), decisions)
    except (ValueError, KeyError, TypeError) as error:
        raise _damaged(path, error) from error


def open_dataset(folder: Path, games: Sequence[str]) -> list[Shard]:
    """The training shards of some games in a folder, each checked with `shard_header.check`.

    Raises:
        StoreError: the folder cannot be read, or a file of it is damaged or of another format.
        InvalidSetting: a game is missing, or its labels do not fit the present answer schema.
    """
    shards = [open_shard(path) for path in sorted(folder.glob("*.parquet"))]
    chosen = [shard for shard in shards if shard.game in games and not shard.held_out]
    missing = [game for game in games if game not in {shard.game for shard in chosen}]
    if missing:
        there = ", ".join(sorted({shard.game for shard in shards})) or "no decisions at all"
        raise InvalidSetting(
            f"{folder} has nothing to learn {missing[0]} from; it holds {there}. "
            f"Run: atari-vlm collect --games {','.join(missing)} --out {folder}"
        )
    for shard in chosen:
        check(shard.header, shard.path)
    return chosen


def write_shard(path: Path, rows: Iterable[Row], header: ShardHeader) -> Shard:
    """Write rows as they are played, whole or not at all.

    Raises:
        OSError: the disk is full, or the folder cannot be written.
    """
    part = path.with_name(path.name + ".part")
    try:
        with part.open("wb") as file:
            decisions = _write_rows(file, iter(rows), header)
            file.flush()
            os.fsync(file.fileno())
        os.replace(part, path)
    except BaseException:
        part.unlink(missing_ok=True)
        raise
    return Shard(path, header, decisions)


def _write_rows(file: Any, rows: Iterator[Row], header: ShardHeader) -> int:
    arrow, parquet = _arrow()
    schema = _schema(header)
    decisions = 0
    with parquet.ParquetWriter(
        file,
        schema,
        compression="zstd",
        compression_level=3,
        write_statistics=False,  # no checksum covers them
        write_page_checksum=True,
    ) as writer:
        while group := list(islice(rows, _GROUP)):
            cells = [
                {name: getattr(row, name) for name in schema.names}
                | {"screen": {"bytes": _png(row.screen), "path": None}, "plans": row.plans}
                for row in group
            ]
            writer.write_table(arrow.Table.from_pylist(cells, schema), row_group_size=_GROUP)
            decisions += len(group)
    return decisions


def _png(screen: Frame) -> bytes:
    out = io.BytesIO()
    to_pil_image(screen).save(out, "PNG", compress_level=0)
    return out.getvalue()


_TYPES = {
    "game": "string",
    "seed": "int32",
    "episode": "int32",
    "step": "int32",
    "screen": "image",
    "first": "bool",
    "scattered": "bool",
    "words": "string",
    "plans": "probabilities",
    "weight": "float32",
    "player": "string",
    "action": "string",
    "frames": "int8",
    "reward": "float32",
    "over": "bool",
}
"""Column -> its type, in the order of the file. The columns are the fields of `Row`."""


def _schema(header: ShardHeader) -> Any:
    arrow, _ = _arrow()
    special = {
        "bool": arrow.bool_(),
        "image": arrow.struct([("bytes", arrow.binary()), ("path", arrow.string())]),
        "probabilities": arrow.list_(arrow.float32()),
    }
    columns = [
        (name, special[kind] if kind in special else getattr(arrow, kind)())
        for name, kind in _TYPES.items()
    ]
    # Makes `datasets.load_dataset` decode the screens as images.
    features: dict[str, Any] = {n: {"dtype": k, "_type": "Value"} for n, k in _TYPES.items()}
    features["screen"] = {"_type": "Image"}
    features["plans"] = {"feature": {"dtype": "float32", "_type": "Value"}, "_type": "Sequence"}
    notes = {
        _KEY: json.dumps(asdict(header)),
        b"huggingface": json.dumps({"info": {"features": features}}),
    }
    return arrow.schema(columns, metadata=notes)


def _arrow() -> tuple[Any, Any]:
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError as error:
        raise missing_extra("A data set of labelled decisions", "pyarrow", "train") from error
    return pyarrow, pyarrow.parquet


def _open(path: Path) -> Any:
    return _arrow()[1].ParquetFile(path, page_checksum_verification=True)


def _damaged(path: Path, error: Exception) -> StoreError:
    return StoreError(
        f"{path} is damaged ({type(error).__name__}: {error}). Delete it; the command that "
        "collected it makes it anew."
    )
