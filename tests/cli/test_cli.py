"""What the two command lines print, write and refuse."""

from __future__ import annotations

import re
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest
from PIL import Image
from typer.testing import CliRunner

from atari_vlm.cli.app import app
from atari_vlm.cli.flags import with_flags
from atari_vlm.errors import AtariVLMError
from atari_vlm.runs.run import Run
from atari_vlm.trainer import VLMTrainer
from tests.commands import SECRET, command, play
from tests.servers import Server
from tests.vendor_apis import Answer


def test_play_prints_the_score_beside_random_and_human_and_writes_the_replay(tmp_path):
    done = play("--game", "pong", "--model", "random", "--max-decisions", 30, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "random (table)" in done.stdout
    assert "-20.7" in done.stdout
    assert "14.6" in done.stdout
    page = Path(tmp_path, re.search(r"Replay: (.+)", done.stdout)[1])
    assert page.read_text(encoding="utf-8").startswith("<!doctype html>")


def test_play_calls_a_hosted_model_and_prints_its_tokens(tmp_path):
    answer = Answer(text='{"reasoning": "go", "action": "FIRE", "frames": 2}')
    with Server(answer) as server:
        done = play(
            *("--game", "Breakout-v5", "--model", "gpt-4o", "--prompt", "expert"),
            *("--base-url", server.base_url, "--max-decisions", 8, "--run", "r"),
            cwd=tmp_path,
            OPENAI_API_KEY=SECRET,
        )
    assert done.returncode == 0, done.stderr
    assert "Decisions: 8 (8 parsed)" in done.stdout
    assert "Calls: 8" in done.stdout
    assert done.stdout.index("Estimate: about ") < done.stdout.index("Decisions: 8")
    assert re.search(r"Tokens in: [0-9,]+ estimated, 7,200 billed, ", done.stdout)
    assert len(server.requests) == 8


def test_a_key_is_in_no_output_and_no_file(tmp_path):
    with Server(Answer(status=401, message=f"bad key {SECRET}")) as bad, Server() as good:
        for server in (bad, good):
            done = play(
                *("--model", "gpt-4o", "--base-url", server.base_url, "--api-key", SECRET),
                *("--max-decisions", 3, "--run", "r"),
                cwd=tmp_path,
            )
            assert SECRET not in done.stdout + done.stderr
    assert done.returncode == 0, done.stderr
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert len(files) >= 3
    assert not [path for path in files if SECRET.encode() in path.read_bytes()]


BAD = [
    (("--game", "pnog"), "No game is called 'pnog'. Did you mean 'pong'?"),
    (("--game", "combat"), "cannot be played"),
    (("--model", "gpt-4p"), "No model is called 'gpt-4p'. Did you mean 'gpt-4"),
    (
        ("--model", "gpt-5"),
        "called 'gpt-5'. OpenAI's model of that id is asked for as openai:gpt-5.",
    ),
    (
        ("--model", "qwen/vl9"),
        "as local:qwen/vl9; one that a server has as qwen/vl9 with --base-url",
    ),
    (("--prompt", "expurt"), "No prompt is called 'expurt'. Did you mean 'expert'?"),
    (("--model", "random", "--prompt", "cot"), "The baseline 'random' cannot follow --prompt"),
    (("--model", "gpt-4o"), "OPENAI_API_KEY"),
    (("--model", "qwen-vl"), "--base-url"),
    (("--model", "x", "--base-url", "http://127.0.0.1:9/v1"), "No server answers at"),
    (("--model", "x", "--base-url", "localhost"), "not the address of a server"),
    (("--model", "random", "--frame-stack", 0), "--frame-stack must be"),
    (("--model", "random", "--frame-skip", 0), "--frame-skip must be"),
    (("--model", "random", "--sticky", 2), "--sticky must be within 0 and 1"),
    (("--model", "random", "--no-plans"), "cannot follow --no-plans"),
    (("--model", "embedded", "--decisions-per-call", 4), "cannot follow --decisions-per-call"),
    (("--model", "random", "--image-size", "0x0"), "like 224x224, each number 1 to 4096"),
    (("--model", "random", "--image-size", "big"), "looks like 224x224"),
    (("--model", "random", "--image-size", "\xb2x\xb2"), "looks like 224x224"),
    (("--model", "x" * 5000), "... (5,0"),
    (("--model", "iw-" + "9" * 5000), "... (5,0"),
    (("--model", "~nobody-of-this-name/x"), "There is no folder"),
    (("--model", "random", "--run", ""), "--run is empty; leave it out, or say what it should be."),
    (("--model", "random", "--run="), "--run is empty; leave it out, or say what it should be."),
    (("--frames", 0), "--frames must be a whole number of 1 to 10000, not 0."),
    (("--frames", 4), "The embedded model cannot follow --frames; leave it out, or choose a model"),
    (("--frames", 4), "such as gpt-4o, claude or qwen-vl (`atari-vlm models`)"),
    (("--model", "random", "--frames", 9), "The baseline 'random' cannot follow --frames"),
    (("--model", "random", "--mode", 99), "This game has no --mode 99. It offers: 0, 1."),
    (("--model", "random", "--difficulty", 9), "no --difficulty 9. It offers: 0, 1, 2, 3."),
    (("--model", "expert", "--game", "tetris"), "no scripted expert for 'tetris'"),
    (("--model", "random", "--run", "/proc/nothing"), "Cannot use"),
    (("--model", "random", "--budget", 1), "'random' cannot follow --budget, which only hosted"),
    (("--rpm", 9, "--cache", "c"), "embedded cannot follow --rpm, --cache"),
    (("--model", "x", "--dialect", "olama"), "Did you mean 'ollama'?"),
    (("--model", "x", "--dialect", "ollama", "--budget", 1), "The price of x is not known"),
    (("--model", "x", "--dialect", "ollama", "--effort", "hard"), "called 'hard'"),
    (("--model", "gpt-4o", "--cache", "c", "--cache-mode", "replay"), "no response cache at c"),
]


FAILURES = (
    "OPENAI_API_KEY",
    "--base-url",
    "No server answers at",
    "no response cache at c",
    "Cannot use",
)
"""Messages of what was tried and failed (exit code 1), not of bad names and settings (2)."""


@pytest.mark.parametrize(("arguments", "message"), BAD)
def test_bad_input_gives_a_one_line_error(arguments, message, tmp_path):
    done = play(*arguments, "--max-decisions", 3, cwd=tmp_path)
    assert done.returncode == (1 if message in FAILURES else 2)
    assert done.stderr.startswith("Error: ")
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert "specialist" not in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert done.returncode == 1 or not list(tmp_path.iterdir())


def test_an_unknown_flag_gives_the_nearest_one(tmp_path):
    done = play("--gmae", "pong", cwd=tmp_path)
    assert done.returncode == 2
    assert "--game" in done.stderr


def test_a_report_of_no_run_is_an_error(tmp_path):
    done = command("report", "nowhere", cwd=tmp_path)
    assert done.returncode == 1
    assert "nowhere holds no run" in done.stderr


def test_a_player_that_learns_is_evaluated_before_and_after(tmp_path):
    with Server(Answer(text="ACTION: UP")) as server:
        arguments = ("--model", "x", "--base-url", server.base_url, "--game", "freeway", "--icl")
        quick = ("--max-decisions", 4, "--episodes", 1, "--evaluations", 1)
        done = command("train", *arguments, *quick, cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        phases = ["Evaluation before learning", "Training", "Evaluation, on seeds never trained on"]
        starts = [done.stdout.index(f"{phase} ...") for phase in phases]
        assert starts == sorted(starts)
        assert "1 training episode taught nothing: no examples or lessons " in done.stdout
        assert done.stdout.count("no examples or lessons were shown") == 2
        assert "seed 0, evaluation episode 0" in " ".join(done.stdout.split())
        (page,) = tmp_path.rglob("replay.html")
        assert f"Replay: {page.relative_to(tmp_path)}" in done.stdout
        assert len(list((tmp_path / "runs").iterdir())) == 3
        assert server.count == 12
        again = command("train", *arguments, *quick, cwd=tmp_path)
        assert again.stdout.count("nothing was played now") == 3
        assert server.count == 12


def test_the_seed_that_was_given_is_the_seed_that_is_printed(tmp_path):
    arguments = ("--model", "random", "--max-decisions", 3, "--seed", 9)
    one = play(*arguments, "--run", "one", cwd=tmp_path)
    assert "seed 9." in one.stdout
    three = play(*arguments, "--episodes", 3, "--run", "three", cwd=tmp_path)
    assert "seed 9, episodes 0 to 2." in three.stdout
    for done in (one, three):
        assert "9000000" not in done.stdout + done.stderr
    other = play(*arguments[:-1], 4, "--run", "one", cwd=tmp_path)
    assert "it has seed 9, not 4" in other.stderr


def test_a_model_without_legal_answers_gets_no_score(tmp_path):
    words = f"I would rather not say. {SECRET}"
    with Server(Answer(text=words)) as server:
        arguments = ["--model", "x", "--base-url", server.base_url, "--run", "r"]
        done = play(*arguments, "--api-key", SECRET, cwd=tmp_path)
        assert done.stderr.splitlines()[0] == "Replay: r/replay.html"
        assert (tmp_path / "r" / "replay.html").exists()
        assert 'The last answer: "I would rather not say. [key]"' in done.stderr
        assert "in r; its page: atari-vlm report r" in done.stderr
        assert SECRET not in done.stdout + done.stderr
        again = play(*arguments, cwd=tmp_path)
    assert done.returncode == again.returncode == 1
    assert "20 times in a row" in done.stderr
    assert "is invalid" in again.stderr


def test_the_version_is_printed_and_an_estimate_needs_no_key(tmp_path):
    printed = command("--version", cwd=tmp_path)
    assert printed.stdout == f"atari-vlm {version('atari-vlm')}\n"
    done = command(
        *("estimate", "--game", "pong", "--model", "gpt-6-luna", "--episodes", 3),
        *("--decisions-per-call", 4, "--image-size", "112x112"),
        cwd=tmp_path,
        OPENAI_API_KEY="",
    )
    assert done.returncode == 0, done.stderr
    assert "expected" in done.stdout
    assert "measured 20" in done.stdout
    assert not list(tmp_path.iterdir())


def said(*arguments):
    """What a command prints, in this process."""
    done = CliRunner().invoke(app, list(map(str, arguments)), env={"COLUMNS": "200"})
    assert done.exit_code == 0, done.output
    return done.stdout


def refused(*arguments):
    """The message of a command that fails, in this process."""
    error = CliRunner().invoke(app, list(map(str, arguments))).exception
    assert isinstance(error, AtariVLMError)
    return with_flags(error.message)


def test_games_and_models_are_listed(tmp_path):
    games = said("games")
    assert games.index("pong") < games.index("private_eye")
    assert "104 games" in games
    models = said("models")
    for name in ("embedded", "gpt-4o", "claude", "gemini", "qwen-vl", "video-llava", "idefics2"):
        assert name in models
    shown = said("models", "gpt-4o")
    assert shown == said("models", "show", "gpt-4o")
    assert "for: comparison with published results" in shown
    assert "0.075" in said("models", "prices")
    unknown = command("models", "gpt-4p", cwd=tmp_path)
    assert (unknown.returncode, unknown.stdout) == (2, "")
    assert "asked for as openai:gpt-4p" in unknown.stderr


def test_the_seed_command_trains_and_evaluates(tmp_path):
    with Server(Answer(text="ACTION: UP")) as server:
        done = command(
            *("--game", "Freeway-v5", "--vlm", "gpt-4o", "--num-episodes", 2, "--use-icl"),
            *("--prompt-type", "cot", "--api-key", SECRET, "--num-eval-episodes", 1),
            *("--save-dir", "out", "--max-decisions", 6, "--base-url", server.base_url),
            cwd=tmp_path,
            seed_command=True,
        )
    assert done.returncode == 0, done.stderr
    assert "Training" in done.stdout
    assert "Evaluation, on seeds never trained on" in done.stdout
    (page,) = (tmp_path / "out").rglob("replay.html")
    assert str(page.relative_to(tmp_path)) in done.stdout.replace("\n", "")
    phases = set(re.findall(r'"phase":"([^",]+)', page.read_text("utf-8")))
    assert phases == {"Training", "Evaluation"}
    assert len(list((tmp_path / "out").glob("freeway-gpt-4o-cot-*"))) == 2
    assert SECRET not in done.stdout


def test_the_seed_command_evaluates_only_and_recommends(tmp_path):
    done = command(
        *("--game", "Pong-v5", "--vlm", "random", "--eval-only", "--num-eval-episodes", 2),
        *("--max-decisions", 5),
        cwd=tmp_path,
        seed_command=True,
    )
    assert done.returncode == 0, done.stderr
    assert "Training" not in done.stdout
    advice = command("--show-recommendations", cwd=tmp_path, seed_command=True)
    for model in ("GPT-4o", "Claude 3.5", "Gemini 1.5 Pro", "CogVLM2", "Idefics2"):
        assert model in advice.stdout
    assert "-22.5" in advice.stdout


def test_a_gif_shows_part_of_an_episode(tmp_path):
    run, film = tmp_path / "r", tmp_path / "film.gif"
    VLMTrainer("pong", "random", max_decisions=30, run_folder=run).train(1)
    said("report", run, "--gif", film, "--start", 10, "--decisions", 12)
    with Image.open(film) as picture:
        assert picture.n_frames == 12
    empty = command("report", "r", "--gif", "film.gif", "--start", 99, cwd=tmp_path)
    assert empty.returncode == 2
    assert "has 30 decisions; none from 99 on" in empty.stderr
    assert "film.gif" in refused("report", run, "--gif", tmp_path / "film.mp4")
    file = refused("report", run / "run.sqlite")
    assert f"is a file; name the folder of a run, such as {run}." in file
    assert "has no episode 5" in refused("report", run, "--gif", film, "--episode", 5)


def test_playing_again_plays_another_seed_unless_the_seed_is_given(tmp_path):
    arguments = ["--model", "random", "--max-decisions", 5, "--no-replay"]
    first, second = (play(*arguments, cwd=tmp_path) for _ in range(2))
    assert "Played now: 5 decisions" in first.stdout
    assert "Played now: 5 decisions" in second.stdout
    seeds = set()
    for folder in (tmp_path / "runs").iterdir():
        run = Run.read(folder)
        seeds.add(run.episodes()[0].seed)
        run.close()
    assert seeds == {0, 1_000_000}
    named = play(*arguments, "--seed", 1, cwd=tmp_path)
    assert "nothing was played now" in named.stdout


def test_train_learns_in_context_if_the_prompt_supports_it(tmp_path):
    quick = ["--max-decisions", 4, "--episodes", 1, "--evaluations", 1]
    embedded = command("train", "--game", "pong", *quick, cwd=tmp_path)
    assert embedded.returncode == 0, embedded.stderr
    assert embedded.stdout.startswith(
        "embedded reads no lessons, so it learns nothing from what it"
    )
    assert "before learning" not in embedded.stdout
    assert len(list((tmp_path / "runs").iterdir())) == 2
    refused = command("train", "--game", "pong", "--icl", *quick, cwd=tmp_path)
    assert refused.returncode == 2
    assert "embedded reads no lessons, so it learns nothing" in refused.stderr


def test_an_output_that_is_closed_early_gives_no_traceback(tmp_path):
    program = f"{sys.executable} -m atari_vlm.cli.app games --all | head -1"
    done = subprocess.run(
        ["bash", "-c", program], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert "Traceback" not in done.stderr


def test_brackets_are_printed_and_terminal_codes_are_not(tmp_path):
    words = "\x1b]0;owned\x07 [/b]\nACTION: FIRE"
    with Server(Answer(text=words)) as server:
        done = play(
            *("--model", "llama[/q4]", "--base-url", server.base_url),
            *("--max-decisions", 2, "--run", "r"),
            cwd=tmp_path,
        )
    assert done.returncode == 0, done.stderr
    assert "llama[/q4]" in done.stdout
    assert "\x1b]0;" not in done.stdout
    with Server(Answer(text="ACTION: \x1b]0;owned\x07")) as server:
        done = play("--model", "x", "--base-url", server.base_url, cwd=tmp_path)
    assert done.returncode == 1
    assert "\x1b" not in done.stderr


def test_impossible_paths_give_no_traceback(tmp_path):
    long = "x" * 300
    for arguments in (("report", long), ("play", "--model", "random", "--save-dir", long)):
        done = command(
            *arguments, "--max-decisions" if "play" in arguments else "--start", 1, cwd=tmp_path
        )
        assert done.returncode == 1
        assert "Traceback" not in done.stderr


def test_a_value_that_ends_in_an_equals_sign_is_not_empty(tmp_path):
    done = play("--model", "random", "--run", "a=", "--max-decisions", 3, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "a=" / "run.sqlite").exists()
