"""A received folder may hold links under every name that we write: none is written through."""

from __future__ import annotations

import json
import os
import shutil
from contextlib import closing, suppress

import pytest

from atari_vlm.bench.matrix import bench
from atari_vlm.bench.page import write_bench_page
from atari_vlm.bench.settings import BenchSettings
from atari_vlm.errors import AtariVLMError, StoreError
from atari_vlm.report.film import write_film
from atari_vlm.report.run_page import write_replay
from atari_vlm.runs.run import Run
from atari_vlm.trainer import VLMTrainer

KINDS = ["symlink_to", "hardlink_to"]
THE_RUN = ["run.sqlite", "run.sqlite-wal", "run.sqlite-shm", "run.sqlite-journal", "lock"]
MADE_OF_IT = [
    "replay.html",
    "film.gif",
    ".replay.html.new",
    f".replay.html.{os.getpid()}",
]
OF_A_BENCH = ["results.csv", "results.json", "index.html", "lock", "results.csv.new"]


def played(folder, episodes=1):
    options = {"run_folder": folder, "max_decisions": 4, "progress": False}
    return VLMTrainer("pong", "random", **options).train(episodes)


@pytest.fixture
def victim(tmp_path):
    (tmp_path / "victim").write_text("mine")
    yield tmp_path / "victim"
    assert (tmp_path / "victim").read_text() == "mine"


def use(folder):
    """Everything that writes into a run folder; what is refused is one sentence."""
    for write in (
        lambda: played(folder, 2),
        lambda: write_replay(folder),
        lambda: write_film(folder, folder / "film.gif"),
    ):
        with suppress(AtariVLMError):
            write()


@pytest.mark.parametrize("kind", KINDS)
def test_no_file_of_a_run_is_written_through_a_link(tmp_path, victim, kind):
    played(tmp_path / "made")
    for name in THE_RUN:
        folder = tmp_path / f"with {name}"
        shutil.copytree(tmp_path / "made", folder)
        (folder / name).unlink(missing_ok=True)
        getattr(folder / name, kind)(victim)
        with suppress(AtariVLMError):
            played(folder, 2)
        assert victim.read_text() == "mine", name
    for name in MADE_OF_IT:
        getattr(tmp_path / "made" / name, kind)(victim)
    use(tmp_path / "made")
    assert (tmp_path / "made" / "replay.html").stat().st_size > 1000
    assert victim.read_text() == "mine"


@pytest.mark.parametrize("name", ["lock", "run.sqlite", "run.sqlite-wal"])
def test_a_pipe_in_place_of_a_file_is_not_waited_for(tmp_path, name):
    played(tmp_path / "run")
    (tmp_path / "run" / name).unlink(missing_ok=True)
    os.mkfifo(tmp_path / "run" / name)
    with pytest.raises(StoreError):
        played(tmp_path / "run", 2)


def test_a_link_that_leads_nowhere_makes_no_file_there(tmp_path):
    (tmp_path / "run").mkdir()
    for name in (*THE_RUN, *MADE_OF_IT):
        (tmp_path / "run" / name).symlink_to(tmp_path / "nowhere")
    use(tmp_path / "run")
    assert not (tmp_path / "nowhere").exists()


def test_the_run_folder_itself_may_be_a_link(tmp_path):
    (tmp_path / "disk").mkdir()
    (tmp_path / "run").symlink_to(tmp_path / "disk")
    use(tmp_path / "run")
    assert (tmp_path / "disk" / "replay.html").is_file()


def test_an_evaluation_is_not_played_through_a_link_in_the_folder_of_its_training(tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "evaluate").symlink_to(tmp_path / "elsewhere")
    trainer = VLMTrainer("pong", "random", run_folder=tmp_path / "run", max_decisions=4)
    with pytest.raises(StoreError, match="is a link to another place"):
        trainer.evaluate(1)
    assert not list((tmp_path / "elsewhere").iterdir())


def settings(out):
    return BenchSettings(games=("pong",), players=("random",), episodes=1, out=out, max_decisions=4)


@pytest.mark.parametrize("kind", KINDS)
def test_no_file_of_a_bench_is_written_through_a_link(tmp_path, victim, kind):
    out = tmp_path / "bench"
    out.mkdir()
    for name in OF_A_BENCH:
        getattr(out / name, kind)(victim)
    for write in (lambda: bench(settings(out), lambda line: None), lambda: write_bench_page(out)):
        with suppress(AtariVLMError):
            write()


def test_no_cell_is_played_or_shown_through_a_link(tmp_path):
    out, elsewhere = tmp_path / "bench", tmp_path / "elsewhere"
    out.mkdir()
    played(elsewhere / "random-s0")
    before = sorted(each.name for each in (elsewhere / "random-s0").iterdir())
    (out / "pong").symlink_to(elsewhere)
    with pytest.raises(StoreError, match="is a link to another place"):
        bench(settings(out), lambda line: None)
    write_bench_page(out)
    assert sorted(each.name for each in (elsewhere / "random-s0").iterdir()) == before


def test_results_cannot_name_a_run_outside_of_the_bench(tmp_path):
    out = tmp_path / "bench"
    bench(settings(out), lambda line: None)
    played(tmp_path / "secret" / "run")
    document = json.loads((out / "results.json").read_text())
    row = document["cells"][0]
    for run in ("../secret/run", str(tmp_path / "secret" / "run"), "pong/../../secret/run"):
        document["cells"].append({**row, "run": run})
    (out / "results.json").write_text(json.dumps(document))
    write_bench_page(out)
    assert not (tmp_path / "secret" / "run" / "replay.html").exists()
    assert "secret" not in (out / "index.html").read_text()


def test_results_nested_without_end_are_none(tmp_path):
    out = tmp_path / "bench"
    bench(settings(out), lambda line: None)
    (out / "results.json").write_text("[" * 200_000)
    write_bench_page(out)
    with closing(Run.read(out / "pong" / "random-s0")) as run:
        assert len(run.episodes()) == 1
