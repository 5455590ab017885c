"""Trials: a program is stopped again and again, and must end as if it never had been.

    python -m tests.kill_trials run --kills 68        # one of `make trials`
    python -m tests.kill_trials vote --kills 20
    python -m tests.kill_trials bench --signals SIGKILL,SIGINT,SIGTERM --seed 3

A paid server on the loopback interface answers by what it is shown, so that any difference in what
was played changes everything after it. The program is a run (4 games, 2 at a time, in-context
learning, 2 decisions a call), one whose decisions are votes and verdicts of a judge, one whose two
games look ahead in worker processes, a bench with two worker processes, or a training: with
evaluations, with a learning curve and its controls, with reflection, with lessons that are proved.
Each stop comes 0.2 to 2.5 seconds after the first request of a program that takes a second or so to
start; one in eight comes while it starts. A bench, and a program that looks ahead, is hit at its
parent, at a worker, or at all.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from atari_vlm.runs.run import Run
from atari_vlm.types import Call, Decision
from tests.servers import Server
from tests.vendor_apis import Answer

VOTES = "any+vote:3+adaptive:best-of:2"
"""Six votes at once, then a judge between the two that they elect, if these differ. The server is
told a seed with each question, as OpenAI's own is not: without it all votes would be the same."""

AHEAD = "gpt-4o+lookahead:150"
TRAIN = ["train", "--game", "breakout", "--model", "gpt-4o", "--run", "OUT/r"]

PROGRAMS = {
    "run": ["play", "--game", "breakout", "--model", "gpt-4o", "--no-replay", "--run", "OUT/r"],
    "bench": ["bench", "--games", "breakout,pong", "--models", "gpt-4o,gpt-4o+blank"],
    "vote": ["play", "--game", "breakout", "--model", VOTES, "--no-replay", "--run", "OUT/r"],
    "lookahead": ["play", "--game", "breakout", "--model", AHEAD, "--no-replay", "--run", "OUT/r"],
    **dict.fromkeys(("train", "curve", "reflect", "prove"), TRAIN),
}
OWN = {
    "run": ["--icl", "--parallel", "2"],
    "vote": ["--parallel", "2", "--base-url", "URL"],
    "lookahead": ["--parallel", "2"],
    "bench": ["--no-baselines", "--processes", "2", "--out", "OUT", "--budget-tokens", "999999999"],
    "train": ["--icl", "--evaluations", "1", "--parallel", "2"],
    "curve": ["--icl", "--evaluate-every", "2", "--evaluations", "2", "--control", "--shuffled"],
    "reflect": ["--reflect", "--icl", "--evaluations", "1"],
    "prove": ["--reflect", "--prove-lessons", "--evaluations", "1", "--parallel", "2"],
}
AT_ONCE = dict.fromkeys(PROGRAMS, 2) | {"vote": 12, "reflect": 1, "curve": 1}
"""Calls in flight at most, which a stop may repeat: one of each game that is played at the same
time, or as many as there are votes."""
WORKERS = {"bench", "lookahead"}
"""Programs with worker processes."""


@dataclass
class Outcome:
    """What came of a trial."""

    sent: dict[str, int] = field(default_factory=dict)
    """Signals by name."""
    stopped: int = 0
    """How many of them ended the program."""
    calls: int = 0
    repeated: int = 0
    most_repeated: int = 0
    """Calls that may have been repeated: one for each game at a time and stop."""
    same: bool = False
    """Whether every run is as without stops."""
    tokens_short: int = 0
    """What the server billed beyond what the runs count, uncertain requests included."""
    seconds: float = 0.0
    problems: list[str] = field(default_factory=list)
    """Outputs and exit codes that should not be."""

    @property
    def good(self) -> bool:
        return (
            self.same
            and self.repeated <= self.most_repeated
            and self.tokens_short <= 0
            and not self.problems
        )


TOKENS = (1000, 0, 50)
BILLED = 1050
"""Tokens of an answer. A server of one's own has no known price, so they stand for the money."""


def answer(delay: float) -> Any:
    """A script for the server: two decisions that depend on every word and picture."""

    def script(number: int, body: dict[str, Any]) -> Answer:
        asked = json.dumps([body["messages"], body.get("seed")])
        digest = hashlib.sha256(asked.encode()).digest()
        moves = [("NOOP", "RIGHT", "LEFT", "FIRE")[byte % 4] for byte in digest[:2]]
        text = ", ".join(f"{m} x{1 + byte % 4}" for m, byte in zip(moves, digest[2:], strict=False))
        if digest[4] % 9 == 0 and len(body["messages"]) < 6:
            text = "Hmm."
        if "Review your gameplay" in asked:
            drop = f'"drop": [{1 + digest[1] % 4}]'
            text = f'{{"lessons": ["Hold {moves[0]} for {digest[0]} frames."], {drop}}}'
            text = "I see." if digest[2] % 4 == 0 and len(body["messages"]) < 4 else text
            return Answer(text=text, tokens=TOKENS, delay=delay)
        if "BEST:" in asked:
            text = f"BEST: {1 + digest[0] % 3}"  # 3 is no candidate
            return Answer(text=text, tokens=TOKENS, delay=delay)
        return Answer(text=f"ACTIONS: {text}", tokens=TOKENS, delay=delay)

    return script


class Trial:
    """One program with a server.

    Args:
        program: a name of PROGRAMS.
        place: an empty folder.
        episodes: of every run.
        decisions: of an episode.
        delay: seconds before each answer.
    """

    def __init__(
        self, program: str, place: Path, *, episodes: int, decisions: int, delay: float
    ) -> None:
        self.program, self.place, self.delay = program, place, delay
        self._more = ["--episodes", str(episodes), "--max-decisions", str(decisions)]

    def command(self, out: Path, url: str) -> list[str]:
        words = [*PROGRAMS[self.program], *OWN[self.program], *self._more]
        words += ["--decisions-per-call", "2", "--prompt", "basic"]
        return [sys.executable, "-m", "atari_vlm.cli.app"] + [
            word.replace("OUT", str(out)).replace("URL", url) for word in words
        ]

    def start(self, server: Server, out: Path) -> subprocess.Popen[str]:
        environment = {
            **os.environ,
            "OPENAI_BASE_URL": server.base_url,
            "OPENAI_API_KEY": "planted-key-of-the-trial",
        }
        return subprocess.Popen(
            self.command(out, server.base_url),
            env=environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
            preexec_fn=hear_ctrl_c,
        )

    def whole(self) -> tuple[dict[str, Any], int, float]:
        """The records without a stop, the calls, and the seconds until the first one."""
        out = self.place / "whole"
        out.mkdir()
        with Server(answer(0.0), record=False) as server:
            begun = time.monotonic()
            process = self.start(server, out)
            first = 0.0
            while process.poll() is None:
                if server.count and not first:
                    first = time.monotonic() - begun
                time.sleep(0.01)
            errors = process.communicate()[1]
            assert process.returncode == 0, errors
            return records(out), server.count, first

    def stopped(self, names: list[str], kills: int, rng: random.Random) -> Outcome:
        """Stop it `kills` times, then let it end; compare."""
        expected, calls, first = self.whole()
        out, outcome = self.place / "stopped", Outcome()
        out.mkdir()
        begun = time.monotonic()
        with Server(answer(self.delay), record=False) as server:
            for _ in range(kills):
                process = self.start(server, out)
                if rng.random() < 1 / 8:
                    ended = wait(process, rng.uniform(0.0, first))
                else:
                    count = server.count
                    while server.count == count and process.poll() is None:
                        time.sleep(0.01)
                    ended = wait(process, rng.uniform(0.2, 2.5))
                if ended:
                    process.communicate()
                    break
                self._hit(process, rng.choice(names), rng, outcome)
            end = self.start(server, out)
            _, errors = end.communicate(timeout=1800)
            if end.returncode:
                outcome.problems.append(f"the last one: {end.returncode}, {errors[-800:]}")
            outcome.calls = server.count
        outcome.repeated = outcome.calls - calls
        outcome.most_repeated = AT_ONCE[self.program] * sum(outcome.sent.values())
        outcome.same = records(out) == expected
        outcome.tokens_short = outcome.calls * BILLED - spent(out)
        outcome.seconds = time.monotonic() - begun
        return outcome

    def _hit(
        self, process: subprocess.Popen[str], name: str, rng: random.Random, outcome: Outcome
    ) -> None:
        """Send a signal, and wait for the end of the program, or of a worker of a bench."""
        number = getattr(signal, name)
        group = alive_in_group(process.pid)
        has_workers = self.program in WORKERS
        target = rng.choice(["parent", "worker", "group"]) if has_workers else "parent"
        workers = [pid for pid in group if pid != process.pid]
        where = f"{name} to the {target}" if has_workers else name
        outcome.sent[where] = outcome.sent.get(where, 0) + 1
        if target == "worker" and workers:
            os.kill(rng.choice(workers), number)
            time.sleep(rng.uniform(0.2, 1.0))
            number = signal.SIGKILL
            target = "parent"
        (os.killpg if target == "group" else os.kill)(process.pid, number)
        sent = time.monotonic()
        try:
            _, errors = process.communicate(timeout=60)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            outcome.problems.append(f"{where}: it did not end")
            return
        outcome.stopped += 1
        self._check(process, number, errors, where, time.monotonic() - sent, outcome)

    def _check(
        self,
        process: subprocess.Popen[str],
        number: int,
        errors: str,
        where: str,
        seconds: float,
        outcome: Outcome,
    ) -> None:
        killed = number == signal.SIGKILL
        code = -number if killed else 128 + number
        # It may have ended by itself in the meantime, and a signal may come before it can be heard.
        if process.returncode not in (code, 0, -number):
            outcome.problems.append(f"{where}: {process.returncode}, {errors[-800:]}")
        if "Traceback" in errors and process.returncode == code:
            outcome.problems.append(f"{where}: {errors[-800:]}")
        for _ in range(40):
            if not (left := alive_in_group(process.pid)):
                return
            time.sleep(0.1)
        outcome.problems.append(f"{where}: {len(left)} processes were left")
        os.killpg(process.pid, signal.SIGKILL)


def wait(process: subprocess.Popen[str], seconds: float) -> bool:
    """Wait, and say whether the process has ended meanwhile."""
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        return False
    return True


def records(out: Path) -> dict[str, Any]:
    """Everything that the runs in a folder hold, but for the clock and the money."""
    return {str(p.parent.relative_to(out)): record(p.parent) for p in out.rglob("run.sqlite")}


def record(folder: Path) -> Any:
    with opened(folder) as run:
        rows = [
            (row.episode, row.seed, row.status, row.score, row.decisions, row.frames)
            for row in run.episodes()
        ]
        played = [made(d) for row in run.episodes() for d in run.decisions(row.episode)]
        reviews = [told_of(call) for call in run.learning_calls()]
        lessons = [(episode, advice, note) for episode, _, advice, note in run.lessons_made()]
        rewards = [run.rewards(row.episode) for row in run.episodes()]
        proofs = run.proofs()
        return rows, played, rewards, reviews, lessons, proofs


def made(decision: Decision) -> Any:
    """A decision, what the model was asked for it and answered, and all its candidates."""
    return (
        decision.plan,
        decision.queue,
        decision.source,
        decision.reason,
        decision.memory,
        decision.thinking,
        [told_of(call) for call in decision.calls],
        [made(each) for each in decision.considered],
    )


def told_of(call: Call) -> tuple[int, str, str, str]:
    return call.seed, call.prompt.text, call.reply.text, call.fault


def spent(out: Path) -> int:
    """Tokens that the runs in a folder count, uncertain requests at their most.

    The games that prove a lesson are charged to the run that they belong to.
    """
    total = 0
    for path in (path for path in out.rglob("run.sqlite") if "proofs" not in path.parts):
        with opened(path.parent) as run:
            total += run.spent()[0]
    return total


@contextmanager
def opened(folder: Path) -> Iterator[Run]:
    run = Run.read(folder)
    try:
        yield run
    finally:
        run.close()


def alive_in_group(group: int) -> list[int]:
    """The processes of a group, but for those that ended and that nobody has waited for."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            _, _, rest = path.read_text().rpartition(")")
        except OSError:  # it has just ended
            continue
        fields = rest.split()
        if int(fields[2]) == group and fields[0] != "Z":
            found.append(int(path.parent.name))
    return sorted(found)


def hear_ctrl_c() -> None:
    """What is started in the background is told to ignore Ctrl-C; this undoes that."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("program", choices=list(PROGRAMS))
    parser.add_argument("--kills", type=int, default=68)
    parser.add_argument("--signals", default="SIGKILL")
    parser.add_argument("--episodes", type=int, default=4)
    parser.add_argument("--decisions", type=int, default=600)
    parser.add_argument("--delay", type=float, default=0.4)
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        trial = Trial(
            asked.program,
            Path(place),
            episodes=asked.episodes,
            decisions=asked.decisions,
            delay=asked.delay,
        )
        outcome = trial.stopped(asked.signals.split(","), asked.kills, random.Random(asked.seed))
    sent = ", ".join(f"{count} x {name}" for name, count in sorted(outcome.sent.items()))
    print(f"{asked.program}: {sent or 'ended before the first signal'}; {outcome.seconds:.0f} s")
    print(f"  the same record as without stops: {'yes' if outcome.same else 'NO'}")
    print(
        f"  {outcome.calls} calls, {outcome.repeated} of them repeated; "
        f"{outcome.most_repeated} may be"
    )
    print(f"  billed and not counted: {max(0, outcome.tokens_short):,} tokens")
    for problem in outcome.problems:
        print(f"  PROBLEM: {problem}")
    return 0 if outcome.good else 1


if __name__ == "__main__":
    sys.exit(main())
