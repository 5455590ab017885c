"""The shipped embedded model: it looks at the screen, answers in words and plays Pong."""

from __future__ import annotations

import asyncio
import json
import re
import shutil
from functools import lru_cache

import numpy as np
import pytest

from atari_vlm.atari.emulator import Emulator
from atari_vlm.atari.games import SUGGESTED, get_game
from atari_vlm.atari.images import motion
from atari_vlm.errors import ModelUnusable
from atari_vlm.models.build import build_model
from atari_vlm.models.embedded.checkpoints import (
    FORMER_NAMES,
    checkpoint,
    checkpoints,
    weights,
)
from atari_vlm.models.embedded.model import EmbeddedModel
from atari_vlm.models.embedded.runtime import EmbeddedRuntime
from atari_vlm.prompts.embedded import embedded_prompt
from atari_vlm.protocols import Scorer
from atari_vlm.replies.plan_parser import parse_plan
from atari_vlm.types import Frame, Lessons, Message, Observation, Prompt

LEGAL = ("NOOP", "FIRE", "RIGHT", "LEFT", "RIGHTFIRE", "LEFTFIRE")
ANSWER = re.compile(
    r"(no ball|ball \d+ \d+ (new|moving (straight|(left|right) \d+) (level|(up|down) \d+)))"
    r", paddle \d+, aim \d+: (NOOP|LEFT|RIGHT) for \d frames?"
)


@lru_cache(maxsize=1)
def model():
    return EmbeddedModel()


def ask(before, now, request="Play pong. Say what you see, then your plan."):
    parts = (Frame(before), Frame(now), request)
    return Prompt(messages=(Message("user", parts),), legal=LEGAL, longest=4)


def answer(prompt, seed=0, of=None):
    return asyncio.run((of or model()).answer(prompt, seed=seed))


@lru_cache(maxsize=4)
def recorded(count=60, seed=8):
    """Screens before and at each decision while the model plays."""
    emulator = Emulator(get_game("pong"))
    emulator.reset(seed=seed)
    before = now = emulator.screen()
    pairs = []
    for step in range(count * 4):
        plan = parse_plan(answer(ask(before, now), seed=step).text, LEGAL, 4).plan
        emulator.play(LEGAL.index(plan.action), plan.frames, 4)
        before, now = now, emulator.screen()
        if step % 4 == 3:
            pairs.append((before, now))
    return pairs


def score(choose, decisions=500, seed=21):
    emulator = Emulator(get_game("pong"))
    emulator.reset(seed=seed)
    before = now = emulator.screen()
    total = 0.0
    for step in range(decisions):
        action, frames = choose(before, now, step)
        total += emulator.play(LEGAL.index(action), frames, 4)
        before, now = now, emulator.screen()
    return total


def by_model(before, now, step):
    plan = parse_plan(answer(ask(before, now), seed=step).text, LEGAL, 4).plan
    return plan


def test_it_plays_pong_better_than_random_play():
    rng = np.random.default_rng(0)
    by_chance = score(lambda *_: (LEGAL[rng.integers(6)], 4))
    assert score(by_model) >= by_chance + 5


def test_a_black_screen_takes_its_skill_away():
    black = np.zeros((210, 160), np.uint8)
    assert score(by_model) >= score(lambda b, n, step: by_model(black, black, step)) + 5


def test_answers_depend_on_the_screen():
    black = np.zeros((210, 160), np.uint8)
    blank = answer(ask(black, black)).text
    seen = [answer(ask(*pair)).text for pair in recorded()]
    assert len(set(seen)) > len(seen) / 2
    assert sum(text == blank for text in seen) <= 2


def test_every_answer_is_a_sentence_that_ends_in_a_legal_plan():
    for number, pair in enumerate(recorded()):
        reply = answer(ask(*pair), seed=number)
        assert ANSWER.fullmatch(reply.text), reply.text
        plan = parse_plan(reply.text, LEGAL, 4).plan
        assert plan is not None
        assert f"{plan.action} for {plan.frames} frame" in reply.text
        assert reply.model == "embedded"
        assert reply.usage.input_tokens == 35
        assert 8 <= reply.usage.output_tokens <= 16
        assert reply.usage.dollars == 0
        assert reply.usage.seconds > 0


def test_the_seed_decides_the_answer():
    pair = recorded()[20]
    assert answer(ask(*pair), seed=5).text == answer(ask(*pair), seed=5).text
    plans = {answer(ask(*pair), seed=seed).text for pair in recorded()[:10] for seed in range(8)}
    greedy = {
        answer(ask(*pair), seed=s, of=likeliest()).text for pair in recorded()[:10] for s in (1, 2)
    }
    assert len(greedy) <= 10 < len(plans)


@lru_cache(maxsize=1)
def likeliest():
    return EmbeddedModel(draw=False)


def test_scores_of_plans_are_probabilities_that_depend_on_the_picture():
    assert isinstance(model(), Scorer)
    tables = [asyncio.run(model().score(ask(*pair))) for pair in recorded()[:20]]
    for table in tables:
        assert sum(table.values()) == pytest.approx(1)
        assert set(table) == {("NOOP", 4)} | {
            (action, n) for action in ("LEFT", "RIGHT") for n in (1, 2, 3, 4)
        }
    assert len({max(table, key=table.get) for table in tables}) > 1


def test_the_request_for_a_plan_gets_a_plan_alone():
    before, now = recorded()[30]
    reply = answer(ask(before, now, "Play pong. Say only your plan."))
    assert re.fullmatch(r"(NOOP|LEFT|RIGHT) for \d frames?", reply.text)


def test_one_frame_is_enough_to_answer():
    _, now = recorded()[10]
    parts = (Frame(now), "Play pong. Say what you see, then your plan.")
    prompt = Prompt(messages=(Message("user", parts),), legal=LEGAL, longest=4)
    assert answer(prompt).text == answer(ask(now, now)).text


def test_the_strategy_shows_the_last_two_frames_and_names_the_game():
    frames = tuple(Frame(np.full((210, 160), n, np.uint8)) for n in (2, 4, 6))
    seen = Observation(game="pong", frames=frames, legal=LEGAL, interval=4)
    prompt = embedded_prompt(seen, [], Lessons())
    assert prompt.frames == frames[-2:]
    assert prompt.plans
    assert prompt.text.endswith("Play pong. Say what you see, then your plan.")
    alone = Observation(game="pong", frames=frames[-1:], legal=LEGAL, interval=4)
    assert embedded_prompt(alone, [], Lessons()).frames == (frames[-1], frames[-1])


def test_a_game_that_it_was_not_trained_on_is_refused():
    black = np.zeros((210, 160), np.uint8)
    with pytest.raises(ModelUnusable, match=r"plays .*pong, .*, and this prompt names none"):
        answer(ask(black, black, "Play tetris. Say what you see, then your plan."))


def test_unknown_words_are_named():
    black = np.zeros((210, 160), np.uint8)
    with pytest.raises(ModelUnusable, match=r"never taught the words .*brilliantly.*'embedded'"):
        answer(ask(black, black, "Play pong brilliantly."))


def test_a_prompt_without_a_picture_is_refused():
    prompt = Prompt(messages=(Message("user", ("Play pong.",)),), legal=LEGAL, longest=4)
    with pytest.raises(ModelUnusable, match="needs a frame"):
        answer(prompt)


@pytest.mark.parametrize(
    "name", ["decoder.onnx", "model.safetensors", "tokenizer.json", "answers.json"]
)
def test_damaged_weights_are_reported(tmp_path, name):
    folder = shutil.copytree(checkpoint("pong"), tmp_path / "weights")
    whole = (folder / name).read_bytes()
    (folder / name).write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ModelUnusable, match=r"(is|are) damaged.*atari-vlm distill"):
        EmbeddedModel(folder)


def test_missing_files_are_named(tmp_path):
    folder = shutil.copytree(checkpoint("pong"), tmp_path / "weights")
    (folder / "vision_encoder.onnx").unlink()
    with pytest.raises(ModelUnusable, match=r"lacks vision_encoder\.onnx"):
        EmbeddedModel(folder)
    with pytest.raises(ModelUnusable, match=r"lacks vision_encoder\.onnx, decoder\.onnx"):
        EmbeddedModel(tmp_path / "nowhere")


def test_graphs_under_their_former_names_play_the_same_unless_new_ones_exist(tmp_path):
    folder = shutil.copytree(checkpoint("pong"), tmp_path / "weights")
    for name, former in FORMER_NAMES.items():
        (folder / name).rename(folder / former)
    old = build_model(str(folder))
    assert isinstance(old, EmbeddedModel)
    assert old.version_for("pong") == model().version_for("pong")
    for number, pair in enumerate(recorded()[:10]):
        assert answer(ask(*pair), number, of=old).text == answer(ask(*pair), number).text
    for name, former in FORMER_NAMES.items():
        shutil.copy(checkpoint("pong") / name, folder)
        (folder / former).write_bytes(b"no graph")
    assert EmbeddedModel(folder).version == old.version


def test_the_shipped_weights_keep_their_digests():
    assert {model().version_for(game): game for game in sorted(model().games)} == {
        "ae88c66d8090": "pong",
        "88587a942c8c": "private_eye",
        "9280040d17ee": "space_invaders",
        "67f767eb53cf": "qbert",
        "7c68ff4fd2e8": "seaquest",
        "fb21229c9a4e": "pitfall",
    }


def test_each_of_the_twelve_games_is_played_by_the_one_checkpoint_that_is_named_after_it():
    assert sorted(model().games) == sorted(SUGGESTED)
    named = [game for path in checkpoints(weights()) for game in path.name.split("-")]
    assert sorted(named) == sorted(SUGGESTED)
    for path in checkpoints(weights()):
        for game in path.name.split("-"):
            assert checkpoint(game) == path
            assert model().version_for(game) == EmbeddedModel(path).version_for(game)


def test_a_game_that_two_checkpoints_know_is_played_by_the_one_named_after_it(tmp_path):
    first, named = tmp_path / "a", tmp_path / "breakout-pong"
    for path in (first, named):
        shutil.copytree(checkpoint("pong"), path)
    rules = json.loads((first / "answers.json").read_text())
    (first / "answers.json").write_text(json.dumps({**rules, "pool_frames": "newest"}))
    found = EmbeddedModel(tmp_path)
    for game, path in {"pong": named, "breakout": named, "freeway": first}.items():
        assert checkpoint(game, tmp_path) == path
        assert found.version_for(game) == EmbeddedModel(path).version


def test_the_weights_are_small_and_free_of_build_paths():
    files = [path for path in weights().rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) <= 40e6
    source = re.compile(rb"\w/\w+\.py\b")
    made = [path for path in files if path.name != "README.md"]  # the card names scripts to run
    assert not [path.name for path in made if source.search(path.read_bytes())]


def test_the_picture_shows_now_before_and_what_moved():
    before, now = np.zeros((210, 160), np.uint8), np.zeros((210, 160), np.uint8)
    before[100:104, 50:52] = now[120:124, 60:62] = 14
    picture = motion(Frame(before), Frame(now), (160, 210))
    assert picture.shape == (210, 160, 3)
    assert np.argwhere(picture[..., 0]).min(0).tolist() == [120, 60]
    assert np.argwhere(picture[..., 1]).min(0).tolist() == [100, 50]
    assert np.argwhere(picture[..., 2]).min(0).tolist() == [97, 47]
    assert np.argwhere(picture[..., 2]).max(0).tolist() == [126, 64]
    assert motion(Frame(now), Frame(now))[..., 2].max() == 0


def test_graphs_of_an_older_version_are_refused(tmp_path):
    onnx = pytest.importorskip("onnx")
    folder = shutil.copytree(checkpoint("pong"), tmp_path / "weights")
    graph = onnx.load(str(folder / "decoder.onnx"), load_external_data=False)
    (rows,) = (each for each in graph.graph.input if each.name == "rows")
    graph.graph.input.remove(rows)
    last = onnx.numpy_helper.from_array(np.array([-1]), "rows")
    graph.graph.initializer.append(last)
    (folder / "decoder.onnx").write_bytes(graph.SerializeToString())
    with pytest.raises(ModelUnusable, match=r"older version .*writes them anew"):
        EmbeddedRuntime(folder)


@pytest.mark.training
def test_transformers_loads_the_folder_and_gives_the_same_answers():
    pytest.importorskip("torch").set_num_threads(1)
    transformers = pytest.importorskip("transformers")
    from PIL import Image

    processor = transformers.AutoProcessor.from_pretrained(checkpoint("pong"))
    network = transformers.AutoModelForImageTextToText.from_pretrained(checkpoint("pong")).eval()
    for before, now in recorded()[::6]:
        image = Image.fromarray(motion(Frame(before), Frame(now)))
        text = {"type": "text", "text": "Play pong. Say what you see, then your plan."}
        content = [{"type": "image", "image": image}, text]
        inputs = processor.apply_chat_template(
            [[{"role": "user", "content": content}]],
            add_generation_prompt=True,
            tokenize=True,
            return_dict=True,
            return_tensors="pt",
        )
        written = network.generate(**inputs, do_sample=False)
        words = processor.batch_decode(
            written[:, inputs["input_ids"].shape[1] :], skip_special_tokens=True
        )
        assert words == [answer(ask(before, now), of=likeliest()).text]


def test_a_request_for_one_object_gets_that_object_alone():
    before, now = recorded()[-1]
    whole = answer(ask(before, now), of=likeliest()).text
    ball = answer(ask(before, now, "Look at pong. Where is the ball?"), of=likeliest()).text
    paddle = answer(ask(before, now, "Look at pong. Where is the paddle?"), of=likeliest()).text
    assert re.fullmatch(r"no ball|ball \d+ \d+ .*", ball)
    assert re.fullmatch(r"paddle \d+", paddle)
    assert abs(int(paddle.split()[1]) - int(whole.split("paddle ")[1].split(",")[0])) <= 3
    with pytest.raises(ModelUnusable, match="never taught the words 'zebra'"):
        answer(ask(before, now, "Look at pong. Where is the zebra?"))


def test_the_ball_of_an_answer_matches_memory():
    emulator = Emulator(get_game("pong"))
    emulator.reset(seed=31)
    before = now = emulator.screen()
    right = asked = 0
    for step in range(240):
        text = answer(ask(before, now, "Look at pong. Where is the ball?"), of=likeliest()).text
        memory = emulator.ram
        if memory[54] and step % 4 == 0:
            asked += 1
            said = [int(n) for n in re.findall(r"\d+", text)[:2]]
            truth = [int(memory[49]) - 48, int(memory[54]) - 12]
            right += bool(said) and max(abs(a - b) for a, b in zip(said, truth, strict=True)) <= 4
        emulator.play(LEGAL.index(("RIGHT", "LEFT", "NOOP")[step // 9 % 3]), 2, 4)
        before, now = now, emulator.screen()
    assert asked > 15
    assert right >= 0.9 * asked


def test_the_game_in_the_prompt_selects_the_checkpoint(tmp_path):
    whole = model()
    assert len(whole.games) == len(set(whole.games)) >= 2
    assert {whole.version_for(game) for game in whole.games} == set(whole.version.split("-"))
    alone = EmbeddedModel(checkpoint("pong"))
    before, now = recorded()[3]
    assert answer(ask(before, now), of=alone).text == answer(ask(before, now)).text
    with pytest.raises(ModelUnusable, match=r"No checkpoint in .* plays tetris"):
        checkpoint("tetris")
