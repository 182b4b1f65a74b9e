"""A decoding step of a model that is built like Llama, in as few operations as torch offers.

transformers' own forward stays for reading prompts, and for every other model. It rotates queries
and keys one by one, gates and adds in operations of their own, and runs more Python between them.
"""

from __future__ import annotations

import logging

import torch
from torch import nn
from transformers import DynamicCache, PreTrainedModel

from workers.engines import fusion
from workers.engines.cache import Strip, Tape

logger = logging.getLogger(__name__)

FAMILIES = ("LlamaForCausalLM", "MistralForCausalLM", "Qwen2ForCausalLM", "Qwen3ForCausalLM")
# Tokens of the prompts on which a step is compared with transformers', and how far apart they are.
PROBE, SPREAD = 8, 97
# How far apart their scores may lie, as a share of the length of their vector: by rounding alone.
ROUNDING = {torch.float32: 1e-4, torch.bfloat16: 0.1}


def step_of(model: PreTrainedModel) -> Step | None:
    """A step of this model, which `fusion.prepare` has prepared.

    None where transformers' own must stay.
    """
    known = type(model).__name__ in FAMILIES and model.dtype in ROUNDING
    windows = getattr(model.config, "sliding_window", None) is not None
    if not known or windows or model.device.type != "cpu":
        return None
    step = Step(model)
    if not agrees(step, model):
        logger.warning(
            "%s decodes with transformers' own forward: ours gives other scores",
            type(model).__name__,
        )
        return None
    return step


class Step:
    """A token of each row through all layers."""

    def __init__(self, model: PreTrainedModel):
        self.body, self.head = model.model, model.lm_head
        self.blocks = [Block(layer) for layer in self.body.layers]

    def __call__(
        self, drawn: torch.Tensor, lengths: torch.Tensor, mask: torch.Tensor, tape: Tape
    ) -> torch.Tensor:
        """The scores (rows, vocabulary) after the tokens `drawn` (rows,).

        `lengths` (rows, 1) tokens precede each. `mask` (rows, columns) is true where a row has a
        token; the new column is the last.
        """
        hidden = self.body.embed_tokens(drawn)
        turn = rotation(self.body.rotary_emb, hidden, lengths)
        mask = torch.zeros((), dtype=hidden.dtype).where(mask, -torch.inf)[:, None, None]
        for block, strip in zip(self.blocks, tape.layers):
            hidden = block(hidden, turn, mask, strip)
        return self.head(self.body.norm(hidden))


class Block:
    """One layer: attention and the feed-forward part, each added to what came in."""

    def __init__(self, layer: nn.Module):
        self.before_attention, self.before_mlp = (
            layer.input_layernorm,
            layer.post_attention_layernorm,
        )
        self.attention, self.mlp = layer.self_attn, layer.mlp
        self.size = self.attention.head_dim
        self.queries = self.attention.q_proj.out_features // self.size
        self.keys = self.attention.k_proj.out_features // self.size

    def __call__(
        self,
        hidden: torch.Tensor,
        turn: tuple[torch.Tensor, torch.Tensor],
        mask: torch.Tensor,
        strip: Strip,
    ) -> torch.Tensor:
        """What follows from `hidden` (rows, hidden size); keys and values go to `strip`."""
        attended = self._attended(self.before_attention(hidden), turn, mask, strip)
        hidden = fusion.added(self.attention.o_proj, attended, hidden)
        return fusion.added(self.mlp.down_proj, gated(self.mlp, self.before_mlp(hidden)), hidden)

    def _attended(
        self,
        hidden: torch.Tensor,
        turn: tuple[torch.Tensor, torch.Tensor],
        mask: torch.Tensor,
        strip: Strip,
    ) -> torch.Tensor:
        attention = self.attention
        heads = fusion.together(attention.q_proj, attention.k_proj, attention.v_proj)(hidden)
        heads = heads.view(len(hidden), -1, self.size)
        turned, value = heads.split([self.queries + self.keys, self.keys], 1)
        if hasattr(attention, "q_norm"):
            query, key = turned.split([self.queries, self.keys], 1)
            turned = torch.cat([attention.q_norm(query), attention.k_norm(key)], 1)
        query, key = rotated(turned, turn).split([self.queries, self.keys], 1)
        keys, values = strip.update(key[:, :, None], value[:, :, None])
        output, _ = fusion.one_query_attention(
            attention, query[:, :, None], keys, values, mask, scaling=attention.scaling
        )
        return output.flatten(1)


def rotation(
    rotary: nn.Module, hidden: torch.Tensor, lengths: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """The cosines and sines (rows, 1, head size) of positions, as `rotated` takes them."""
    cos, sin = rotary(hidden, position_ids=lengths)
    left, right = sin.chunk(2, -1)
    return cos, torch.cat([-left, right], -1)


def rotated(heads: torch.Tensor, turn: tuple[torch.Tensor, torch.Tensor]) -> torch.Tensor:
    """Heads (rows, heads, head size) turned by their position: Su et al., "RoFormer", 2021."""
    cos, sin = turn
    return torch.addcmul(heads * cos, heads.roll(heads.shape[-1] // 2, -1), sin)


def gated(mlp: nn.Module, hidden: torch.Tensor) -> torch.Tensor:
    """The gate times what goes through it (rows, intermediate size)."""
    gate, up = mlp.gate_proj, mlp.up_proj
    if fusion.is_packed(gate) and mlp.config.hidden_act == "silu":
        opened = fusion.packed_product(gate, hidden, "swish")
        return fusion.packed_with(up, hidden, opened, "mul")
    gate, up = fusion.together(gate, up)(hidden).chunk(2, -1)
    return mlp.act_fn(gate) * up


@torch.inference_mode()
def agrees(step: Step, model: PreTrainedModel) -> bool:
    """Whether a step after two short prompts gives the scores of transformers' forward."""
    prompts = (SPREAD * torch.arange(2 * PROBE) % model.config.vocab_size).view(2, PROBE)
    read = DynamicCache()
    model(prompts, past_key_values=read)
    tape = Tape(read.layers, 2, PROBE + 1)
    tape.add(read.layers, [0, 1], PROBE)
    lengths = torch.tensor([[PROBE], [PROBE - 1]])
    mask = torch.arange(PROBE + 1) >= PROBE - lengths
    drawn = prompts[:, 0]
    expected = model(
        drawn[:, None], attention_mask=mask.long(), position_ids=lengths, past_key_values=tape
    ).logits[:, -1]
    difference = step(drawn, lengths, mask, tape) - expected
    return bool(difference.float().norm() <= ROUNDING[model.dtype] * expected.float().norm())
