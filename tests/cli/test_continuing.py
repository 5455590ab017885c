"""A command that is stopped, by hand, by a server or by a budget, and given again."""

from __future__ import annotations

import signal
import subprocess
import sys
import time

from atari_vlm.runs.run import Run
from tests.commands import command, play
from tests.runs.test_resume import hear_ctrl_c
from tests.servers import Server
from tests.vendor_apis import Answer


def test_a_server_that_answers_garbage_stops_the_run_with_an_error(tmp_path):
    with Server(Answer(raw="<html>It works!</html>")) as server:
        done = play("--model", "x", "--base-url", server.base_url, cwd=tmp_path)
    assert done.returncode == 1
    assert done.stderr.startswith("Error: ")
    assert "Traceback" not in done.stderr


def test_after_a_server_failure_the_same_command_continues(tmp_path):
    arguments = ["--model", "x", "--max-decisions", 12, "--run", "r", "--game", "breakout"]
    answers = [Answer(text="ACTION: FIRE x2")] * 5 + [Answer(status=401)]
    with Server(answers) as server:
        done = play(*arguments, "--base-url", server.base_url, cwd=tmp_path)
        assert done.returncode == 1
    run = Run.read(tmp_path / "r")
    kept = run.plans(0)
    assert kept == [("FIRE", 2)] * 5
    run.close()
    with Server(Answer(text="ACTION: LEFT")) as server:
        done = play(*arguments, "--base-url", server.base_url, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    run = Run.read(tmp_path / "r")
    assert run.plans(0)[:5] == kept
    assert [call.reply.model for call in run.decisions(0)[7].calls] == ["x"]
    run.close()


def test_a_budget_stops_a_run_and_a_higher_one_continues_it(tmp_path):
    with Server(Answer(text="ACTION: NOOP", tokens=(1000, 0, 100))) as server:
        arguments = ["--model", "any", "--base-url", server.base_url, "--max-tokens", 100]
        arguments += ["--max-decisions", 8, "--dialect", "vllm", "--cache", "c"]
        stopped = play(*arguments, "--run", "r", "--budget-tokens", 15000, cwd=tmp_path)
        assert stopped.returncode == 1
        assert "give the same command with a higher --budget-tokens" in stopped.stderr
        done = play(*arguments, "--run", "r", "--budget-tokens", 50000, cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        assert server.count == 8
    again = play(*arguments, "--run", "again", "--cache-mode", "replay", cwd=tmp_path)
    assert again.returncode == 0, again.stderr
    assert "8 replayed from the cache, free" in again.stdout


def test_a_folder_of_another_run_is_refused(tmp_path):
    first = play("--model", "random", "--max-decisions", 3, "--run", "r", cwd=tmp_path)
    assert first.returncode == 0, first.stderr
    second = play(
        *("--model", "random", "--max-decisions", 3, "--run", "r", "--game", "qbert"),
        cwd=tmp_path,
    )
    assert second.returncode == 1
    assert "r holds another run: it has game 'pong', not 'qbert'" in second.stderr


def test_a_run_that_was_begun_without_examples_names_the_flag_and_counts_in_the_singular(tmp_path):
    asked = ("--game", "freeway", "--model", "x", "--max-decisions", 1, "--run", "r")
    with Server(Answer(text="ACTION: UP")) as server:
        place = ("--base-url", server.base_url)
        first = play(*asked, *place, cwd=tmp_path)
        again = play(*asked, *place, "--icl", "--episodes", 2, cwd=tmp_path)
    assert "score 0 after 1 decision (" in first.stdout
    assert "Cut short after 1 decision:" in " ".join(first.stdout.split())
    assert "Played now: 1 decision in" in first.stdout
    assert again.returncode == 1
    assert "it has examples None, not 3 (--icl);" in again.stderr


def test_a_server_that_refuses_says_which_key_it_was_not_sent(tmp_path):
    asked = ("--game", "freeway", "--model", "x", "--max-decisions", 1)
    with Server(Answer(status=401)) as server:
        place = ("--base-url", server.base_url)
        done = play(*asked, *place, cwd=tmp_path, OPENAI_API_KEY="planted")
    assert "OPENAI_API_KEY is not sent to this server" in done.stderr
    assert "Set ATARI_VLM_API_KEY" in done.stderr
    assert "planted" not in done.stderr


def test_after_ctrl_c_the_same_command_continues(tmp_path):
    arguments = ["--model", "random", "--run", "r", "--no-replay", "--episodes", "12"]
    program = [sys.executable, "-m", "atari_vlm.cli.app", "play", *arguments]
    process = subprocess.Popen(
        program, cwd=tmp_path, stderr=subprocess.PIPE, text=True, preexec_fn=hear_ctrl_c
    )
    while not (tmp_path / "r" / "run.sqlite-wal").exists():
        time.sleep(0.01)
    time.sleep(0.3)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=30)
    assert process.returncode == 130
    assert errors == "Stopped. What was done is kept; the same command continues.\n"
    done = command("play", *arguments, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
