"""Where keys are held, and what is done about those that a model of the user's own comes upon."""

from __future__ import annotations

import copy
import pickle
import traceback
from contextlib import closing
from dataclasses import replace

import pytest

from atari_vlm.errors import AtariVLMError, InvalidSetting, ModelFault
from atari_vlm.models.build import build_model
from atari_vlm.models.hosted.limiter import Rate
from atari_vlm.models.hosted.model import HostedModel
from atari_vlm.models.hosted.redaction import Secrets
from atari_vlm.models.hosted.settings import HostedSettings
from atari_vlm.options import Key
from atari_vlm.players import Options
from atari_vlm.runs.run import Run
from atari_vlm.trainer import VLMTrainer
from atari_vlm.types import Reply
from tests.leaks import leaks, leaks_in
from tests.models.hosted.test_secrets import KEY, OTHER, _base64
from tests.servers import Server
from tests.vendor_apis import Answer


class OfMine:
    """A model of the user's own, whose server repeats the key of the environment."""

    name, prompt_type = "mine", "basic"

    def __init__(self) -> None:
        self.asked = 0

    async def answer(self, prompt, *, seed) -> Reply:
        self.asked += 1
        if self.asked == 2:
            raise ModelFault("server error", f"It said: {_base64(OTHER)}")
        return Reply(text=f"I was sent {OTHER}\nACTION: LEFT", thinking=f"Odd: {OTHER[::-1]}")

    async def close(self) -> None:
        pass


def test_a_key_of_the_environment_is_in_no_record_of_a_model_of_ones_own(tmp_path, monkeypatch):
    monkeypatch.setenv("ANTHROPIC_API_KEY", OTHER)
    options = {"max_decisions": 3, "run_folder": tmp_path, "progress": False}
    VLMTrainer("breakout", model=OfMine(), prompt_type="basic", **options).train(1)
    with closing(Run.read(tmp_path)) as run:
        made = list(run.decisions(0))
    assert [each.source for each in made] == ["parsed", "fallback", "parsed"]
    assert made[0].reply == "I was sent [key]\nACTION: LEFT"
    assert made[1].reason == "server error: It said: [key]"
    assert not leaks_in(tmp_path, OTHER)


# -- where a key is held --------------------------------------------------------------------------


def test_a_key_is_shown_by_no_variable_and_sent_to_no_process():
    key = Key(KEY)
    assert key == KEY
    assert KEY not in f"{key!r} {[key]!r} {key[:20]!r} { {'key': key}!r}"
    for held in (key, Secrets([KEY])):
        with pytest.raises(TypeError, match="to other processes"):
            pickle.dumps(held)


def _variables(error: BaseException) -> str:
    """The variables of all frames but the test's, as verbose tracebacks print them."""
    frames = traceback.TracebackException.from_exception(error, capture_locals=True).stack
    assert any("/atari_vlm/" in frame.filename for frame in frames)
    ours = [frame for frame in frames if frame.filename != __file__]
    return "\n".join(f"{name} = {value}" for f in ours for name, value in (f.locals or {}).items())


@pytest.mark.parametrize("key", ["two words of a key", "ключ-от-квартиры", KEY])
def test_a_key_is_in_no_variable_of_a_traceback(key):
    with pytest.raises(AtariVLMError) as caught:
        VLMTrainer("pong", "gpt-4o", api_key=key, detail="low", temperature=9)
    assert key not in _variables(caught.value)
    with pytest.raises(AtariVLMError) as caught:
        build_model("gpt-4o", api_key=key, temperature=9)
    assert key not in _variables(caught.value)


def test_a_key_is_in_no_variable_of_the_traceback_of_a_run(tmp_path):
    with Server(Answer(status=401)) as server:
        address = {"base_url": server.base_url, "save_dir": tmp_path}
        trainer = VLMTrainer("pong", "m", api_key=KEY, **address)
        with pytest.raises(AtariVLMError) as caught:
            trainer.train(1)
    assert KEY not in _variables(caught.value)


def test_options_keep_their_key_when_they_are_copied():
    options = replace(copy.copy(Options(api_key=KEY)), temperature=1)
    assert options.api_key == KEY
    assert KEY not in repr(options)


def test_a_model_is_sent_to_other_processes_without_a_key(monkeypatch):
    settings = HostedSettings(
        name="m", model_id="m", provider="openai-compatible", base_url="http://127.0.0.1:1/v1"
    )
    monkeypatch.setenv("ATARI_VLM_API_KEY", KEY)
    model = HostedModel(settings, rate=Rate(concurrency=3))
    packed = pickle.dumps(model)
    assert not leaks(packed, KEY)
    assert repr(pickle.loads(packed)) == repr(model)
    for given in (HostedModel(settings, api_key=KEY), VLMTrainer("pong", "gpt-4o", api_key=KEY)):
        assert repr(copy.deepcopy(given)) == repr(given)
    with pytest.raises(InvalidSetting) as refused:
        pickle.dumps(VLMTrainer("pong", model=HostedModel(settings, api_key=KEY)))
    assert str(refused.value) == (
        "m was given its key in Python, which is written into no file and sent to no other "
        "process: set ATARI_VLM_API_KEY in its place, or play in one process."
    )
