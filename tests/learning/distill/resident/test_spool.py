"""The folder of the players: whose it is, and files in it that are damaged."""

from __future__ import annotations

from atari_vlm.learning.distill.resident import spool as spools
from atari_vlm.learning.distill.resident.spool import Spool, spool_folder


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
