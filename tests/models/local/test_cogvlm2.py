"""CogVLM2 in this process: code of its own runs only when it was named, and is called rightly."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import pytest

from atari_vlm.errors import InvalidSetting, ModelUnusable
from atari_vlm.models.build import build_model
from atari_vlm.models.catalogue import MODELS
from atari_vlm.models.local.model import LocalModel, LocalSettings
from atari_vlm.models.local.remote_code import trusted_commit
from atari_vlm.trainer import VLMTrainer
from atari_vlm.types import Message, Prompt

pytestmark = pytest.mark.training
pytest.importorskip("torch")
from tests import remote_code  # noqa: E402

LEGAL = ("NOOP", "FIRE", "RIGHT", "LEFT", "RIGHTFIRE", "LEFTFIRE")
ID = "zai-org/cogvlm2-llama3-chat-19B"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return remote_code.build(tmp_path_factory.mktemp("remote") / "cogvlm2")


@pytest.fixture
def mark(tmp_path, monkeypatch):
    """A file that the checkpoint's code writes when it runs; copies of it go to a folder here."""
    from transformers import dynamic_module_utils

    modules = tmp_path / "modules"
    monkeypatch.setattr(dynamic_module_utils, "HF_MODULES_CACHE", str(modules))
    monkeypatch.setattr(sys, "path", [*sys.path])
    before = set(sys.modules)
    monkeypatch.setenv("TINY_COGVLM_MARK", str(tmp_path / "mark"))
    yield tmp_path / "mark"
    for name in set(sys.modules) - before:
        if name.startswith("transformers_modules"):
            del sys.modules[name]


def prompt(frames, *, plans=True, json=False):
    parts = [part for n, frame in enumerate(frames) for part in (f"Screen {n}:", frame)]
    return Prompt(
        messages=(Message("system", ("You play Pong.",)), Message("user", (*parts, "Act."))),
        legal=LEGAL,
        longest=4,
        plans=plans,
        json=json,
    )


def trusting(folder, **more):
    return LocalModel(str(folder), settings=LocalSettings(trust_remote_code=str(folder), **more))


# --- the gate -------------------------------------------------------------------------------------


def test_its_code_does_not_run_unless_it_is_named(folder, mark, screens):
    with pytest.raises(ModelUnusable, match="brings Python code of its own, which is not run"):
        LocalModel(str(folder))
    assert not mark.exists()
    model = trusting(folder, max_tokens=3)
    assert not mark.exists()
    asyncio.run(model.answer(prompt(screens[:1]), seed=0))
    assert mark.read_text().startswith("ran")


def test_naming_another_checkpoint_runs_nothing(folder, built, mark, tmp_path):
    other = tmp_path / "other"
    with pytest.raises(InvalidSetting, match=r"names .*other, and the model is .*cogvlm2\."):
        LocalModel(str(folder), settings=LocalSettings(trust_remote_code=str(other)))
    plain = str(built("idefics3"))
    with pytest.raises(ModelUnusable, match="needs no trust_remote_code, or is not CogVLM2"):
        LocalModel(plain, settings=LocalSettings(trust_remote_code=plain))
    assert not mark.exists()


def test_a_hub_model_is_trusted_at_one_commit_only():
    commit = "0123456789abcdef0123456789abcdef01234567"
    assert trusted_commit(ID, None) is None
    assert trusted_commit(ID, f"{ID}@{commit}") == commit
    for vague in (ID, f"{ID}@main", f"{ID}@{commit[:12]}"):
        with pytest.raises(
            InvalidSetting, match=r"add the commit .* and its 40 digits, from https"
        ):
            trusted_commit(ID, vague)
    with pytest.raises(InvalidSetting, match="Code runs only of the model that is named"):
        trusted_commit("Qwen/Qwen2-VL-7B-Instruct", f"{ID}@{commit}")


def test_without_trust_the_catalogue_names_the_server_and_the_successor():
    with pytest.raises(ModelUnusable, match=rf"trust_remote_code='{ID}@COMMIT'") as caught:
        build_model("cogvlm2")
    for way in ("lmdeploy serve api_server", "GLM-4.1V", "base_url='http://localhost:23333/v1'"):
        assert way in str(caught.value)
    assert MODELS["cogvlm2"].serve.startswith("lmdeploy serve api_server")


def test_code_that_cannot_run_here_says_what_succeeds_it(folder, mark, screens, tmp_path):
    broken = tmp_path / "broken"
    broken.mkdir()
    for path in folder.iterdir():
        (broken / path.name).write_bytes(path.read_bytes())
    code = broken / "modeling_cogvlm.py"
    code.write_text("import xformers_that_is_not_here\n" + code.read_text())
    model = trusting(broken)
    assert model.version != trusting(folder).version  # other code is another player
    with pytest.raises(
        ModelUnusable, match=r"does not run here .*xformers.*GLM-4\.1V and GLM-4\.6V"
    ):
        asyncio.run(model.answer(prompt(screens[:1]), seed=0))


# --- what it says ---------------------------------------------------------------------------------


def whole(backend, conversation, said):
    """Log-probabilities of the token after `said`, everything read anew in one pass."""
    import torch

    from atari_vlm.models.local.conversation import images_of

    words = "".join(p["text"] for t in conversation for p in t["content"] if "text" in p).strip()
    model = backend.model
    built = model.build_conversation_input_ids(
        backend.tokenizer, query=words, images=images_of(conversation), template_version="chat"
    )
    more = torch.tensor(said, dtype=torch.long)
    ids = torch.cat([built["input_ids"], more])[None]
    types = torch.cat([built["token_type_ids"], torch.zeros_like(more)])[None]
    mask = torch.ones_like(ids)
    positions = sys.modules[type(model).__module__].build_position_ids(types, mask)
    with torch.inference_mode():
        out = model(ids, types, positions, mask, images=[built["images"]])
    return out.logits[0, -1].log_softmax(-1)


def test_its_answers_equal_a_full_recomputation(folder, mark, screens):
    model = trusting(folder, max_tokens=12)
    asked = prompt(screens[:3])
    reply = asyncio.run(model.answer(asked, seed=0))
    backend = model._backend
    conversation = model._format.conversation(backend, asked)
    said = []
    while len(said) < reply.usage.output_tokens:
        said.append(int(whole(backend, conversation, said).argmax()))
    assert backend.tokenizer.decode(said, skip_special_tokens=True) == reply.text
    assert len(set(said)) > 3


def test_its_probabilities_equal_a_full_recomputation(folder, mark, screens):
    import numpy as np

    model = trusting(folder)
    asked = prompt(screens[:2], plans=False)  # RIGHT begins RIGHTFIRE: the end counts
    rated = asyncio.run(model.score(asked))
    backend = model._backend
    conversation = model._format.conversation(backend, asked)
    logs = []
    for action, _ in rated:
        said, log = [], 0.0
        for token in backend.tokenizer(action, add_special_tokens=False)["input_ids"]:
            log += float(whole(backend, conversation, said)[token])
            said.append(token)
        ends = whole(backend, conversation, said)[backend.eos_token_ids]
        logs.append(log + float(ends.logsumexp(0)))
    expected = np.exp(np.array(logs) - max(logs))
    assert np.allclose(list(rated.values()), expected / expected.sum(), atol=1e-5)
    assert max(rated.values()) > 1.5 / len(rated)


def test_several_screens_are_one_mosaic_which_it_sees(folder, mark, screens):
    model = trusting(folder)
    network_sees = [asyncio.run(model.score(prompt(screens[k : k + 3]))) for k in (0, 100)]
    assert network_sees[0] != network_sees[1]
    (turn,) = model._format.conversation(model._backend, prompt(screens[:4]))
    pictures = [part["image"] for part in turn["content"] if part["type"] == "image"]
    assert [picture.size for picture in pictures] == [(2 * 320 + 8, 2 * 420 + 8)]
    assert "one picture, more screens as one mosaic" in model.description


def test_it_plays_and_its_record_says_whose_code_ran(folder, mark, tmp_path):
    trainer = VLMTrainer(
        "pong",
        str(folder),
        prompt_type="cot",
        max_decisions=3,
        max_tokens=90,
        history=0,
        save_dir=tmp_path,
        trust_remote_code=str(folder),
    )
    assert "by Python code of its own" in trainer.settings["local"]
    summary = trainer.evaluate(1)
    assert summary.sources == {"parsed": 3}  # the form of JSON answers is held


def test_a_prompt_longer_than_it_reads_is_refused(folder, mark, screens):
    long = Prompt(messages=(Message("user", (screens[0], "act " * 900)),), legal=LEGAL, longest=4)
    with pytest.raises(ModelUnusable, match="reads at most 900"):
        asyncio.run(trusting(folder).answer(long, seed=0))
    assert Path(folder).is_dir()
