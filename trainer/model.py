"""A decoder of the Llama 2 family (Touvron et al. 2023) in plain PyTorch, small enough to read at one sitting.

Tensors bear the names and the half-split RoPE layout of Hugging Face's Llama, so that an export is a copy.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

IGNORE = -100
"""A target of this value adds nothing to the loss (PyTorch's own default)."""


@dataclass(frozen=True)
class ModelConfig:
    """The shape of a model; everything that its weights cannot tell.

    `hidden` is the width of the feed-forward layer (8/3 of `dim` costs what a 4x GELU layer would), `kv_heads` the
    number of key and value heads that the `heads` query heads share, `max_seq_len` the longest context in tokens.
    """

    vocab_size: int
    dim: int
    layers: int
    heads: int
    kv_heads: int
    hidden: int
    max_seq_len: int
    rope_theta: float = 10000.0
    tie_embeddings: bool = True
    norm_eps: float = 1e-5

    def __post_init__(self) -> None:
        for name in ("vocab_size", "dim", "layers", "heads", "kv_heads", "hidden", "max_seq_len"):
            if getattr(self, name) < 1:
                raise ValueError(f"model: {name} is {getattr(self, name)}; it must be at least 1.")
        if self.dim % self.heads:
            raise ValueError(f"model: dim {self.dim} does not divide into {self.heads} heads; change dim or heads.")
        if self.head_dim % 2:
            raise ValueError(
                f"model: dim / heads is {self.head_dim}; RoPE turns pairs, so it must be even. Change dim or heads."
            )
        if self.heads % self.kv_heads:
            raise ValueError(
                f"model: {self.heads} heads cannot share {self.kv_heads} kv_heads evenly; kv_heads must divide heads."
            )

    @property
    def head_dim(self) -> int:
        return self.dim // self.heads


def parameters(config: ModelConfig) -> int:
    """How many numbers the model learns (a tied matrix counts once)."""
    return matrix_parameters(config) + _tables(config) + (2 * config.layers + 1) * config.dim


def matrix_parameters(config: ModelConfig) -> int:
    """The numbers that a token is multiplied by: all matrices and the output layer, not the embedding look-up."""
    attention = 2 * config.dim * config.dim + 2 * config.dim * config.kv_heads * config.head_dim
    return config.layers * (attention + 3 * config.dim * config.hidden) + config.vocab_size * config.dim


def _tables(config: ModelConfig) -> int:
    """An untied input embedding: stored and learned, but never multiplied by."""
    return 0 if config.tie_embeddings else config.vocab_size * config.dim


def flops_per_token(config: ModelConfig, seq_len: int) -> int:
    """Floating-point operations to train on one token, forward and backward.

    6 for each matrix parameter and 12 * layers * dim * seq_len for the attention scores (Chowdhery et al. 2022,
    PaLM, appendix B); the causal half is not taken off, as MFU figures elsewhere do not either.
    """
    return 6 * matrix_parameters(config) + 12 * config.layers * config.dim * seq_len


@dataclass
class Cache:
    """Keys and values of the tokens already read, [layers, rows, kv_heads, max_seq_len, head_dim] each.

    Rows are at different lengths: what lies behind a row's length is leftover, never attended to and overwritten in
    time. So rows can join, leave and be refilled while others go on.
    """

    keys: Tensor
    values: Tensor
    lengths: list[int]

    @staticmethod
    def empty(config: ModelConfig, rows: int, device: torch.device, dtype: torch.dtype = torch.float32) -> "Cache":
        shape = (config.layers, rows, config.kv_heads, config.max_seq_len, config.head_dim)
        keys, values = torch.zeros(shape, device=device, dtype=dtype), torch.zeros(shape, device=device, dtype=dtype)
        return Cache(keys, values, [0] * rows)

    def rows(self, start: int, stop: int) -> "Cache":
        """A cache of some of the rows, in the same memory. Lengths are copied: set them back when they have grown."""
        return Cache(self.keys[:, start:stop], self.values[:, start:stop], self.lengths[start:stop])

    def copy_row(self, source: int, target: int) -> None:
        length = self.lengths[source]
        self.keys[:, target, :, :length] = self.keys[:, source, :, :length]
        self.values[:, target, :, :length] = self.values[:, source, :, :length]
        self.lengths[target] = length

    def view(self, time: int) -> "CacheView":
        """Where `time` new tokens of each row go, and what each of them sees. Made once a forward pass."""
        device = self.keys.device
        starts = torch.tensor(self.lengths, device=device)
        places = starts[:, None] + torch.arange(time, device=device)
        end = max(self.lengths) + time
        mask = None
        even = min(self.lengths) == max(self.lengths)
        if not even or (end > time > 1):  # one new token at the same place in all rows sees everything
            mask = (torch.arange(end, device=device) <= places[:, :, None])[:, None]
        return CacheView(self, places, end, mask)


@dataclass
class CacheView:
    """One forward pass's view of a cache: positions [rows, time], and mask [rows, 1, time, end] or None."""

    cache: Cache
    places: Tensor
    end: int
    mask: Tensor | None

    def extend(self, layer: int, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        """Writes one layer's new keys and values [rows, kv_heads, time, head_dim]; returns all of them."""
        rows = torch.arange(len(keys), device=keys.device)[:, None]
        whole_keys, whole_values = self.cache.keys[layer], self.cache.values[layer]
        whole_keys[rows, :, self.places] = keys.transpose(1, 2).type_as(whole_keys)
        whole_values[rows, :, self.places] = values.transpose(1, 2).type_as(whole_values)
        return whole_keys[:, :, : self.end].type_as(keys), whole_values[:, :, : self.end].type_as(values)


def rotary_tables(config: ModelConfig) -> tuple[Tensor, Tensor]:
    """Cosines and sines [max_seq_len, head_dim / 2] of RoPE's angles (Su et al. 2021), in float32."""
    frequencies = config.rope_theta ** -(torch.arange(0, config.head_dim, 2).double() / config.head_dim)
    angles = torch.arange(config.max_seq_len).double()[:, None] * frequencies
    return angles.cos().float(), angles.sin().float()


def rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Turns x [batch, heads, time, head_dim] by its positions, pairing dimension i with i + head_dim / 2.

    cos, sin: [time, head_dim / 2], or [batch, 1, time, head_dim / 2] where rows are at different positions.
    """
    a, b = x.float().chunk(2, dim=-1)
    return torch.cat((a * cos - b * sin, b * cos + a * sin), dim=-1).type_as(x)


class Attention(nn.Module):
    """Causal attention in which groups of query heads share a key and value head (Ainslie et al. 2023)."""

    def __init__(self, config: ModelConfig, layer: int) -> None:
        super().__init__()
        self.layer, self.heads, self.kv_heads, self.head_dim = layer, config.heads, config.kv_heads, config.head_dim
        self.q_proj = nn.Linear(config.dim, config.dim, bias=False)
        self.k_proj = nn.Linear(config.dim, config.kv_heads * config.head_dim, bias=False)
        self.v_proj = nn.Linear(config.dim, config.kv_heads * config.head_dim, bias=False)
        self.o_proj = nn.Linear(config.dim, config.dim, bias=False)

    def forward(self, x: Tensor, cos: Tensor, sin: Tensor, mask: Tensor | None, cache: CacheView | None) -> Tensor:
        batch, time, dim = x.shape
        q = self.q_proj(x).view(batch, time, self.heads, self.head_dim).transpose(1, 2)
        k = self.k_proj(x).view(batch, time, self.kv_heads, self.head_dim).transpose(1, 2)
        v = self.v_proj(x).view(batch, time, self.kv_heads, self.head_dim).transpose(1, 2)
        q, k = rotate(q, cos, sin), rotate(k, cos, sin)
        if cache is not None:
            k, v = cache.extend(self.layer, k, v)
        causal = mask is None and k.shape[2] == time
        y = F.scaled_dot_product_attention(
            q, k, v, attn_mask=mask, is_causal=causal, enable_gqa=self.heads != self.kv_heads
        )
        out: Tensor = self.o_proj(y.transpose(1, 2).reshape(batch, time, dim))
        return out


class FeedForward(nn.Module):
    """SwiGLU: down(silu(gate(x)) * up(x)) (Shazeer 2020)."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.gate_proj = nn.Linear(config.dim, config.hidden, bias=False)
        self.up_proj = nn.Linear(config.dim, config.hidden, bias=False)
        self.down_proj = nn.Linear(config.hidden, config.dim, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.down_proj(F.silu(self.gate_proj(x)) * self.up_proj(x))
        return out


class Layer(nn.Module):
    """x + attention(norm(x)), then x + feed-forward(norm(x))."""

    def __init__(self, config: ModelConfig, layer: int) -> None:
        super().__init__()
        self.input_layernorm = nn.RMSNorm(config.dim, eps=config.norm_eps)
        self.self_attn = Attention(config, layer)
        self.post_attention_layernorm = nn.RMSNorm(config.dim, eps=config.norm_eps)
        self.mlp = FeedForward(config)

    def forward(self, x: Tensor, cos: Tensor, sin: Tensor, mask: Tensor | None, cache: CacheView | None) -> Tensor:
        x = x + self.self_attn(self.input_layernorm(x), cos, sin, mask, cache)
        out: Tensor = x + self.mlp(self.post_attention_layernorm(x))
        return out


class Decoder(nn.Module):
    """Tokens -> the vectors from which the next tokens are read off."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.embed_tokens = nn.Embedding(config.vocab_size, config.dim)
        self.layers = nn.ModuleList(Layer(config, index) for index in range(config.layers))
        self.norm = nn.RMSNorm(config.dim, eps=config.norm_eps)

    def forward(self, x: Tensor, cos: Tensor, sin: Tensor, mask: Tensor | None, cache: CacheView | None) -> Tensor:
        for layer in self.layers:
            x = layer(x, cos, sin, mask, cache)
        out: Tensor = self.norm(x)
        return out


class Trunk(nn.Module):
    """What a language model and a reward model share: tokens in, a vector for each out.

    Weights are drawn from `seed` on the CPU, so they are the same whatever the device.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        self.model = Decoder(config)
        cos, sin = rotary_tables(config)
        self.register_buffer("cos", cos, persistent=False)
        self.register_buffer("sin", sin, persistent=False)

    def _draw_weights(self, generator: torch.Generator) -> None:
        """Normal. Embeddings have std 1 / sqrt(dim), so that the first logits have about 1; norm weights are ones.

        Matrices have std 0.02 at GPT-2's width of 768 and in proportion to 1 / sqrt(dim) at others; what writes to
        the residual stream 1 / sqrt(2 * layers) of that, so that its variance does not grow with depth (GPT-2).

        Measured at dim 128, validation loss after 0.4 M tokens of web text: 6.10 with 0.02 throughout, 5.88 with 0.05
        throughout, 5.80 as here; 5.94 with 0.09 throughout. Starting those outputs at zero did not help.
        """
        width = self.config.dim**-0.5
        inside = 0.02 * 768**0.5 * width
        for name, weight in self.named_parameters():
            if name.endswith(("embed_tokens.weight", "lm_head.weight", "score.weight")):
                nn.init.normal_(weight, std=width, generator=generator)
            elif name.endswith(("o_proj.weight", "down_proj.weight")):
                nn.init.normal_(weight, std=inside / (2 * self.config.layers) ** 0.5, generator=generator)
            elif weight.dim() == 2:
                nn.init.normal_(weight, std=inside, generator=generator)

    def vectors(
        self, tokens: Tensor, cache: Cache | None = None, segments: Tensor | None = None, noise: Tensor | None = None
    ) -> Tensor:
        """Tokens int64 [batch, time] -> [batch, time, dim], the last layer's output, normalised.

        With a cache, tokens are read as the continuation of what it holds, and added to it. With `segments` [batch,
        time], several texts lie behind one another in a row, and a token sees those of its own segment alone (RoPE
        looks at differences of positions, so where in the row a text lies changes nothing). `noise` [batch, time, dim]
        is added to the embeddings (NEFTune).
        """
        time = tokens.shape[1]
        view = cache.view(time) if cache is not None else None
        end = view.end if view is not None else time
        if end > self.config.max_seq_len:
            raise ValueError(f"{end} tokens are more than the model's context of {self.config.max_seq_len}.")
        cos, sin = self.cos[:time], self.sin[:time]  # type: ignore[index]
        mask = None
        if view is not None:
            mask = view.mask
            cos, sin = self.cos[view.places][:, None], self.sin[view.places][:, None]  # type: ignore[index]
        elif segments is not None:
            mask = (segments[:, :, None] == segments[:, None, :]).tril()[:, None]
        x = self.model.embed_tokens(tokens)
        if noise is not None:
            x = x + noise
        out: Tensor = self.model(x, cos, sin, mask, view)
        if cache is not None:
            cache.lengths = [length + time for length in cache.lengths]
        return out


class Llama(Trunk):
    """The language model."""

    def __init__(self, config: ModelConfig, seed: int = 0) -> None:
        super().__init__(config)
        self.lm_head = None if config.tie_embeddings else nn.Linear(config.dim, config.vocab_size, bias=False)
        self._draw_weights(torch.Generator().manual_seed(seed))

    def logits(self, vectors: Tensor) -> Tensor:
        """[..., dim] -> float32 [..., vocab]."""
        head = self.model.embed_tokens.weight if self.lm_head is None else self.lm_head.weight
        return F.linear(vectors, head).float()

    def forward(
        self, tokens: Tensor, targets: Tensor | None = None, cache: Cache | None = None, last_only: bool = False
    ) -> Tensor:
        """Logits float32 [batch, time, vocab], or with `targets` the mean cross-entropy in nats.

        tokens, targets: int64 [batch, time]; targets[i] is the token after tokens[i], IGNORE where none counts (all
        ignored gives NaN). With a cache, tokens are read as the continuation of what it holds, and added to it.
        `last_only` computes the logits of the last position alone: [batch, 1, vocab].
        """
        x = self.vectors(tokens, cache)
        if last_only:
            x = x[:, -1:]
        logits = self.logits(x)
        if targets is None:
            return logits
        return F.cross_entropy(logits.flatten(0, 1), targets.flatten(), ignore_index=IGNORE)


class RewardModel(Trunk):
    """The same trunk with one number for each token instead of a next token: a reward at the last, a value at each.

    The head starts with std 1 / sqrt(dim + 1) (Stiennon et al. 2020). Tensors are named as in Hugging Face's
    LlamaForSequenceClassification.
    """

    def __init__(self, config: ModelConfig, seed: int = 0) -> None:
        super().__init__(config)
        self.score = nn.Linear(config.dim, 1, bias=False)
        generator = torch.Generator().manual_seed(seed)
        self._draw_weights(generator)
        nn.init.normal_(self.score.weight, std=(config.dim + 1) ** -0.5, generator=generator)

    def forward(self, tokens: Tensor, segments: Tensor | None = None) -> Tensor:
        """int64 [batch, time] -> float32 [batch, time]: the score of each token, with what is before it in view."""
        out: Tensor = self.score(self.vectors(tokens, segments=segments)).float().squeeze(-1)
        return out
