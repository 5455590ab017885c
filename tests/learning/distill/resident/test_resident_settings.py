"""Settings of the resident school: groups, memory, first weights, and what is refused."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

from atari_vlm.atari.games import SUGGESTED
from atari_vlm.cli.app import app
from atari_vlm.errors import InvalidSetting, ModelUnusable, UnknownName
from atari_vlm.learning.distill.architecture import ARCHITECTURES, architecture_of
from atari_vlm.learning.distill.folders import check_folder
from atari_vlm.learning.distill.resident.bases import base_of, common_architecture
from atari_vlm.learning.distill.resident.beginning import batch_of_process
from atari_vlm.learning.distill.resident.groups import DEFAULT_GROUPS, group_name, groups_of
from atari_vlm.learning.distill.resident.memory import GB, room_for
from atari_vlm.learning.distill.resident.settings import ResidentSettings
from atari_vlm.learning.distill.settings import DistillSettings
from atari_vlm.models.embedded.checkpoints import checkpoint, weights

ROW = 51_000


def test_the_twelve_games_have_default_groups():
    assert ResidentSettings(games=tuple(SUGGESTED)).groups == DEFAULT_GROUPS
    assert groups_of(("qbert", "pong")) == (("pong",), ("qbert",))
    assert len(group_name(tuple(SUGGESTED))) <= 100


def test_groups_alone_name_the_games():
    settings = ResidentSettings(groups=(("pong", "freeway"), ("qbert",)))
    assert settings.games == ("pong", "freeway", "qbert")
    asked = "atari-vlm distill --groups 'pong,freeway;qbert' --minutes 60 --seed 0 --out FOLDER"
    assert settings.command() == asked


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ({}, "at least one game"),
        ({"groups": (("pong",), ())}, "a group without a game"),
        ({"groups": (("pong",), ("pong",))}, "names pong more than once"),
        (
            {"games": ("pong", "qbert"), "groups": (("pong",),)},
            "^groups does not name qbert. groups alone",
        ),
        ({"games": ("pong",), "groups": (("qbert",),)}, "^games .* qbert, and groups .* pong"),
        ({"games": ("pong",), "device": "tpu"}, "auto, cpu or cuda"),
        ({"games": ("pong",), "teacher_share": 1.5}, "from 0 to 1"),
        ({"games": ("pong",), "workers": -1}, "is 0 or more"),
        ({"games": ("pong",), "rows": 0}, "above 0 and finite"),
        ({"groups": (tuple(SUGGESTED),), "batch": 90}, "96 would do"),
    ],
)
def test_settings_that_cannot_work_are_refused(wrong, named):
    with pytest.raises(InvalidSetting, match=named):
        ResidentSettings(**wrong)


def test_a_folder_of_the_other_school_has_other_settings():
    stored = json.loads(ResidentSettings(games=("pong",)).to_json())
    assert stored["school"] == "resident"
    assert stored["groups"] == [["pong"]]
    assert "school" not in json.loads(DistillSettings().to_json())
    same = ResidentSettings(games=("pong",), workers=3, memory=2.0, episodes=1, device="cpu")
    assert json.loads(same.to_json()) == stored


def test_a_batch_is_divided_among_the_games_of_every_group_and_the_processes():
    twelve = ResidentSettings(games=tuple(SUGGESTED))
    assert [batch_of_process(twelve, n) for n in (1, 2, 8, 64)] == [256, 128, 32, 32]
    assert batch_of_process(twelve, 1, 0.5) == 128
    one = ResidentSettings(groups=(tuple(SUGGESTED),))
    assert batch_of_process(one, 1) == 252


def test_memory_decides_how_many_rows_there_are_and_it_is_said():
    settings = ResidentSettings(games=tuple(SUGGESTED))
    room = room_for(settings.games, 30 * GB // ROW, ROW, settings)
    assert room.rows["qbert"] == pytest.approx(2 * room.rows["pong"], abs=1)
    assert sum(room.rows.values()) * ROW < 30 * GB
    assert "1,100,000 were wished for, and no more fit" in room.line
    assert "wished" not in room_for(settings.games, 100 * GB // ROW, ROW, settings).line
    with pytest.raises(InvalidSetting, match="There is too little memory to train 12 games"):
        room_for(settings.games, GB // ROW, ROW, settings)


def test_weights_of_several_checkpoints_are_matched_by_games(tmp_path):
    assert base_of(weights(), ("asteroids", "seaquest")) == checkpoint("seaquest")
    assert base_of(checkpoint("pong"), ("qbert",)) == checkpoint("pong")
    for name in ("qbert", "seaquest"):
        (tmp_path / name).symlink_to(checkpoint(name))
    assert base_of(tmp_path, ("pong",)) is None
    both = (("pong",), ("qbert", "seaquest"))
    assert common_architecture(tmp_path, both) == architecture_of(checkpoint("qbert"))
    with pytest.raises(ModelUnusable, match="knows a game that is to be taught"):
        common_architecture(tmp_path, (("pong",),))


def test_weights_of_older_and_newer_architecture_cannot_learn_together(tmp_path):
    for name, other in (("pong", "coarse"), ("qbert", "fine")):
        folder = tmp_path / name
        folder.mkdir()
        for file in ("config.json", "answers.json"):
            (folder / file).write_bytes((checkpoint(name) / file).read_bytes())
        sizes = ARCHITECTURES[other]
        config = json.loads((folder / "config.json").read_text())
        config["scale_factor"] = sizes.scale_factor
        for field in ("patch_size", "hidden_size", "intermediate_size"):
            config["vision_config"][field] = getattr(sizes, field)
        (folder / "config.json").write_text(json.dumps(config))
    together = ResidentSettings(groups=(("pong",), ("qbert",)), base=tmp_path)
    with pytest.raises(InvalidSetting, match="different architectures"):
        together.with_architecture()
    alone = ResidentSettings(games=("pong",), base=tmp_path)
    assert alone.with_architecture().architecture == "coarse"


def said(*arguments):
    result = CliRunner().invoke(app, ["distill", *arguments])
    assert result.exit_code != 0
    return str(result.exception or result.output)


def test_cuda_without_a_gpu_is_one_sentence(tmp_path):
    torch = pytest.importorskip("torch")
    if torch.cuda.is_available():
        pytest.skip("there is a GPU")
    for more in ([], ["--groups", "pong"]):
        text = said("--device", "cuda", *more, "--out", str(tmp_path / "x"))
        assert "needs a GPU" in text
        assert "trains without one" in text
    from atari_vlm.learning.distill.train import Trainer

    with pytest.raises(InvalidSetting, match="needs a GPU"):
        Trainer(DistillSettings(device="cuda", out=Path(tmp_path)))


def test_memory_is_for_the_resident_school_only(tmp_path):
    pytest.importorskip("torch")
    assert "is for a training on a GPU" in said(
        "--memory", "2", "--device", "cpu", "--out", str(tmp_path)
    )


def test_a_folder_is_continued_only_by_the_school_and_with_the_games_it_has(tmp_path):
    several = ResidentSettings(groups=(("pong", "qbert"),), out=tmp_path).with_architecture()
    one = DistillSettings(games=("pong",), out=tmp_path).with_architecture()
    (tmp_path / "checkpoint.pt").touch()
    for stored, other, named in ((several, one, "groups pong,qbert"), (one, several, "games pong")):
        (tmp_path / "settings.json").write_text(stored.to_json())
        check_folder(replace(stored, minutes=90.0))
        with pytest.raises(InvalidSetting, match=rf"school.*, of the {named}\. Continue"):
            check_folder(other)
    for path in ("checkpoint.pt", "settings.json"):  # killed before either was written
        (tmp_path / path).unlink()
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "qbert-expert-00000.parquet").touch()
    with pytest.raises(InvalidSetting, match="of the games qbert"):
        check_folder(one)


@pytest.mark.parametrize("school", ["--games", "--groups"])
def test_folders_that_are_not_there_are_said_first_and_no_folder_is_left(school, tmp_path):
    pytest.importorskip("torch")
    nowhere, out = str(tmp_path / "nowhere"), tmp_path / "new" / "out"
    asked = ("distill", school, "pong", "--device", "cpu", "--out", str(out))
    for flag, kind, text in (
        ("--from", UnknownName, f"There is no folder {nowhere}."),
        ("--data", InvalidSetting, f"{nowhere} has nothing to learn pong from"),
    ):
        result = CliRunner().invoke(app, [*asked, flag, nowhere])
        assert isinstance(result.exception, kind)  # both end with exit code 2
        assert str(result.exception).startswith(text)
        assert "Memory" not in result.output
        assert not out.parent.exists()
