"""CogVLM2 in this process: the one model of the catalogue that comes with Python code of its own.

transformers does not know it, so its repository's code has to run, which happens only where it was
asked for by name and commit (`trust` below). That code was written for an older transformers: its
`generate` no longer works, its forward pass does. So the loop here is ours, with the tuple of keys
and values that the code hands back, and exactly one picture a conversation, which a mosaic fills.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from atari_vlm.errors import InvalidSetting, ModelUnusable
from atari_vlm.models.local.families import Conversation, images_of
from atari_vlm.models.local.generation import (
    Generation,
    GenerationRequest,
    Row,
    escape_control_tokens,
)
from atari_vlm.models.local.scoring import Candidates, chances
from atari_vlm.models.local.scoring import Path as Tokens

ARCHITECTURE = "CogVLMForCausalLM"
"""The one architecture whose own code is known how to be called."""

SUCCESSOR = (
    "GLM-4.1V and GLM-4.6V succeed it and bring no code: local:zai-org/GLM-4.1V-9B-Thinking."
)

_COMMIT = re.compile(r"[0-9a-f]{40}")


def trusted(source: str, trust: str | None) -> str | None:
    """The commit whose code may run: of a hub id the one that was named, of a folder "".

    Args:
        source: the folder or hub id of the model.
        trust: what was asked for by name; None for nothing.

    Returns:
        None where no code may run.

    Raises:
        InvalidSetting: another model was named, or no commit.
    """
    if trust is None:
        return None
    name, at, commit = trust.rpartition("@")
    if not at:
        name, commit = trust, ""
    folder = Path(source).expanduser()
    if folder.is_dir() and folder.resolve() == Path(trust).expanduser().resolve():
        return ""
    if name != source:
        raise InvalidSetting(
            f"--trust-remote-code names {name}, and the model is {source}. Code runs only of the "
            "model that is named."
        )
    if not _COMMIT.fullmatch(commit):
        raise InvalidSetting(
            f"--trust-remote-code {trust} does not say which code: add the commit that you have "
            f"read, {name}@ and its 40 digits, from https://huggingface.co/{name}/commits/main."
        )
    return commit


def load(folder: Path, name: str, options: dict[str, Any]) -> tuple[Any, Any]:
    """The model and its tokenizer, by their own code.

    Args:
        folder: holds the code that was trusted.
        name: for the sentences of errors.
        options: of `from_pretrained`: dtype, device_map, ...

    Raises:
        ModelUnusable: the code does not run here.
    """
    from transformers import AutoModelForCausalLM, AutoTokenizer, GenerationConfig

    own = {"trust_remote_code": True, "local_files_only": True}
    try:
        model = AutoModelForCausalLM.from_pretrained(folder, use_safetensors=True, **own, **options)
        if (folder / "generation_config.json").is_file():  # its ends of an answer are two
            model.generation_config = GenerationConfig.from_pretrained(folder)
        return model.eval(), AutoTokenizer.from_pretrained(folder, **own)
    except ImportError as error:
        words = " ".join(str(error).split())[:200]
        raise ModelUnusable(
            f"The code of {name} does not run here ({words}): it was written for an NVIDIA GPU "
            f"with triton and xformers. {SUCCESSOR}"
        ) from error


@dataclass(frozen=True, slots=True)
class _State:
    """What has been read of a conversation."""

    logits: Any
    """Of the next token, (vocabulary,)."""
    past: Any
    """Keys and values, as the code hands them back."""
    mask: Any
    position: Any
    """Of the last token, (1, 1)."""


class CogVLM2Backend:
    """A loaded CogVLM2, with the face of `backend.TransformersBackend`.

    Args:
        model: its CogVLMForCausalLM.
        tokenizer: its tokenizer.
        name: for the sentences of errors.
    """

    system = False
    vision_cache = None

    def __init__(self, model: Any, tokenizer: Any, name: str) -> None:
        self.model, self.tokenizer, self.name = model, tokenizer, name
        self._positions = sys.modules[type(model).__module__].build_position_ids
        known = getattr(model, "generation_config", None)
        ends = getattr(known, "eos_token_id", None) or tokenizer.eos_token_id
        self.ends: list[int] = [ends] if isinstance(ends, int) else list(ends)
        """Tokens that end an answer."""
        self.context: int = model.config.max_position_embeddings
        """Most tokens it can read and write."""
        self._control = list(tokenizer.all_special_tokens)

    def plain(self, text: str) -> str:
        """The text with a space inside what the tokenizer would take for a control token."""
        return escape_control_tokens(text, self._control)

    def generate(self, wishes: Sequence[GenerationRequest]) -> list[Generation]:
        """Answer conversations, one after the other: its code takes one at a time.

        Raises:
            ModelUnusable: one of them is longer than the model can read.
        """
        return [self._write(wish) for wish in wishes]

    def _write(self, wish: GenerationRequest) -> Generation:
        import torch

        with torch.inference_mode():
            state, read = self._read(wish.conversation)
            row = Row(wish, min(wish.longest, self.context - read), self.ends)
            said: list[int] = []
            while not row.done(said):
                if said:
                    state = self._on(state, said[-1])
                scores = state.logits.float()
                for bend in wish.bends:
                    scores = bend(said, scores)
                said.append(int(scores.argmax()))
        ended = bool(said) and said[-1] in self.ends
        text = self.tokenizer.decode(said, skip_special_tokens=True)
        return Generation(text, read, len(said), "stop" if ended else "length")

    def score_candidates(
        self, conversations: Sequence[Conversation], answers: Candidates
    ) -> list[list[float]]:
        """Log-probability of each answer to each conversation; see `rating.score_candidates`."""
        import torch

        rated = []
        for conversation in conversations:
            with torch.inference_mode():
                state, _ = self._read(conversation)
                for token in answers.shared:
                    state = self._on(state, token)
                states: dict[Tokens, _State] = {(): state}
                known = {}
                for path in sorted(answers.followers, key=len):
                    if path:
                        states[path] = self._on(states[path[:-1]], path[-1])
                    logs = chances(states[path].logits, answers.followers[path], self.ends)
                    known.update({(path, token): log for token, log in logs.items()})
            rated.append(answers.rated(known))
        return rated

    def _read(self, conversation: Conversation) -> tuple[_State, int]:
        """Read a conversation from its beginning; also how many tokens it has."""
        pictures = images_of(conversation)
        words = [
            part["text"] for turn in conversation for part in turn["content"] if "text" in part
        ]
        built = self.model.build_conversation_input_ids(
            self.tokenizer,
            query="".join(words).strip(),
            history=[],
            images=pictures,
            template_version="chat",
        )
        device, dtype = self.model.device, self.model.dtype
        ids, types, mask = (
            built[name].unsqueeze(0).to(device)
            for name in ("input_ids", "token_type_ids", "attention_mask")
        )
        read = int(ids.shape[1])
        if read >= self.context:
            raise ModelUnusable(
                f"The prompt has {read:,} tokens and {self.name} reads at most {self.context:,}. "
                "Send a shorter history."
            )
        positions = self._positions(types, mask)
        shown = {"images": [[built["images"][0].to(device, dtype)]]} if pictures else {}
        start = _State(None, None, mask, positions[:, -1:])
        return self._forward(start, ids, types, positions, **shown), read

    def _on(self, state: _State, token: int) -> _State:
        """Read one more token."""
        import torch

        ids = torch.tensor([[token]], device=self.model.device)
        mask = torch.cat([state.mask, torch.ones_like(ids).to(state.mask.dtype)], 1)
        state = replace(state, mask=mask, position=state.position + 1)
        return self._forward(state, ids, torch.zeros_like(ids), state.position)

    def _forward(self, state: _State, ids: Any, types: Any, positions: Any, **shown: Any) -> _State:
        out = self.model(
            input_ids=ids,
            token_type_ids=types,
            position_ids=positions,
            attention_mask=state.mask,
            past_key_values=state.past,
            use_cache=True,
            return_dict=True,
            output_attentions=False,
            output_hidden_states=False,
            **shown,
        )
        return replace(state, logits=out.logits[0, -1], past=out.past_key_values)
