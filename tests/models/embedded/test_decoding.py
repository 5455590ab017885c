"""Decoding: grammars, drafts that save forward passes, and the vocabulary."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from atari_vlm.atari.emulator import Emulator
from atari_vlm.atari.games import get_game
from atari_vlm.atari.images import motion
from atari_vlm.models.embedded.checkpoints import (
    checkpoint,
    checkpoints,
    read_json,
    weights,
)
from atari_vlm.models.embedded.grammar import Grammar
from atari_vlm.models.embedded.runtime import EmbeddedRuntime
from atari_vlm.models.embedded.vocabulary import Vocabulary
from atari_vlm.types import Frame


def test_a_grammar_allows_its_sentences_and_nothing_else():
    words = {"a": 1, "b": 2, " 1": 3, " 2": 4, "go": 5}
    encode = {"a": [1], "b": [2], " 1": [3], " 2": [4], "go": [5], "": []}
    patterns = ["a {n:number}{p:plan}", "b{p:plan}"]
    kinds = {"number": (" 1", " 2"), "plan": ("go",)}
    grammar = Grammar.parse(patterns, kinds, encode.__getitem__, 9)
    assert grammar.allowed_tokens([]) == (words["a"], words["b"])
    assert grammar.allowed_tokens([1]) == (3, 4)
    assert grammar.allowed_tokens([2]) == (5,)
    assert grammar.allowed_tokens([1, 4, 5]) == (9,)
    assert grammar.allowed_tokens([1, 4, 5, 9]) == ()
    assert grammar.allowed_tokens([3]) == ()
    assert grammar.values([1, 4, 5, 9]) == {"n": 4, "p": 5}
    assert grammar.values([1, 4]) == {}


class Counting(EmbeddedRuntime):
    passes = 0

    def _forward(self, *args):
        self.passes += 1
        return super()._forward(*args)


class TokenByToken(Counting):
    def _draft(self, matcher, slot_logits, game):
        return [], [matcher.slot_names]


class RandomDrafts(Counting):
    rng = np.random.default_rng(3)

    def _draft(self, matcher, slot_logits, game):
        start, names = len(matcher.tokens), []
        while matcher.allowed_tokens != (self.answers.end,):
            names.append(matcher.slot_names)
            matcher.accept(int(self.rng.choice(matcher.allowed_tokens)))
        return matcher.tokens[start:-1], names


@pytest.mark.parametrize("game", ["pong", "space_invaders", "montezuma_revenge"])
def test_drafts_save_passes_and_change_no_token(game):
    folder = checkpoint(game)
    drafts, single, random = Counting(folder), TokenByToken(folder), RandomDrafts(folder)
    emulator = Emulator(get_game(game))
    emulator.reset(seed=2)
    before = now = Frame(emulator.screen())
    for step in range(80):
        picture, said = motion(before, now), []
        request = drafts.answers.requests["see"].format(game=game)
        for each in (drafts, single, random):
            said.append(each.answer(picture, request, game, np.random.default_rng(step)))
        assert said[0] == said[1] == said[2]
        action, frames = said[0].plan
        emulator.play(emulator.legal.index(action), frames, 4)
        before, now = now, Frame(emulator.screen())
    assert drafts.passes < single.passes / 2


@pytest.mark.parametrize("path", checkpoints(weights()), ids=lambda path: path.name[:20])
def test_the_vocabulary_reads_text_as_the_tokenizers_library_does(path):
    library = pytest.importorskip("tokenizers").Tokenizer.from_file(str(path / "tokenizer.json"))
    own = Vocabulary(read_json(path / "tokenizer.json"))
    texts = st.sampled_from(
        [*library.get_vocab(), "Play tetris", "  ", "\n", "Æ", "?!", " right 5"]
    )

    # In other scripts the two split text differently; all its words are unknown to both.
    latin = st.text(st.characters(max_codepoint=0x24F, exclude_categories=["Cc"]), max_size=8)

    @settings(max_examples=300, deadline=None, derandomize=True)
    @given(st.lists(texts | latin, max_size=12).map("".join))
    def same(text):
        encoding = library.encode(text, add_special_tokens=False)
        assert own.encode(text) == encoding.ids
        assert own.decode(encoding.ids) == library.decode(encoding.ids)
        unknown = [i for i, token in enumerate(encoding.ids) if token == own.encode("tetris")[0]]
        assert own.unknown_words(text) == [
            text[slice(*encoding.offsets[place])].strip()
            for place in unknown
            if text[slice(*encoding.offsets[place])] != "<unk>"
        ]

    same()
