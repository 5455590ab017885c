"""The loss of the student by its formula: transformers' own forward, one request at a time.

A reference for tests of the faster one, which has the same parameters.
"""

from __future__ import annotations

import torch

from atari_vlm.learning.distill.answer_schemas.base import clauses
from atari_vlm.learning.distill.architecture import IMAGE_TOKENS
from atari_vlm.learning.distill.distillation_loss import (
    ACT_EVERY,
    HEADS_WEIGHT,
    LOOK_EVERY,
    LOOK_WEIGHT,
)
from atari_vlm.prompts.embedded import ACT, LOOK, SEE


def image_features(model, pixels):
    """(batch, 3, side, side) from -1 to 1 -> (batch, image tokens, hidden)."""
    hidden = model.model.vision_model(pixel_values=pixels).last_hidden_state
    return model.model.connector(hidden)


def answer_logits(model, prompt, features, tokens, image_id):
    """Logits after the prompt and every token, (batch, tokens + 1, vocabulary)."""
    ids = torch.cat([prompt[None].expand(len(features), -1), tokens], 1)
    start = int((prompt == image_id).nonzero()[0])
    embeddings = model.get_input_embeddings()(ids)
    parts = [embeddings[:, :start], features, embeddings[:, start + IMAGE_TOKENS :]]
    text = model.model.text_model
    hidden = text(inputs_embeds=torch.cat(parts, 1), use_cache=False).last_hidden_state
    return model.lm_head(hidden[:, len(prompt) - 1 :])


def plain_loss(loss, batches, vision_only, tokenizer):
    """The value of the module `loss` for some batches."""
    return sum(_of_game(loss, *each, vision_only, tokenizer) for each in batches) / len(batches)


def _of_game(loss, batch, name, vision_only, tokenizer):
    features = image_features(loss.model, batch.pixels)
    heads = _heads(loss, batch, features)
    if vision_only:
        return heads
    acts, looks = len(batch.answers) // ACT_EVERY, len(batch.answers) // LOOK_EVERY

    def logits(request, rows, tokens):
        prompt = loss.prompts[request.format(game=batch.game, thing=name)]
        return answer_logits(loss.model, prompt, features[rows], tokens, loss.image_id).log_softmax(
            -1
        )

    see = act = look = 0.0
    inputs = loss.with_errors(batch.answers[acts:].clamp(min=0))
    plan = loss.data[batch.game].grammar.sentences[-1][0].tokens
    found = logits(SEE, slice(acts, None), inputs[:, :-1])
    for row, answer in enumerate(batch.answers[acts:].tolist()):
        for place, token in enumerate(answer):
            target = batch.plans[acts + row] if token in plan else loss.soft_targets[token]
            weight = batch.loss_weights[acts + row, place]
            see -= weight * (target * found[row, place]).sum() / len(inputs)
    found = logits(ACT, slice(0, acts), batch.answers[:acts, :0])[:, 0]
    act = -(batch.plans[:acts] * found).sum() / acts
    for row in range(len(batch.answers) - looks, len(batch.answers)):
        about = [c for c in clauses(batch.words[row]) if c.removeprefix("no ").split()[0] == name]
        words = (about or [f"no {name}"])[0]
        tokens = torch.tensor([*tokenizer.encode(words), tokenizer.eos_token_id])
        found = logits(LOOK, slice(row, row + 1), tokens[None, :-1])[0]
        look -= (loss.soft_targets[tokens] * found).sum() / looks
    return HEADS_WEIGHT * heads + see + act + LOOK_WEIGHT * look


def _heads(loss, batch, features):
    total = 0.0
    for field in loss.data[batch.game].fields:
        head = loss.heads[f"{batch.game}_{field.name}"]
        for row, sentence in enumerate(batch.sentences.tolist()):
            if sentence in field.positions:
                token = batch.answers[row, field.positions[sentence]]
                target = batch.plans[row] if field.name == "plan" else loss.soft_targets[token]
                found = head(features[row].flatten()).log_softmax(-1)
                total -= (target[list(field.tokens)] * found).sum() / len(features)
    return total
