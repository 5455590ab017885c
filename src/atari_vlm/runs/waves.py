"""Which episodes of a run are played beside one another, with the same lessons.

With a learner, `parallel` episodes make a wave. One that reviews learns when the episodes that a
call asked for have ended, so the last wave may be shorter. Its end is recorded before the reviews
begin, and the episodes of later calls begin a wave of their own. So what an episode is shown does
not depend on how often the run was stopped, and no episode is reviewed twice.
"""

from __future__ import annotations

import json
from collections.abc import Iterator

from atari_vlm.protocols import Reviews
from atari_vlm.runs.job import Job
from atari_vlm.runs.run import Run

SHORT = "short_waves"
"""The setting that records them: for each, the number of the first episode after it."""


def waves(run: Run, job: Job) -> Iterator[range]:
    """The episodes of each wave of a job, in order; without a learner all are one wave.

    Args:
        run: that has the waves of earlier calls.
        job: whose episodes are played.
    """
    count = len(job.seeds)
    size = job.parallel if job.learner else max(1, count)
    known = {row for row, *_ in run.lessons_made()} if job.learner else set[int]()
    known.update(_short(run))
    start = 0
    while start < count:
        end = min([start + size, count, *(each for each in known if each > start)])
        yield range(start, end)
        start = end


def is_to_review(run: Run, job: Job) -> bool:
    """Whether the last episodes of a job are reviewed when they have ended.

    Not if a later episode was begun before: it is shown the lessons that it was begun with.
    """
    if not (isinstance(job.learner, Reviews) and job.learner.reviews and job.lessons is None):
        return False
    return all(row.episode < len(job.seeds) for row in run.episodes())


def end_wave(run: Run, wave: range, job: Job) -> None:
    """Record where a wave ended, if it is shorter than the others.

    Args:
        run: open for playing.
        wave: the last one of the job.
        job: whose episodes have ended.
    """
    ends = _short(run)
    if len(wave) < job.parallel and wave.stop not in ends:
        ends.append(wave.stop)
        with run.writing() as db:
            row = (SHORT, json.dumps(ends))
            db.execute("INSERT OR REPLACE INTO settings VALUES(?, ?)", row)
        run.settings[SHORT] = ends


def _short(run: Run) -> list[int]:
    recorded = run.settings.get(SHORT)  # checked when the run was opened
    return list(recorded) if isinstance(recorded, list) else []
