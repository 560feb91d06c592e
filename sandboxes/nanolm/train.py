"""A small GPT and its training: the file to improve.

`build()` gives the model, which maps tokens (B, T) to logits (B, T, VOCAB_SIZE) and may look at no later token.
`main()` trains it until the budget is spent and saves it. Everything in this file may change but these two names.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

import prepare
from prepare import DEVICE, SEQ_LEN, VOCAB_SIZE

# The model: DEPTH layers of width DEPTH * ASPECT_RATIO, rounded up to whole heads.
DEPTH = 2
ASPECT_RATIO = 32
HEAD_DIM = 32
WINDOW_PATTERN = "SSSL"  # repeated over the layers; S: half of the sequence, L: all of it; the last layer is always L
VALUE_EMBEDDINGS = True  # in the last layer and every second one before it
ROPE_BASE = 10000.0
SOFTCAP = 15.0

# The training: TOTAL_BATCH_SIZE tokens per step, DEVICE_BATCH_SIZE rows at a time.
TOTAL_BATCH_SIZE = 2**10
DEVICE_BATCH_SIZE = 8
EMBEDDING_LR = 0.6
UNEMBEDDING_LR = 0.004
MATRIX_LR = 0.04
SCALAR_LR = 0.5
WEIGHT_DECAY = 0.2
ADAM_BETAS = (0.8, 0.95)
MOMENTUM = 0.95
WARMUP_RATIO = 0.0
WARMDOWN_RATIO = 0.5
FINAL_LR_FRAC = 0.0


def norm(x: Tensor) -> Tensor:
    """Returns x with its last axis at a root mean square of 1."""
    return F.rms_norm(x, (x.size(-1),))


class Attention(nn.Module):
    """Causal self-attention with rotary positions, normalised queries and keys, and gated value embeddings."""

    def __init__(self, width: int, window: int, *, embeds: bool) -> None:
        super().__init__()
        self.window = window
        self.query = nn.Linear(width, width, bias=False)
        self.key = nn.Linear(width, width, bias=False)
        self.value = nn.Linear(width, width, bias=False)
        self.out = nn.Linear(width, width, bias=False)
        self.embedded = nn.Embedding(VOCAB_SIZE, width) if embeds else None
        self.gate = nn.Linear(HEAD_DIM, width // HEAD_DIM, bias=False) if embeds else None

    def forward(self, x: Tensor, tokens: Tensor, rotation: tuple[Tensor, Tensor]) -> Tensor:
        rows, length, width = x.shape
        shape = (rows, length, width // HEAD_DIM, HEAD_DIM)
        q = norm(rotate(self.query(x).view(shape), rotation)).transpose(1, 2)
        k = norm(rotate(self.key(x).view(shape), rotation)).transpose(1, 2)
        v = self.value(x).view(shape)
        if self.embedded is not None:
            share = 2 * torch.sigmoid(self.gate(x[..., :HEAD_DIM]))
            v = v + share[..., None] * self.embedded(tokens).view(shape)
        v = v.transpose(1, 2).to(q.dtype)
        if self.window < length:
            age = torch.arange(length, device=x.device)
            age = age[:, None] - age[None, :]
            y = F.scaled_dot_product_attention(q, k, v, attn_mask=(age >= 0) & (age < self.window))
        else:
            y = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        return self.out(y.transpose(1, 2).reshape(rows, length, width))


def rotate(x: Tensor, rotation: tuple[Tensor, Tensor]) -> Tensor:
    """Returns queries or keys (B, T, heads, HEAD_DIM) turned by the angles of their positions."""
    cos, sin = rotation
    a, b = x.chunk(2, dim=-1)
    return torch.cat((a * cos - b * sin, a * sin + b * cos), dim=-1).to(x.dtype)


class MLP(nn.Module):
    """Two layers with squared ReLU between them."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.up = nn.Linear(width, 4 * width, bias=False)
        self.down = nn.Linear(4 * width, width, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.down(F.relu(self.up(x)).square())


class GPT(nn.Module):
    """A decoder-only transformer; each layer also gets some of the embedded input."""

    def __init__(self) -> None:
        super().__init__()
        width = math.ceil(DEPTH * ASPECT_RATIO / HEAD_DIM) * HEAD_DIM
        windows = [SEQ_LEN if kind == "L" else SEQ_LEN // 2 for kind in WINDOW_PATTERN]
        windows = [*(windows[i % len(windows)] for i in range(DEPTH - 1)), SEQ_LEN]
        self.embedding = nn.Embedding(VOCAB_SIZE, width)
        embeds = [VALUE_EMBEDDINGS and (DEPTH - 1 - i) % 2 == 0 for i in range(DEPTH)]
        self.attentions = nn.ModuleList(Attention(width, w, embeds=e) for w, e in zip(windows, embeds, strict=True))
        self.mlps = nn.ModuleList(MLP(width) for _ in range(DEPTH))
        self.residual_scale = nn.Parameter(torch.ones(DEPTH))
        self.input_scale = nn.Parameter(torch.full((DEPTH,), 0.1))
        self.head = nn.Linear(width, VOCAB_SIZE, bias=False)
        angles = torch.outer(torch.arange(SEQ_LEN), ROPE_BASE ** (-torch.arange(0, HEAD_DIM, 2) / HEAD_DIM))
        self.register_buffer("cos", angles.cos()[None, :, None, :], persistent=False)
        self.register_buffer("sin", angles.sin()[None, :, None, :], persistent=False)
        self.initialise(width)

    def initialise(self, width: int) -> None:
        """Draws the first weights: what a layer adds is zero at first."""
        nn.init.normal_(self.embedding.weight)
        nn.init.normal_(self.head.weight, std=0.001)
        bound = math.sqrt(3 / width)
        for layer in [*self.attentions, *self.mlps]:
            for name, weight in layer.named_parameters():
                if name.startswith(("out", "down", "gate")):
                    nn.init.zeros_(weight)
                else:
                    nn.init.uniform_(weight, -bound, bound)

    def forward(self, tokens: Tensor) -> Tensor:
        length = tokens.size(1)
        rotation = (self.cos[:, :length], self.sin[:, :length])
        with torch.autocast(tokens.device.type, torch.bfloat16, enabled=tokens.is_cuda):
            x = first = norm(self.embedding(tokens))
            for i in range(DEPTH):
                x = self.residual_scale[i] * x + self.input_scale[i] * first
                x = x + self.attentions[i](norm(x), tokens, rotation)
                x = x + self.mlps[i](norm(x))
            logits = self.head(norm(x))
        return SOFTCAP * torch.tanh(logits.float() / SOFTCAP)


def build() -> GPT:
    """Returns the model with its first weights."""
    return GPT()


class Muon(torch.optim.Optimizer):
    """Momentum whose update is made orthogonal, for weight matrices (Jordan et al., 2024)."""

    def __init__(self, matrices: list[Tensor], lr: float, momentum: float) -> None:
        super().__init__(matrices, {"lr": lr, "momentum": momentum, "weight_decay": 0.0})

    @torch.no_grad()
    def step(self) -> None:
        for group in self.param_groups:
            shapes: dict[torch.Size, list[Tensor]] = {}
            for weight in group["params"]:
                shapes.setdefault(weight.shape, []).append(weight)
            for shape, weights in shapes.items():
                updates = []
                for weight in weights:
                    state = self.state[weight]
                    if not state:
                        state["average"] = torch.zeros_like(weight)
                    average = state["average"].lerp_(weight.grad, 1 - group["momentum"])
                    updates.append(weight.grad.lerp(average, group["momentum"]))
                lr = group["lr"] * math.sqrt(max(1.0, shape[0] / shape[1]))
                for weight, update in zip(weights, orthogonal(torch.stack(updates)), strict=True):
                    weight.mul_(1 - group["lr"] * group["weight_decay"])
                    weight.add_(update, alpha=-lr)


def orthogonal(x: Tensor) -> Tensor:
    """Returns matrices (n, a, b) with the same singular vectors and singular values near 1 (Newton-Schulz)."""
    tall = x.size(1) > x.size(2)
    x = x.bfloat16() if x.is_cuda else x
    x = x.mT if tall else x
    x = x / (x.norm(dim=(1, 2), keepdim=True) + 1e-7)
    for _ in range(5):
        gram = x @ x.mT
        x = 3.4445 * x + (-4.7750 * gram + 2.0315 * gram @ gram) @ x
    return (x.mT if tall else x).float()


def optimizers(model: GPT) -> list[torch.optim.Optimizer]:
    """Returns Muon for the matrices of the layers and AdamW for everything else."""
    tables = [model.embedding.weight, *(a.embedded.weight for a in model.attentions if a.embedded is not None)]
    layers = [*model.attentions.parameters(), *model.mlps.parameters()]
    matrices = [weight for weight in layers if all(weight is not table for table in tables)]
    scale = (model.head.in_features / 768) ** -0.5
    groups = [
        {"params": tables, "lr": EMBEDDING_LR * scale},
        {"params": [model.head.weight], "lr": UNEMBEDDING_LR * scale},
        {"params": [model.residual_scale], "lr": SCALAR_LR * 0.01},
        {"params": [model.input_scale], "lr": SCALAR_LR},
    ]
    adam = torch.optim.AdamW(groups, betas=ADAM_BETAS, eps=1e-10, weight_decay=0.0)
    return [adam, Muon(matrices, lr=MATRIX_LR, momentum=MOMENTUM)]


def schedule(progress: float) -> float:
    """Returns the share of the learning rates at a point of the training: up, flat, down to FINAL_LR_FRAC."""
    if progress < WARMUP_RATIO:
        return progress / WARMUP_RATIO
    if progress > 1 - WARMDOWN_RATIO:
        left = (1 - progress) / WARMDOWN_RATIO
        return left + (1 - left) * FINAL_LR_FRAC
    return 1.0


def main() -> None:
    """Trains until the budget is spent, then saves the weights."""
    assert TOTAL_BATCH_SIZE % (DEVICE_BATCH_SIZE * SEQ_LEN) == 0, "TOTAL_BATCH_SIZE must be whole device batches"
    torch.manual_seed(prepare.SEED)
    model = build().to(DEVICE)
    forward = torch.compile(model, dynamic=False) if DEVICE == "cuda" else model
    adam, muon = optimizers(model)
    groups = [*adam.param_groups, *muon.param_groups]
    first_rates = [group["lr"] for group in groups]
    steps = 0
    for inputs, targets in prepare.batches(model, TOTAL_BATCH_SIZE // SEQ_LEN):
        total = 0.0
        for x, y in zip(inputs.split(DEVICE_BATCH_SIZE), targets.split(DEVICE_BATCH_SIZE), strict=True):
            loss = F.cross_entropy(forward(x).flatten(0, 1), y.flatten()) * len(x) / len(inputs)
            loss.backward()
            total += loss.item()
        if not total < 100:
            raise SystemExit(f"FAIL: the loss is {total} in step {steps}")
        share = schedule(prepare.progress())
        for group, rate in zip(groups, first_rates, strict=True):
            group["lr"] = rate * share
        muon.param_groups[0]["weight_decay"] = WEIGHT_DECAY * (1 - prepare.progress())
        for optimizer in (adam, muon):
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        steps += 1
        if steps % 50 == 0:
            print(f"step {steps}  loss {total:.4f}  {prepare.progress():.0%} of the budget", flush=True)
    prepare.save(model)
    print(f"steps {steps}  parameters {sum(p.numel() for p in model.parameters())}")


if __name__ == "__main__":
    main()
