"""The replay page: its data, that text in it is inert, and how a real browser shows it."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from atari_vlm.atari import images
from atari_vlm.errors import InvalidSetting
from atari_vlm.report.render import render, write
from atari_vlm.report.replay import (
    ReplayCall,
    ReplayDecision,
    ReplayEpisode,
    ReplayMessage,
    StoredScreen,
)
from atari_vlm.types import Frame
from tests.recordings import FENCED, HOSTILE, SYSTEM, UNICODE, recording

pytest_plugins = ["tests.pages"]


@pytest.fixture(scope="module")
def pong():
    return recording("pong", [300, 90])


@pytest.fixture(scope="module")
def breakout():
    return recording("breakout", [700])


def data_of(page: str) -> dict[str, Any]:
    block = re.search(r'<script type="application/json" id="replay-data">(.*?)</script>', page)
    assert block
    return json.loads(block[1])


# -- the file -----------------------------------------------------------------------------------


def test_a_page_has_every_decision_in_its_columns(pong):
    replay, _ = pong
    episode = data_of(render(replay))["episodes"][0]
    decisions = replay.episodes[0].decisions
    assert [episode["names"][k] for k in episode["actions"]] == [d.action for d in decisions]
    assert episode["rewards"] == [d.reward for d in decisions]
    assert episode["count"] == len(decisions) + 1
    assert episode["usage"]["calls"] > len(decisions)  # repairs and votes are calls too


def test_a_prompt_that_never_changes_is_in_the_page_once(pong):
    assert render(pong[0]).count(json.dumps(SYSTEM)[1:60]) == 1


def test_a_page_of_1500_decisions_stays_under_a_megabyte():
    assert len(render(recording("pong", [1500])[0])) < 1_000_000


def test_no_text_in_the_data_can_end_its_block(pong):
    replay = replace(pong[0], title=HOSTILE, game=HOSTILE, settings={HOSTILE: HOSTILE})
    page = render(replay)
    assert data_of(page)["game"] == HOSTILE
    data = page[page.index('id="replay-data">') + 17 :].split("</script>")[0]
    assert not re.search(r"[<>&\u2028\u2029]", data)
    assert "<img" not in page.replace("img-src", "")
    page.encode("utf-8")


def test_a_page_asks_for_nothing_from_outside(pong):
    page = render(pong[0])
    assert "default-src 'none'" in page
    assert not re.search(r"""(src|href)=["'](?!data:)""", page)
    assert set(re.findall(r"https?://[^\s'\"]+", page)) <= {"http://www.w3.org/2000/svg"}


def test_a_run_without_episodes_has_nothing_to_replay(pong):
    with pytest.raises(InvalidSetting, match="nothing to replay"):
        render(replace(pong[0], episodes=[]))


def test_screens_that_do_not_belong_to_the_decisions_are_refused(pong):
    replay, screens = pong
    episode = replace(replay.episodes[0], screens=lambda: screens[0][:-2])
    with pytest.raises(ValueError, match="300 decisions cannot have 299 screens"):
        render(replace(replay, episodes=[episode]))


# -- in a browser -------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def files(pong, breakout, tmp_path_factory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("pages")
    paths = {name: folder / f"{name}.html" for name in ("pong", "breakout")}
    write(pong[0], paths["pong"])
    write(breakout[0], paths["breakout"])
    return paths


def seen(replay, screens, step, size=None):
    return images.rgb(Frame(screens[step], standard=replay.standard), size)


@pytest.mark.browser
@pytest.mark.parametrize("step", [0, 1, 63, 64, 200, 700])
def test_the_screen_shows_exactly_the_recorded_pixels(browser, files, breakout, step):
    browser.open(files["breakout"], f"#episode=0&decision={step}")
    browser.settled(step)
    replay, (screens,) = breakout
    assert np.array_equal(browser.pixels("#screen"), seen(replay, screens, step))


@pytest.mark.browser
@pytest.mark.parametrize("size", [(84, 84), (224, 224), (160, 210), (320, 420), (100, 300), (7, 5)])
def test_frames_in_the_prompt_are_the_pixels_that_were_sent(browser, pong, tmp_path, size):
    replay, screens = pong
    episode = replay.episodes[0]
    resized = tuple(
        replace(d, calls=tuple(replace(c, image_size=size) for c in d.calls))
        for d in episode.decisions
    )
    path = tmp_path / "sized.html"
    write(replace(replay, episodes=[replace(episode, decisions=resized)]), path)
    browser.open(path, "#episode=0&decision=131")
    browser.settled(131)
    for step in (130, 131):
        shown = browser.pixels(f'#saw canvas[data-step="{step}"]')
        assert np.array_equal(shown, seen(replay, screens[0], step, size))


@pytest.mark.browser
def test_a_frame_of_another_run_is_shown_where_the_page_has_it_and_missing_where_not(
    browser, pong, breakout, tmp_path
):
    replay, other = pong[0], breakout[1][0]
    episode, shown, absent = replay.episodes[0], (-4, 120), (-4, 121)
    message = ReplayMessage(role="user", parts=("TEST.", shown, absent, (0, 0)))
    asked = ReplayCall(messages=(message,), reply="TEST", image_size=(84, 84))
    first = replace(episode.decisions[0], calls=(asked,))
    changed = replace(episode, decisions=[first, *episode.decisions[1:]])
    path = tmp_path / "taught.html"
    stored = StoredScreen(frame=shown, pixels=other[120], name="training episode 3, decision 120")
    write(replace(replay, episodes=[changed], stored_screens=[stored]), path)
    browser.open(path, "#episode=0&decision=0")
    browser.settled(0)
    place = '#saw canvas[data-episode="-4"]'
    browser.painted(place)
    assert np.array_equal(browser.pixels(place), seen(replay, other, 120, (84, 84)))
    captions = browser.run(
        "return [...document.querySelectorAll('#saw figure')].map((f) => f.textContent)"
    )
    assert captions == [
        "now",
        "training episode 3, decision 120",
        "not in this pageanother screen",
    ]


@pytest.mark.browser
def test_the_page_opens_from_its_file_without_a_warning_or_a_request(browser, files):
    _ = browser.warnings, browser.requests
    browser.open(files["pong"])
    browser.press(" ")
    browser.wait("Number(document.getElementById('screen').dataset.at) > 5")
    browser.press(" ", "n", "f", "i")
    assert browser.warnings == []
    assert {url for url in browser.requests if not url.startswith("data:")} <= {
        "about:blank",
        files["pong"].as_uri(),
    }


@pytest.mark.browser
def test_hostile_text_is_shown_and_does_nothing(browser, pong, tmp_path):
    path = tmp_path / "hostile.html"
    write(replace(pong[0], title=HOSTILE, game=HOSTILE, model=HOSTILE), path)
    browser.open(path, "#episode=0&decision=5")
    browser.settled(5)
    reply = browser.run("return document.querySelector('#said .words').textContent.toWellFormed()")
    assert reply.startswith("TEST </script><img src=x onerror=")
    assert "\u2028\u2029" in reply
    assert browser.run("return window.hacked") is None
    assert browser.run("return document.images.length") == 0
    assert browser.run("return document.scripts.length") == 2
    assert browser.text("game").startswith("TEST </script><img")


@pytest.mark.browser
def test_the_whole_prompt_is_shown_word_for_word(browser, files, pong):
    browser.open(files["pong"], "#episode=0&decision=31")
    browser.settled(31)
    browser.press("w")
    browser.wait("!document.querySelector('.fold')")
    shown = browser.run(
        "return [...document.querySelectorAll('#saw .text')].map((text) => [...text.children]"
        ".map((line) => line.textContent.replace('\\u200b', '')).join('\\n'))"
    )
    (call,) = pong[0].episodes[0].decisions[31].calls
    parts = [part for message in call.messages for part in message.parts if isinstance(part, str)]
    assert shown == parts


@pytest.mark.browser
def test_only_what_changed_in_the_prompt_is_marked(browser, files):
    browser.open(files["pong"], "#episode=0&decision=32")
    browser.settled(32)
    marked = browser.run(
        "return [...document.querySelectorAll('#saw .line.new')].map((line) => line.textContent)"
    )
    assert marked == ["Decision 32. Oldest frame first:", "Last actions: 30, 31."]
    assert "10 more lines, as before" in browser.text("saw")


@pytest.mark.browser
def test_a_decision_shows_its_plan_its_source_and_its_cost(browser, files, pong):
    decision = pong[0].episodes[0].decisions[7]
    browser.open(files["pong"], "#episode=0&decision=7")
    browser.settled(7)
    assert browser.text("action") == decision.action
    assert browser.text("source") == "parsed"
    assert browser.text("said").startswith(UNICODE)
    assert "900 tokens in, 24 out" in browser.text("said")
    assert "$0.00040" in browser.text("said")


@pytest.mark.browser
def test_an_answer_in_json_is_readable_and_a_key_shows_it_exactly(browser, files):
    browser.open(files["pong"], "#episode=0&decision=9")
    browser.settled(9)
    fields = "return [...document.querySelectorAll('#said dd')].map((field) => field.textContent)"
    assert browser.run(fields) == ["TEST: first line\nsecond <b>line</b>", "NOOP", "4"]
    browser.press("x")
    browser.wait("document.querySelector('#said > .reply > .words')")
    assert browser.text("said").startswith(FENCED)
    browser.press("x")
    browser.wait("document.querySelector('#said dl')")


@pytest.mark.browser
def test_a_repair_shows_both_turns_and_a_fallback_its_reason(browser, files):
    browser.open(files["pong"], "#episode=0&decision=0")
    browser.press("m")
    browser.settled(20)
    assert browser.text("source") == "repaired"
    assert "I would jump" in browser.text("said")
    assert "TEST REASONING" in browser.text("said")
    assert "2 messages as above, then:" in browser.text("saw")
    browser.press("f")
    browser.settled(40)
    assert browser.text("source") == "fallback"
    assert "timeout: the server gave no answer" in browser.text("said")


@pytest.mark.browser
def test_the_candidates_of_a_vote_can_be_read_one_by_one(browser, files):
    browser.open(files["pong"], "#episode=0&decision=12")
    browser.settled(12)
    assert "TEST VOTE 0" in browser.text("said")
    browser.run("document.querySelectorAll('.candidates button')[1].click()")
    browser.wait("document.getElementById('said').textContent.includes('TEST VOTE 1')")


@pytest.mark.browser
def test_keys_move_through_the_episode(browser, files, pong):
    from selenium.webdriver.common.keys import Keys

    decisions = pong[0].episodes[0].decisions
    events = _events(decisions)
    rewards = [k for k, decision in enumerate(decisions) if decision.reward]
    browser.open(files["pong"], "#episode=0&decision=0")
    for keys, place in [
        ([Keys.ARROW_RIGHT], 1),
        ([Keys.SHIFT, Keys.ARROW_RIGHT], 11),
        ([Keys.ARROW_LEFT], 10),
        ([Keys.END], 300),
        ([Keys.HOME], 0),
        (["n"], events[0]),
        (["."], events[1]),
        (["p"], events[0]),
        (["r"], next(k for k in rewards if k > events[0])),
        ([Keys.END], 300),
        ([","], events[-1]),
    ]:
        browser.press(*keys)
        browser.settled(place)
    browser.press("]", Keys.HOME)
    browser.settled(0)
    assert browser.run("return document.getElementById('scrub').max") == "90"
    browser.press("3")
    browser.wait("document.querySelectorAll('#speeds button')[2].ariaPressed === 'true'")
    browser.press("?")
    assert browser.run("return document.getElementById('help-dialog').open")
    browser.press(Keys.ESCAPE)
    browser.wait("!document.getElementById('help-dialog').open")


def _events(decisions: tuple[ReplayDecision, ...]) -> list[int]:
    return [
        k
        for k, decision in enumerate(decisions)
        if decision.reward or decision.source in ("repaired", "fallback")
    ]


@pytest.mark.browser
def test_lives_lost_are_found(browser, files, breakout):
    lives = [decision.lives for decision in breakout[0].episodes[0].decisions]
    lost = [k for k in range(len(lives) - 1) if lives[k + 1] < lives[k]]
    assert lost
    browser.open(files["breakout"], "#episode=0&decision=0")
    browser.press("l")
    browser.settled(lost[0])
    assert browser.text("lives") == str(lives[lost[0]])


@pytest.mark.browser
def test_playing_runs_to_the_end_and_stops(browser, files):
    browser.open(files["pong"], "#episode=3&decision=0")
    browser.press("4", " ")
    browser.settled(90)
    browser.wait("!document.body.classList.contains('playing')")
    assert "cut short after 90 decisions" in browser.text("saw")


@pytest.mark.browser
def test_the_last_decision_of_a_killed_run_is_marked_as_stopped(browser, pong, tmp_path):
    replay, screens = pong
    episode: ReplayEpisode = replay.episodes[1]
    decisions = [*episode.decisions[:-1], replace(episode.decisions[-1], reward=None)]
    cut = replace(
        episode, decisions=decisions, screens=lambda: screens[1][:-1], status="interrupted"
    )
    path = tmp_path / "killed.html"
    write(replace(replay, episodes=[cut]), path)
    browser.open(path, "#episode=3&decision=89")
    browser.settled(89)
    assert browser.text("earned") == "stopped here"
    assert browser.run("return document.getElementById('scrub').max") == "89"


@pytest.mark.browser
@pytest.mark.parametrize(("width", "height"), [(1440, 900), (1024, 768), (390, 844)])
def test_nothing_is_wider_than_the_window(browser, files, width, height):
    metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 500}
    browser.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    try:
        browser.open(files["breakout"], "#episode=0&decision=20")
        browser.settled(20)
        assert browser.run("return document.documentElement.scrollWidth") <= width
        assert browser.run("return document.getElementById('screen').clientWidth") > 300
    finally:
        browser.driver.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


@pytest.mark.browser
def test_every_control_has_a_name(browser, files):
    browser.open(files["pong"], "#episode=0&decision=12")
    browser.settled(12)
    nameless = browser.run(
        """return [...document.querySelectorAll("button, input, select, canvas[role]")]
        .filter((e) => !(e.textContent.trim() || e.getAttribute("aria-label") || e.labels?.length ||
          e.getAttribute("aria-labelledby"))).map((e) => e.outerHTML)"""
    )
    assert nameless == []
