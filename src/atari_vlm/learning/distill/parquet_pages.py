"""Checks the pages of a parquet file before pyarrow decompresses any.

The footer of a file is only its word: a page of a few bytes can decompress to gigabytes, and an
entry of a dictionary can be repeated a million times. Every page says its true sizes in its header,
which is read here (Thrift's compact protocol; PageHeader of
https://github.com/apache/parquet-format).
"""

from __future__ import annotations

from typing import IO, Any

MOST_ROWS = 100_000
"""Rows of a row group."""
MOST_GROUPS = 10_000
LARGEST_PAGE = 64 * 2**20
"""Bytes of a page when it is decompressed; one of ours has 17 MB."""
LARGEST_DICTIONARY = 24 * 2**20
"""Bytes of a dictionary, whose entries may be repeated in every row; one of ours has up to 17 MB.
Whoever reads n rows at once has to bear n times as much."""

_LONGEST_HEADER = 1 << 16
_DATA, _DICTIONARY, _DATA_2 = 0, 2, 3


def check_pages(file: IO[bytes], metadata: Any, values_per_row: dict[str, int]) -> None:
    """Raise ValueError if a page is too large, or holds more values than its rows have.

    Args:
        file: the parquet file.
        metadata: `ParquetFile.metadata`.
        values_per_row: path of a column -> its values in each row; 1 for a column without.
    """
    if metadata.num_row_groups > MOST_GROUPS:
        raise ValueError(f"it has more than {MOST_GROUPS:,} row groups")
    size = file.seek(0, 2)
    for number in range(metadata.num_row_groups):
        group = metadata.row_group(number)
        if not 0 <= group.num_rows <= MOST_ROWS:
            raise ValueError(f"a row group has {group.num_rows:,} rows, not 0 to {MOST_ROWS:,}")
        for place in range(group.num_columns):
            column = group.column(place)
            values = group.num_rows * values_per_row.get(column.path_in_schema, 1)
            if _values(file, column, size) != values:
                raise ValueError(
                    f"the column {column.path_in_schema!r} does not have {values:,} values in "
                    f"{group.num_rows:,} rows"
                )


def _values(file: IO[bytes], column: Any, size: int) -> int:
    """Walk through the pages of a column; returns the number of its values."""
    first, dictionary = column.data_page_offset, column.dictionary_page_offset
    place = first if not dictionary else min(first, dictionary)
    end = place + column.total_compressed_size
    if not 4 <= place <= end <= size:
        raise ValueError(f"the column {column.path_in_schema!r} lies outside of the file")
    values = 0
    while place < end:
        file.seek(place)
        reader = _Reader(file.read(min(_LONGEST_HEADER, end - place)))
        page = reader.struct()
        kind, large, small = (_count(page, field) for field in (1, 2, 3))
        most = LARGEST_DICTIONARY if kind == _DICTIONARY else LARGEST_PAGE
        if large > most:
            raise ValueError(
                f"a page of {column.path_in_schema!r} has {large:,} bytes when it is decompressed, "
                f"and at most {most:,} are read"
            )
        if kind in (_DATA, _DATA_2):
            about = page.get(5 if kind == _DATA else 8)
            values += _count(about if isinstance(about, dict) else {}, 1)
        place += reader.place + small
    if place != end:
        raise ValueError(f"a page of {column.path_in_schema!r} ends outside of its column")
    return values


def _count(fields: dict[int, Any], field: int) -> int:
    number = fields.get(field)
    if type(number) is not int or number < 0:
        raise ValueError("the header of a page is damaged")
    return number


class _Reader:
    """Reads a struct of Thrift's compact protocol: field -> number, or dict of a struct inside."""

    def __init__(self, content: bytes) -> None:
        self._content, self.place = content, 0

    def struct(self, depth: int = 0) -> dict[int, Any]:
        if depth > 8:
            raise ValueError("the header of a page is nested too deep")
        fields: dict[int, Any] = {}
        field = 0
        while head := self._byte():
            kind, step = head & 15, head >> 4
            field = field + step if step else self._signed()
            fields[field] = self._value(kind, depth)
        return fields

    def _value(self, kind: int, depth: int) -> Any:
        if kind in (1, 2):  # true, false
            return kind == 1
        if kind == 3:
            return self._byte()
        if kind in (4, 5, 6):
            return self._signed()
        if kind in (7, 8):
            return self._skip(8 if kind == 7 else self._unsigned())
        if kind == 12:
            return self.struct(depth + 1)
        raise ValueError("the header of a page is damaged")  # no page header has a list

    def _byte(self) -> int:
        self._skip(1)
        return self._content[self.place - 1]

    def _skip(self, length: int) -> None:
        self.place += length
        if self.place > len(self._content):
            raise ValueError("the header of a page is damaged")

    def _unsigned(self) -> int:
        value = shift = 0
        while shift < 64:
            byte = self._byte()
            value |= (byte & 127) << shift
            if byte < 128:
                return value
            shift += 7
        raise ValueError("the header of a page is damaged")

    def _signed(self) -> int:
        value = self._unsigned()
        return (value >> 1) ^ -(value & 1)
