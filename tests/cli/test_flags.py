"""Which settings each command offers as flags, and that the flags take effect."""

from __future__ import annotations

import dataclasses
from contextlib import closing
from typing import Literal, get_args, get_origin, get_type_hints

import pytest
import typer

from atari_vlm.cli.app import app
from atari_vlm.cli.flags import flag_of
from atari_vlm.cli.help import PANELS
from atari_vlm.cli.train_atari_vlm import FLAGS
from atari_vlm.cli.train_atari_vlm import app as seed_app
from atari_vlm.models.hosted.options import HostedOptions
from atari_vlm.models.local.options import LocalOptions
from atari_vlm.models.options import AnswerOptions
from atari_vlm.options import abouts
from atari_vlm.players import Options
from atari_vlm.runs.run import Run
from tests.commands import SECRET, command
from tests.servers import Server
from tests.vendor_apis import Answer

ALL = set(abouts(Options))
COMMANDS = {
    **typer.main.get_command(app).commands,
    "train_atari_vlm.py": typer.main.get_command(seed_app),
}
COMMANDS["check"] = COMMANDS["models"].commands["check"]


def settings_of(*groups: type) -> set[str]:
    return {name for group in groups for name in abouts(group)}


CACHE = {"cache", "cache_mode", "cache_share"}
OFFERED = {
    "play": ALL,
    "train": ALL,
    "train_atari_vlm.py": ALL,
    "bench": ALL - {"run_folder", "save_dir", "api_key"},  # --out; keys from the environment
    "estimate": ALL - {"api_key"},  # it calls no model
    "check": settings_of(AnswerOptions, HostedOptions, LocalOptions)
    - {"decide", "rpm", "concurrency"}  # it makes one call
    - CACHE
    | {"api_key"},
}
"""The settings of `Options` that each command has a flag for."""


def offered(name: str) -> dict[str, typer.core.TyperOption]:
    """The flags of a command that set a field of `Options`, by field."""
    named = {param.name: param for param in COMMANDS[name].params if not param.hidden}
    return {key: param for key, param in named.items() if key in ALL | {"icl"}}


def test_every_field_of_options_has_a_flag_or_is_no_setting():
    assert {field.name for field in dataclasses.fields(Options)} == ALL


@pytest.mark.parametrize("name", OFFERED)
def test_a_command_offers_the_settings_that_it_can_follow(name):
    found = {"use_in_context_learning" if key == "icl" else key for key in offered(name)}
    assert found == OFFERED[name]


@pytest.mark.parametrize("name", OFFERED)
def test_a_flag_has_the_name_the_help_and_the_default_of_its_setting(name):
    defaults = {field.name: field.default for field in dataclasses.fields(Options)}
    for key, param in offered(name).items():
        if key in ("icl", "seed"):
            continue  # declared by the command, with a default of its own
        flag = flag_of(key, own=FLAGS if name == "train_atari_vlm.py" else None)
        assert param.opts[0] == flag
        assert param.help == abouts(Options)[key].help
        assert param.default == defaults[key]


def sample(name: str) -> tuple[list[str], object]:
    """A flag with a value that is not the default, and the value."""
    hint, about = get_type_hints(Options)[name], abouts(Options)[name]
    kinds = [kind for kind in (get_args(hint) or (hint,)) if kind is not type(None)]
    if get_origin(hint) is Literal:
        kinds = [hint]
    flag = flag_of(name)
    default = next(field.default for field in dataclasses.fields(Options) if field.name == name)
    if bool in kinds:
        return [flag_of(name, str(not default))], not default
    if about.read:
        return [flag, "84x84"], "84x84"
    if get_origin(kinds[0]) is Literal:
        value = get_args(kinds[0])[-1]
        return [flag, value], value
    if int in kinds or float in kinds:
        value = (default or about.least or 0) + (1 if int in kinds else 0.5)
        return [flag, str(value)], value
    return [flag, "text"], "text"


@pytest.mark.parametrize("name", sorted(ALL))
def test_play_parses_the_flag_of_every_setting(name):
    arguments, value = sample(name)
    with COMMANDS["play"].make_context("play", arguments) as context:
        parsed = context.params[name]
    assert parsed == value or str(parsed) == value
    assert parsed != COMMANDS["play"].make_context("play", []).params[name]


PLAYED = {
    "frame_skip": 8,
    "frame_stack": 3,
    "repeat_action_probability": 0.0,
    "full_action_space": True,
    "mode": 1,
    "difficulty": 1,
    "max_decisions": 4,
    "frames_in_prompt": 3,
    "history": 2,
    "resize_shape": [84, 84],
    "plans": False,
    "decisions_per_call": 2,
    "examples": 2,
    "temperature": 0.5,
    "max_tokens": 99,
    "effort": "low",
    "prompt": "cot",
}
"""Settings in the record of a run."""

FLAGS_PLAYED = (
    *("--frame-skip", 8, "--frame-stack", 3, "--sticky", 0, "--full-action-space", "--mode", 1),
    *("--difficulty", 1, "--max-decisions", 4, "--frames", 3, "--history", 2),
    *("--image-size", "84x84", "--no-plans", "--decisions-per-call", 2, "--num-examples", 2),
    *("--temperature", 0.5, "--max-tokens", 99, "--effort", "low", "--parallel", 2),
    *("--seed", 3),
)

PLAYS = {
    "play": ("play", "--model", "x", "--icl", "--prompt", "cot", "--no-replay", "--run", "r"),
    "train": (
        *("train", "--model", "x", "--icl", "--prompt", "cot"),
        *("--episodes", 1, "--evaluations", 1, "--save-dir", "."),
    ),
    "bench": (
        *("bench", "--models", "x", "--no-baselines", "--episodes", 1, "--out", "."),
        *("--icl", "--prompt", "cot"),
    ),
    "train_atari_vlm.py": (
        *("--vlm", "x", "--use-icl", "--prompt-type", "cot"),
        *("--num-episodes", 1, "--num-eval-episodes", 1, "--save-dir", "."),
    ),
}


@pytest.mark.parametrize("name", PLAYS)
def test_every_command_that_plays_follows_the_same_flags(name, tmp_path):
    own = () if name == "bench" else ("--game", "pong", "--api-key", SECRET)
    with Server(Answer(text='{"reasoning": "", "actions": ["UP", "DOWN"]}')) as server:
        done = command(
            *(*PLAYS[name], *own, *FLAGS_PLAYED, "--base-url", server.base_url),
            cwd=tmp_path,
            seed_command=name == "train_atari_vlm.py",
            **({"ATARI_VLM_API_KEY": SECRET} if name == "bench" else {}),
        )
    assert done.returncode == 0, done.stderr
    folders = [path.parent for path in tmp_path.rglob("run.sqlite")]
    # Evaluation before and after training; the seed's command has none before.
    assert len(folders) == {"train": 3, "train_atari_vlm.py": 2}.get(name, 1)
    for folder in folders:
        run = Run.read(folder)
        assert {key: run.settings[key] for key in PLAYED} == PLAYED
        assert run.episodes()[0].seed // 1_000_000 == 3
        run.close()
    for request in server.requests:
        assert request.headers["authorization"] == f"Bearer {SECRET}"
        assert (request.body["temperature"], request.body["max_tokens"]) == (0.5, 99)
        assert request.body["reasoning_effort"] == "low"


def test_the_stack_grows_with_the_frames_that_the_prompt_shows(tmp_path):
    with Server(Answer(text="ACTION: RIGHT")) as server:
        done = command(
            *("play", "--model", "x", "--base-url", server.base_url, "--frames", 6, "--run", "r"),
            *("--max-decisions", 7, "--no-replay"),
            cwd=tmp_path,
        )
    assert done.returncode == 0, done.stderr
    with closing(Run.read(tmp_path / "r")) as run:
        assert (run.settings["frame_stack"], run.settings["frames_in_prompt"]) == (6, 6)
        assert len(run.decisions(0)[6].calls[0].prompt.frames) == 6


def test_an_estimate_follows_the_flags_of_the_run(tmp_path):
    flags = [*FLAGS_PLAYED[: FLAGS_PLAYED.index("--parallel")], "--icl", "--prompt", "cot"]
    done = command(
        *("estimate", "--model", "x", "--base-url", "http://127.0.0.1:9/v1", "--episodes", 2),
        *flags,
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stderr
    for words in ("prompt cot", "4 decisions", "plans 2 decisions", "99 tokens", "Examples are"):
        assert words in done.stdout


def test_a_check_passes_its_flags_to_the_model(tmp_path):
    with Server(Answer(text="UP")) as server:
        flags = ("--temperature", 0.5, "--max-tokens", 99, "--effort", "low")
        arguments = ("models", "check", "x", "--base-url", server.base_url, "--dialect", "vllm")
        done = command(*arguments, *flags, "--api-key", SECRET, cwd=tmp_path)
        refused = command(*arguments, "--detail", "low", cwd=tmp_path)
        local = command(*arguments, "--device", "cpu", cwd=tmp_path)
    assert done.returncode == 1  # the answer does not name the number in the picture
    assert "FAILS" in done.stdout
    (request,) = server.requests
    assert request.headers["authorization"] == f"Bearer {SECRET}"
    assert (request.body["temperature"], request.body["max_tokens"]) == (0.5, 99)
    assert "leave out --detail" in refused.stderr
    assert "x takes no --device" in local.stderr


def test_a_check_names_flags_in_its_findings(tmp_path):
    done = command("models", "check", "gpt-4o", cwd=tmp_path, OPENAI_API_KEY="")
    assert done.returncode == 1
    assert "--api-key" in done.stdout
    assert "api_key" not in done.stdout


# --- help ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("columns", [80, 60, 40])
@pytest.mark.parametrize("name", ["play", "bench", "train", "estimate", "models check", "distill"])
def test_help_lists_every_option_whole_under_its_heading(name, columns, tmp_path):
    done = command(*name.split(), "--help", cwd=tmp_path, COLUMNS=str(columns))
    assert max(map(len, done.stdout.splitlines()[1:])) <= columns  # after the program's name
    found, heading = {}, ""
    for line in done.stdout.splitlines():
        if line and line[0] != " ":
            heading = line.rstrip(":")
        for word in line.split():
            if word.startswith("--") and line.startswith("  --"):
                found.setdefault(word.rstrip("].,"), heading)
    text = " ".join(done.stdout.split())
    for key, param in offered(name.split()[-1]).items() if name != "distill" else ():
        assert " ".join(param.help.split()) in text
        if key not in ("icl", "seed"):
            assert found[param.opts[0]] == param.rich_help_panel


def test_every_setting_has_a_heading_and_the_own_options_of_play_come_first():
    for key, param in offered("play").items():
        assert (param.rich_help_panel in PANELS) or key == "seed"
    assert offered("play")["repeat_action_probability"].rich_help_panel == "Game"
    assert offered("play")["api_key"].rich_help_panel == "Hosted models and servers"
    assert offered("play")["prompt_type"].rich_help_panel == "Prompt and learning"
