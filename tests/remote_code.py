"""A tiny checkpoint with Python code of its own, which has the interface of CogVLM2's code.

The code is written as for an older transformers: a tuple of keys and values, token types, positions
computed by a function beside the class, and at most one image.
"""

from __future__ import annotations

import json
from pathlib import Path

from tests.checkpoint_parts import train_tokenizer

CONFIGURATION = """
from transformers import PretrainedConfig

class CogVLMConfig(PretrainedConfig):
    model_type = "tiny_cogvlm"
    def __init__(self, vocab_size=400, hidden_size=32, max_position_embeddings=900, **more):
        self.vocab_size, self.hidden_size = vocab_size, hidden_size
        self.max_position_embeddings = max_position_embeddings
        super().__init__(**more)
"""

MODELING = """
import os
from pathlib import Path
import numpy as np
import torch
from torch import nn
from transformers import PreTrainedModel
from transformers.modeling_outputs import CausalLMOutputWithPast
from .configuration_cogvlm import CogVLMConfig

if os.environ.get("TINY_COGVLM_MARK"):
    Path(os.environ["TINY_COGVLM_MARK"]).write_text("ran")

PATCHES = 16

def build_position_ids(token_type_ids, attention_mask=None):
    positions = torch.cumsum((token_type_ids == 0).long(), -1) - 1  # an image takes one position
    return positions.clamp(min=0)

class CogVLMForCausalLM(PreTrainedModel):
    config_class = CogVLMConfig

    def __init__(self, config):
        super().__init__(config)
        width = config.hidden_size
        self.embed_tokens = nn.Embedding(config.vocab_size, width)
        self.embed_positions = nn.Embedding(config.max_position_embeddings, width)
        self.vision_proj = nn.Linear(3 * 196, width)
        self.qkv = nn.Linear(width, 3 * width)
        self.lm_head = nn.Linear(width, config.vocab_size)
        self.post_init()

    def build_conversation_input_ids(
        self, tokenizer, *, query, history=None, images=None, template_version=None, answer=None
    ):
        assert images is None or len(images) <= 1, "not support multi images by now."
        assert template_version == "chat"
        ids, types, shown = [tokenizer.pad_token_id], [0], None
        if images:
            small = np.asarray(images[0].resize((56, 56)), dtype=np.float32) / 255
            shown = [torch.tensor(small).permute(2, 0, 1)]
            ids, types = ids + [tokenizer.pad_token_id] * PATCHES, types + [1] * PATCHES
        text = tokenizer(f"Question: {query} Answer:", add_special_tokens=False)["input_ids"]
        ids, types = ids + text, types + [0] * len(text)
        return {
            "input_ids": torch.tensor(ids),
            "token_type_ids": torch.tensor(types),
            "attention_mask": torch.ones(len(ids), dtype=torch.long),
            "images": shown,
        }

    def forward(
        self, input_ids, token_type_ids, position_ids, attention_mask, images=None,
        past_key_values=None, use_cache=None, return_dict=None, output_attentions=None,
        output_hidden_states=None,
    ):
        hidden = self.embed_tokens(input_ids)
        if images is not None:
            patches = images[0][0].unfold(1, 14, 14).unfold(2, 14, 14)
            patches = patches.permute(1, 2, 0, 3, 4).reshape(PATCHES, -1)
            is_image = (token_type_ids == 1)[..., None]
            hidden = hidden.masked_scatter(is_image, self.vision_proj(patches))
        hidden = hidden + self.embed_positions(position_ids)
        query, keys, values = self.qkv(hidden).chunk(3, -1)
        before = 0
        if past_key_values is not None:
            keys = torch.cat([past_key_values[0][0], keys], 1)
            values = torch.cat([past_key_values[0][1], values], 1)
            before = past_key_values[0][0].shape[1]
        scores = query @ keys.transpose(1, 2) / keys.shape[-1] ** 0.5
        seen = torch.ones_like(scores[0]).tril(before).bool() & attention_mask[:, None].bool()
        mixed = scores.masked_fill(~seen, -1e9).softmax(-1) @ values
        return CausalLMOutputWithPast(
            logits=self.lm_head(hidden + mixed), past_key_values=((keys, values),)
        )
"""


def build(folder: Path) -> Path:
    """Write the checkpoint with its code and tokenizer."""
    import torch

    torch.manual_seed(3)
    folder.mkdir()
    (folder / "configuration_cogvlm.py").write_text(CONFIGURATION)
    (folder / "modeling_cogvlm.py").write_text(MODELING)
    tokenizer = train_tokenizer("<image>", end="</s>")
    tokenizer.save_pretrained(folder)
    config = {
        "architectures": ["CogVLMForCausalLM"],
        "auto_map": {
            "AutoConfig": "configuration_cogvlm.CogVLMConfig",
            "AutoModelForCausalLM": "modeling_cogvlm.CogVLMForCausalLM",
        },
        "vocab_size": len(tokenizer),
        "hidden_size": 32,
        "max_position_embeddings": 900,
        "eos_token_id": tokenizer.eos_token_id,
    }
    (folder / "config.json").write_text(json.dumps(config))
    width, count = 32, len(tokenizer)
    shapes = {
        "embed_tokens.weight": (count, width),
        "embed_positions.weight": (900, width),
        "vision_proj.weight": (width, 3 * 196),
        "vision_proj.bias": (width,),
        "qkv.weight": (3 * width, width),
        "qkv.bias": (3 * width,),
        "lm_head.weight": (count, width),
        "lm_head.bias": (count,),
    }
    from safetensors.torch import save_file

    weights = {name: torch.randn(shape) * 0.3 for name, shape in shapes.items()}
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    return folder
