"""Labelled decisions on disk: one self-describing parquet file for each shard.

Screens are uncompressed PNG files, because zstd then compresses the parts that successive screens
share: about 70 bytes a Pong screen instead of 330. Parquet tools can show them as images.
"""

from __future__ import annotations

import io
import json
import os
import stat
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from atari_vlm.atari.images import to_pil_image
from atari_vlm.errors import AtariVLMError, InvalidSetting, StoreError, missing_extra
from atari_vlm.files.placeholders import HEAD, placeholder
from atari_vlm.files.untrusted import json_of
from atari_vlm.files.writing import drafted
from atari_vlm.learning.distill.collect import HELD_OUT_SEED, Row
from atari_vlm.learning.distill.parquet_pages import check_pages
from atari_vlm.learning.distill.row_check import LONGEST_WORDS, RowCheck
from atari_vlm.learning.distill.shard_header import FORMAT, ShardHeader, check
from atari_vlm.types import Frame

_KEY = b"atari_vlm"
_GROUP = 500
"""Decisions that are compressed together; 17 MB of screens in memory."""

MOST_BYTES = 4 * 2**30
"""The largest shard that is read."""
_LONGEST_HEADER = 2**20
_BATCH = 20
"""Rows that are read at once; each may repeat the largest entry of a dictionary."""


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
        """Read every decision, check it and decode its screen.

        Raises:
            StoreError: the file is damaged, or holds a label that cannot be learned from; the
                message names the row.
        """
        with _opened(self.path, len(self.header.plans)) as file:
            found, checks = 0, RowCheck(self.header)
            for batch in file.iter_batches(_BATCH):
                yield from self._rows(batch, checks, found)
                found += batch.num_rows
            if found != self.decisions:
                raise ValueError(f"it has {found} of {self.decisions} decisions")

    def _rows(self, batch: Any, checks: RowCheck, first: int) -> Iterator[Row]:
        columns = batch.to_pydict()
        columns["plans"] = list(checks.check(columns, first))
        columns["screen"] = [
            self._screen(cell["bytes"], first + place)
            for place, cell in enumerate(columns["screen"])
        ]
        names = list(columns)
        for values in zip(*columns.values(), strict=True):
            yield Row(**dict(zip(names, values, strict=True)))

    def _screen(self, png: bytes, row: int) -> Frame:
        try:
            pixels = np.asarray(Image.open(io.BytesIO(png), formats=("PNG",)))
        except Exception as error:  # Pillow raises many kinds
            raise ValueError(f"row {row}: its screen is damaged ({error})") from error
        return Frame(pixels, standard="pal" if self.header.standard == "pal" else "ntsc")

    def table(self, columns: Sequence[str]) -> dict[str, list[Any]]:
        """Read some columns as lists; this is fast without the screens.

        Raises:
            StoreError: the file is damaged, or a cell is missing.
        """
        with _opened(self.path, len(self.header.plans)) as file:
            found: dict[str, list[Any]] = {name: [] for name in columns}
            for batch in file.iter_batches(_BATCH, columns=list(columns)):
                for name, cells in batch.to_pydict().items():
                    if None in cells or any(len(str(cell)) > LONGEST_WORDS for cell in cells):
                        raise ValueError(f"a row lacks its {name}, or has a very long one")
                    found[name] += cells
            return found


def open_shard(path: Path) -> Shard:
    """Read the header of a shard.

    Raises:
        StoreError: the file is missing, damaged, of another format, or not a shard.
    """
    try:
        with _opened(path, None) as file:
            metadata, decisions = file.schema_arrow.metadata or {}, file.metadata.num_rows
            if _KEY not in metadata:
                raise StoreError(
                    f"{path} is parquet, but holds no decisions that atari-vlm collected."
                )
            found = json_of(metadata[_KEY], most=_LONGEST_HEADER)
            if not isinstance(found, dict) or found.get("format") != FORMAT:
                form = found.get("format") if isinstance(found, dict) else None
                raise StoreError(
                    f"{path} is of format {str(form)[:40]}; this atari-vlm reads format {FORMAT}. "
                    "Collect it anew with `atari-vlm collect`."
                )
            header = ShardHeader.read(found)
            if file.schema_arrow.remove_metadata() != _schema(header).remove_metadata():
                raise ValueError("its columns are not those of a shard")
            return Shard(path, header, decisions)
    except FileNotFoundError as error:
        raise StoreError(f"There is no {path}.") from error


def open_dataset(folder: Path, games: Sequence[str]) -> list[Shard]:
    """The training shards of some games in a folder, each checked with `shard_header.check`.

    Raises:
        StoreError: the folder cannot be read, or a file of it is damaged or of another format.
        InvalidSetting: a game is missing, or its labels do not fit the present answer schema.
    """
    if folder.exists() and not folder.is_dir():
        raise StoreError(f"{folder} is no folder. Name the folder that `atari-vlm collect` wrote.")
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
        if not len(shard):
            raise StoreError(f"{shard.path} holds no decisions. Delete it, or collect it anew.")
    return chosen


def write_shard(path: Path, rows: Iterable[Row], header: ShardHeader) -> Shard:
    """Write rows as they are played, whole or not at all.

    Raises:
        OSError: the disk is full, or the folder cannot be written.
    """
    with drafted(path) as draft, draft.open("wb") as file:
        decisions = _write_rows(file, iter(rows), header)
        file.flush()
        os.fsync(file.fileno())
    return Shard(path, header, decisions)


def remove_drafts(folder: Path) -> None:
    """Delete what killed processes left of shards; call it only while no other process writes."""
    for draft in [*folder.glob(".*.parquet.*"), *folder.glob("*.parquet.part")]:
        draft.unlink(missing_ok=True)


def _write_rows(file: Any, rows: Iterator[Row], header: ShardHeader) -> int:
    arrow, parquet = arrow_modules()
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
    arrow, _ = arrow_modules()
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


def arrow_modules() -> tuple[Any, Any]:
    """Pyarrow and its part for parquet files. Raises MissingExtra without them."""
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError as error:
        raise missing_extra("A data set of labelled decisions", "pyarrow", "train") from error
    return pyarrow, pyarrow.parquet


@contextmanager
def _opened(path: Path, plans: int | None) -> Iterator[Any]:
    """Open a shard with limits, and turn what goes wrong inside into one sentence.

    Args:
        path: the file.
        plans: values of each row in the column `plans`; None reads no pages, and checks none.

    Raises:
        StoreError: it is damaged, no regular file or too large.
        FileNotFoundError: there is none.
    """
    try:
        about = path.stat()
        if not stat.S_ISREG(about.st_mode):
            raise ValueError("it is no regular file")
        if about.st_size > MOST_BYTES:
            raise ValueError(f"it has {about.st_size:,} bytes, and at most {MOST_BYTES:,} are read")
        with path.open("rb") as file:
            if other := placeholder(file.read(HEAD)):
                raise ValueError(f"it {other}")
        with arrow_modules()[1].ParquetFile(
            path,
            page_checksum_verification=True,
            thrift_string_size_limit=16 * 2**20,
            thrift_container_size_limit=1_000_000,
        ) as shard:
            if plans is not None:
                with path.open("rb") as file:
                    check_pages(file, shard.metadata, {"plans.list.element": plans})
            yield shard
    except (FileNotFoundError, AtariVLMError):
        raise
    except Exception as error:  # pyarrow and Pillow raise many kinds
        raise _damaged(path, error) from error


def _damaged(path: Path, error: Exception) -> StoreError:
    text = " ".join(str(error).split())[:300]
    return StoreError(
        f"{path} is damaged ({type(error).__name__}: {text}). Delete it; the command that "
        "collected it makes it anew."
    )
