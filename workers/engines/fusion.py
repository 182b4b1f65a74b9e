"""Fewer, larger and better shaped operations for a model that answers and does not learn.

Each part applies where a module's structure is recognised; elsewhere transformers' own forward
stays. Parameters keep their names, shapes and values, but become views of larger ones, or are
stored in another order; nothing is in memory twice but a head in bfloat16 that is tied to the
embedding.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import partial

import torch
from torch import nn
from torch.nn import functional as F
from transformers import AttentionInterface, AttentionMaskInterface, PreTrainedModel
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

logger = logging.getLogger(__name__)

SAME_INPUT = (
    ("q_proj", "k_proj", "v_proj"),
    ("gate_proj", "up_proj"),
)  # names of a module's linear layers
ROWS = 64  # for which a packed weight is laid out best; any other number is as right
ONE_QUERY = "sdpa_one_query"  # the attention below, as transformers knows it


def prepare(model: PreTrainedModel) -> None:
    """Make a loaded decoder-only model decode faster, in place; any other model is left as it is.

    What it computes stays the same, as far as rounding allows. It must not learn afterwards.
    """
    if model.config.is_encoder_decoder:
        return
    norms = sum(fuse_norm(module) for module in model.modules())
    on_cpu = model.device.type == "cpu"
    if on_cpu and model.dtype == torch.bfloat16 and packs_bfloat16():
        products = pack(model)
    else:
        products = [SharedProduct(layers) for part in model.modules() for layers in alike(part)]
        if on_cpu and model.dtype == torch.float32:
            store_columns(model, products)
    if model.config._attn_implementation == "sdpa":
        model.set_attn_implementation(ONE_QUERY)
    if not products or not norms:
        logger.info("%s decodes with its own layers: slower than Llama's", type(model).__name__)


# --- linear layers --------------------------------------------------------------------------------


def alike(module: nn.Module) -> list[list[nn.Linear]]:
    """Groups of a module's linear layers that read one input and can be computed together."""
    groups = [[getattr(module, name, None) for name in names] for names in SAME_INPUT]
    return [layers for layers in groups if fit_together(layers)]


def fit_together(layers: list[nn.Module | None]) -> bool:
    """Whether all are plain linear layers, none of them with an adapter, of one input and of one
    kind.
    """
    if any(type(layer) is not nn.Linear for layer in layers):
        return False
    kinds = {
        (layer.in_features, layer.bias is None, layer.weight.dtype, layer.weight.device)
        for layer in layers
    }
    return len(kinds) == 1


class SharedProduct:
    """Several linear layers of one input as one product, computed when the first of them is called.

    The layers' parameters become views of the shared ones. A layer whose weight is replaced later,
    or that is called with another input than the others, computes for itself.
    """

    def __init__(self, layers: list[nn.Linear]):
        self.layers, self.sizes = layers, [layer.out_features for layer in layers]
        self.weight = self._joined("weight")
        self.bias = None if layers[0].bias is None else self._joined("bias")
        self.addresses = [layer.weight.data_ptr() for layer in layers]
        self.hidden: torch.Tensor | None = None
        self.parts: dict[int, torch.Tensor] = {}
        for place, layer in enumerate(layers):
            layer.forward, layer.product = partial(self.part, place), self

    def _joined(self, name: str) -> torch.Tensor:
        joined = torch.cat([getattr(layer, name).data for layer in self.layers])
        self._share(name, joined)
        return joined

    def _share(self, name: str, joined: torch.Tensor) -> None:
        for layer, view in zip(self.layers, joined.split(self.sizes)):
            getattr(layer, name).data = view

    def store_columns(self) -> None:
        self.weight = by_columns(self.weight)
        self._share("weight", self.weight)
        self.addresses = [layer.weight.data_ptr() for layer in self.layers]

    def whole(self, hidden: torch.Tensor) -> torch.Tensor:
        """The products of all layers with `hidden` (..., in_features), beside each other."""
        if [layer.weight.data_ptr() for layer in self.layers] != self.addresses:
            return torch.cat([self.part(place, hidden) for place in range(len(self.layers))], -1)
        return F.linear(hidden, self.weight, self.bias)

    def part(self, place: int, hidden: torch.Tensor) -> torch.Tensor:
        """The product of layer number `place` with `hidden` (..., in_features)."""
        layer = self.layers[place]
        if layer.weight.data_ptr() != self.addresses[place]:
            return F.linear(hidden, layer.weight, layer.bias)
        if hidden is not self.hidden or place not in self.parts:
            product = F.linear(hidden, self.weight, self.bias)
            self.hidden, self.parts = hidden, dict(enumerate(product.split(self.sizes, -1)))
        part = self.parts.pop(place)
        if not self.parts:
            self.hidden = None
        return part


def together(first: nn.Linear, *others: nn.Linear) -> Callable[[torch.Tensor], torch.Tensor]:
    """What gives the products of several layers with one input, beside each other."""
    if hasattr(first, "product"):
        return first.product.whole
    return lambda hidden: torch.cat([layer(hidden) for layer in (first, *others)], -1)


def added(layer: nn.Linear, hidden: torch.Tensor, residual: torch.Tensor) -> torch.Tensor:
    """A layer's product with `hidden` (rows, in_features), added to `residual`."""
    if is_packed(layer):
        return packed_with(layer, hidden, residual, "add")
    if layer.bias is None:
        return torch.addmm(residual, hidden, layer.weight.t())
    return residual + layer(hidden)


def store_columns(model: PreTrainedModel, products: list[SharedProduct]) -> None:
    """Store each linear layer's weight by columns: a product of few rows reads it in order then.

    An embedding that is tied to the head is stored so too, and read more slowly: that is little
    beside the head.
    """
    for product in products:
        product.store_columns()
    shared = {id(layer) for product in products for layer in product.layers}
    for layer in model.modules():
        if type(layer) is nn.Linear and id(layer) not in shared:
            layer.weight.data = by_columns(layer.weight.data)


def by_columns(weight: torch.Tensor) -> torch.Tensor:
    """The same matrix, a column beside the next in memory."""
    return weight.t().contiguous().t()


def pack(model: PreTrainedModel) -> list[nn.Linear]:
    """Store the weights of linear layers in bfloat16 as oneDNN reads them; returns these layers.

    It would otherwise bring each weight into that order at each product. Layers that are joined
    gain nothing more. A head that is tied to the embedding is in memory twice: the embedding reads
    single rows, which need their own order.
    """
    embedding = model.get_input_embeddings().weight
    layers = [layer for layer in model.modules() if type(layer) is nn.Linear]
    for layer in layers:
        weight = torch.ops.mkldnn._reorder_linear_weight(layer.weight.data, ROWS)
        if layer.weight is embedding:
            layer.forward = partial(product_with, weight, layer.bias)
        else:
            layer.weight = nn.Parameter(weight, requires_grad=False)
            layer.forward = partial(packed_product, layer)
    return layers


def packs_bfloat16() -> bool:
    """Whether oneDNN is there and computes in bfloat16 on this processor."""
    return torch.backends.mkldnn.is_available() and torch.ops.mkldnn._is_mkldnn_bf16_supported()


def is_packed(layer: nn.Linear) -> bool:
    return layer.weight.is_mkldnn


def packed_product(layer: nn.Linear, hidden: torch.Tensor, then: str = "none") -> torch.Tensor:
    """A packed layer's product, and what oneDNN does to it `then`, such as "swish"."""
    return product_with(layer.weight, layer.bias, hidden, then)


def product_with(
    weight: torch.Tensor, bias: torch.Tensor | None, hidden: torch.Tensor, then: str = "none"
) -> torch.Tensor:
    return torch.ops.mkldnn._linear_pointwise(hidden, weight, bias, then, [], "")


def packed_with(
    layer: nn.Linear, hidden: torch.Tensor, other: torch.Tensor, how: str
) -> torch.Tensor:
    """A packed layer's product, and `other` added to it ("add") or multiplied with it ("mul")."""
    return torch.ops.mkldnn._linear_pointwise.binary(hidden, other, layer.weight, layer.bias, how)


# --- norms ----------------------------------------------------------------------------------------


def fuse_norm(module: nn.Module) -> bool:
    """Let torch compute a root mean square norm in one call; whether `module` is one."""
    eps = getattr(module, "variance_epsilon", getattr(module, "eps", None))
    weight = getattr(module, "weight", None)
    if not type(module).__name__.endswith("RMSNorm") or eps is None or weight is None:
        return False

    def fused(hidden: torch.Tensor) -> torch.Tensor:
        return F.rms_norm(hidden, module.weight.shape, module.weight, eps)

    if not same(module, fused, weight):
        return False  # such as Gemma's, which adds one to its weight
    module.forward = fused
    return True


@torch.inference_mode()
def same(norm: nn.Module, fused: Callable, weight: torch.Tensor) -> bool:
    """Whether both give the same, but for rounding, of numbers that are of no special size."""
    waves = torch.arange(4 * len(weight), device=weight.device).sin().view(4, -1).to(weight.dtype)
    return torch.allclose(norm(waves), fused(waves), rtol=4 * torch.finfo(weight.dtype).eps, atol=0)


# --- attention ------------------------------------------------------------------------------------


def one_query_mask(**arguments) -> torch.Tensor | None:
    """The mask of scaled dot product attention; of a decoding step as numbers, converted once and
    not in each layer.

    transformers leaves a mask out where it hides nothing: to know that, a GPU would have to be
    waited for at each step.
    """
    if arguments["q_length"] > 1:
        return sdpa_mask(**arguments)
    mask = sdpa_mask(**arguments | {"allow_is_causal_skip": False})
    if mask is None:
        return None
    zero = torch.zeros((), dtype=arguments["dtype"], device=mask.device)
    return zero.where(mask, -torch.inf)


def one_query_attention(
    module: nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    scaling: float | None = None,
    **others,
) -> tuple[torch.Tensor, None]:
    """Scaled dot product attention.

    In a decoding step on a CPU, the heads of a row that share keys and values are several queries
    of one head: torch's kernel reads these once, and took a third less time in bfloat16.
    """
    special = others.get("dropout") or any(
        others.get(name) is not None for name in ("position_bias", "softcap", "s_aux", "cache")
    )
    rows, heads, queries, size = query.shape
    of_keys = key.shape[1]  # heads of keys and values, each for several of the query's
    masked_alike = attention_mask is not None and attention_mask.shape[1:3] == (1, 1)
    if queries > 1 or special or not masked_alike or query.device.type != "cpu":
        return sdpa_attention_forward(
            module, query, key, value, attention_mask, scaling=scaling, **others
        )
    output = F.scaled_dot_product_attention(
        query.reshape(rows, of_keys, heads // of_keys, size),
        key,
        value,
        attention_mask.expand(-1, -1, heads // of_keys, -1),
        scale=scaling,
    )
    return output.reshape(rows, 1, heads, size), None


AttentionInterface.register(ONE_QUERY, one_query_attention)
AttentionMaskInterface.register(ONE_QUERY, one_query_mask)
