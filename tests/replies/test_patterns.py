"""Patterns are compiled when they are needed, and not before."""

import re
import subprocess
import sys

from atari_vlm.replies.patterns import pattern

COUNT = """
import dataclasses, difflib, json, pathlib, re, typing, unicodedata
import atari_vlm.errors, atari_vlm.types
compiled, compile_ = [""], re._compiler.compile
re._compiler.compile = lambda text, *more: compiled.append(text) or compile_(text, *more)
import atari_vlm.replies.endings, atari_vlm.replies.multi_plan_parser
print(max(map(len, compiled)))
"""


def test_a_pattern_is_that_of_re():
    words = pattern(r"\b(l)eft\b", re.IGNORECASE)
    same = re.compile(words.pattern, re.IGNORECASE)
    text = "left, Left, lefty"
    assert words.search(text)[0] == "left"
    assert words.findall(text) == same.findall(text) == ["l", "L"]
    assert words.sub("right", text) == "right, right, lefty"
    assert (words.groups, words.flags) == (same.groups, same.flags)


def test_importing_the_parsers_compiles_no_long_pattern():
    done = subprocess.run([sys.executable, "-c", COUNT], capture_output=True, text=True, check=True)
    assert int(done.stdout) < 100
