"""Settings of a wrong kind are refused at once, in a sentence."""

import inspect
import math

import numpy as np
import pytest

from atari_vlm import AtariVLMEnvironment, VLMTrainer
from atari_vlm.bench.settings import BenchSettings
from atari_vlm.errors import AtariVLMError

STRAY = [
    "2",
    "yes",
    "",
    [],
    {},
    {"a": 1},
    (None,),
    -1,
    2.5,
    math.nan,
    math.inf,
    10**400,
    True,
    b"x",
    object(),
    "half \ud83d",
    "a\0b",
    "x" * 5000,
    [[]],
    range(3),
]
"""Values that most settings cannot take."""


OWN = ("game_name", "vlm_type", "cache")


def _trainer(**setting):
    return VLMTrainer("pong", "embedded", **setting)


def _server(**setting):
    return VLMTrainer("pong", "m", **{"base_url": "http://127.0.0.1:9/v1", **setting})


def _bench(**setting):
    return BenchSettings(**{"games": ("pong",), "players": ("random",), **setting})


def _env(**setting):
    return AtariVLMEnvironment(**{"game_name": "pong", **setting})


def _refusal(build, name, value):
    """Why a setting is refused; empty if it is taken."""
    try:
        build(**{name: value})
    except AtariVLMError as error:
        return str(error)
    return ""


@pytest.mark.parametrize(
    ("build", "kind"),
    [
        (_trainer, VLMTrainer),
        (_server, VLMTrainer),
        (_bench, BenchSettings),
        (_env, AtariVLMEnvironment),
    ],
)
def test_any_value_of_any_setting_works_or_is_one_short_sentence(build, kind, tmp_path):
    names = [
        each.name
        for each in inspect.signature(kind).parameters.values()
        if each.kind is not each.VAR_KEYWORD and (kind is not VLMTrainer or each.name not in OWN)
    ]
    refused = 0
    for name in names:
        for value in STRAY:
            sentence = _refusal(build, name, value)
            refused += bool(sentence)
            assert len(sentence) < 700, (name, value)
            sentence.encode()  # a terminal can print it
    assert refused > len(names) * len(STRAY) / 2


@pytest.mark.parametrize(
    ("build", "setting", "message"),
    [
        (_bench, {"episodes": "2"}, "episodes must be a whole number of 1 to"),
        (_bench, {"episodes": 2.5}, "episodes must be a whole number of 1 to"),
        (_bench, {"processes": True}, "processes must be a whole number of 1 to 1000, not True"),
        (_bench, {"players": (None,)}, "None is no player: name one"),
        (_bench, {"players": (7,)}, "7 is no model: it needs name"),
        (_bench, {"players": {"a": 1}}, "players must be a tuple, not of type dict"),
        (_bench, {"games": 5}, "games must be a tuple, not of type int"),
        (_bench, {"games": (1,)}, "1 is no name of a game"),
        (_bench, {"out": 5}, "out must be a path, not of type int"),
        (_bench, {"learner": "mine"}, "'mine' is no learner"),
        (_trainer, {"watch": 5}, r"5 is no watch: it needs a call: \(episode, step\)"),
        (_trainer, {"progress": "no"}, "progress must be True or False, not 'no'"),
        (_trainer, {"shared_budget": 5.0}, "shared_budget must be a SharedBudget"),
        (_trainer, {"run_folder": ""}, "run_folder is empty; leave it out"),
        (_trainer, {"save_dir": "a\0b"}, "save_dir holds a character"),
        (_trainer, {"run_folder": "\ud83d"}, "run_folder holds a character"),
        (_trainer, {"prompt_type": "x" * 5000}, r"x\.\.\. \(5,00[0-9] characters\)"),
        (_trainer, {"prompt_type": "\ud83d"}, "prompt_type holds a character"),
        (_server, {"timeout": math.inf}, "timeout must be within 0.001 and 86400"),
        (_server, {"max_tokens": 0}, "max_tokens must be a whole number of 1 to"),
        (_env, {"grayscale": "yes"}, "grayscale must be True or False, not 'yes'"),
        (_env, {"full_action_space": "no"}, "full_action_space must be True or False, not 'no'"),
        (_env, {"plans": 1}, "plans must be True or False, not 1"),
    ],
)
def test_a_setting_of_a_wrong_kind_says_what_it_takes(build, setting, message):
    with pytest.raises(AtariVLMError, match=message):
        build(**setting)


def test_numbers_and_switches_of_numpy_are_those_of_python():
    env = AtariVLMEnvironment("pong", frame_stack=np.int64(2), grayscale=np.True_)
    assert env.reset(seed=1)[0].shape == (2, 224, 224)


def test_a_bench_takes_lists_as_well_as_tuples():
    assert _bench(games=["pong"], players=["random"]).games == ("pong",)
