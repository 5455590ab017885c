"""What was paid for is never lost: power cuts, killed processes, full disks, deleted files."""

from __future__ import annotations

import os
import random
import resource
import shutil
import signal
import subprocess
import sys
from contextlib import closing

import pytest

from atari_vlm.errors import StoreError
from atari_vlm.runs.run import Run
from atari_vlm.trainer import VLMTrainer
from atari_vlm.types import Reply, Usage
from tests.kill_trials import BILLED, Trial
from tests.power_cuts import answers_in, trial
from tests.servers import Server
from tests.vendor_apis import Answer


class Paid:
    """A model whose every answer costs a dollar.

    Args:
        at: called with the number of each call.
    """

    name, prompt_type = "paid", "basic"

    def __init__(self, at=lambda number: None):
        self.at, self.calls = at, 0

    async def answer(self, prompt, *, seed):
        self.calls += 1
        self.at(self.calls)
        usage = Usage(calls=1, input_tokens=9, output_tokens=1, dollars=1.0)
        return Reply(text="ACTION: LEFT", usage=usage)

    async def close(self):
        pass


def play(folder, model, decisions=12):
    trainer = VLMTrainer(
        "breakout",
        model=model,
        run_folder=folder,
        max_decisions=decisions,
        use_in_context_learning=False,
    )
    return trainer.train(1)


@pytest.mark.skipif(shutil.which("strace") is None, reason="strace records what is synced")
def test_a_power_cut_at_any_moment_loses_no_paid_answer(tmp_path):
    outcome = trial(tmp_path, calls=6, cuts=60, rng=random.Random(1))
    assert outcome.lost == 0
    # The file and its folder; SQLite adds the log's header and name.
    assert outcome.syncs_at_creation <= 4
    assert outcome.syncs <= 4 + 3 + outcome.answers + 1


def test_free_answers_are_not_synced_and_paid_ones_are(tmp_path):
    seen, settings = {}, VLMTrainer("pong", "random").settings
    for name, dollars in (("free", 0.0), ("paid", 0.01), ("unknown", None)):
        with closing(Run.play(tmp_path / name, settings)) as run:
            said = []
            run._db.set_trace_callback(said.append)
            run.remember(1, Reply(text="", usage=Usage(calls=1, dollars=dollars)), 0)
            run._db.set_trace_callback(None)
            assert said
            seen[name] = "PRAGMA synchronous = FULL" in said
    assert seen == {"free": False, "paid": True, "unknown": True}


def test_stops_of_every_kind_change_nothing_and_forget_no_money(tmp_path):
    stopped = Trial("run", tmp_path, episodes=2, decisions=40, delay=0.1)
    outcome = stopped.stopped(["SIGKILL", "SIGTERM"], 2, random.Random(2))
    assert outcome.problems == []
    assert outcome.same
    assert outcome.stopped >= 1
    assert 0 <= outcome.repeated <= outcome.most_repeated
    assert outcome.tokens_short <= 0


def test_a_request_that_a_killed_process_had_sent_is_counted_at_its_most(tmp_path):
    program = [sys.executable, "-m", "atari_vlm.cli.app", "play", "--model", "gpt-4o", "--run"]
    program += [str(tmp_path / "r"), "--max-decisions", "4", "--no-replay", "--max-tokens", "100"]
    killed = []

    def script(number, body):
        if number == 2 and not killed:
            killed.append(number)
            process.send_signal(signal.SIGKILL)
            process.wait()
        return Answer(text="ACTION: NOOP", tokens=(1000, 0, 50))

    with Server(script) as server:
        keys = {"OPENAI_BASE_URL": server.base_url, "OPENAI_API_KEY": "planted"}
        process = subprocess.Popen(program, env=os.environ | keys, stdout=subprocess.DEVNULL)
        assert process.wait(60) == -signal.SIGKILL
        with closing(Run.read(tmp_path / "r")) as run:
            usage = run.usage()
            assert (usage.calls, usage.uncertain) == (2, 1)
            assert run.spent()[0] == 2 * BILLED + usage.uncertain_tokens
        subprocess.run(program, env=os.environ | keys, check=True, stdout=subprocess.DEVNULL)
        assert server.count == 5
    with closing(Run.read(tmp_path / "r")) as run:
        assert (run.usage().calls, run.usage().uncertain) == (4, 1)
        assert run.spent()[0] >= 5 * BILLED


def test_a_run_whose_file_is_deleted_is_written_again_with_its_last_answer(tmp_path):
    folder = tmp_path / "r"

    def delete(number):
        if number == 5:
            shutil.rmtree(folder)

    with pytest.raises(StoreError, match=r"deleted while it was played. It was written again"):
        play(folder, Paid(delete))
    assert answers_in(folder) == 5
    model = Paid()
    assert play(folder, model).episodes[0].decisions == 12
    assert model.calls == 7


def test_a_run_whose_file_is_replaced_is_saved_beside_it_and_the_other_is_kept(tmp_path):
    folder = tmp_path / "r"
    play(tmp_path / "other", Paid(), decisions=2)

    def replace(number):
        if number == 5:
            (folder / "run.sqlite").unlink()
            shutil.copy(tmp_path / "other" / "run.sqlite", folder / "run.sqlite")

    with pytest.raises(StoreError, match="replaced by another file while it was played"):
        play(folder, Paid(replace))
    (saved,) = folder.glob("rescued-*.sqlite")
    (tmp_path / "again").mkdir()
    shutil.copy(saved, tmp_path / "again" / "run.sqlite")
    model = Paid()
    assert play(tmp_path / "again", model).episodes[0].decisions == 12
    assert model.calls == 7


def test_answers_that_could_not_be_stored_are_said_with_what_they_cost(tmp_path):
    before = resource.getrlimit(resource.RLIMIT_FSIZE)

    def fill(number):
        if number == 5:
            length = (tmp_path / "r" / "run.sqlite-wal").stat().st_size
            resource.setrlimit(resource.RLIMIT_FSIZE, (length, before[1]))

    try:
        with pytest.raises(StoreError, match="full or failing") as error:
            play(tmp_path / "r", Paid(fill))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert "1 answer that came in the meantime ($1.00) could not be stored" in str(error.value)
    model = Paid()
    assert play(tmp_path / "r", model).episodes[0].decisions == 12
    assert model.calls == 8
