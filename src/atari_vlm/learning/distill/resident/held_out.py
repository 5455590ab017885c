"""Losses on rows that are never drawn."""

from __future__ import annotations

import numpy as np
import torch

from atari_vlm.errors import InvalidSetting
from atari_vlm.learning.distill.resident.store import RowStore
from atari_vlm.learning.distill.resident.students import Students

_BATCHES = 4
"""Batches of a step's size, over which the rows are spread."""


def held_out_parts(students: Students, store: RowStore) -> torch.Tensor:
    """Parts of the loss of the averaged weights by student, (4, students), on the CPU.

    Always of the same rows, evenly spread over the held-out ones, with the same objects asked for
    and no token replaced.

    Raises:
        InvalidSetting: a game has no held-out rows that teach.
    """
    rows = _rows(students, store)
    looks = torch.arange(len(students.rows.look.rows), dtype=torch.float64, device=students.device)
    names = (looks * 0.618034).frac()
    answers = len(students.rows.see.rows) * students.tables.longest_answer
    tokens = torch.ones(answers, dtype=torch.float64, device=students.device)
    weights = {**students.weights, **students.averages}
    with torch.no_grad():
        parts = [
            students.loss(weights, students.labels_of(store, batch, names, tokens), False)[1]
            for batch in rows
        ]
        return torch.stack(parts).mean(0).cpu()


def _rows(students: Students, store: RowStore) -> torch.Tensor:
    """(batches, rows of a step)."""
    sizes = [students.batch // len(games) for games in students.groups for _ in games]
    chosen = []
    for game, size in zip(students.games, sizes, strict=True):
        eligible = store.held_out(game)
        if not len(eligible):
            raise InvalidSetting(f"There are no held-out rows of {game} that teach.")
        places = np.linspace(0, len(eligible) - 1, _BATCHES * size).astype(int)
        chosen.append(eligible[places].reshape(size, _BATCHES).T)
    return torch.from_numpy(np.concatenate(chosen, 1)).to(students.device)
