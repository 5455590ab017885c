"""Secrets in addresses and names are refused, wherever those are given, and never repeated."""

from __future__ import annotations

import json

import pytest

from atari_vlm.advice.estimate import estimate_run
from atari_vlm.advice.model_check import check_model
from atari_vlm.bench.settings import BenchSettings
from atari_vlm.errors import InvalidSetting
from atari_vlm.models.build import build_model
from atari_vlm.models.hosted.addresses import check_address, check_name, without_secrets
from atari_vlm.models.hosted.options import HostedOptions
from atari_vlm.models.hosted.settings import HostedSettings
from atari_vlm.players import Options
from atari_vlm.trainer import VLMTrainer
from tests.commands import command

SECRET = "SECRETsecret"

BAD = [
    f"http://host/v1?token={SECRET}",
    f"http://user:{SECRET}@host/v1",
    f"http://{SECRET}@host/v1",
    f"//user:{SECRET}@host/v1",
    f"user:{SECRET}@host",
    f"host?token={SECRET}",
    f"htp://host/?x={SECRET}",
    f"http://host/v1#{SECRET}",
    f"http://host/v1;token={SECRET}",
    f"http://host/v1&key={SECRET}",
    f"http://host/v1/token={SECRET}",
    f"http://host/v1%3Ftoken={SECRET}",
    f"http://host/v1%253Ftoken%253D{SECRET}",
    f"http://host/v1\N{FULLWIDTH QUESTION MARK}token={SECRET}",
    f"http://host\\@{SECRET}/v1",
    f"http://host/ {SECRET}",
    f"http://host/\n{SECRET}",
    f"http://host:{SECRET}/v1",
    f"http://[{SECRET}]/v1",
    f"http://host/key/{SECRET}/v1",
    f"http://host/api_key/{SECRET}",
    f"http://host/sk-{SECRET}/v1",
    f"http://host/%73k-{SECRET}/v1",
    f"http://host/AIzaSyA1234567890{SECRET}/v1",
    f"http://host/eyJhbGciOiJIUzI1NiJ9.{SECRET}/v1",
    f"http://host/t/9f86d081884c7d659a2f{SECRET}/v1",
    f"http://sk-{SECRET}1234.host/v1",
]

GOOD = [
    "http://localhost:8000/v1",
    "http://[::1]:8000/v1/",
    "https://openrouter.ai/api/v1",
    "https://mine.openai.azure.com/openai/v1",
    "https://gateway.ai.cloudflare.com/v1/9f86d081884c7d659a2feaa0c55ad015/mine/openai",
    "https://api.runpod.ai/v2/4k2jzr5gxd9u1s/openai/v1",
    "https://router.huggingface.co/hf-inference/v1",
    "https://k7l1xeok1jwnpvx5.us-east-1.aws.endpoints.huggingface.cloud/v1",
    "https://abcdefghijklmnopqrstuvwxyz012345.lambda-url.us-east-1.on.aws/v1",
    "https://h/v1/projects/mine/endpoints/123e4567-e89b-12d3-a456-426614174000",
    "https://key.example.org/auth/v1",
]


@pytest.mark.parametrize("address", BAD)
def test_an_address_with_a_secret_is_refused_without_repeating_it(address):
    with pytest.raises(InvalidSetting) as caught:
        check_address(address)
    assert SECRET not in repr(caught.value)
    if "host/" in address and "\n" not in address:
        assert SECRET not in (without_secrets(address) or "")


@pytest.mark.parametrize("address", GOOD)
def test_an_address_without_a_secret_is_accepted(address):
    check_address(address)
    assert without_secrets(address) == address


@pytest.mark.parametrize(
    "give",
    [
        lambda address: Options(base_url=address),
        lambda address: HostedOptions(base_url=address),
        lambda address: BenchSettings(games=("pong",), players=("m",), base_url=address),
        lambda address: VLMTrainer("pong", "random", base_url=address),
        lambda address: build_model("m", base_url=address),
        lambda address: check_model("m", base_url=address),
        lambda address: estimate_run("pong", "m", base_url=address),
        lambda address: HostedSettings(
            name="m", model_id="m", provider="anthropic", base_url=address
        ),
        lambda address: VLMTrainer("pong", f"openai:gpt-4o@{address}"),
        lambda address: BenchSettings(games=("pong",), players=(address,)),
        lambda address: build_model(address, base_url="http://host/v1"),
        lambda address: estimate_run("pong", address),
    ],
)
def test_wherever_it_is_given(give):
    for address in (BAD[0], BAD[1]):
        with pytest.raises(InvalidSetting) as caught:
            give(address)
        assert SECRET not in repr(caught.value) + repr(caught.value.__context__)


def test_a_key_given_as_the_name_of_a_model_is_not_repeated(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "no-usual-form-of-a-key")
    for name in ("sk-proj-abcdefghijkl1234", "openai:sk-ant-api03-abcdefghijklm"):
        with pytest.raises(InvalidSetting, match="looks like a key") as caught:
            VLMTrainer("pong", name)
        assert name.partition(":")[2] not in str(caught.value) or ":" not in name
    for name in ("no-usual-form-of-a-key", "openai:NO-USUAL-FORM-OF-A-KEY"):
        with pytest.raises(InvalidSetting, match="looks like a key"):
            VLMTrainer("pong", name)


def test_names_of_models_are_accepted():
    for name in (
        *("gpt-4o", "Qwen/Qwen2-VL-7B-Instruct", "local:zai-org/GLM-4.1V-9B-Thinking"),
        *("./runs/hf-checkpoint-00003", "embedded+lookahead:600", "cohere/command-r+"),
        *("accounts/fireworks/models/llama-v3p2-90b-vision-instruct", "trainer/sk-learn"),
    ):
        check_name(name)


@pytest.mark.parametrize("verb", ["play", "train", "bench", "estimate"])
def test_the_command_line_neither_repeats_nor_writes_it(verb, tmp_path):
    model = "--models" if verb == "bench" else "--model"
    game = "--games" if verb == "bench" else "--game"
    done = command(verb, game, "pong", model, "m", "--base-url", BAD[0], cwd=tmp_path)
    assert done.returncode == 2
    assert "out of --base-url, which is stored with the run; pass the key as" in done.stderr
    assert SECRET not in done.stdout + done.stderr + json.dumps(
        [str(path) for path in tmp_path.rglob("*")]
    )
