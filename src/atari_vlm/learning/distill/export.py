"""The student as two ONNX graphs, so that it plays without torch.

`eyes.onnx`: picture -> image features. `words.onnx`: tokens + features + what was read before ->
logits of the next word and the extended memory (key-value cache). The Llama arithmetic is written
out here, because the cache of transformers cannot be traced; a test holds both to the same words.
The graphs hold no weights of their own: they name places in model.safetensors, so both runtimes
read the very same numbers and a checkpoint takes half the room.
"""

from __future__ import annotations

import contextlib
import io
import json
import logging
import warnings
from pathlib import Path
from typing import Any

EYES, WORDS, WEIGHTS = "eyes.onnx", "words.onnx", "model.safetensors"
SMALL = 4_096
"""Bytes up to which a weight stays in the graph."""
LONGEST_TEXT = 256


def export(folder: Path) -> None:
    """Write both graphs beside the safetensors in `folder`."""
    import torch
    from transformers import Idefics3ForConditionalGeneration

    torch.set_num_threads(1)
    model = Idefics3ForConditionalGeneration.from_pretrained(folder, attn_implementation="eager")
    model.eval()
    side = model.config.vision_config.image_size
    text = model.config.text_config
    picture = torch.zeros((side, side, 3), dtype=torch.uint8)
    features = torch.zeros((1, _image_tokens(model), text.hidden_size))
    ids = torch.full((1, 5), model.config.image_token_id)
    heads = (text.num_key_value_heads, 3, text.head_dim)
    past = torch.zeros((text.num_hidden_layers, 2, *heads))
    eyes, words = _modules(model)
    _write(eyes, (picture,), folder / EYES, ["picture"], ["features"], None)
    read, known = torch.export.Dim("read", min=2), torch.export.Dim("known", min=2)
    shapes: Any = ({1: read}, {}, {3: known})
    names = ["ids", "features", "past"]
    _write(words, (ids, features, past), folder / WORDS, names, ["logits", "memory"], shapes)
    for name in (EYES, WORDS):
        share_weights(folder / name)


def share_weights(path: Path) -> None:
    """Have a graph read its weights from the model.safetensors beside it, bit for bit the same.

    A matrix that the graph holds transposed is read as it is and transposed when it is loaded.
    """
    import onnx
    from onnx import numpy_helper

    places = _places(path.parent / WEIGHTS)
    proto = onnx.load(str(path))
    turned = []
    for weight in proto.graph.initializer:
        values = numpy_helper.to_array(weight)
        if values.nbytes < SMALL:
            continue
        place = places.get(values.tobytes())
        if place is None and values.ndim == 2:
            place = places.get(values.T.tobytes())
            if place is not None:
                name, weight.name = weight.name, f"{weight.name}_as_stored"
                del weight.dims[:]
                weight.dims.extend(reversed(values.shape))
                turned.append(onnx.helper.make_node("Transpose", [weight.name], [name]))
        if place is not None:
            _point(weight, place)
    nodes = [*turned, *proto.graph.node]
    del proto.graph.node[:]
    proto.graph.node.extend(nodes)
    part = path.with_suffix(".part")
    part.write_bytes(proto.SerializeToString())
    part.replace(path)


def _places(path: Path) -> dict[bytes, tuple[int, int]]:
    """Values of every tensor of a safetensors file -> where they are: first byte, bytes."""
    whole = path.read_bytes()
    begin = 8 + int.from_bytes(whole[:8], "little")
    header = json.loads(whole[8:begin])
    spans = [row["data_offsets"] for name, row in header.items() if name != "__metadata__"]
    return {whole[begin + a : begin + b]: (begin + a, b - a) for a, b in spans}


def _point(weight: Any, place: tuple[int, int]) -> None:
    """Replace the values of an initializer by where they are."""
    import onnx

    weight.ClearField("raw_data")
    weight.data_location = onnx.TensorProto.EXTERNAL
    for key, value in (("location", WEIGHTS), ("offset", place[0]), ("length", place[1])):
        weight.external_data.add(key=key, value=str(value))


def _image_tokens(model: Any) -> int:
    vision = model.config.vision_config
    return int((vision.image_size // vision.patch_size // model.config.scale_factor) ** 2)


def _write(
    module: Any,
    example: tuple[Any, ...],
    path: Path,
    inputs: list[str],
    outputs: list[str],
    shapes: Any,
) -> None:
    import torch

    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    logging.getLogger("onnxscript").setLevel(logging.ERROR)
    part = path.with_suffix(".part")
    with (
        torch.no_grad(),
        warnings.catch_warnings(),
        contextlib.redirect_stdout(io.StringIO()),
    ):
        warnings.simplefilter("ignore")
        program = torch.onnx.export(
            module,
            example,
            input_names=inputs,
            output_names=outputs,
            dynamic_shapes=shapes,
            dynamo=True,
            verbose=False,
        )
        program.save(str(part), external_data=False)
    _strip(part)
    part.replace(path)


def _strip(path: Path) -> None:
    """Remove the traces of this machine's source files, which the exporter leaves on each node."""
    import onnx

    proto = onnx.load(str(path))
    graph = proto.graph
    for item in (proto, graph, *graph.node, *graph.value_info, *graph.input, *graph.output):
        item.ClearField("metadata_props")
        item.ClearField("doc_string")
    for weight in graph.initializer:
        weight.ClearField("metadata_props")
    del graph.value_info[:]
    onnx.save(proto, str(path))


def _modules(model: Any) -> tuple[Any, Any]:
    import torch

    class Eyes(torch.nn.Module):  # type: ignore[misc]
        """(side, side, 3) uint8 -> (1, image tokens, hidden)."""

        def __init__(self) -> None:
            super().__init__()
            self.vision, self.connector = model.model.vision_model, model.model.connector

        def forward(self, picture: torch.Tensor) -> torch.Tensor:
            pixels = picture.permute(2, 0, 1)[None].float() / 127.5 - 1.0
            embed = self.vision.embeddings
            patches = embed.patch_embedding(pixels).flatten(2).transpose(1, 2)
            seen = patches + embed.position_embedding.weight[None]
            seen = self.vision.encoder(inputs_embeds=seen).last_hidden_state
            features: torch.Tensor = self.connector(self.vision.post_layernorm(seen))
            return features

    return Eyes().eval(), _words(model)


def _words(model: Any) -> Any:
    import torch
    from torch.nn.functional import silu

    text = model.config.text_config
    half = text.head_dim // 2
    theta = float(text.rope_parameters["rope_theta"])
    turn = torch.arange(LONGEST_TEXT)[:, None] * theta ** -(torch.arange(half) / half)
    angles = torch.cat([turn, turn], 1)

    def norm(layer: Any, x: torch.Tensor) -> torch.Tensor:
        scale = torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + text.rms_norm_eps)
        return layer.weight * (x * scale)

    def rotate(x: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor) -> torch.Tensor:
        return x * cos + torch.cat([-x[..., half:], x[..., :half]], -1) * sin

    class Words(torch.nn.Module):  # type: ignore[misc]
        """Tokens (1, n), features, past (layers, 2, heads, known, size) -> logits, memory."""

        def __init__(self) -> None:
            super().__init__()
            self.llama, self.head = model.model.text_model, model.lm_head
            self.register_buffer("cos", angles.cos())
            self.register_buffer("sin", angles.sin())

        def forward(
            self, ids: torch.Tensor, features: torch.Tensor, past: torch.Tensor
        ) -> tuple[torch.Tensor, torch.Tensor]:
            image = ids == model.config.image_token_id
            place = torch.clamp(torch.cumsum(image.long(), 1) - 1, 0, features.shape[1] - 1)
            word = self.llama.embed_tokens(ids)
            x = torch.where(image[..., None], features[0][place], word)[0]
            known = past.shape[3]
            at = torch.arange(ids.shape[1]) + known
            cos, sin = self.cos[at], self.sin[at]
            ahead = torch.arange(known + ids.shape[1])[None] > at[:, None]
            memory = []
            for layer, old in zip(self.llama.layers, past, strict=True):
                h, new = self.attend(layer, x, old, (cos, sin, ahead))
                x = x + h
                h = norm(layer.post_attention_layernorm, x)
                mlp = layer.mlp
                x = x + mlp.down_proj(silu(mlp.gate_proj(h)) * mlp.up_proj(h))
                memory.append(new)
            logits = self.head(norm(self.llama.norm, x[-1:]))
            return logits, torch.stack(memory)

        def attend(
            self,
            layer: Any,
            x: torch.Tensor,
            old: torch.Tensor,
            where: tuple[torch.Tensor, torch.Tensor, torch.Tensor],
        ) -> tuple[torch.Tensor, torch.Tensor]:
            cos, sin, ahead = where
            a = layer.self_attn
            h = norm(layer.input_layernorm, x)

            def split(y: torch.Tensor) -> torch.Tensor:
                return y.view(y.shape[0], -1, text.head_dim).transpose(0, 1)

            q = rotate(split(a.q_proj(h)), cos, sin)
            k = torch.cat([old[0], rotate(split(a.k_proj(h)), cos, sin)], 1)
            v = torch.cat([old[1], split(a.v_proj(h))], 1)
            group = text.num_attention_heads // text.num_key_value_heads
            many_k, many_v = k.repeat_interleave(group, 0), v.repeat_interleave(group, 0)
            score = q @ many_k.transpose(1, 2) * text.head_dim**-0.5
            score = score.masked_fill(ahead[None], float("-inf")).softmax(-1)
            mixed = (score @ many_v).transpose(0, 1).reshape(x.shape[0], -1)
            return a.o_proj(mixed), torch.stack([k, v])

    return Words().eval()
