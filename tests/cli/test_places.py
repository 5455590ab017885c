"""Files and folders that a command line names."""

from __future__ import annotations

import pytest

from atari_vlm.cli.places import check_places
from atari_vlm.errors import InvalidSetting
from atari_vlm.trainer import play
from tests.cli.test_cli import command


@pytest.mark.parametrize("name", ["run_folder", "save_dir", "out"])
def test_a_file_is_no_folder(name, tmp_path):
    (tmp_path / "file").write_text("mine")
    with pytest.raises(InvalidSetting, match=r"names a folder, and .*file is a file"):
        check_places({name: tmp_path / "file"})


@pytest.mark.parametrize("name", ["cache", "gif", "out"])
def test_a_folder_is_no_file(name, tmp_path):
    with pytest.raises(InvalidSetting, match=r"names a file, and .* is a folder"):
        check_places({name: tmp_path}, files=("cache", "gif", "out"))


def test_a_folder_that_has_to_be_made_is_named(tmp_path, capsys):
    check_places({"out": tmp_path / "typo" / "bench", "cache": None, "save_dir": tmp_path / "runs"})
    assert capsys.readouterr().err == f"Note: the folder {tmp_path / 'typo'} is new.\n"


def test_a_folder_of_runs_names_the_newest_and_is_no_bench(tmp_path):
    for seed in (0, 1):
        folder = tmp_path / "runs" / f"seed-{seed}"
        play("pong", "noop", seed=seed, max_decisions=2, run_folder=folder, progress=False)
    # A training has its evaluations in its folder, as a bench has runs in those of its games.
    inner = tmp_path / "runs" / "seed-0" / "evaluate-0"
    play("pong", "noop", seed=2, max_decisions=2, run_folder=inner, progress=False)
    done = command("report", tmp_path / "runs", cwd=tmp_path)
    assert done.returncode == 2
    assert done.stderr.startswith(f"Error: {tmp_path / 'runs'} holds 2 runs: name one, such as ")
    assert not (tmp_path / "runs" / "index.html").exists()


def test_a_bench_says_why_it_takes_no_key(tmp_path):
    done = command("bench", "--models", "gpt-4o", "--api-key", "mine", cwd=tmp_path)
    assert done.returncode == 2
    assert "set each vendor's environment variable" in done.stderr
    assert "mine" not in done.stderr
    assert "--api-key" not in command("bench", "--help", cwd=tmp_path).stdout
