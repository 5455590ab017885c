"""An embedded checkpoint from elsewhere: read with limits, refused in one sentence, never run."""

from __future__ import annotations

import json
import os
import shutil

import numpy as np
import pytest

from atari_vlm.errors import ModelUnusable
from atari_vlm.models.build import build_model
from atari_vlm.models.embedded.checkpoints import checkpoint
from atari_vlm.models.embedded.model import EmbeddedModel
from atari_vlm.models.embedded.sessions import Sessions
from tests.tensor_files import rewrite, tensors_of

onnx = pytest.importorskip("onnx")
from onnx import TensorProto, helper, numpy_helper  # noqa: E402


@pytest.fixture
def folder(tmp_path):
    return shutil.copytree(checkpoint("pong"), tmp_path / "weights")


def answers(change):
    """A damage: `change` the content of answers.json."""

    def damage(folder):
        rules = json.loads((folder / "answers.json").read_text())
        change(rules)
        (folder / "answers.json").write_text(json.dumps(rules))

    return damage


def tokenizer(change):
    def damage(folder):
        content = json.loads((folder / "tokenizer.json").read_text())
        change(content)
        (folder / "tokenizer.json").write_text(json.dumps(content))

    return damage


def graph(change, name="decoder.onnx"):
    """A damage: `change` the graph of a file."""

    def damage(folder):
        model = onnx.load(str(folder / name), load_external_data=False)
        change(model.graph)
        (folder / name).write_bytes(model.SerializeToString())

    return damage


def text(name, content):
    """A damage: other content in the place of a file."""
    content = content.encode() if isinstance(content, str) else content
    return lambda folder: (folder / name).write_bytes(content)


def instead(name, make):
    """A damage: something that is no regular file."""

    def damage(folder):
        (folder / name).unlink()
        make(folder / name)

    return damage


def add_node(*parts, **attributes):
    def change(graph):
        graph.node.insert(0, helper.make_node(*parts, **attributes))

    return change


def loop(graph):
    body = helper.make_graph([], "body", [], [])
    graph.node.append(helper.make_node("Loop", ["rows"], ["never"], body=body))


def double(graph):
    graph.initializer.append(numpy_helper.from_array(np.ones(2, np.float32), "c0"))
    for n in range(40):
        graph.node.insert(n, helper.make_node("Concat", [f"c{n}"] * 2, [f"c{n + 1}"], axis=0))


def elsewhere(graph):
    for tensor in graph.initializer:
        for entry in tensor.external_data:
            if entry.key == "location":
                entry.value = "../../../../etc/passwd"


def beyond(graph):
    graph.initializer[0].external_data[1].value = str(10**12)


def invent(graph):
    shape = numpy_helper.from_array(np.array([10**10]), "ten")
    graph.initializer.append(shape)
    graph.node.append(helper.make_node("ConstantOfShape", ["ten"], ["huge"]))


def wide_cache(graph):
    (past,) = (each for each in graph.input if each.name == "past")
    for place in (0, 1, 3):
        past.type.tensor_type.shape.dim[place].dim_value = 3_000


def other_names(graph):
    (rows,) = (each for each in graph.input if each.name == "ids")
    rows.name = "tokens"


def bad_game(rules):
    rules["games"]["pong|(a+)+$"] = rules["games"].pop("pong")


def no_plan(rules):
    rules["games"]["pong"]["answers"].append("ball {ball_x:x}")


def bad_plan(rules):
    rules["games"]["pong"]["kinds"]["plan"] = ["JUMP for 4 frames"]


def end_early(rules):
    rules["games"]["pong"]["answers"].insert(0, "ball<end_of_utterance> {plan:plan}")


NESTED = "[" * 100_000
DAMAGES = {
    "empty": (text("answers.json", ""), r"answers\.json is empty"),
    "pointer": (
        text("model.safetensors", "version https://git-lfs.github.com/spec/v1\noid sha256:00\n"),
        r"model\.safetensors is a Git-LFS pointer.*git lfs pull",
    ),
    "page": (text("tokenizer.json", "<!DOCTYPE html><html>"), r"tokenizer\.json is a web page"),
    "zeros": (text("decoder.onnx", bytes(5_000)), r"decoder\.onnx begins with zeros"),
    "deep": (text("answers.json", NESTED), r"answers\.json is damaged: it is nested more than"),
    "not a number": (text("answers.json", '{"side": NaN}'), "holds NaN, which is no number"),
    "a list": (text("answers.json", "[]"), r"answers\.json is damaged: it is no object"),
    "pipe": (instead("tokenizer.json", os.mkfifo), r"lacks tokenizer\.json"),
    "directory": (instead("model.safetensors", os.mkdir), r"lacks model\.safetensors"),
    "device": (
        instead("decoder.onnx", lambda path: path.symlink_to("/dev/zero")),
        r"lacks decoder\.onnx",
    ),
    "huge file": (
        lambda folder: os.truncate(folder / "vision_encoder.onnx", 10**11),
        r"vision_encoder\.onnx cannot be read: it has 100,000,000,000 bytes",
    ),
    "huge picture": (answers(lambda r: r.update(side=10**6)), "its side is 1000000"),
    "side no number": (answers(lambda r: r.update(side="160")), "its side is 160"),
    "another side": (answers(lambda r: r.update(side=84)), "do not fit together"),
    "wide request": (
        answers(lambda r: r["requests"].update(see="Play {game:>9999999999}")),
        "its request 'see' has a field",
    ),
    "prying request": (
        answers(lambda r: r["requests"].update(act="Play {game.__class__}")),
        "its request 'act' has a field",
    ),
    "open request": (answers(lambda r: r["requests"].update(act="Play {game")), "'act' has a fi"),
    "no games": (answers(lambda r: r.update(games={})), "it has no games"),
    "a pattern": (answers(bad_game), "it has a game called"),
    "no plan": (answers(no_plan), "ends in no plan: 'ball {ball_x:x}'"),
    "no such plan": (answers(bad_plan), "has the plan 'JUMP for 4 frames'"),
    "no such word": (
        answers(lambda r: r["kinds"]["x"].append(" 9999")),
        "the tokenizer has no token for ' 9999'",
    ),
    "unknown kind": (
        answers(lambda r: r["games"]["pong"]["answers"].insert(0, "{a:b} {plan:plan}")),
        "words of no known kind",
    ),
    "early end": (answers(end_early), "the end of an answer is inside a sentence"),
    "slow pattern": (
        tokenizer(lambda t: t["pre_tokenizer"]["pattern"].update(Regex="( ?(a+)+)+b")),
        "is not the list of whole words",
    ),
    "huge token": (
        tokenizer(lambda t: t["model"]["vocab"].update({" 7": 10**9})),
        "not between 0 and 100,000",
    ),
    "token no number": (tokenizer(lambda t: t["model"]["vocab"].update({" 7": "x"})), "no numbers"),
    "tokens beyond the logits": (
        tokenizer(lambda t: t["model"]["vocab"].update({" 7": 90_000})),
        "do not fit together",
    ),
    "no added tokens": (tokenizer(lambda t: t.pop("added_tokens")), "lacks an entry"),
    "loop": (graph(loop), r"decoder\.onnx .*has the operator 'Loop'"),
    "asks for gigabytes": (graph(invent), "has the operator 'ConstantOfShape'"),
    "custom": (graph(add_node("Add", ["a"], ["b"], domain="com.evil")), "has the operator 'Add'"),
    "doubles": (graph(double), "constants take more than"),
    "reads elsewhere": (graph(elsewhere), r"takes weights from '\.\./\.\./\.\./\.\./etc/passwd'"),
    "reads beyond": (graph(beyond), "from beyond the end of model.safetensors"),
    "wide cache": (graph(wide_cache), "damaged"),
    "other inputs": (graph(other_names), "damaged"),
    "a tensor inside": (
        graph(
            add_node(
                "Add", ["ids"], ["b"], value=helper.make_tensor("v", TensorProto.FLOAT, [1], [1])
            )
        ),
        "a graph or a tensor inside",
    ),
    "swapped graphs": (
        lambda folder: shutil.copy(folder / "vision_encoder.onnx", folder / "decoder.onnx"),
        "damaged",
    ),
    "long header": (
        lambda folder: rewrite(folder / "model.safetensors", length=10**15),
        "says that its header has 1,000,000,000,000,000 bytes",
    ),
    "overlap": (
        lambda folder: rewrite(folder / "model.safetensors", change=_overlap),
        "overlaps|another length",
    ),
    "shape overflows": (
        lambda folder: rewrite(folder / "model.safetensors", change=_huge_shape),
        "is damaged|another length",
    ),
    "not finite": (
        lambda folder: rewrite(folder / "model.safetensors", number=float("nan")),
        r"its tensor \S+ holds numbers that are not finite",
    ),
    "infinite": (
        lambda folder: rewrite(folder / "model.safetensors", number=float("-inf")),
        "numbers that are not finite",
    ),
    "too large to add": (
        lambda folder: rewrite(folder / "model.safetensors", number=3e38, every=True),
        "numbers that are not finite|cannot answer",
    ),
}


def _overlap(header):
    first, second = tensors_of(header)[:2]
    header[second]["data_offsets"] = header[first]["data_offsets"]


def _huge_shape(header):
    header[tensors_of(header)[0]]["shape"] = [2**40, 2**40, 2**40]


@pytest.mark.parametrize("name", DAMAGES)
def test_a_damaged_checkpoint_is_refused_in_one_sentence_that_names_the_file(folder, name):
    damage, told = DAMAGES[name]
    damage(folder)
    with pytest.raises(ModelUnusable, match=told) as refused:
        build_model(str(folder))
    assert str(folder) in str(refused.value)
    assert len(str(refused.value)) < 600


def test_a_graph_gets_no_more_memory_than_its_limit(folder):
    """A Range passes the check, for `distill` writes one; it may not fill the memory."""

    model = onnx.load(str(folder / "decoder.onnx"), load_external_data=False)
    nodes = [node for node in model.graph.node if node.op_type == "Range"]
    huge = numpy_helper.from_array(np.array(10**9), "huge")
    model.graph.initializer.append(huge)
    at = list(model.graph.node).index(nodes[1])
    model.graph.node.insert(at, helper.make_node("Mul", [nodes[1].input[1], "huge"], ["far"]))
    nodes[1].input[1] = "far"
    (folder / "decoder.onnx").write_bytes(model.SerializeToString())
    with pytest.raises(ModelUnusable, match=r"cannot answer .*memory"):
        EmbeddedModel(folder)


def test_a_pass_that_takes_too_long_is_stopped(folder, monkeypatch):
    from atari_vlm.models.embedded import sessions

    runtime = EmbeddedModel(folder)._runtimes["pong"]
    watch = runtime._sessions._watch
    monkeypatch.setattr(sessions, "LONGEST_PASS", 0)
    with watch:
        watch.look()
    image = np.zeros((160, 160, 3), np.uint8)
    with pytest.raises(ModelUnusable, match="cannot answer"):
        runtime.answer(image, "Play pong. Say only your plan.", "pong", None)


def test_the_time_in_which_a_process_was_stopped_does_not_end_a_pass():
    """Only looks count, one a second of the process's own time."""
    from atari_vlm.models.embedded import sessions

    watch = sessions._Watch()
    for _ in range(2):
        with watch as options:
            for _ in range(sessions.LONGEST_PASS - 5):
                watch.look()
    watch.look()
    assert not options.terminate


def test_the_shipped_weights_are_not_checked_again(monkeypatch):
    from atari_vlm.models.embedded import sessions

    monkeypatch.setattr(sessions, "_check", None)
    runtime = EmbeddedModel(checkpoint("pong"))._runtimes["pong"]
    assert isinstance(runtime._sessions, Sessions)
    assert runtime._sessions._watch is None
