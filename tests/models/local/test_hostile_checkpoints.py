"""A checkpoint from elsewhere, incomplete or crafted: one sentence that names the file."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import subprocess
import sys
import time

import pytest

from atari_vlm.errors import ModelUnusable
from atari_vlm.models.local.model import LocalModel
from tests.models.local.helpers import answer, build_prompt, short_answers
from tests.tensor_files import rewrite, tensors_of

pytestmark = pytest.mark.training
pytest.importorskip("torch")
from atari_vlm.models.local import chat_template  # noqa: E402
from atari_vlm.models.local.chat_template import ChatTemplate  # noqa: E402
from tests import checkpoints  # noqa: E402

POINTER = "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n"
WEIGHTS, INDEX = "model.safetensors", "model.safetensors.index.json"


def text(name, content):
    """A damage: other content in the place of a file."""
    return lambda folder: (folder / name).write_text(content)


def changed(name, *path, **values):
    """A damage: other values in a JSON file."""

    def damage(folder):
        content = inner = json.loads((folder / name).read_text())
        for key in path:
            inner = inner[key]
        inner.update(values)
        (folder / name).write_text(json.dumps(content))

    return damage


def placed(*names, **more):
    """A damage: an index that places the weights in these files."""

    def damage(folder):
        held = ["lm_head.weight", *(f"t{n}" for n in range(len(names) - 1))]
        index = {"metadata": {}, "weight_map": dict(zip(held, names, strict=True))}
        (folder / INDEX).write_text(json.dumps(index | more))

    return damage


def instead(name, make):
    def damage(folder):
        (folder / name).unlink()
        make(folder / name)

    return damage


def interrupted(folder):
    (folder / WEIGHTS).rename(folder / f"{WEIGHTS}.incomplete")


def pickled(folder):
    (folder / WEIGHTS).unlink()
    (folder / "pytorch_model.bin").write_bytes(b"\x80\x04.")


def tall(header):
    header[tensors_of(header)[0]]["shape"] = [2**40, 2**40]


def strange(header):
    header[tensors_of(header)[0]]["dtype"] = "PICKLE"


def gap(header):
    last = header[tensors_of(header)[-1]]
    last["data_offsets"] = [last["data_offsets"][0] - 64, last["data_offsets"][1] - 64]


DAMAGES = {
    "weights are a pointer": (text(WEIGHTS, POINTER), r"model\.safetensors .*Git-LFS .*lfs pull`"),
    "tokenizer is a pointer": (text("tokenizer.json", POINTER), r"tokenizer\.json .*Git-LFS"),
    "config is a page": (text("config.json", "<!doctype html><p>404"), r"config\.json .*web page"),
    "weights are a page": (text(WEIGHTS, "<html>Sign in</html>"), r"model\.safetensors .*web page"),
    "weights are an error": (text(WEIGHTS, "<?xml version='1.0'?><Error/>"), "XML document"),
    "empty config": (text("config.json", ""), r"config\.json .*is empty"),
    "empty weights": (text(WEIGHTS, ""), r"model\.safetensors .*is empty"),
    "weights of zeros": (lambda f: (f / WEIGHTS).write_bytes(bytes(9_999)), "begins with zeros"),
    "no tokenizer": (lambda f: (f / "tokenizer.json").unlink(), "it lacks its tokenizer"),
    "no processor": (lambda f: (f / "processor_config.json").unlink(), "lacks its image processor"),
    "interrupted": (interrupted, r"lacks model\.safetensors.*was interrupted.*\.incomplete"),
    "pickled": (pickled, r"Pickled weights \(pytorch_model\.bin\) are never read"),
    "pipe": (instead("generation_config.json", os.mkfifo), r"generation_config\.json .*no regular"),
    "pipe of weights": (instead(WEIGHTS, os.mkfifo), r"model\.safetensors .*no regular file"),
    "directory": (instead("tokenizer_config.json", os.mkdir), r"tokenizer_config\.json .*no regul"),
    "device": (instead("config.json", lambda p: p.symlink_to("/dev/zero")), "no regular file"),
    "deep": (text("tokenizer_config.json", "[" * 99_999), r"tokenizer_config\.json .*nested more"),
    "huge": (lambda f: os.truncate(f / "tokenizer.json", 10**11), r"tokenizer\.json .*at most"),
    "huge template": (text("chat_template.jinja", "x" * 2**21), r"chat_template\.jinja .*at most"),
    "config of a list": (text("config.json", "[]"), r"config\.json is damaged: it is no object"),
    "model type": (changed("config.json", model_type=["idefics3"]), "does not know the architect"),
    "adapter": (text("adapter_config.json", "{}"), "an adapter of another model"),
    "outside": (placed("../../../../etc/passwd"), r"index\.json .*places weights in '\.\./\.\./"),
    "absolute": (placed("/etc/passwd"), "places weights in '/etc/passwd'"),
    "no safetensors": (placed("weights.bin"), "places weights in 'weights.bin'"),
    "a number": (placed(7), "places weights in '7'"),
    "missing shard": (placed("model-00001-of-2.safetensors"), r"lacks model-00001-of-2\.safete"),
    "no map": (placed("x", weight_map=[]), "has no weight_map"),
    "liar": (placed(WEIGHTS, WEIGHTS), r"model\.safetensors has no tensor 't0'"),
    "long header": (
        lambda f: rewrite(f / WEIGHTS, length=2**62),
        "says that its header has 4,611,686,018,427,387,904 bytes",
    ),
    "shape overflows": (lambda f: rewrite(f / WEIGHTS, change=tall), "another length than its sh"),
    "unknown type": (lambda f: rewrite(f / WEIGHTS, change=strange), r"tensor '\S+' is damaged"),
    "overlap": (lambda f: rewrite(f / WEIGHTS, change=gap), "overlaps .*, or leaves a gap"),
    "not finite": (
        lambda f: rewrite(f / WEIGHTS, number=float("nan")),
        r"are damaged: \S+ holds numbers that are not finite",
    ),
    "a million layers": (
        changed("config.json", "text_config", num_hidden_layers=10**6),
        "num_hidden_layers is 1000000, and at most 2000",
    ),
    "more layers than tensors": (
        changed("config.json", "text_config", num_hidden_layers=1_900),
        "of 1,900 layers .* is of another model",
    ),
    "a huge vocabulary": (
        changed("config.json", "text_config", vocab_size=2**23),
        "One of the two is of another model",
    ),
    "a huge width": (
        changed("config.json", "vision_config", hidden_size=2**20),
        "One of the two is of another model",
    ),
    "a huge picture": (
        changed("config.json", "vision_config", image_size=2**20, patch_size=1),
        "One of the two is of another model",
    ),
    "a number beyond": (changed("config.json", pad_token_id=2**70), "pad_token_id is"),
    "code as attention": (
        changed("config.json", _attn_implementation="evil/kernel"),
        "names code of another repository",
    ),
    "a huge resize": (
        changed("processor_config.json", "image_processor", size={"longest_edge": 10**6}),
        r"processor_config\.json is damaged: longest_edge is 1000000, and at most 8192",
    ),
    "a billion image tokens": (
        changed("processor_config.json", image_seq_len=10**9),
        "image_seq_len is 1000000000, and at most",
    ),
}


@pytest.mark.parametrize("name", DAMAGES)
def test_a_crafted_or_incomplete_checkpoint_is_refused_before_its_files_are_used(
    built, screens, tmp_path, name
):
    damage, told = DAMAGES[name]
    folder = shutil.copytree(built("idefics3"), tmp_path / "damaged")
    damage(folder)
    with pytest.raises(ModelUnusable, match=told) as refused:
        answer(LocalModel(str(folder), settings=short_answers()), build_prompt(screens[:1]))
    assert "\n" not in str(refused.value)
    assert len(str(refused.value)) < 700


def test_the_cache_of_the_hub_links_to_its_files(built, screens, tmp_path):
    """Its folders hold symbolic links to the files, which are followed for reading."""
    folder = tmp_path / "snapshot"
    folder.mkdir()
    for path in built("idefics3").iterdir():
        (folder / path.name).symlink_to(path)
    model = LocalModel(str(folder), settings=short_answers())
    assert answer(model, build_prompt(screens[:1])).text


TEMPLATES = {
    "loops": "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}",
    "doubles": "{% set n = namespace(x='ab') %}{% for i in range(64) %}{% set n.x = n.x ~ n.x %}"
    "{% endfor %}{{ n.x|length }}",
    "doubles lists": "{% set n = namespace(x=[1]) %}{% for i in range(64) %}"
    "{% set n.x = [n.x, n.x] %}{% endfor %}{{ n.x }}",
    "repeats": "{{ ('x' * 10000000000)|length }}",
    "powers": "{{ (9 ** (9 ** 9))|string|length }}",
    "pads": "{{ '%0999999999999d' % 1 }}",
    "writes": "{% for i in range(99999) %}{{ 'x' * 1000 }}{% endfor %}",
    "calls itself": "{% macro f() %}{{ f() }}{{ f() }}{% endmacro %}{{ f() }}",
    "pries": "{{ ''.__class__.__mro__[1].__subclasses__() }}",
    "includes": "{% include '/etc/passwd' %}",
    "refuses": "{{ raise_exception('no pictures, please') }}",
    "is none": "{% for %}",
}


@pytest.mark.parametrize("name", TEMPLATES)
def test_a_chat_template_that_does_harm_is_ended(name, monkeypatch):
    monkeypatch.setattr(chat_template, "SECONDS", 1.0)
    template = ChatTemplate(TEMPLATES[name], "mine", {})
    start = time.monotonic()
    with pytest.raises(ModelUnusable, match=r"The chat template of mine (takes|cannot be used)"):
        template.render([[{"role": "user", "content": [{"type": "text", "text": "Hello"}]}]])
    template.close()
    assert time.monotonic() - start < 60


@pytest.mark.skipif(not hasattr(signal, "SIGSTOP"), reason="Windows suspends no process")
def test_a_template_is_not_ended_because_its_process_was_suspended():
    script = (
        "import os, signal\n"
        "from atari_vlm.models.local.template_process import limited_time\n"
        "with limited_time(0.2):\n"
        "    os.kill(os.getpid(), signal.SIGSTOP)\n"
        "print('rendered')\n"
    )
    child = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
    os.waitpid(child.pid, os.WUNTRACED)
    time.sleep(0.4)
    child.send_signal(signal.SIGCONT)
    assert child.communicate(timeout=60)[0] == "rendered\n"


def test_a_template_that_harms_only_some_prompts_is_ended_then_and_the_next_one_is_read():
    source = "{% if messages|length > 1 %}{{ 'x' * 10**11 }}{% endif %}{{ messages[0].role }}"
    template = ChatTemplate(source, "mine", {})
    one = {"role": "user", "content": [{"type": "text", "text": "Hello"}]}
    assert template.render([[one]]) == ["user"]
    with pytest.raises(ModelUnusable, match="chat template of mine"):
        template.render([[one, one]])
    assert template.render([[one], [one]]) == ["user", "user"]
    process = template._process
    del template  # nobody closes it
    assert process.poll() is not None


@pytest.mark.parametrize("name", sorted(checkpoints.FAMILIES))
def test_templates_give_the_texts_that_transformers_gives(built, screens, name):
    model = LocalModel(str(built(name)), settings=short_answers())
    backend = model._load()
    talks = [model._format.conversation(backend, build_prompt(screens[:2], text="Ünicode\n  x "))]
    expected = [
        backend.processor.apply_chat_template(talk, add_generation_prompt=True, tokenize=False)
        for talk in talks
    ]
    assert backend._chat_template.render(talks) == expected
    process = backend._chat_template._process
    asyncio.run(model.close())
    assert process.poll() is not None
