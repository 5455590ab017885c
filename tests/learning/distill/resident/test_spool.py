"""The folder of the players: whose it is, and files in it that are damaged."""

from __future__ import annotations

from atari_vlm.learning.distill.resident import spool as spools
from atari_vlm.learning.distill.resident.spool import GameOrder, Spool, spool_folder


def test_a_link_or_a_folder_that_others_may_enter_is_not_used(tmp_path, monkeypatch):
    monkeypatch.setattr(spools, "SHARED", tmp_path)
    monkeypatch.setattr(spools, "NEEDED", 0)
    out = tmp_path / "out"
    folder = spool_folder(out)
    assert (folder.parent, folder.stat().st_mode & 0o777) == (tmp_path, 0o700)
    made = Spool(folder / "0", folder / "games")
    made.create()
    assert spool_folder(out) == folder  # what a killed training left
    made.clear()
    assert not any(folder.iterdir())
    folder.chmod(0o755)
    assert spool_folder(out) == out / "spool"
    folder.rename(tmp_path / "other")
    (tmp_path / "other").chmod(0o700)
    folder.symlink_to(tmp_path / "other")
    assert spool_folder(out) == out / "spool"


def test_damaged_files_are_dropped_with_a_sentence(tmp_path):
    made = Spool(tmp_path / "0", tmp_path / "games")
    made.create()
    order = GameOrder("x", "pong", 5, 100, 1)
    made.order([order])
    (made.games / "000000-00000-pong-1.todo").write_text("{")
    claimed, taken = made.claim("0.0")
    assert (claimed, made.unfinished) == (order, 1)
    made.finish(taken, order, 3.0)
    (made.played / "a.json").touch()
    assert [each.score for each in made.take_played()] == [3.0]
    assert [line.split()[0] for line in made.dropped()] == [
        "000000-00000-pong-1.0.0.taken",
        "a.json",
    ]
    assert (made.unfinished, made.dropped()) == (0, [])
