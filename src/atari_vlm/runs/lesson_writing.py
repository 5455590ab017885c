"""Writing what became of lessons: changes by a person, and proofs."""

from __future__ import annotations

import json
from dataclasses import replace

from atari_vlm.files.untrusted import storable
from atari_vlm.protocols import Proof
from atari_vlm.runs import records
from atari_vlm.runs.lesson_edits import LessonEdit, edited, written
from atari_vlm.runs.lesson_reader import unseen
from atari_vlm.runs.run import Run, now


def store_proof(run: Run, episode: int, number: int, proof: Proof) -> None:
    """Commit how a lesson fared that is to be shown from an episode on."""
    scores = [json.dumps(each) for each in (proof.seeds, proof.shown, proof.without)]
    words, reason = storable(proof.lesson), storable(proof.reason)
    row = (episode, number, now(), words, *scores, int(proof.kept), reason)
    with run.writing() as db:
        values = ", ".join("?" * len(row))
        db.execute(f"INSERT OR REPLACE INTO proofs VALUES({values})", row)


def store_edit(run: Run, kind: str, about: int, lesson: str, words: str, who: str) -> LessonEdit:
    """Commit what a person changes of the lessons; see `lesson_edits.LessonEdit`.

    Lessons that no episode was shown yet change at once.

    Args:
        run: open to be changed.
        kind: of `rules.EDITS`.
        about: number of the lesson.
        lesson: its words before; "" for a new one.
        words: its words after; "" if it is forbidden.
        who: changes it.
    """
    shown = max((row.episode for row in run.episodes()), default=-1)
    made = [episode for episode, *_ in run.lessons_made()]
    after = max((episode for episode in made if episode <= shown), default=-1)
    earlier = run.lesson_edits()
    texts = storable(lesson), storable(words)
    edit = LessonEdit(len(earlier) + 1, now(), storable(who), kind, about, *texts, after)
    own = written([*earlier, edit])
    with run.writing(synced=True) as db:
        row = (edit.number, edit.made, edit.who, kind, about, *texts, after)
        db.execute("INSERT INTO edits VALUES(?, ?, ?, ?, ?, ?, ?, ?)", row)
        for episode in made:
            if episode > after:
                before = run.lessons(episode, unseen)
                assert before is not None
                advice = edited(before.advice, [edit], run.most_lessons, own)
                value = records.lessons_to_json(replace(before, advice=advice))
                db.execute("UPDATE lessons SET value = ? WHERE episode = ?", (value, episode))
    return edit
