"""The page of a run from a stranger: its texts are shown, and what it unpacks is bounded."""

from __future__ import annotations

import base64
import json
import zlib
from contextlib import closing
from importlib.resources import files

from atari_vlm.models.scripted import ScriptedModel
from atari_vlm.report.run_page import write_replay
from atari_vlm.runs.run import Run
from atari_vlm.trainer import VLMTrainer
from tests.recordings import HOSTILE
from tests.run_files import change

pytest_plugins = ["tests.pages"]


def test_a_hostile_run_does_nothing_in_its_page(browser, tmp_path):
    script = ScriptedModel(lambda prompt: f"{HOSTILE}\nACTION: RIGHT", name="mine")
    VLMTrainer("pong", "mine", model=script, run_folder=tmp_path, max_decisions=3).train(1)
    change(
        tmp_path,
        "UPDATE steps SET reason = '<img src=x onerror=window.hacked=3>' || char(8238)",
        f"UPDATE settings SET value = '{json.dumps('<svg onload=window.hacked=4>')}'"
        " WHERE name = 'model'",
        "INSERT INTO settings VALUES('</script><script>window.hacked=5</script>', '1')",
    )
    with closing(Run.read(tmp_path)) as run:
        assert "onerror" in run.decisions(0)[0].reason
    page = write_replay(tmp_path)
    assert "<img src=x" not in page.read_text("utf-8")
    browser.open(page)
    browser.settled(int(browser.run("return document.getElementById('screen').dataset.at")))
    assert browser.run("return window.hacked") is None
    assert "onerror" in browser.text("said")


def test_a_part_of_a_page_that_unpacks_to_too_much_is_an_error(browser):
    source = (files("atari_vlm.report") / "page" / "data.js").read_text("utf-8")
    functions = source[source.index("/** The bytes") : source.index("/** Loads chunks")]
    packed = base64.b64encode(zlib.compress(bytes(10**6))).decode()
    unpack = f"{functions} return inflate(...arguments).then((all) => all.length, String)"
    assert browser.run(unpack, packed, 10**6) == 10**6
    assert "more than 999999 bytes" in browser.run(unpack, packed, 999_999)
