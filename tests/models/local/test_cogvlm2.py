"""CogVLM2 in this process: its code runs only if trusted, and gives the right answers."""

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
    """A file that the checkpoint's code writes when it runs; transformers copies the code here."""
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


def build_prompt(frames, *, plans=True, json=False):
    parts = [part for n, frame in enumerate(frames) for part in (f"Screen {n}:", frame)]
    return Prompt(
        messages=(Message("system", ("You play Pong.",)), Message("user", (*parts, "Act."))),
        legal=LEGAL,
        longest=4,
        plans=plans,
        json=json,
    )


def trusted_model(folder, **more):
    return LocalModel(str(folder), settings=LocalSettings(trust_remote_code=str(folder), **more))


# --- trust ----------------------------------------------------------------------------------------


def test_remote_code_runs_only_if_trusted(folder, mark, screens):
    with pytest.raises(ModelUnusable, match="brings Python code of its own, which is not run"):
        LocalModel(str(folder))
    assert not mark.exists()
    model = trusted_model(folder, max_tokens=3)
    assert not mark.exists()
    asyncio.run(model.answer(build_prompt(screens[:1]), seed=0))
    assert mark.read_text().startswith("ran")


def test_trusting_another_checkpoint_runs_nothing(folder, built, mark, tmp_path):
    other = tmp_path / "other"
    with pytest.raises(InvalidSetting, match=r"names .*other, and the model is .*cogvlm2\."):
        LocalModel(str(folder), settings=LocalSettings(trust_remote_code=str(other)))
    plain = str(built("idefics3"))
    with pytest.raises(ModelUnusable, match="needs no trust_remote_code, or is not CogVLM2"):
        LocalModel(plain, settings=LocalSettings(trust_remote_code=plain))
    assert not mark.exists()


def test_a_hub_model_is_trusted_only_at_a_commit():
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


def test_without_trust_the_error_names_a_server_and_a_successor():
    with pytest.raises(ModelUnusable, match=rf"trust_remote_code='{ID}@COMMIT'") as caught:
        build_model("cogvlm2")
    for way in ("lmdeploy serve api_server", "GLM-4.1V", "base_url='http://localhost:23333/v1'"):
        assert way in str(caught.value)
    assert MODELS["cogvlm2"].serve.startswith("lmdeploy serve api_server")


def test_code_that_cannot_run_names_its_successor(folder, mark, screens, tmp_path):
    broken = tmp_path / "broken"
    broken.mkdir()
    for path in folder.iterdir():
        (broken / path.name).write_bytes(path.read_bytes())
    code = broken / "modeling_cogvlm.py"
    code.write_text("import xformers_that_is_not_here\n" + code.read_text())
    model = trusted_model(broken)
    assert model.version != trusted_model(folder).version  # other code is another model
    with pytest.raises(
        ModelUnusable, match=r"does not run here .*xformers.*GLM-4\.1V and GLM-4\.6V"
    ):
        asyncio.run(model.answer(build_prompt(screens[:1]), seed=0))


# --- answers --------------------------------------------------------------------------------------


def next_log_probs(backend, conversation, token_ids):
    """Log-probabilities of the token after `token_ids`, read in one pass without a cache."""
    import torch

    from atari_vlm.models.local.conversation import images_of

    texts = [p["text"] for m in conversation for p in m["content"] if "text" in p]
    model = backend.model
    inputs = model.build_conversation_input_ids(
        backend.tokenizer,
        query="".join(texts).strip(),
        images=images_of(conversation),
        template_version="chat",
    )
    more = torch.tensor(token_ids, dtype=torch.long)
    ids = torch.cat([inputs["input_ids"], more])[None]
    types = torch.cat([inputs["token_type_ids"], torch.zeros_like(more)])[None]
    mask = torch.ones_like(ids)
    positions = sys.modules[type(model).__module__].build_position_ids(types, mask)
    with torch.inference_mode():
        out = model(ids, types, positions, mask, images=[inputs["images"]])
    return out.logits[0, -1].log_softmax(-1)


def test_answers_equal_a_full_recomputation(folder, mark, screens):
    model = trusted_model(folder, max_tokens=12)
    prompt = build_prompt(screens[:3])
    reply = asyncio.run(model.answer(prompt, seed=0))
    backend = model._backend
    conversation = model._format.conversation(backend, prompt)
    token_ids = []
    while len(token_ids) < reply.usage.output_tokens:
        token_ids.append(int(next_log_probs(backend, conversation, token_ids).argmax()))
    assert backend.tokenizer.decode(token_ids, skip_special_tokens=True) == reply.text
    assert len(set(token_ids)) > 3


def test_scores_equal_a_full_recomputation(folder, mark, screens):
    import numpy as np

    model = trusted_model(folder)
    prompt = build_prompt(screens[:2], plans=False)  # RIGHT begins RIGHTFIRE: the end counts
    scores = asyncio.run(model.score(prompt))
    backend = model._backend
    conversation = model._format.conversation(backend, prompt)
    logs = []
    for action, _ in scores:
        token_ids, log = [], 0.0
        for token in backend.tokenizer(action, add_special_tokens=False)["input_ids"]:
            log += float(next_log_probs(backend, conversation, token_ids)[token])
            token_ids.append(token)
        ends = next_log_probs(backend, conversation, token_ids)[backend.eos_token_ids]
        logs.append(log + float(ends.logsumexp(0)))
    expected = np.exp(np.array(logs) - max(logs))
    assert np.allclose(list(scores.values()), expected / expected.sum(), atol=1e-5)
    assert max(scores.values()) > 1.5 / len(scores)


def test_several_screens_are_one_mosaic(folder, mark, screens):
    model = trusted_model(folder)
    scores = [asyncio.run(model.score(build_prompt(screens[k : k + 3]))) for k in (0, 100)]
    assert scores[0] != scores[1]
    (message,) = model._format.conversation(model._backend, build_prompt(screens[:4]))
    images = [part["image"] for part in message["content"] if part["type"] == "image"]
    assert [image.size for image in images] == [(2 * 320 + 8, 2 * 420 + 8)]
    assert "one picture, more screens as one mosaic" in model.description


def test_it_plays_and_the_record_mentions_the_remote_code(folder, mark, tmp_path):
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
    assert summary.sources == {"parsed": 3}  # JSON answers are constrained


def test_a_prompt_longer_than_the_context_is_refused(folder, mark, screens):
    long = Prompt(messages=(Message("user", (screens[0], "act " * 900)),), legal=LEGAL, longest=4)
    with pytest.raises(ModelUnusable, match="reads at most 900"):
        asyncio.run(trusted_model(folder).answer(long, seed=0))
    assert Path(folder).is_dir()
