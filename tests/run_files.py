"""Changes to the file of a run behind its back."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from atari_vlm.runs.schema import FILE


def change(folder: Path, *statements: str) -> None:
    """Execute statements in the file of a run, and leave no log beside it."""
    with closing(sqlite3.connect(folder / FILE)) as db:
        for statement in statements:
            db.execute(statement)
        db.commit()
