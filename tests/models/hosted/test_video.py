"""Several screens as one video, on the API of Google's models."""

from __future__ import annotations

import asyncio
import io
import sys
from contextlib import closing
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from typer.testing import CliRunner

from atari_vlm import chat_samples
from atari_vlm.advice.estimate import estimate_run
from atari_vlm.advice.model_check import check_model
from atari_vlm.atari import images
from atari_vlm.atari.emulator import Emulator
from atari_vlm.atari.games import get_game
from atari_vlm.cli.app import app
from atari_vlm.costs.picture_tokens import FAMILIES
from atari_vlm.costs.prompt_tokens import SCREEN_TOKENS, count_tokens
from atari_vlm.errors import InvalidSetting, MissingExtra, ModelUnusable, StoreError
from atari_vlm.models.build import build_model
from atari_vlm.models.catalogue import MODELS
from atari_vlm.models.hosted.cache import CacheSettings
from atari_vlm.models.hosted.model import HostedModel
from atari_vlm.models.hosted.settings import HostedSettings
from atari_vlm.models.hosted.usage import OVERHEAD_TOKENS
from atari_vlm.models.hosted.video import Clip, video_file
from atari_vlm.players import Options
from atari_vlm.report.run_page import replay_of
from atari_vlm.runs.run import Run
from atari_vlm.trainer import VLMTrainer, play
from atari_vlm.types import Frame, Message
from tests.hosted import (
    ANTHROPIC,
    COMPATIBLE,
    GOOGLE,
    KEY,
    OPENAI,
    ask,
    body_of,
    breakout_frames,
    make_prompt,
    make_settings,
)
from tests.servers import Server
from tests.vendor_apis import Answer
from tests.vendors import serve_as

av = pytest.importorskip("av", reason="an optional extra")
pytest.importorskip("google.genai", reason="an optional extra")

THIRTY = breakout_frames(30)
ANSWER = Answer('{"reasoning": "It falls.", "action": "LEFT", "frames": 2}')


def film(*frames: Frame, before: tuple = (), **more):
    """A prompt with a label before every screen, as the strategies write them."""
    parts = [part for number, frame in enumerate(frames) for part in (f"Screen {number}:", frame)]
    user = Message("user", (*before, *parts, "Which action?"))
    return make_prompt(Message("system", ("You play Breakout.",)), user, **more)


def decoded(content: bytes) -> tuple[list[np.ndarray], Fraction]:
    """The frames of a video as RGB, and their number a second."""
    with av.open(io.BytesIO(content)) as container:
        (stream,) = container.streams  # no sound
        return [frame.to_ndarray(format="rgb24") for frame in container.decode(stream)], (
            stream.average_rate
        )


def assert_shows(picture: np.ndarray, frame: Frame, size: tuple[int, int] | None = None) -> None:
    """Assert that every pixel of a screen is 2 x 2 in the picture, within 16 of 255."""
    expected = images.rgb(frame, size).repeat(2, 0).repeat(2, 1).astype(int)
    assert picture.shape == expected.shape
    assert np.abs(picture - expected).max() <= 16


def sent(prompt, **more) -> tuple[dict, list[str]]:
    """The one video of the request for a prompt, and the lines of text of its turn."""
    parts = GOOGLE.parts(body_of(GOOGLE, prompt, video=True, **more))
    (video,) = [part for part in parts if "videoMetadata" in part]
    assert parts[0] is video  # Google: a video comes before the text about it
    return video, [line for part in parts for line in part.get("text", "").split("\n") if line]


# --- on the wire ----------------------------------------------------------------------------------


def test_gemini_is_sent_thirty_screens_as_one_video_with_its_frame_rate():
    prompt = film(*THIRTY)
    video, texts = sent(prompt)
    assert video["videoMetadata"] == {"fps": 15.0}  # by itself Gemini looks once a second
    assert video["mediaResolution"] == {"level": "MEDIA_RESOLUTION_LOW"}
    (content,) = GOOGLE.image_files(body_of(GOOGLE, prompt, video=True))
    pictures, rate = decoded(content)
    assert rate == 15
    assert len(pictures) == 30
    for picture, frame in zip(pictures, THIRTY, strict=True):
        assert_shows(picture, frame)
    assert texts[0] == "The video shows screens 1 to 30, oldest first, 4 frames of the game apart."
    assert texts[1:3] == ["Screen 0:", "[screen 1]"]
    assert texts[-3:] == ["Screen 29:", "[screen 30]", "Which action?"]


def test_without_the_setting_the_same_screens_are_thirty_pictures():
    files = GOOGLE.image_files(body_of(GOOGLE, film(*THIRTY)))
    assert files == [images.png(frame) for frame in THIRTY]


@pytest.mark.parametrize("game", ["ms_pacman", "enduro", "pooyan"])
@pytest.mark.parametrize("size", [None, (84, 84), (224, 224)])
def test_screens_of_every_height_keep_their_colours_at_any_size(game, size):
    emulator = Emulator(get_game(game))
    emulator.reset(seed=1)
    frames = []
    for step in range(4):
        emulator.play(0, 4, 4)
        frames.append(Frame(emulator.screen(), step=step, standard=emulator.game.standard))
    pictures, _ = decoded(video_file(Clip(tuple(frames), 4, size)))
    for picture, frame in zip(pictures, frames, strict=True):
        assert_shows(picture, frame, size)


@pytest.mark.parametrize(
    ("interval", "fps", "said"),
    [
        (6, 10.0, "6 frames of the game apart."),
        (7, 60 / 7, "7 frames of the game apart."),
        (2, 24.0, "2 frames of the game apart, slowed down to 24 screens a second."),
        (1, 24.0, "1 frame of the game apart, slowed down to 24 screens a second."),
    ],
)
def test_the_frame_rate_is_that_of_the_decisions_up_to_the_most_that_gemini_reads(
    interval, fps, said
):
    prompt = film(*THIRTY[:5], longest=interval)
    video, texts = sent(prompt)
    assert video["videoMetadata"]["fps"] == pytest.approx(fps)
    assert texts[0].endswith(said)
    pictures, rate = decoded(GOOGLE.image_files(body_of(GOOGLE, prompt, video=True))[0])
    assert (len(pictures), float(rate)) == (5, pytest.approx(fps, rel=1e-4))


def test_detail_sets_the_resolution_of_models_that_take_one_for_each_part():
    prompt = film(*THIRTY[:2])
    high, _ = sent(prompt, detail="high", model_id="gemini-4-hydrogen")
    assert high["mediaResolution"] == {"level": "MEDIA_RESOLUTION_HIGH"}
    assert "mediaResolution" not in sent(prompt, model_id="gemini-2.5-pro")[0]


def test_a_single_screen_and_those_of_examples_stay_pictures():
    example = replace(THIRTY[9], episode=-3)
    prompt = film(*THIRTY[:3], before=("Example 1: it went well.", example))
    _, texts = sent(prompt)
    parts = GOOGLE.parts(body_of(GOOGLE, prompt, video=True))
    content, picture = GOOGLE.image_files(body_of(GOOGLE, prompt, video=True))
    assert picture == images.png(example)
    assert len(decoded(content)[0]) == 3
    assert "videoMetadata" not in next(part for part in parts[1:] if "inlineData" in part)
    assert [text for text in texts if text.startswith("[")] == [
        "[screen 1]",
        "[screen 2]",
        "[screen 3]",
    ]
    single = film(THIRTY[0], before=("Example 1: it went well.", example))
    assert GOOGLE.image_files(body_of(GOOGLE, single, video=True)) == [
        images.png(example),
        images.png(THIRTY[0]),
    ]


def test_a_repair_shows_the_same_video_again():
    prompt = film(*THIRTY[:4])
    repaired = prompt.followed_by(Message("assistant", ("Jump!",)), Message("user", ("Again.",)))
    first, second = (body_of(GOOGLE, each, video=True) for each in (prompt, repaired))
    assert GOOGLE.image_files(first) == GOOGLE.image_files(second)
    assert [turn["role"] for turn in second["contents"]] == ["user", "model", "user"]


def test_the_same_screens_become_the_same_file():
    clips = [Clip(tuple(replace(frame) for frame in THIRTY[:5]), 4) for _ in range(2)]
    assert clips[0] != clips[1]  # other frames, of equal pixels
    assert video_file(clips[0]) == video_file(clips[1])


# --- refusals -------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["gpt-4o", "claude", "google:gemma-4-27b-it"])
def test_models_that_take_no_video_say_what_to_do_instead(name):
    with pytest.raises(InvalidSetting) as error:
        build_model(name, api_key=KEY, video=True)
    assert str(error.value) == (
        f"{name} takes no video; Google's Gemini models do. Leave video out: frames_in_prompt sets "
        "how many screens it is shown as pictures."
    )
    with pytest.raises(InvalidSetting, match="takes no video"):
        estimate_run("pong", name, options=Options(video=True))


def test_servers_baselines_and_the_embedded_model_take_no_video():
    with pytest.raises(InvalidSetting, match="qwen-vl takes no video; Google's"):
        build_model("qwen-vl", base_url="http://localhost:8000/v1", video=True)
    for name in ("embedded", "random"):
        for video in (True, False):
            with pytest.raises(InvalidSetting, match="video"):
                VLMTrainer("pong", name, video=video)
    for api in (OPENAI, ANTHROPIC, COMPATIBLE):
        with Server() as server, pytest.raises(InvalidSetting, match="model takes no video"):
            make_settings(api, server, video=True)


def test_pictures_are_what_every_hosted_model_is_shown_anyway():
    assert build_model("gpt-4o", api_key=KEY, video=False).settings.video is False
    assert build_model("gemini", api_key=KEY, video=False).settings.video is False


def test_a_missing_encoder_is_named_with_its_command_and_a_replay_needs_none(monkeypatch, tmp_path):
    file, prompt = tmp_path / "answers", film(*THIRTY[:3])

    async def answer(mode: str) -> str:
        settings = make_settings(GOOGLE, server, video=True)
        model = HostedModel(settings, api_key=KEY, cache=CacheSettings(file=file, mode=mode))
        try:
            return (await model.answer(prompt, seed=1)).text
        finally:
            await model.close()

    with Server() as server:
        recorded = asyncio.run(answer("readwrite"))
        monkeypatch.setitem(sys.modules, "av", None)
        monkeypatch.setitem(sys.modules, "av.codec", None)
        assert asyncio.run(answer("replay")) == recorded
    with pytest.raises(MissingExtra) as error:
        build_model("gemini", api_key=KEY, video=True)
    assert "pip install -c constraints.txt -e '.[video]'" in str(error.value)
    assert "video=False" in str(error.value)


def test_a_video_too_large_for_a_request_is_not_sent():
    rng = np.random.default_rng(0)
    noise = (rng.integers(0, 256, (420, 320), np.uint8) for _ in range(80))
    frames = [Frame(pixels, step=step) for step, pixels in enumerate(noise)]
    with Server() as server, pytest.raises(ModelUnusable, match="lower frames_in_prompt"):
        ask(GOOGLE, server, film(*frames), video=True)
    assert not server.requests


# --- what it costs --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("model_id", "detail", "tokens"),
    [
        ("gemini-4-hydrogen", "auto", 77),
        ("gemini-3.5-flash-lite", "low", 77),
        ("gemini-4-argon", "high", 287),
        ("gemini-2.5-flash", "auto", 265),
    ],
)
def test_the_most_a_request_can_cost_follows_the_rule_of_video(model_id, detail, tokens):
    settings = HostedSettings(
        name="m", model_id=model_id, provider="google", detail=detail, video=True
    )
    model = HostedModel(settings, api_key=KEY)
    pair, thirty = (model.most(film(*THIRTY[:count])).charge.tokens for count in (2, 30))
    assert tokens * 28 <= thirty - pair <= (tokens + 20) * 28
    # A frame more than the video has may be looked at, and its time stamps may be longer.
    bound = thirty - settings.max_tokens - OVERHEAD_TOKENS
    assert bound >= 31 * (tokens + 5)
    pictures = HostedModel(replace(settings, video=False), api_key=KEY).most(film(*THIRTY))
    assert thirty < pictures.charge.tokens or model_id == "gemini-2.5-flash"


def test_the_estimate_counts_the_video_by_its_rule_and_prints_it():
    options = {"frames_in_prompt": 30, "frame_stack": 30}
    video, pictures = (
        estimate_run("breakout", "gemini", options=Options(**options, video=shown))
        for shown in (True, None)
    )
    assert (video.rule, video.video_rule) == ("gemini-low", "gemini-video")
    assert (pictures.rule, pictures.video_rule) == ("gemini-low", "")
    sentence = "one video: 77 tokens a frame by the rule 'gemini-video', time stamp included"
    assert any(sentence in assumption for assumption in video.assumptions)
    each = FAMILIES["gemini-low"](160, 210) - FAMILIES["gemini-video"](160, 210) - SCREEN_TOKENS
    assert each == 280 - 77 - 5
    assert pictures.input_per_call - video.input_per_call == pytest.approx(30 * each, abs=1)
    example = film(*THIRTY, before=(replace(THIRTY[0], episode=-1),))
    assert count_tokens(example, "gemini-low") - count_tokens(
        example, "gemini-low", "gemini-video"
    ) == (30 * each)


def test_the_estimate_follows_the_detail_of_pictures_and_video():
    def rules(model: str, **options):
        made = estimate_run("pong", model, options=Options(**options))
        return made.rule, made.video_rule

    assert rules("gemini", detail="high") == ("gemini", "")
    assert rules("gemini", detail="high", video=True) == ("gemini", "gemini-video-high")
    assert rules("gpt-4o", detail="low") == ("gpt-4o-low", "")
    assert rules("google:gemini-2.5-pro", video=True) == ("gemini-2", "gemini-2-video")
    assert "counted as pictures" in " ".join(
        estimate_run("pong", "qwen-vl", options=Options(video=True)).assumptions
    )


# --- runs -----------------------------------------------------------------------------------------


def video_of(messages: list[dict]) -> list:
    """The frames of the video in a chat sample; empty for none."""
    content = [part for message in messages for part in message["content"]]
    return next((part["video"] for part in content if part["type"] == "video"), [])


@pytest.fixture
def google(monkeypatch):
    """A server in place of Google's, for models by their name."""
    with Server(ANSWER) as server:
        serve_as(monkeypatch, google=server)
        monkeypatch.setenv("GEMINI_API_KEY", KEY)
        yield server


def test_thirty_frames_reach_gemini_in_one_decision_as_in_the_specification(google, tmp_path):
    """The specification: frames = [env.render() for _ in range(30)], sent all together."""
    options = {"frames_in_prompt": 30, "frame_stack": 30, "frame_skip": 2, "video": True}
    play("pong", "gemini", prompt_type="basic", max_decisions=31, save_dir=tmp_path, **options)
    (content,) = GOOGLE.image_files(google.requests[-1].body)
    pictures, _ = decoded(content)
    assert len(pictures) == 30  # a second of the game
    assert google.requests[-1].path.startswith("/v1beta/models/gemini-4-hydrogen")
    assert GOOGLE.parts(google.requests[-1].body)[0]["videoMetadata"] == {"fps": 24.0}


def test_a_recorded_video_run_replays_resumes_and_becomes_samples(google, tmp_path):
    def trainer(folder, **more):
        options = {"frames_in_prompt": 4, "video": True, "prompt_type": "cot", **more}
        return VLMTrainer("breakout", "gemini", run_folder=tmp_path / folder, **options)

    whole = trainer("whole", max_decisions=6)
    whole.train(2)
    assert whole.settings["video"] is True
    for episodes in (1, 2):
        trainer("halted", max_decisions=6).train(episodes)
    bodies = [request.body for request in google.requests]
    assert bodies[:12] == bodies[12:]
    with pytest.raises(StoreError, match="video True, not False"):
        trainer("halted", max_decisions=6, video=None).train(3)
    with closing(Run.read(tmp_path / "whole")) as run:
        page = replay_of(run)
        samples = list(chat_samples(run))
        usage, estimate = run.usage(), run.settings["estimate"]
    read, cached, written = ANSWER.tokens
    assert usage.dollars == pytest.approx(12 * MODELS["gemini"].price.cost(read, cached, written))
    assert estimate["images"] == "gemini-video"
    assert page.settings["video"] == "True"
    last = samples[5]
    pictures = video_of(last.messages)
    shown, _ = decoded(GOOGLE.image_files(bodies[5])[0])
    assert len(pictures) == len(shown) == 4
    for picture, frame in zip(pictures, shown, strict=True):
        large = np.asarray(picture).repeat(2, 0).repeat(2, 1).astype(int)
        assert np.abs(large - frame).max() <= 16
    texts = [part["text"] for part in last.messages[-1]["content"] if part["type"] == "text"]
    assert texts == [part["text"] for part in GOOGLE.parts(bodies[5]) if "text" in part]


def test_the_command_plays_and_checks_gemini_with_video(google, tmp_path):
    run = CliRunner().invoke(
        app,
        "play --model gemini --video --frames 3 --max-decisions 4 --prompt basic "
        f"--save-dir {tmp_path}",
    )
    assert run.exit_code == 0, run.output
    fps = [GOOGLE.parts(request.body)[0].get("videoMetadata") for request in google.requests]
    assert fps == [None, {"fps": 15.0}, {"fps": 15.0}, {"fps": 15.0}]


def test_the_check_of_a_model_shows_its_picture_at_the_end_of_a_video(google):
    checked = check_model("gemini", options=Options(video=True), seed=1)
    (content,) = GOOGLE.image_files(google.requests[0].body)
    pictures, _ = decoded(content)
    assert len(pictures) == 2
    assert (pictures[0].max(), pictures[1].max()) == (0, 236)
    vision = next(finding for finding in checked.findings if finding.aspect == "vision")
    assert vision.state == "fails"  # the server answers without looking
    assert "The end of the video shows a number" in str(google.requests[0].body)
