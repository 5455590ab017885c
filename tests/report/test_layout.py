"""What a person sees of a replay page, measured in a real browser.

Nothing is cut off, nothing overlaps, the decision and the answer are on the first screenful, and
the pictures are the pixels that the model was given.
"""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from atari_vlm.atari import images
from atari_vlm.errors import RunInvalid
from atari_vlm.models.local.conversation import build_conversation, images_of, pictures_of
from atari_vlm.models.local.families import FramePolicy, VideoFormat
from atari_vlm.models.scripted import ScriptedModel
from atari_vlm.report.render import write
from atari_vlm.report.run_page import replay_of, write_replay
from atari_vlm.runs.playback import full_trajectory
from atari_vlm.runs.run import Run
from atari_vlm.trainer import VLMTrainer
from atari_vlm.types import Prompt
from tests.recordings import recording

pytest_plugins = ["tests.pages"]

SIZES = [(1400, 1000), (1000, 557), (390, 844)]
TIMES = "\N{MULTIPLICATION SIGN}"
SORRY = "TEST: I am sorry, but I cannot look at pictures of games."


def words(prompt: Prompt) -> str:
    total = int(prompt.frames[-1].pixels.sum())
    action = prompt.legal[total % len(prompt.legal)]
    return f"TEST: the ball is above the paddle and falls to the right. ACTION: {action} x2"


def fails_at_six(prompt: Prompt) -> str:
    return words(prompt) if prompt.frames[-1].step < 6 else SORRY


def play(folder: Path, game: str, model, **settings) -> Path:
    name = model if isinstance(model, str) else "mine"
    own = {} if isinstance(model, str) else {"model": ScriptedModel(model), "prompt_type": "expert"}
    return VLMTrainer(game, name, run_folder=folder, **own, **settings).train(1).folder


@pytest.fixture(scope="module")
def runs(tmp_path_factory) -> dict[str, Path]:
    """Runs of several kinds of players."""
    base = tmp_path_factory.mktemp("runs")
    four = {"frame_stack": 4, "frames_in_prompt": 4, "max_decisions": 60}
    many = {"frame_stack": 12, "frames_in_prompt": 12, "resize_shape": (112, 112)}
    with pytest.raises(RunInvalid):
        play(base / "invalid", "breakout", fails_at_six)
    return {
        "four frames": play(base / "four", "breakout", words, **four),
        "twelve frames": play(base / "twelve", "pong", words, max_decisions=30, **many),
        "embedded": play(base / "embedded", "pong", "embedded", max_decisions=110),
        "expert": play(base / "expert", "breakout", "expert", max_decisions=60),
        "search": play(base / "search", "pong", "iw-160", max_decisions=6),
        "invalid": base / "invalid",
    }


@pytest.fixture(scope="module")
def pages(runs) -> dict[str, Path]:
    return {name: write_replay(folder) for name, folder in runs.items()}


def shown(browser) -> None:
    """Wait until screen, prompt and answer all show one decision."""
    at = browser.run("return document.getElementById('scrub').value")
    browser.settled(int(at))


def cover(one, other) -> bool:
    """Whether two boxes overlap by more than a pixel."""
    return min(one[2], other[2]) - max(one[0], other[0]) > 1 and (
        min(one[3], other[3]) - max(one[1], other[1]) > 1
    )


def height(browser, selector: str) -> float:
    return browser.run(
        "return document.querySelector(arguments[0]).getBoundingClientRect().height", selector
    )


@pytest.mark.browser
@pytest.mark.parametrize(("width", "tall"), SIZES)
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_screen_action_and_answer_are_seen_without_scrolling(
    browser, pages, window, width, tall, theme
):
    window(width, tall, theme)
    for name, page in pages.items():
        browser.open(page)
        shown(browser)
        (dock,) = browser.boxes(".dock")
        for part in ("#screen", "#action", "#held", "#source"):
            (box,) = browser.boxes(part)
            assert 0 <= box[0] < box[2] <= width, (name, part, box)
            assert 0 <= box[1] < box[3] <= dock[1], (name, part, box)
            assert box[3] - box[1] >= min(height(browser, part), 14) - 1, (name, part, box)
        assert height(browser, "#screen") >= 170, name
        answers = browser.boxes("#said .words") or browser.boxes("#said .empty")
        assert min(answers[0][3], dock[1]) - answers[0][1] >= 18, (name, answers[0], dock)


@pytest.mark.browser
@pytest.mark.parametrize(("width", "tall"), SIZES)
def test_the_parts_of_a_page_stand_side_by_side(browser, pages, window, width, tall):
    window(width, tall)
    parts = (".names", ".tools", ".result", "#banner", ".bezel", ".hud", "#played")
    for name, page in pages.items():
        browser.open(page)
        shown(browser)
        places = {part: box for part in parts for box in browser.boxes(part) if box[2] > box[0]}
        for one, other in combinations(places, 2):
            assert not cover(places[one], places[other]), (name, one, other)
        assert browser.run("return document.documentElement.scrollWidth") <= width, name


@pytest.mark.browser
@pytest.mark.parametrize(("width", "tall"), SIZES)
@pytest.mark.parametrize("name", ["four frames", "twelve frames"])
def test_several_frames_stand_in_a_row_the_newest_marked(browser, pages, window, width, tall, name):
    window(width, tall)
    browser.open(pages[name], "#episode=0&decision=20")
    shown(browser)
    count = {"four frames": 4, "twelve frames": 12}[name]
    frames = browser.boxes("#saw .strip .frame button")
    steps = browser.run(
        "return [...document.querySelectorAll('#saw .strip canvas')].map((c) => +c.dataset.step)"
    )
    assert steps == list(range(21 - count, 21))
    (panel,) = browser.boxes("#saw")
    assert all(panel[0] <= box[0] and box[2] <= panel[2] for box in frames)
    assert len({round(box[1]) for box in frames[:8]}) == 1, "the first eight share a row"
    assert not any(cover(*pair) for pair in combinations(frames, 2))
    newest = browser.run("return document.querySelector('#saw .newest').textContent")
    assert newest == "now"
    assert f"{count} pictures, oldest first" in browser.text("saw")
    if width > 820:
        (dock,) = browser.boxes(".dock")
        assert frames[0][3] - frames[0][1] >= 40
        assert frames[0][3] <= dock[1]


@pytest.mark.browser
def test_the_embedded_model_is_shown_with_the_picture_it_gets(browser, runs, pages):
    with closing(Run.read(runs["embedded"])) as run:
        steps = full_trajectory(run, 0).steps
    for at in (0, 1, 90):
        browser.open(pages["embedded"], f"#episode=0&decision={at}")
        browser.settled(at)
        browser.painted("#saw canvas.motion")
        before, now = steps[at].decision.calls[0].prompt.frames
        assert np.array_equal(browser.pixels("#saw canvas.motion"), images.motion(before, now))
        assert len(browser.boxes("#saw .strip .frame")) == 2
        assert f"1 picture, 160 {TIMES} 160" in browser.text("saw")


def shown_as(runs, path: Path, shown: dict[str, Any], image_size=None) -> tuple[Path, Prompt]:
    """A page of the run with four frames, had they been shown otherwise; its prompt 20."""
    with closing(Run.read(runs["four frames"])) as run:
        replay = replay_of(run)
        prompt = full_trajectory(run, 0).steps[20].decision.calls[0].prompt
        (episode,) = replay.episodes
        sized = [
            replace(d, calls=tuple(replace(call, image_size=image_size) for call in d.calls))
            for d in episode.decisions
        ]
        episodes = [replace(episode, decisions=sized)]
        write(replace(replay, episodes=episodes, pictures=shown), path)
    return path, replace(prompt, image_size=image_size)


@pytest.mark.browser
@pytest.mark.parametrize("size", [None, (84, 84)])
def test_screens_that_became_one_mosaic_are_shown_as_it(browser, runs, tmp_path, size):
    policy = FramePolicy(max_images=1, scale=2)
    page, prompt = shown_as(runs, tmp_path / "mosaic.html", pictures_of(policy), size)
    conversation = build_conversation(prompt, policy, supports_system=True, escape=str)
    (sent,) = images_of(conversation)
    browser.open(page, "#episode=0&decision=20")
    browser.settled(20)
    browser.wait(
        "document.querySelector('#saw canvas.mosaic').getContext('2d')"
        ".getImageData(0, 0, 1, 1).data[0] !== 96"
    )
    assert np.array_equal(browser.pixels("#saw canvas.mosaic"), np.asarray(sent.convert("RGB")))
    assert f"1 picture of 4 screens, {sent.width} {TIMES} {sent.height}" in browser.text("saw")
    assert "[screen 4]" in browser.text("saw")


@pytest.mark.browser
def test_a_video_is_shown_as_a_row_that_can_be_played(browser, runs, tmp_path):
    policy = FramePolicy(video_format=VideoFormat(multiple=8, max_frames=8), video=True)
    page, _ = shown_as(runs, tmp_path / "video.html", pictures_of(policy))
    browser.open(page, "#episode=0&decision=20")
    browser.settled(20)
    assert len(browser.boxes("#saw .strip .frame")) == 4
    said = browser.text("saw")
    assert f"1 video of 8 frames at 15 a second, 160 {TIMES} 210, oldest first" in said
    assert "the oldest is repeated 4 times" in said
    browser.run("document.querySelector('#saw .clip').click()")
    browser.wait("document.querySelector('#saw .clip').disabled")


@pytest.mark.browser
def test_a_video_without_the_screens_of_examples_has_the_newest_screens_only(
    browser, runs, tmp_path
):
    shown = {"form": "video", "multiple": 1, "most": None, "fastest": 12}
    page, _ = shown_as(runs, tmp_path / "hosted.html", shown)
    browser.open(page, "#episode=0&decision=20")
    browser.settled(20)
    assert "1 video of 4 frames at 12 a second" in browser.text("saw")
    browser.open(page, "#episode=0&decision=0")
    browser.settled(0)
    assert "1 picture, sent at" in browser.text("saw")


@pytest.mark.browser
def test_enlarged_frames_are_shown_at_the_size_they_were_sent(browser, runs, tmp_path):
    page, prompt = shown_as(runs, tmp_path / "scaled.html", pictures_of(FramePolicy(scale=2)))
    browser.open(page, "#episode=0&decision=20")
    browser.settled(20)
    browser.painted('#saw canvas[data-step="20"]')
    sent = images.to_pil_image(prompt.frames[-1], (320, 420)).convert("RGB")
    assert np.array_equal(browser.pixels('#saw canvas[data-step="20"]'), np.asarray(sent))
    assert f"4 pictures, oldest first, each sent at 320 {TIMES} 420" in browser.text("saw")


SCORES = [
    ([], -20.7, 14.6),
    ([1], 1.7, 30.5),
    ([-1] * 21, -20.7, 14.6),
    ([0.25], 0.0, 0.1),
    ([3, -3, 4], 0.0, 4.0),
    ([1_000_000], 148.0, 1668.7),
    ([15], 14.0, 14.6),
    ([-1, 2, -1], None, None),
]


@pytest.mark.browser
@pytest.mark.parametrize(("rewards", "random", "human"), SCORES)
def test_labels_of_the_curve_never_touch(browser, tmp_path, window, rewards, random, human):
    replay, _ = recording("pong", [60])
    (episode,) = replay.episodes
    earned = dict(enumerate(rewards))
    decisions, score = [], 0.0
    for at, decision in enumerate(episode.decisions):
        decisions.append(replace(decision, reward=earned.get(at, 0.0), score=score))
        score += earned.get(at, 0.0)
    changed = replace(episode, decisions=decisions, score=score)
    path = tmp_path / "scores.html"
    write(replace(replay, episodes=[changed], random_score=random, human_score=human), path)
    for width, tall in SIZES:
        window(width, tall)
        browser.open(path, "#episode=0&decision=0")
        shown(browser)
        labels = browser.boxes(".axis > span")
        assert len(labels) >= 1 + 2 * (human is not None)
        things = [*labels, *browser.boxes("#curve")]
        assert not any(cover(*pair) for pair in combinations(things, 2)), (width, labels)
        (dock,) = browser.boxes(".dock")
        assert all(dock[0] <= b[0] and b[2] <= dock[2] and dock[1] <= b[1] for b in labels), width
        if human is not None:
            assert "human" in browser.text("references")


@pytest.mark.browser
def test_an_invalid_run_says_so_quotes_the_reply_and_opens_where_it_began(browser, pages, window):
    for width, tall in SIZES:
        window(width, tall)
        browser.open(pages["invalid"])
        browser.settled(6)
        assert browser.text("source") == "fallback"
        (banner,) = browser.boxes("#banner")
        assert 0 <= banner[1] < banner[3] <= tall / 3
        assert "This run is invalid: it has no score." in browser.text("banner")
        assert "20 times in a row" in browser.text("banner")
        assert browser.text("banner").count(SORRY) == 1
        if width <= 820:  # where the page scrolls, the whole reason is shown
            size = "const p = document.querySelector('#banner p'); return p."
            assert browser.run(f"{size}scrollHeight") <= browser.run(f"{size}clientHeight")
        (quote,) = browser.boxes("#banner-quote")
        assert banner[1] < quote[1] < quote[3] < banner[3]
        assert browser.text("result").startswith("no score invalid")
        assert not browser.run("return document.getElementById('banner-go').checkVisibility()")
    browser.press("p")
    browser.open(pages["invalid"], "#episode=0&decision=0")
    browser.run("document.getElementById('banner-go').click()")
    browser.settled(6)


@pytest.mark.browser
def test_a_run_without_failures_has_no_banner(browser, pages):
    browser.open(pages["embedded"])
    assert not browser.boxes("#banner") or not browser.run(
        "return document.getElementById('banner').checkVisibility()"
    )


@pytest.mark.browser
def test_a_player_without_a_model_is_shown_with_its_reasons(browser, runs, pages):
    with closing(Run.read(runs["expert"])) as run:
        reason = run.decisions(0)[30].reason
    browser.open(pages["expert"], "#episode=0&decision=30")
    browser.settled(30)
    assert reason in browser.text("said")
    assert browser.text("said-title") == "Why it was played"
    assert not browser.run("return document.getElementById('saw').checkVisibility()")


@pytest.mark.browser
def test_a_printed_page_has_all_of_the_prompt_and_no_buttons(browser, pages):
    browser.open(pages["four frames"])
    shown(browser)
    browser.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print"})
    try:
        hidden = "return [...document.querySelectorAll('.controls, .tools')].map((part) => "
        assert browser.run(hidden + "getComputedStyle(part).display)") == ["none", "none"]
        for part in ("#saw", "#said", ".stage"):
            style = f"const part = document.querySelector('{part}'); return "
            assert browser.run(style + "part.scrollHeight - part.clientHeight") <= 1, part
    finally:
        browser.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": ""})


@pytest.mark.browser
def test_the_longest_game_can_be_opened_and_crossed(browser, tmp_path):
    replay, _ = recording("pong", [30])
    (episode,) = replay.episodes
    decision = replace(episode.decisions[0], calls=episode.decisions[0].calls[:1])
    many = 27_000  # 108,000 frames, the cap of a game
    screen = np.zeros((4, 3), np.uint8)
    decisions = [replace(decision, reward=float(at % 7 == 0), score=at // 7) for at in range(many)]
    long = replace(episode, decisions=decisions, screens=lambda: [screen] * (many + 1), score=3858)
    path = tmp_path / "long.html"
    write(replace(replay, episodes=[long]), path)
    assert path.stat().st_size < 2_000_000
    browser.open(path, f"#episode=0&decision={many - 1}")
    browser.settled(many - 1)
    browser.press("p")
    browser.settled(max(at for at in range(many - 1) if at % 7 == 0))
    assert browser.text("values") == "3,85803,8580"  # the labels, and the copy that gives the width


def test_the_helper_that_finds_overlaps_finds_them():
    assert cover((0, 0, 10, 10), (5, 5, 15, 15))
    assert not cover((0, 0, 10, 10), (10, 0, 20, 10))
