"""The line of settings that stands below a score."""

from __future__ import annotations

from atari_vlm.models.scripted import ScriptedModel
from atari_vlm.report.settings_text import settings_line
from atari_vlm.trainer import VLMTrainer


def test_the_line_below_a_score_names_what_was_chosen(tmp_path):
    def line(folder, **chosen):
        return settings_line(
            VLMTrainer(
                "pong",
                "mine",
                model=ScriptedModel(lambda prompt: "ACTION: LEFT"),
                max_decisions=2,
                run_folder=tmp_path / folder,
                **chosen,
            ).train(1)
        )

    plain = "4 frames a decision, sticky 0.25, prompt basic, frames 2, history 8, seed 0."
    cut = " Cut short after 2 decisions: not scores of whole games."
    assert line("plain") == plain + cut
    assert ", history 6, nudge, stuck-after 9, " in line("b", history=6, nudge=True, stuck_after=9)
    VLMTrainer("pong", "random", max_decisions=100, run_folder=tmp_path / "random").train(1)
    shown = line("examples", examples_from=tmp_path / "random", example_pictures=False)
    assert ", no example pictures, examples 1 episode of random (" in shown
    assert "icl examples 3" in shown
    assert "max-lessons" not in shown
    assert ", reflect, max-lessons 4," in line("lessons", reflect=True, max_lessons=4)
