"""Data sets from elsewhere: refused at the shard and the row, before anything is trained."""

from __future__ import annotations

import io
import json
import math
import os

import pytest

pytest.importorskip("pyarrow")

import pyarrow
from PIL import Image
from pyarrow import parquet

from atari_vlm.errors import AtariVLMError, InvalidSetting, StoreError
from atari_vlm.learning.distill.parquet_pages import check_pages
from atari_vlm.learning.distill.run import distill
from atari_vlm.learning.distill.settings import DistillSettings
from atari_vlm.learning.distill.shard_header import ShardHeader
from atari_vlm.learning.distill.shards import open_dataset, open_shard, write_shard
from tests.learning.distill.collecting import gather

NAME = "pong-expert-00000.parquet"


def cell(name, value, row=7):
    """A damage: another value in one cell."""

    def damage(table):
        cells = table[name].to_pylist()
        cells[row] = value(cells[row]) if callable(value) else value
        kind = table.schema.field(name).type
        return table.set_column(table.column_names.index(name), name, pyarrow.array(cells, kind))

    return damage


def header(**changes):
    """A damage: another header."""

    def damage(table):
        found = json.loads(table.schema.metadata[b"atari_vlm"]) | changes
        metadata = {**table.schema.metadata, b"atari_vlm": json.dumps(found).encode()}
        return table.replace_schema_metadata(metadata)

    return damage


def retyped(name, kind):
    def damage(table):
        place = table.column_names.index(name)
        return table.set_column(place, name, table[name].cast(kind))

    return damage


def spread(value):
    """Probabilities: `value` first, nothing for the others."""
    return lambda chances: [value] + [0.0] * (len(chances) - 1)


def png(mode, size, **settings):
    out = io.BytesIO()
    Image.new(mode, size).save(out, "PNG", **settings)
    return {"bytes": out.getvalue(), "path": None}


def bomb(cell):
    """A picture that says it has 4e9 pixels."""
    content = cell["bytes"]
    return {"bytes": content[:16] + b"\x00\x00\xff\xff" * 2 + content[24:], "path": None}


NAN, INF = math.nan, math.inf
CELLS = {
    "nan": (cell("plans", spread(NAN)), r"row 7: the probabilities of its plans are \[nan"),
    "infinite": (cell("plans", spread(INF)), "row 7: the probabilities of its plans"),
    "negative": (cell("plans", lambda c: [2.0, -1.0] + [0.0] * (len(c) - 2)), "row 7: the prob"),
    "half": (cell("plans", spread(0.5)), "row 7: .*add up to 1"),
    "all zero": (cell("plans", spread(0.0)), "row 7: .*add up to 1"),
    "too few": (cell("plans", lambda c: c[:-1]), "does not have .* values"),
    "shifted": (
        lambda table: cell("plans", lambda c: [*c, 0.0], 8)(cell("plans", lambda c: c[:-1])(table)),
        "row 7: it has 8 probabilities of 9 plans",
    ),
    "no plans": (cell("plans", None), "row 7: its plans is None|does not have"),
    "nan weight": (cell("weight", NAN), "row 7: its weight is nan"),
    "negative weight": (cell("weight", -1.0), "row 7: its weight is -1.0"),
    "huge weight": (cell("weight", 3e38), "row 7: its weight is "),
    "nan reward": (cell("reward", NAN), "row 7: its reward is nan"),
    "other game": (cell("game", "breakout"), "row 7: its game is 'breakout'"),
    "illegal action": (cell("action", "UPFIRE"), "row 7: 'UPFIRE for . frames?' is no plan"),
    "long plan": (cell("frames", 100), "row 7: '.* for 100 frames' is no plan"),
    "evaluation seed": (cell("seed", 500_001), "row 7: its seed is 500001"),
    "player": (cell("player", "cheat"), "row 7: its player is 'cheat'"),
    "words": (cell("words", "ball 7 7: UPFIRE for 2 frames"), "row 7: its words is"),
    "long words": (cell("words", lambda w: "ball " * 999 + w), "row 7: its words is"),
    "sentence": (cell("words", "a ball: NOOP for 4 frames"), "row 7, holds an answer"),
    "missing": (cell("words", None), "row 7: its words is None"),
    "size": (cell("screen", png("P", (84, 84))), "row 7: its screen has 84 x 84 pixels"),
    "colours": (cell("screen", png("RGB", (160, 210))), "row 7: its screen has 160 x 210 .*kind 2"),
    "no picture": (cell("screen", {"bytes": b"GIF89a", "path": None}), "row 7: its screen is no"),
    "no bytes": (cell("screen", {"bytes": None, "path": "/etc/passwd"}), "row 7: its screen is no"),
    "bomb": (cell("screen", bomb), "row 7: its screen has 65535 x 65535"),
    "cut off": (
        cell("screen", lambda c: {"bytes": c["bytes"][:3_000], "path": None}),
        "row 7: its screen is damaged",
    ),
    "empty": (lambda table: table.slice(0, 0), "holds no decisions"),
    "weights of zero": (
        lambda table: table.set_column(
            table.column_names.index("weight"),
            "weight",
            pyarrow.array([0.0] * len(table), pyarrow.float32()),
        ),
        "nothing to learn pong from: the weights of all its 50 decisions are 0",
    ),
    "double precision": (retyped("weight", pyarrow.float64()), "its columns are not those"),
    "nested": (
        lambda table: table.append_column("more", pyarrow.array([[[1]]] * len(table))),
        "its columns are not those",
    ),
    "fewer columns": (lambda table: table.drop_columns(["plans"]), "its columns are not those"),
    "dictionary": (
        lambda table: table.set_column(7, "words", table["words"].dictionary_encode()),
        "its columns are not those",
    ),
    "header of another game": (header(game="breakout"), "nothing to learn pong from"),
    "header of no game": (header(game="../x"), "nothing to learn pong from"),
    "header with a text": (header(width="160"), 'its width is "160"'),
    "header with a list": (header(game=["pong"]), "its game is"),
    "header with more": (header(more=1), "should not have, 'more'"),
    "header with seeds": (header(episode_seeds=[0, 10**9]), "episode_seeds is .*not"),
    "header with kinds": (header(kinds={"plan": 3}), "its kinds are no words"),
    "header with plans": (header(plans=["UP for 9 frames"] * 9), "its plans is|no plan"),
}


@pytest.fixture
def damaged(dataset, tmp_path):
    """Write the first shard of a data set with a damage; returns its folder."""

    def write(damage):
        table = parquet.read_table(dataset / NAME)
        parquet.write_table(damage(table), tmp_path / NAME, compression="zstd")
        return tmp_path

    return write


@pytest.fixture(scope="module")
def tokenizer():
    pytest.importorskip("torch")
    from atari_vlm.learning.distill.architecture import build_tokenizer

    return build_tokenizer(("pong",))


def learn(data, folder):
    for shard in open_dataset(folder, ("pong",)):
        data.add(shard)


@pytest.mark.training
@pytest.mark.parametrize("name", [name for name in CELLS if name != "weights of zero"])
def test_a_label_that_cannot_be_learned_from_is_refused_at_its_shard_and_row(
    damaged, tokenizer, name
):
    from atari_vlm.learning.distill.data import Dataset

    damage, told = CELLS[name]
    folder, data = damaged(damage), Dataset("pong", tokenizer)
    with pytest.raises(AtariVLMError, match=told) as refused:
        learn(data, folder)
    if "nothing to learn" not in told:
        assert NAME in str(refused.value)
    assert len(str(refused.value)) < 700


@pytest.mark.training
@pytest.mark.parametrize("name", ["nan", "weights of zero"])
def test_nothing_is_trained_on_such_data(damaged, tmp_path_factory, name):
    pytest.importorskip("torch")
    damage, told = CELLS[name]
    out = tmp_path_factory.mktemp("out")
    settings = DistillSettings(data=damaged(damage), out=out, minutes=0.001, episodes=0, workers=0)
    with pytest.raises(StoreError, match=told):
        distill(settings, lambda line: None)
    assert not (out / "checkpoint.pt").exists()
    assert not (out / "weights").exists()


FILES = {
    "pipe": (os.mkfifo, "it is no regular file"),
    "directory": (os.mkdir, "it is no regular file"),
    "device": (lambda path: path.symlink_to("/dev/zero"), "it is no regular file"),
    "broken link": (lambda path: path.symlink_to("/nowhere/at/all"), "There is no"),
    "empty": (lambda path: path.write_bytes(b""), "it is empty"),
    "pointer": (
        lambda path: path.write_text("version https://git-lfs.github.com/spec/v1\n"),
        "Git-LFS pointer.*git lfs pull",
    ),
    "page": (lambda path: path.write_text("<html>Not found</html>"), "is a web page"),
    "zeros": (lambda path: path.write_bytes(bytes(9_000)), "begins with zeros"),
    "huge": (lambda path: os.truncate(os.open(path, os.O_CREAT | os.O_RDWR), 10**12), "at most"),
    "text": (lambda path: path.write_text("no parquet " * 99), "is damaged"),
    "footer": (
        lambda path: path.write_bytes(b"PAR1" + bytes(range(200)) + b"\xff\xff\xff\x7fPAR1"),
        "is damaged",
    ),
}


@pytest.mark.parametrize("name", FILES)
def test_what_is_no_shard_is_refused_at_once(tmp_path, name):
    make, told = FILES[name]
    make(tmp_path / NAME)
    with pytest.raises(StoreError, match=told) as refused:
        open_dataset(tmp_path, ("pong",))
    assert NAME in str(refused.value)


def test_a_file_is_no_data_set(tmp_path):
    (tmp_path / "data").write_text("")
    with pytest.raises(StoreError, match="is no folder"):
        open_dataset(tmp_path / "data", ("pong",))
    with pytest.raises(InvalidSetting, match="no decisions at all"):
        open_dataset(tmp_path / "nowhere", ("pong",))


def test_a_page_that_decompresses_to_more_than_its_limit_is_never_decompressed(dataset, tmp_path):
    path = tmp_path / NAME
    table = parquet.read_table(dataset / NAME)
    bombs = {
        "a long picture": cell("screen", {"bytes": bytes(10**8), "path": None})(table),
        "many pictures": cell("screen", lambda c: {"bytes": bytes(4 * 10**7), "path": None})(table),
    }
    for bombed in bombs.values():
        parquet.write_table(bombed, path, compression="zstd")
        assert path.stat().st_size < 400_000
        with pytest.raises(StoreError, match=r"'screen\.bytes' has .* bytes when it is decompr"):
            list(open_shard(path))
    long = [[1.0] * 10**6] + [[1.0] * 9] * (len(table) - 1)
    place = table.column_names.index("plans")
    kind = table.schema.field("plans").type
    parquet.write_table(table.set_column(place, "plans", pyarrow.array(long, kind)), path)
    with pytest.raises(StoreError, match=r"'plans\.list\.element' does not have 450 values"):
        list(open_shard(path))


def test_every_shard_of_ours_passes_the_check_of_its_pages(dataset, shard):
    for path in [*dataset.glob("*.parquet"), shard.path]:
        with parquet.ParquetFile(path) as file, path.open("rb") as raw:
            check_pages(raw, file.metadata, {"plans.list.element": 9})
            with pytest.raises(ValueError, match="does not have"):
                check_pages(raw, file.metadata, {"plans.list.element": 8})


def test_collecting_into_a_crafted_folder_is_refused_or_leaves_links_alone(dataset, tmp_path):
    victim = tmp_path / "victim"
    victim.write_text("precious")
    for name, content in (("deep", "[" * 99_999), ("list", "[3]"), ("text", "x" * 2**22)):
        folder = tmp_path / name
        folder.mkdir()
        (folder / "settings.json").write_text(content)
        with pytest.raises(StoreError, match=r"settings\.json is damaged|holds other data"):
            gather(folder)
    piped = tmp_path / "piped"
    piped.mkdir()
    os.mkfifo(piped / "settings.json")
    with pytest.raises(StoreError, match=r"settings\.json is damaged .*no regular file"):
        gather(piped)
    linked = tmp_path / "linked"
    linked.mkdir()
    for name in (f"{NAME}.part", "README.md", "settings.json.part"):
        (linked / name).symlink_to(victim)
    gather(linked)
    assert victim.read_text() == "precious"
    assert not (linked / "README.md").is_symlink()
    assert open_shard(linked / NAME).decisions == 50


def test_an_unfinished_shard_is_no_shard(tmp_path, rows):
    def torn():
        yield from rows[:30]
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_shard(tmp_path / NAME, torn(), ShardHeader.of("pong", seed=3))
    assert list(tmp_path.iterdir()) == []
