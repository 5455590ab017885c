"""Models in this process: any family loads and plays, and our own says what embedded says."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import pairwise

import numpy as np
import pytest

from atari_vlm.errors import InvalidSetting, MissingExtra, ModelFault, ModelUnusable, RunInvalid
from atari_vlm.models.build import build_model
from atari_vlm.models.embedded.model import EmbeddedModel
from atari_vlm.models.local import checkpoint as on_disk
from atari_vlm.models.local.conversation import build_conversation
from atari_vlm.models.local.families import (
    EMBEDDED,
    FAMILIES,
    UNKNOWN,
    FramePolicy,
    get_frame_policy,
)
from atari_vlm.models.local.model import LocalModel, LocalSettings
from atari_vlm.models.local.placement import Placement
from atari_vlm.prompts.embedded import LOOK, SEE
from atari_vlm.prompts.strategies import get_strategy
from atari_vlm.trainer import VLMTrainer
from atari_vlm.types import Frame, Lessons, Message, Observation, Prompt, Scorer

pytestmark = [
    pytest.mark.training,
    # transformers' own, of GLM-4V's processor
    pytest.mark.filterwarnings("ignore:__array__ implementation"),
]
pytest.importorskip("torch")
from tests import checkpoints  # noqa: E402

LEGAL = ("NOOP", "FIRE", "RIGHT", "LEFT", "RIGHTFIRE", "LEFTFIRE")
TINY = sorted(checkpoints.FAMILIES)


def ask(shown, *, plans=True, json=False, words="Name an action."):
    parts = [part for n, frame in enumerate(shown) for part in (f"Screen {n}:", frame)]
    return Prompt(
        messages=(Message("system", ("You play Pong.",)), Message("user", (*parts, words))),
        legal=LEGAL,
        longest=4,
        plans=plans,
        json=json,
    )


def prompt_of(shown, request=SEE):
    words = request.format(game="pong", thing="ball")
    return Prompt(messages=(Message("user", (*shown, words)),), legal=LEGAL, longest=4)


def answer(model, prompt, seed=0):
    return asyncio.run(model.answer(prompt, seed=seed))


def encode_without_cache(backend, conversation):
    """The inputs of a conversation from its processor alone, pictures as pixels."""
    remembering = backend.processor.image_processor
    backend.processor.image_processor = getattr(remembering, "inner", remembering)
    inputs = backend.processor.apply_chat_template(
        [conversation],
        add_generation_prompt=True,
        tokenize=True,
        return_dict=True,
        return_tensors="pt",
    )
    backend.processor.image_processor = remembering
    return inputs


def short(**more):
    return LocalSettings(max_tokens=more.pop("max_tokens", 6), **more)


# --- our own checkpoint ---------------------------------------------------------------------------


@pytest.mark.parametrize("draw", [True, False])
def test_our_own_checkpoint_says_word_for_word_what_the_embedded_model_says(built, screens, draw):
    folder = built("embedded")
    local = LocalModel(str(folder), settings=LocalSettings(draw=draw))
    embedded = EmbeddedModel(folder, draw=draw)
    rng = np.random.default_rng(1)
    noise = [
        Frame(rng.integers(0, 256, (210, 160), np.uint8) * (rng.random((210, 160)) < 0.1))
        for _ in range(21)
    ]
    pairs = [*pairwise(screens), *pairwise(noise)][:: 6 if draw else 1]

    async def compare():
        said = set()
        for number, pair in enumerate(pairs):
            prompt = prompt_of(pair, LOOK if number % 4 == 3 else SEE)
            mine = await local.answer(prompt, seed=number)
            theirs = await embedded.answer(prompt, seed=number)
            assert mine.text == theirs.text
            assert mine.finish == "stop"
            assert mine.usage.input_tokens == theirs.usage.input_tokens
            assert mine.usage.output_tokens == theirs.usage.output_tokens
            said.add(mine.text)
        await local.close()
        return said

    assert len(asyncio.run(compare())) > 10


def test_our_own_checkpoint_scores_plans_as_the_embedded_model_does(built, screens):
    local, embedded = LocalModel(str(built("embedded"))), EmbeddedModel(built("embedded"))
    assert isinstance(local, Scorer)

    async def furthest():
        worst = 0.0
        for pair in list(pairwise(screens))[::4]:
            mine = await local.score(prompt_of(pair))
            theirs = await embedded.score(prompt_of(pair))
            assert list(mine) == list(theirs)
            worst = max(worst, *(abs(mine[plan] - theirs[plan]) for plan in mine))
        return worst

    assert asyncio.run(furthest()) < 1e-4


def test_our_own_checkpoint_knows_its_prompt_its_games_and_its_limits(built, screens):
    model = LocalModel(str(built("embedded")))
    assert (model.prompt_type, model.games, model.policy) == ("embedded", ("pong",), EMBEDDED)
    assert "one picture of motion" in model.description
    with pytest.raises(InvalidSetting, match="takes no temperature"):
        LocalModel(str(built("embedded")), settings=LocalSettings(temperature=0.5))
    with pytest.raises(ModelUnusable, match="names none of them"):
        answer(model, prompt_of(screens[:2], "Play tennis. Say what you see, then your plan."))
    with pytest.raises(ModelUnusable, match="never taught the words 'quickly'"):
        answer(model, prompt_of(screens[:2], "Play pong quickly."))
    with pytest.raises(ModelUnusable, match="needs a frame"):
        answer(model, prompt_of(()))


def test_a_folder_plays_by_path_in_torch_and_on_onnxruntime_alike(built, tmp_path):
    def play(name):
        trainer = VLMTrainer("pong", name, max_decisions=12, seed=4, save_dir=tmp_path)
        return trainer.evaluate(1), trainer.settings

    folder = str(built("embedded"))
    assert isinstance(build_model(folder), EmbeddedModel)
    assert isinstance(build_model(f"local:{folder}"), LocalModel)
    without = shutil.copytree(
        folder, tmp_path / "torch-only", ignore=lambda *_: ["vision_encoder.onnx"]
    )
    assert isinstance(build_model(str(without)), LocalModel)
    (fast, _), (slow, settings) = play(folder), play(f"local:{folder}")
    assert fast.scores == slow.scores
    assert settings["local"].startswith("idefics3: the last two screens as one picture")


# --- families -------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", TINY)
def test_a_family_loads_answers_and_repeats_itself(built, screens, name):
    model = LocalModel(str(built(name)), settings=short())
    assert (model.prompt_type, model.games) == ("basic", None)

    async def thrice():
        prompt = ask(screens[:2])
        return [await model.answer(prompt, seed=seed) for seed in (1, 2)]

    first, second = asyncio.run(thrice())
    assert first.text == second.text  # greedy, whatever the checkpoint's own settings say
    assert first.model == name
    assert 0 < first.usage.output_tokens <= 6
    assert first.usage.input_tokens > 30
    assert first.usage.seconds > 0
    assert first.finish in ("stop", "length")


@pytest.mark.parametrize("plans", [True, False])
@pytest.mark.parametrize("name", TINY)
def test_scores_equal_a_full_recomputation(built, screens, name, plans):
    """Each answer appended to the prompt and read in a pass of its own."""
    import torch

    model = LocalModel(str(built(name)))
    prompt = ask(screens[:2], plans=plans)
    scores = asyncio.run(model.score(prompt))
    backend = model._backend
    ends = torch.tensor(backend.eos_token_ids)
    logs = []
    lengths = (1, 2, 3, 4) if plans else (4,)
    assert list(scores) == [(action, frames) for action in LEGAL for frames in lengths]
    for action, frames in scores:
        words = f"ACTION: {action} x{frames}" if plans else action
        tokens = backend.tokenizer(words, add_special_tokens=False)["input_ids"]
        inputs = encode_without_cache(backend, model._format.conversation(backend, prompt))
        read = inputs["input_ids"].shape[1]
        for key, value in list(inputs.items()):
            if value.shape == (1, read):
                tail = torch.tensor([tokens if key == "input_ids" else [0] * len(tokens)])
                tail = torch.ones_like(tail) if key == "attention_mask" else tail
                inputs[key] = torch.cat([value, tail], 1)
        with torch.inference_mode():
            rows = backend.model(**inputs, use_cache=False).logits[0].log_softmax(-1)
        log = sum(rows[read - 1 + place, token] for place, token in enumerate(tokens))
        if not plans:  # RIGHT begins RIGHTFIRE, so where an answer ends counts
            log = log + rows[-1, ends].logsumexp(-1)
        logs.append(float(log))
    expected = np.exp(np.array(logs) - max(logs))
    assert np.allclose(list(scores.values()), expected / expected.sum(), atol=1e-5)
    assert max(scores.values()) > 1.5 / len(scores)  # else every way of counting would agree


def test_json_prompts_are_scored_in_their_own_form(built, screens):
    model = LocalModel(str(built("idefics3")))
    line = asyncio.run(model.score(ask(screens[:1])))
    braces = asyncio.run(model.score(ask(screens[:1], json=True)))
    assert line.keys() == braces.keys()
    assert sum(braces.values()) == pytest.approx(1)
    assert line != braces


def test_sampling_follows_the_seed_and_nothing_else(built, screens):
    import torch

    warm = LocalModel(str(built("idefics3")), settings=short(temperature=2.0, max_tokens=12))
    prompt = ask(screens[:1])
    said = [answer(warm, prompt, seed=seed).text for seed in range(6)]
    torch.manual_seed(99)
    before = torch.random.get_rng_state()
    assert [answer(warm, prompt, seed=seed).text for seed in range(6)] == said
    assert torch.equal(before, torch.random.get_rng_state())
    assert len(set(said)) > 1


def test_sampling_draws_from_the_softmax():
    import torch

    from atari_vlm.models.local.logits_processors import sample

    logits = torch.tensor([0.0, 1.0, 2.0, -1.0])
    bend = sample(0.7, seed=3)
    draws = torch.stack([bend((), logits).argmax() for _ in range(4_000)])
    measured = torch.bincount(draws, minlength=4) / 4_000
    assert torch.allclose(measured, (logits / 0.7).softmax(-1), atol=0.03)


def test_tiles_are_off_and_screens_enlarged_as_the_family_asks(built, screens):
    tokens = {
        name: answer(LocalModel(str(built(name)), settings=short()), ask(screens[:1])).usage
        for name in ("idefics3", "qwen2_vl")
    }
    words = answer(LocalModel(str(built("idefics3")), settings=short()), ask(())).usage
    assert tokens["idefics3"].input_tokens - words.input_tokens < 20  # 4 of them the picture's
    words = answer(LocalModel(str(built("qwen2_vl")), settings=short()), ask(())).usage
    assert 165 <= tokens["qwen2_vl"].input_tokens - words.input_tokens < 180


def test_every_strategy_can_be_asked_and_played(built, screens, tmp_path):
    model = LocalModel(str(built("llava")), settings=short(max_tokens=3))
    seen = Observation(game="pong", frames=tuple(screens[:4]), legal=LEGAL, interval=4)
    for kind in ("basic", "cot"):
        prompt = get_strategy(kind)(seen, (), Lessons())
        with pytest.raises(ModelUnusable, match=r"has [\d,]+ tokens and .* reads at most 400"):
            answer(model, prompt)
    trainer = VLMTrainer(
        "pong", str(built("idefics2")), max_decisions=2, max_tokens=4, save_dir=tmp_path
    )
    with pytest.raises(RunInvalid, match="named no legal action 2 times in a row"):
        trainer.evaluate(1)  # random words are no score
    assert "not cut into tiles" in trainer.settings["local"]


# --- what is shown --------------------------------------------------------------------------------


def test_every_seed_family_has_a_policy_that_says_what_it_does():
    for name in ("qwen2_vl", "llava_next", "video_llava", "idefics2", "idefics3", "smolvlm"):
        assert name in FAMILIES
    assert get_frame_policy("not heard of") is UNKNOWN
    assert UNKNOWN.description == "at most one picture, more screens as one mosaic"
    for policy in FAMILIES.values():
        assert policy.reason
        assert "picture" in policy.description


def test_one_picture_at_most_makes_a_mosaic_that_the_words_explain(screens):
    (_, user) = build_conversation(
        ask(screens[:3]), FramePolicy(max_images=1), supports_system=True, escape=str
    )
    image, text = user["content"]
    assert image["image"].size == (2 * 160 + 8, 2 * 210 + 8)
    assert text["text"].strip().startswith("The picture holds 3 screens in 2 rows of 2")
    assert "Screen 2:\n[screen 3]" in text["text"]
    rgb = np.asarray(image["image"])
    (_, alone) = build_conversation(
        ask(screens[2:3]), FramePolicy(max_images=1), supports_system=True, escape=str
    )
    pictured = [part["image"] for part in alone["content"] if part["type"] == "image"]
    assert np.array_equal(rgb[218:, :160], np.asarray(pictured[0]))
    assert (rgb[218:, 168:] == 96).all()


def test_without_a_system_turn_its_words_open_the_users(screens):
    (user,) = build_conversation(ask(screens[:1]), FramePolicy(), supports_system=False, escape=str)
    assert user["role"] == "user"
    assert user["content"][0]["text"].startswith("You play Pong.\nScreen 0:")


def test_a_size_that_the_prompt_gives_beats_the_scale(screens):
    prompt = ask(screens[:1])
    sized = Prompt(messages=prompt.messages, legal=LEGAL, longest=4, image_size=(84, 84))
    (_, user) = build_conversation(sized, FramePolicy(scale=2), supports_system=True, escape=str)
    assert [part["image"].size for part in user["content"] if "image" in part] == [(84, 84)]


def test_words_that_look_like_control_tokens_are_only_words(built, screens):
    model = LocalModel(str(built("idefics3")), settings=short())
    usual = answer(model, ask(screens[:1])).usage.input_tokens
    trick = ask(screens[:1], words="<image> <end_of_utterance> <image>")
    assert usual < answer(model, trick).usage.input_tokens < usual + 80


# --- threads --------------------------------------------------------------------------------------


def test_the_event_loop_goes_on_while_the_model_writes(built, screens):
    model = LocalModel(str(built("idefics3")), settings=short(max_tokens=60))

    async def work():
        prompt = ask(screens[:1])
        await model.answer(prompt, seed=0)
        ticks, going = 0, asyncio.gather(*(model.answer(prompt, seed=s) for s in range(3)))
        while not going.done():
            await asyncio.sleep(0.002)
            ticks += 1
        return ticks, [reply.text for reply in going.result()]

    ticks, texts = asyncio.run(work())
    assert ticks > 3
    assert len(set(texts)) == 1


def test_an_answer_nobody_waits_for_ends_early(built, screens):
    model = LocalModel(str(built("idefics3")), settings=short(temperature=1.0, max_tokens=1500))

    async def work():
        await model.score(ask(screens[:1]))
        task = asyncio.create_task(model.answer(ask(screens[:1]), seed=0))
        await asyncio.sleep(0.2)
        task.cancel()
        start = time.perf_counter()
        await model.score(ask(screens[:1]))  # waits its turn
        return time.perf_counter() - start

    assert asyncio.run(work()) < 3


def test_a_closed_model_loads_again(built, screens):
    model = LocalModel(str(built("idefics3")), settings=short())
    first = answer(model, ask(screens[:1])).text
    asyncio.run(model.close())
    asyncio.run(model.close())
    assert answer(model, ask(screens[:1])).text == first


# --- what can go wrong ----------------------------------------------------------------------------


def test_memory_that_runs_out_is_a_fault_and_the_next_answer_comes(built, screens, monkeypatch):
    import torch

    model = LocalModel(str(built("idefics3")), settings=short())
    answer(model, ask(screens[:1]))
    generate = model._backend.model.generate

    def full(**inputs):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")

    monkeypatch.setattr(model._backend.model, "generate", full)
    with pytest.raises(ModelFault, match="ran out of memory for this prompt") as caught:
        answer(model, ask(screens[:1]))
    assert caught.value.kind == "out of memory"
    monkeypatch.setattr(model._backend.model, "generate", generate)
    assert answer(model, ask(screens[:1])).usage.calls == 1


def _spoilt(folder, how):
    config = json.loads((folder / "config.json").read_text())
    if how == "weights cut off":
        weights = folder / "model.safetensors"
        weights.write_bytes(weights.read_bytes()[:-5000])
    elif how == "weights gone":
        (folder / "model.safetensors").unlink()
    elif how == "of another size":
        config["text_config"]["hidden_size"] = 32
    elif how == "layers gone":
        config["text_config"]["num_hidden_layers"] = 3
        config["text_config"].pop("layer_types", None)
    elif how == "no tokenizer":
        (folder / "tokenizer.json").unlink()
    elif how == "no template":
        (folder / "chat_template.jinja").unlink()
    elif how == "text only":
        config = {"model_type": "llama"}
    elif how == "its own code":
        config = {"model_type": "cogvlm2", "auto_map": {"AutoModel": "modeling.CogVLM"}}
    elif how == "not heard of":
        config = {"model_type": "gpt-9-vision"}
    (folder / "config.json").write_text(json.dumps(config) if how != "no JSON" else "{")
    return folder


SPOILT = {
    "weights cut off": "cannot be loaded on cpu",
    "weights gone": "is incomplete: it lacks model.safetensors",
    "of another size": "cannot be loaded on cpu",
    "layers gone": "damaged, or of another architecture",
    "no tokenizer": "cannot be loaded",
    "no template": "has no chat template",
    "text only": "is a 'llama' model, which takes no pictures",
    "its own code": "brings Python code of its own, which is not run here",
    "not heard of": "does not know the architecture 'gpt-9-vision'",
    "no JSON": "config.json is damaged",
}


@pytest.mark.parametrize("how", SPOILT)
def test_a_spoilt_checkpoint_gets_one_sentence(built, screens, tmp_path, how):
    folder = _spoilt(shutil.copytree(built("idefics3"), tmp_path / "spoilt"), how)
    with pytest.raises(ModelUnusable) as caught:
        answer(LocalModel(str(folder), settings=short()), ask(screens[:1]))
    assert SPOILT[how] in str(caught.value)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 700


def test_damaged_sentences_are_said_to_be(built, tmp_path):
    folder = shutil.copytree(built("embedded"), tmp_path / "embedded")
    (folder / "answers.json").write_text('{"side": 160}')
    with pytest.raises(ModelUnusable, match=r"answers\.json or tokenizer\.json .* is damaged"):
        LocalModel(str(folder))


def test_a_folder_that_is_not_there_or_holds_nothing_is_named(tmp_path):
    for name in (str(tmp_path / "nothing"), "./nothing", "local:./nothing", "~/nothing/here"):
        with pytest.raises(ModelUnusable, match=r"There is no folder .*nothing"):
            build_model(name)
    with pytest.raises(ModelUnusable, match=r"holds no checkpoint: it lacks config\.json"):
        build_model(str(tmp_path))


def test_a_folder_of_several_checkpoints_asks_which(built, tmp_path):
    folder = built("idefics3")
    shutil.copytree(folder, tmp_path / "first")
    assert build_model(str(tmp_path)).version == build_model(str(folder)).version
    shutil.copytree(folder, tmp_path / "second")
    with pytest.raises(ModelUnusable, match=r"several checkpoints; name one of them: .*/first, .*"):
        build_model(str(tmp_path))


@pytest.mark.parametrize(
    "wrong",
    [{"temperature": 3}, {"max_tokens": 0}, {"together": 0}],
)
def test_settings_that_cannot_work_are_refused(wrong):
    with pytest.raises(InvalidSetting):
        LocalSettings(**wrong)


@pytest.mark.parametrize(
    "wrong", [{"dtype": "float8"}, {"threads": 0}, {"attention": "flashy"}, {"quantize": "3bit"}]
)
def test_placements_that_cannot_work_are_refused(wrong):
    with pytest.raises(InvalidSetting):
        Placement(**wrong)


def test_a_device_that_is_not_here_is_named(built, screens):
    settings = short(placement=Placement(device="cuda:7"))
    with pytest.raises(ModelUnusable, match="cannot be loaded on"):
        answer(LocalModel(str(built("idefics3")), settings=settings), ask(screens[:1]))


@pytest.mark.parametrize("form", [{"dtype": "bfloat16"}, {"attention": "eager"}, {"threads": 1}])
def test_forms_that_are_here_work(built, screens, form):
    settings = short(placement=Placement(**form))
    model = LocalModel(str(built("idefics3")), settings=settings)
    assert answer(model, ask(screens[:1])).usage.output_tokens > 0
    assert ("bfloat16" in model.description) == ("dtype" in form)


def test_without_the_extra_it_says_what_to_install(built, monkeypatch):
    monkeypatch.setattr(on_disk, "find_spec", lambda name: None)
    with pytest.raises(MissingExtra, match=r"pip install 'atari-vlm\[local\]'"):
        LocalModel(str(built("idefics3")))


def test_other_weights_are_another_player(built, tmp_path):
    folder = shutil.copytree(built("idefics3"), tmp_path / "other")
    assert LocalModel(str(folder)).version == LocalModel(str(built("idefics3"))).version
    weights = bytearray((folder / "model.safetensors").read_bytes())
    weights[-1] ^= 1
    (folder / "model.safetensors").write_bytes(weights)
    assert LocalModel(str(folder)).version != LocalModel(str(built("idefics3"))).version


# --- the hub --------------------------------------------------------------------------------------

ASK = """
import sys
from atari_vlm.errors import ModelUnusable
from atari_vlm.models.local.hub import download
for asked in sys.argv[1:]:
    name, _, commit = asked.partition("@")
    try:
        print("FOLDER", download(name, revision=commit or None))
    except ModelUnusable as error:
        print("SENTENCE", error)
"""


def fetch(names, endpoint, cache, **more):
    """Asked in a process of its own, as huggingface_hub reads its address when imported."""
    env = {"HF_ENDPOINT": endpoint, "HF_HUB_CACHE": str(cache), "HF_HUB_DISABLE_XET": "1", **more}
    done = subprocess.run(
        [sys.executable, "-c", ASK, *names],
        capture_output=True,
        text=True,
        env={
            "PATH": "/usr/bin",
            "HOME": str(cache),
            "PYTHONPATH": os.pathsep.join(sys.path),
            **env,
        },
        timeout=600,
        check=False,
    )
    lines = done.stdout.splitlines()
    assert len(lines) == len(names), done.stderr
    return lines, done.stderr


class Hub(BaseHTTPRequestHandler):
    """Just enough of huggingface.co for one repository, tiny/vlm."""

    files = {"config.json": b"{}", "model.safetensors": b"0" * 5000, "code.py": b"boom"}  # noqa: RUF012

    def do_HEAD(self):
        self.do_GET()

    def do_GET(self):
        commit = "a" * 40
        if "/tiny/vlm" not in self.path:
            self._send(404, b"{}", {"X-Error-Code": "RepoNotFound"})
        elif "/resolve/" in self.path:
            body = self.files[self.path.rpartition("/")[2]]
            self._send(200, body, {"ETag": f'"{len(body)}"', "X-Repo-Commit": commit})
        elif "/tree/" in self.path:
            rows = [
                {"type": "file", "path": name, "size": len(body), "oid": "0"}
                for name, body in self.files.items()
            ]
            self._send(200, json.dumps(rows).encode(), {})
        else:
            rows = [{"rfilename": name, "size": len(body)} for name, body in self.files.items()]
            found = {"id": "tiny/vlm", "sha": commit, "siblings": rows}
            self._send(200, json.dumps(found).encode(), {})

    def _send(self, status, body, headers):
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)

    def log_message(self, *_):
        pass


def test_a_hub_model_is_announced_downloaded_once_and_found_again(tmp_path):
    server = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    address = f"http://127.0.0.1:{server.server_port}"
    try:
        (folder, missing), told = fetch(["tiny/vlm", "tiny/other"], address, tmp_path)
        trusted = tmp_path / "trusted"
        (with_code,), more = fetch([f"tiny/vlm@{'a' * 40}"], address, trusted)
    finally:
        server.shutdown()
        server.server_close()
    assert folder.startswith("FOLDER ")
    assert "Downloading tiny/vlm from huggingface.co: 0.00 GB in 2 files" in told
    assert not list(tmp_path.glob("models*/**/code.py"))  # code comes only with its commit
    assert "in 3 files" in more
    assert with_code.endswith("a" * 40)
    assert list(trusted.rglob("code.py"))
    assert "shows no model of that name" in missing
    (again, unreachable), told = fetch(["tiny/vlm", "tiny/new"], address, tmp_path)
    assert (again, told) == (folder, "")  # nobody listens any more, and nobody is asked
    assert "SENTENCE tiny/new is not in the local cache, and huggingface.co cannot" in unreachable
    (offline,), _ = fetch(["tiny/new"], address, tmp_path, HF_HUB_OFFLINE="1")
    assert "unset HF_HUB_OFFLINE" in offline


def test_the_seeds_names_ask_for_their_checkpoints_and_say_how_to_serve_them():
    with pytest.raises(ModelUnusable, match=r"Qwen/Qwen2-VL-7B-Instruct is not .* Or run `vllm"):
        build_model("qwen-vl")
    with pytest.raises(ModelUnusable, match=r"Python code of its own, .* Or run `lmdeploy"):
        build_model("cogvlm2")
