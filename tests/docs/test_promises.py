"""What the documentation names exists: tests, commands, flags and files."""

from __future__ import annotations

import ast
import re
import shlex
from functools import cache

import click
import pytest
import typer

import atari_vlm
from atari_vlm.cli.app import app
from atari_vlm.cli.train_atari_vlm import app as document_app
from tests.blocks import DOCS, ROOT

PAGES = [
    *sorted(DOCS.rglob("*.md")),
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")),
    ROOT / "src" / "atari_vlm" / "weights" / "embedded" / "README.md",
]
TEXTS = {page.relative_to(ROOT).as_posix(): page.read_text(encoding="utf-8") for page in PAGES}


def named(pattern):
    """Each match of a pattern with the page that has it."""
    return [
        pytest.param(match, id=f"{page}: {match}"[:100])
        for page, text in TEXTS.items()
        for match in dict.fromkeys(re.findall(pattern, text))
    ]


@cache
def names_in(path):
    """The names of the tests in a file or a folder."""
    files = [path] if path.is_file() else sorted(path.rglob("test_*.py"))
    trees = [ast.parse(file.read_text(encoding="utf-8")) for file in files]
    return {
        node.name
        for tree in trees
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")
    }


@pytest.mark.parametrize("command", named(r"pytest (tests[^`\n]*)"))
def test_a_test_that_is_named_exists(command):
    targets, _, word = command.partition(" -k ")
    for target in targets.split():
        path, _, name = target.partition("::")
        assert (ROOT / path).exists()
        names = names_in(ROOT / path)
        assert names
        assert not name or name in names
        assert not word or any(word in each for each in names)


def options_of(command):
    return {flag for each in command.params for flag in (*each.opts, *each.secondary_opts)}


@pytest.mark.parametrize("line", named(r"(?:atari-vlm|python train_atari_vlm\.py) [^`\n]*"))
def test_a_command_that_is_named_is_known(line):
    words = shlex.split(line, comments=True)
    if words[0] == "python":
        command, words = typer.main.get_command(document_app), words[2:]
    else:
        command, words = typer.main.get_command(app), words[1:]
    while getattr(command, "commands", None) and words and words[0] in command.commands:
        command, words = command.commands[words[0]], words[1:]
    assert words or not isinstance(command, click.Group) or command.invoke_without_command
    flags = {word.partition("=")[0] for word in words if word.startswith("--")}
    assert flags - {"--help"} <= options_of(command)


@pytest.mark.parametrize("path", named(r"`((?:src|tests|benchmarks|docs)/[\w./-]+)`"))
def test_a_file_that_is_named_exists(path):
    assert (ROOT / path).exists()


@pytest.mark.parametrize("path", named(r"python (benchmarks/\w+\.py)"))
def test_a_benchmark_that_is_named_exists(path):
    assert (ROOT / path).exists()


def test_a_benchmark_that_is_given_arguments_says_which():
    for path in sorted((ROOT / "benchmarks").glob("*.py")):
        source = path.read_text()
        inner = re.sub(r'"""[\s\S]*?"""|"[^"\n]*"', "", source)  # of processes it starts
        assert "sys.argv" not in inner, path
        assert "argparse" in inner or not re.search(r"python benchmarks/\w+\.py \[", source), path


def test_the_api_has_every_name_of_the_package():
    page = TEXTS["docs/api/index.md"]
    assert [name for name in atari_vlm.__all__ if f"::: atari_vlm.{name}\n" not in page] == []


def test_no_page_names_a_place_that_is_not_known_to_exist():
    for page, text in TEXTS.items():
        assert "your-repo" not in text, page
        assert "github.com" not in text, page
