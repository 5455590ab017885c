"""The dataset card: the README.md of a data set, from the contents of its shards."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from atari_vlm.files.writing import write_whole
from atari_vlm.learning.distill.collect import UNDISTURBED
from atari_vlm.learning.distill.shard_header import ShardHeader
from atari_vlm.learning.distill.shards import Shard, open_shard

_CARD = """---
license: other
pretty_name: Labelled Atari decisions
task_categories:
- image-text-to-text
configs:
{configs}
---

# Labelled Atari decisions

{total:,} decisions of {games}.
Each has a screen, a teacher's description of it, the probabilities of the plans that the teacher
would play, and the plan that was played. They train a vision-language model to play:
`atari-vlm distill --data FOLDER`.

## How it was made

    {command}

atari-vlm {version}, ale-py {ale_py}. The rows of a file are a pure function of its game, the seed,
its number and the student's weights, so the command makes the same files again.

- **Console**: sticky actions {sticky:g}, a decision every {skip} frames, default mode and
  difficulty. A screen is the brighter of the last two raw ones, pixel by pixel, {size}.
- **Teachers** label every decision; they read more than the screen:
{teachers}
  They read the memory now and one decision ago, and nothing else, so that a label can be computed
  from two successive screens.
- **Play**: an episode begins with up to {warm_up} random plans, which are not recorded, and is cut
  short. Bursts of random plans disturb it.{openings} At {scatter:.0%} of the decisions, in
  games that allow it, objects are moved by hand: the next row is `scattered`, its weight is 0, and
  no screen precedes it.{student}

## What is in it

| game | teacher | player | decisions | share |
|---|---|---|---|---|
{counts}

`player` is the chooser of the plan that was played: the expert, the student, or random (a burst, or
waiting at the first screen).

### Labels

{labels}

## Columns

One row is one decision; rows are in the order they were played.

| column | meaning |
|---|---|
| game, seed | the game; the seed of its emulator |
| episode, step | number of the episode within the file, and of the decision within the episode |
| screen | native screen as a palette PNG; its indices are the console's own |
| first | whether no screen precedes this one; otherwise the row before has it |
| scattered | whether objects were moved by hand just before |
| words | the teacher's whole answer: the objects, in pixels of the screen, then the plan |
| plans | probability of every plan; their names are `plans` in the file's `atari_vlm` metadata |
| weight | importance of the moment; 0: do not learn from it |
| player, action, frames | the player and its plan: the action is held this many frames, then NOOP |
| reward, over | raw reward of the frames after the screen; whether the game ended in them |

    import json, pyarrow.parquet as parquet
    table = parquet.read_table("{example}")
    header = json.loads(table.schema.metadata[b"atari_vlm"])

As a chat, for tools that fine-tune on messages with images:

    def chat(row):
        user = {{"role": "user", "content": [{{"type": "image"}}, {{"type": "text", "text":
            f"Play {{row['game']}}. Say what you see, then your plan."}}]}}
        assistant = {{"role": "assistant", "content": [{{"type": "text", "text": row["words"]}}]}}
        return {{"messages": [user, assistant], "images": [row["screen"]]}}

Motion ("moving right 5 down 3") is visible only together with the screen of the row before.

## Known gaps

- The scripted teachers play well but not perfectly, and name only the objects that they use; other
  objects on the screen are not in the labels.
- Episodes are cut short, so late stages of the games are rare or missing.
- States with `scattered`, and those soon after, do not occur in play.
- Only the default mode and difficulty; screens that flicker are pooled.
- Successive decisions are alike: split by file or episode, never by row.

## Licence

The labels were made by atari-vlm (MIT). The screens show games whose ROM's images belong to their
owners; publishers and users of the data are responsible for that.
"""

_OPENINGS = """ {share:.0%} of the episodes are recorded from the first screen of
  the game instead: the player may wait there, and nothing disturbs its first {calm} decisions."""

_STUDENT = """
- **Student**: weights with the digest {digest} played most decisions and the teacher only labelled
  them, so that the states are those of the student's own play (DAgger)."""


@dataclass
class _Tally:
    """Counts over the shards of one game."""

    header: ShardHeader
    players: Counter[str] = field(default_factory=Counter)
    plans: Counter[str] = field(default_factory=Counter)
    sentences: Counter[str] = field(default_factory=Counter)
    scattered: int = 0

    @property
    def decisions(self) -> int:
        return self.players.total()

    def add(self, shard: Shard) -> None:
        columns = shard.table(("words", "player", "scattered"))
        self.players.update(columns["player"])
        self.scattered += sum(columns["scattered"])
        for words in columns["words"]:
            description, _, plan = words.rpartition(": ")
            self.plans[plan] += 1
            self.sentences[re.sub(r"\d+", "N", description)] += 1


def write_dataset_card(folder: Path, command: str) -> None:
    """Write README.md into a folder of shards.

    Raises:
        OSError: the folder cannot be written.
        StoreError: a shard is damaged.
    """
    tallies: dict[str, _Tally] = {}
    paths = sorted(folder.glob("*.parquet"))
    for path in paths:
        shard = open_shard(path)
        tallies.setdefault(shard.game, _Tally(shard.header)).add(shard)
    some = next(iter(tallies.values())).header
    teachers = [
        f"  {game}: {tally.header.teacher} ({', '.join(tally.header.reads) or 'the screen only'})."
        for game, tally in tallies.items()
    ]
    sizes = {
        f"{t.header.width} x {t.header.height} ({t.header.standard})" for t in tallies.values()
    }
    card = _CARD.format(
        configs="\n".join(
            f'- config_name: {game}\n  data_files: "{game}-*.parquet"' for game in tallies
        ),
        total=sum(tally.decisions for tally in tallies.values()),
        games=", ".join(tallies),
        command=command,
        version=some.version,
        ale_py=some.ale_py,
        sticky=some.sticky,
        skip=some.frame_skip,
        size=", ".join(sorted(sizes)),
        teachers="\n".join(teachers),
        warm_up=some.disturbance.get("warm_up", "unknown"),
        scatter=some.disturbance.get("scatter", "unknown"),
        openings=_openings(some.disturbance.get("from_first_screen", 0)),
        student=_STUDENT.format(digest=some.student) if some.student else "",
        counts="\n".join(_counts(game, tally) for game, tally in tallies.items()),
        labels="\n\n".join(_labels(game, tally) for game, tally in tallies.items()),
        example=paths[0].name,
    )
    write_whole(folder / "README.md", card)


def _openings(share: float) -> str:
    return _OPENINGS.format(share=share, calm=UNDISTURBED) if share else ""


def _counts(game: str, tally: _Tally) -> str:
    start = f"| {game} | {tally.header.teacher}"
    lines = [
        f"{start} | {player} | {count:,} | {count / tally.decisions:.1%} |"
        for player, count in tally.players.most_common()
    ]
    return "\n".join(lines)


def _labels(game: str, tally: _Tally) -> str:
    return (
        f"**{game}** ({tally.scattered:,} scattered)\n\n"
        f"- Likeliest plan: {_shares(tally.plans)}.\n"
        f"- Descriptions, with N for numbers: {_shares(tally.sentences)}."
    )


def _shares(counter: Counter[str], most: int = 8) -> str:
    listed = [f"{name} ({n / counter.total():.1%})" for name, n in counter.most_common(most)]
    rest = len(counter) - most
    return "; ".join([*listed, f"{rest} others"] if rest > 0 else listed)
