"""Pages in narrow windows: every control is within reach, and words have the room of words."""

from __future__ import annotations

import pytest

from atari_vlm.learning.reflection.edits import add_lesson
from atari_vlm.models.scripted import ScriptedModel
from atari_vlm.report.run_page import write_replay
from atari_vlm.trainer import VLMTrainer

pytest_plugins = ["tests.pages"]

CONTROLS = "button, select, input, .axis > span"
PHONE = 390
WIDTHS = [320, PHONE, 600, 821, 1000, 1400]


def player(folder, **settings):
    model = ScriptedModel(lambda prompt: "ACTION: UP")
    return VLMTrainer("freeway", "mine", model=model, run_folder=folder, **settings)


@pytest.fixture(scope="module")
def training(tmp_path_factory):
    """A stuck player that is taught by another run, with evaluations before and after."""
    base = tmp_path_factory.mktemp("training")
    taught = player(base / "teacher", max_decisions=2, reflect=True).train(1)
    add_lesson(taught.folder, "Walk up without a pause, and wait only for the very next car.")
    settings = {"lessons_from": taught.folder, "use_in_context_learning": True}
    trainer = player(base / "run", max_decisions=60, **settings)
    trainer.evaluate(1)
    trainer.train(2, evaluate_every=1, num_evaluations=1)
    return base / "run"


@pytest.mark.browser
@pytest.mark.parametrize("width", WIDTHS)
def test_no_control_of_a_replay_page_lies_outside_of_the_window(browser, training, window, width):
    window(width, 844)
    browser.open(write_replay(training))
    offered = browser.run("return [...document.querySelectorAll('.event')].map(b => b.textContent)")
    assert [name.rstrip("0123456789") for name in offered] == [
        "Reward",
        "Repair",
        "Fallback",
        "Life lost",
        "Stuck",
    ]
    options = "document.querySelectorAll('#episode option')"
    assert browser.run(f"return [...{options}].some(o => o.text.includes('another run'))")
    # As a long training on a game with large scores has them.
    browser.run(f"for (const o of {options}) o.textContent += ' after 12,345 decisions'")
    browser.run(
        "for (const n of document.querySelectorAll('.event span:last-child')) n.textContent = 9999"
    )
    assert browser.run("return document.documentElement.scrollWidth") <= width
    for left, _, right, _ in browser.boxes(CONTROLS):
        assert left >= 0
        assert right <= width


@pytest.fixture(scope="module")
def searching(tmp_path_factory):
    """A player with a long name that uses the emulator."""
    folder = tmp_path_factory.mktemp("searching") / "run"
    name = "embedded+adaptive:lookahead:100:uniform"
    VLMTrainer("freeway", name, run_folder=folder, max_decisions=2).train(1)
    return folder


@pytest.mark.browser
@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("uses", ["(uses emulator)", "(uses emulator and RAM)"])
def test_what_a_player_uses_is_never_cut_however_long_its_name(
    browser, searching, window, width, uses
):
    window(width, 844)
    browser.open(write_replay(searching))
    said = browser.text("player")
    assert said == "embedded+adaptive:lookahead:100:uniform (uses emulator) · embedded prompt"
    browser.run(
        "for (const s of document.querySelectorAll('#player span'))"
        " s.textContent = s.textContent.replace('(uses emulator)', arguments[0])",
        uses,
    )
    # What is cut by any element around it has no pixels there.
    seen = """
        const node = [...document.querySelectorAll('#player, #player span')]
            .flatMap(e => [...e.childNodes]).find(n => n.data?.includes('(uses'));
        const range = document.createRange();
        const from = node.data.indexOf('(');
        return Array.from({length: node.data.length - from}, (_, k) => {
            range.setStart(node, from + k);
            range.setEnd(node, from + k + 1);
            const { left, right, top, bottom } = range.getBoundingClientRect();
            return document.elementFromPoint((left + right) / 2, (top + bottom) / 2)?.contains(node)
                && right <= node.parentElement.getBoundingClientRect().right + 1;
        }).every(Boolean)"""
    assert browser.run(seen)
    assert browser.run("return document.documentElement.scrollWidth") <= width


@pytest.mark.browser
def test_the_page_of_a_learning_curve_can_be_read_on_a_phone(browser, training, window):
    window(PHONE, 844)
    browser.driver.get((training / "learning.html").as_uri())
    assert browser.run("return document.documentElement.scrollWidth") <= PHONE
    captions = browser.boxes("figcaption")
    assert captions
    assert all(right - left >= 200 for left, _, right, _ in captions)
    players = browser.boxes("td:nth-child(2)")
    assert all(right - left >= 120 for left, _, right, _ in players)
    words = browser.boxes(".figure text")
    assert min(bottom - top for _, top, _, bottom in words) >= 9


@pytest.mark.browser
@pytest.mark.parametrize("width", [PHONE, 670, 690, 1400])
def test_what_the_lines_of_a_curve_are_is_in_the_window_and_that_it_scrolls_is_said(
    browser, training, window, width
):
    window(width, 844)
    browser.driver.get((training / "learning.html").as_uri())
    for left, _, right, _ in browser.boxes(".legend li"):
        assert 0 <= left < right <= width
    scrolls = browser.run(
        "const f = document.querySelector('.figure'); return f.scrollWidth > f.clientWidth + 1"
    )
    said = browser.run(
        "return getComputedStyle(document.querySelector('.narrow')).display != 'none'"
    )
    assert said == scrolls
    assert said or width != PHONE
    assert browser.boxes(".legend li")


def test_the_paper_of_a_curve_fills_a_wide_window(browser, training, window):
    window(1400, 844)
    browser.driver.get((training / "learning.html").as_uri())
    whole = browser.run("return getComputedStyle(document.documentElement).backgroundColor")
    assert whole in ("rgb(245, 244, 240)", "rgb(15, 17, 20)")  # --paper, light or dark
