"""The two graphs of an embedded checkpoint in onnxruntime, with limits on memory and time.

A graph from elsewhere is checked before it is loaded (`graph_check`), may not take more memory than
`MOST_MEMORY`, and is stopped after `LONGEST_PASS` seconds. The package's own are only limited.
"""

from __future__ import annotations

import threading
import time
import weakref
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from atari_vlm.errors import ModelUnusable
from atari_vlm.files.tensors import not_finite, read_header
from atari_vlm.models.embedded.answers import AnswerRules
from atari_vlm.models.embedded.checkpoints import (
    DECODER,
    VISION_ENCODER,
    find_file,
    is_shipped,
    read,
)
from atari_vlm.models.embedded.graph_check import check_graph
from atari_vlm.types import Pixels

MOST_MEMORY = 2**30
"""Bytes that all graphs of this process may take together."""

LONGEST_PASS = 30
"""Seconds after which a pass through a graph is stopped; one takes about a thousandth."""

_NO_MEMORY = ("MemoryError", "bad_alloc", "failed to map segment", "Cannot allocate memory")
"""What errors say that memory has run out, also while onnxruntime itself is loaded."""

_WEIGHTS = "model.safetensors"
_MOST_IMAGE_TOKENS, _LARGEST_SIZE = 4_096, 4_096


class Sessions:
    """The vision encoder and the decoder of a checkpoint.

    Args:
        folder: the checkpoint.
        answers: its vocabulary and image size, which the graphs have to fit.

    Raises:
        ModelUnusable: the graphs or the weights are damaged, of an older version, or ask for what
            no graph of `distill` needs.
    """

    def __init__(self, folder: Path, answers: AnswerRules) -> None:
        self._folder = folder
        shipped = is_shipped(folder)
        try:
            if not shipped:
                _check(folder)
            self._vision_encoder = _session(find_file(folder, VISION_ENCODER))
            self._decoder = _session(find_file(folder, DECODER))
            self.cache_shape = self._fitting(answers)
            """Of the key-value cache of no tokens."""
        except ModelUnusable:
            raise
        except Exception as error:  # onnxruntime raises many kinds
            if any(words in f"{type(error).__name__} {error}" for words in _NO_MEMORY):
                raise ModelUnusable(
                    "This machine has no memory left for the embedded model, which needs about "
                    f"250 MB ({_short(error)})."
                ) from error
            raise ModelUnusable(
                f"The embedded model's weights in {folder} are damaged "
                f"({type(error).__name__}: {_short(error)}). Reinstall atari-vlm, or train your "
                "own: atari-vlm distill --out FOLDER."
            ) from error
        self._watch = None if shipped else _Watch()

    def _fitting(self, answers: AnswerRules) -> tuple[int, ...]:
        """Check names and sizes of what the graphs take and give; returns `cache_shape`."""
        inputs = {each.name: each.shape for each in self._decoder.get_inputs()}
        if "rows" not in inputs and "past" in inputs:
            raise ModelUnusable(
                f"The graphs in {self._folder} are of an older version of atari-vlm. Run the "
                "`distill` command that made them again: it writes them anew from the same weights."
            )
        pictures = [(each.name, each.shape) for each in self._vision_encoder.get_inputs()]
        side = answers.image_size
        (features,) = (each.shape for each in self._vision_encoder.get_outputs())
        logits, memory = (each.shape for each in self._decoder.get_outputs())
        past = inputs.get("past", [])
        fits = (
            pictures == [("picture", [side, side, 3])]
            and set(inputs) == {"ids", "features", "past", "rows"}
            and features[:1] == [1]
            and len(features) == 3
            and features[1] in range(1, _MOST_IMAGE_TOKENS)
            and inputs["features"][2:] == features[2:]
            and len(past) == len(memory) == 4
            and all(past[place] in range(1, _LARGEST_SIZE) for place in (0, 1, 3))
            and past[0] * past[1] * past[3] <= _LARGEST_SIZE**2
            and len(logits) == 2
            and logits[1] in range(answers.largest_token + 1, 2**20)
        )
        if not fits:
            raise ValueError("the graphs, the tokenizer and answers.json do not fit together")
        return past[0], past[1], 0, past[3]

    def encode(self, image: Pixels) -> NDArray[np.float32]:
        """Features of an image, (1, image tokens, hidden)."""
        features: NDArray[np.float32]
        (features,) = self._run(self._vision_encoder, {"picture": image})
        return features

    def decode(
        self,
        ids: NDArray[np.int64],
        features: NDArray[np.float32],
        past: NDArray[np.float32],
        rows: NDArray[np.int64],
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Logits after the tokens at `rows`, and the key-value cache with all tokens.

        Raises:
            ModelUnusable: a logit is not finite, or onnxruntime cannot compute them.
        """
        feed = {"ids": ids, "features": features, "past": past, "rows": rows}
        logits, memory = self._run(self._decoder, feed)
        if not np.isfinite(logits.sum()):
            raise ModelUnusable(
                f"The embedded model's weights in {self._folder} answer with numbers that are not "
                "finite. Train them again: atari-vlm distill --out FOLDER."
            )
        return logits, memory

    def _run(self, session: Any, feed: dict[str, Any]) -> Any:
        try:
            if self._watch is None:
                return session.run(None, feed)
            with self._watch as options:
                return session.run(None, feed, options)
        except Exception as error:
            reason = f"{type(error).__name__}: {_short(error)}"
            if "bfc_arena" in reason:
                reason = f"they ask for more memory than {MOST_MEMORY:,} bytes"
            raise ModelUnusable(
                f"The embedded model's weights in {self._folder} cannot answer ({reason}). "
                "Train them again: atari-vlm distill --out FOLDER."
            ) from error


class _Watch:
    """Stops a pass through a graph that takes longer than LONGEST_PASS.

    One thread looks once a second at all watches, so that a pass costs no thread of its own. It
    counts its looks instead of reading a clock: the time in which the process was stopped, or the
    machine slept, is not the graph's.
    """

    def __init__(self) -> None:
        import onnxruntime

        self._options = onnxruntime.RunOptions()
        self._looks: int | None = None  # of the pass in progress
        _watches.add(self)
        _start_thread()

    def __enter__(self) -> Any:
        self._looks = 0
        return self._options

    def __exit__(self, *_: object) -> None:
        self._looks = None

    def look(self) -> None:
        """Stop the pass in progress if this is one look too many."""
        if (looks := self._looks) is not None:
            self._looks = looks + 1
            if looks >= LONGEST_PASS:
                self._options.terminate = True


_watches: weakref.WeakSet[_Watch] = weakref.WeakSet()


@lru_cache(1)
def _start_thread() -> None:
    threading.Thread(target=_look_at_all, name="embedded-watch", daemon=True).start()


def _look_at_all() -> None:
    while True:
        time.sleep(1)
        for watch in list(_watches):
            watch.look()


def _check(folder: Path) -> None:
    """Check files that others may have made, before onnxruntime reads them.

    Raises:
        ModelUnusable: one is damaged, or asks for what none of ours needs; says which and why.
    """
    weights = folder / _WEIGHTS
    path = weights
    try:
        tensors = read_header(weights)
        if name := not_finite(weights, tensors):
            raise ValueError(f"its tensor {name} holds numbers that are not finite")
        for graph in (VISION_ENCODER, DECODER):
            path = find_file(folder, graph)
            check_graph(read(path), _WEIGHTS, weights.stat().st_size)
    except (OSError, ValueError, IndexError, OverflowError) as error:
        raise ModelUnusable(
            f"{path} is damaged, or was not written by `atari-vlm distill`: {_short(error)}. Train "
            "the model again: atari-vlm distill --out FOLDER."
        ) from error


def _session(path: Path) -> Any:
    import onnxruntime

    _limit_memory()
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 4  # errors are raised; do not print them as well
    options.add_session_config_entry("session.use_env_allocators", "1")
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


@lru_cache(1)
def _limit_memory() -> None:
    """Give all graphs of this process one allocator, which refuses beyond MOST_MEMORY."""
    import onnxruntime

    place = onnxruntime.OrtMemoryInfo(
        "Cpu", onnxruntime.OrtAllocatorType.ORT_ARENA_ALLOCATOR, 0, onnxruntime.OrtMemType.DEFAULT
    )
    settings = {"max_mem": MOST_MEMORY, "arena_extend_strategy": 1}
    onnxruntime.create_and_register_allocator(place, onnxruntime.OrtArenaCfg(settings))


def _short(error: Exception) -> str:
    return " ".join(str(error).split())[:200].rstrip(".")
