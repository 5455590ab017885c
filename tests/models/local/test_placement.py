"""Device, data type, attention and quantization are applied, recorded, or refused."""

from __future__ import annotations

import asyncio
from importlib.util import find_spec

import pytest

from atari_vlm.errors import InvalidSetting, MissingExtra
from atari_vlm.models.build import build_model
from atari_vlm.models.local import placement
from atari_vlm.models.local.model import LocalModel, LocalSettings
from atari_vlm.models.local.options import LocalOptions
from atari_vlm.models.local.placement import Placement
from atari_vlm.trainer import VLMTrainer
from atari_vlm.types import Message, Prompt

pytestmark = pytest.mark.training
pytest.importorskip("torch")
from tests import checkpoints  # noqa: E402
from tests.commands import command  # noqa: E402

LEGAL = ("NOOP", "FIRE", "RIGHT", "LEFT")


def load(folder, screens, **placement):
    """A local model after its first scores, and the module of transformers in it."""
    model = LocalModel(
        str(folder), settings=LocalSettings(max_tokens=3, placement=Placement(**placement))
    )
    prompt = Prompt(messages=(Message("user", (screens[0], "Act.")),), legal=LEGAL, longest=4)
    scores = asyncio.run(model.score(prompt))
    assert sum(scores.values()) == pytest.approx(1, abs=1e-3)
    return model, model._backend.model


@pytest.mark.parametrize("kind", ["flash_attention_2", "flash_attention_3"])
def test_missing_flash_attention_becomes_sdpa_and_is_recorded(built, screens, kind):
    import torch

    if torch.cuda.is_available():
        pytest.skip("This machine may have flash attention.")
    model, module = load(built("idefics3"), screens, attention=kind)
    assert model.description.startswith(
        f"idefics3 (sdpa, as {kind} needs an NVIDIA GPU and its package"
    )
    assert "pip install flash-attn" in model.description
    assert module.config.text_config._attn_implementation == "sdpa"


def test_the_placement_is_applied_and_described(built, screens):
    import torch

    model, module = load(
        built("idefics3"), screens, attention="eager", dtype="bfloat16", device="cpu", threads=1
    )
    assert model.description.startswith("idefics3 (bfloat16, eager, cpu, 1 thread): ")
    assert module.dtype == torch.bfloat16
    assert module.config.text_config._attn_implementation == "eager"
    assert load(built("idefics3"), screens)[0].description.startswith(
        "idefics3: every screen a picture"
    )


@pytest.mark.parametrize(("kind", "package"), sorted(placement.QUANTIZED.items()))
def test_quantization_names_its_missing_package(built, monkeypatch, kind, package):
    gone = {package}
    monkeypatch.setattr(placement, "find_spec", lambda name: None if name in gone else object())
    with pytest.raises(
        MissingExtra, match=rf"quantize='{kind}' needs {package}. Where .* pip install"
    ):
        build_model(str(built("idefics3")), local=LocalOptions(quantize=kind))
    gone.clear()
    model = build_model(str(built("idefics3")), local=LocalOptions(quantize=kind))
    assert model.description.startswith(f"idefics3 ({kind}): ")


@pytest.mark.parametrize(
    ("kind", "package", "name"),
    [
        ("8bit", "bitsandbytes", "Linear8bitLt"),
        ("4bit", "bitsandbytes", "Linear4bit"),
        ("int8", "torchao", "Int8Tensor"),
    ],
)
def test_weights_are_quantized(tmp_path, screens, kind, package, name):
    if find_spec(package) is None:
        pytest.skip(f"{package} is not installed: pip install -c constraints.txt -e '.[quantize]'")
    _, module = load(checkpoints.wide(tmp_path / "wide"), screens, quantize=kind)
    layer = module.model.text_model.layers[0].mlp.gate_proj
    assert name in (type(layer).__name__, type(layer.weight).__name__)


def test_placement_is_part_of_the_record_of_a_run(built, tmp_path):
    trainer = VLMTrainer(
        "pong", str(built("idefics3")), dtype="bfloat16", threads=1, save_dir=tmp_path
    )
    assert trainer.settings["local"].startswith("idefics3 (bfloat16, 1 thread): ")
    other = VLMTrainer("pong", str(built("idefics3")), save_dir=tmp_path)
    assert trainer.folder("train", 0) != other.folder("train", 0)


@pytest.mark.parametrize("name", ["embedded", "gpt-4o", "random"])
def test_other_models_refuse_placement_settings(name):
    with pytest.raises(InvalidSetting, match=r"quantize"):
        VLMTrainer("pong", name, api_key="none", quantize="4bit")


def test_an_unknown_setting_gets_a_suggestion(tmp_path):
    process = command("play", "--model", "local:x", "--quantise", "4bit", cwd=tmp_path)
    assert process.returncode == 2
    assert "No such option: --quantise" in process.stderr
    assert "Possible options: --quantize" in " ".join(process.stderr.split())
