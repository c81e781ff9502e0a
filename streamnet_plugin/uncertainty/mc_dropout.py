"""Monte Carlo dropout: the network's answers when dropout stays on at test time.

Gal, Ghahramani: Dropout as a Bayesian approximation, ICML 2016.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn

from streamnet_plugin.types import FaceVideo, Method, Prediction

ELEMENTWISE = (nn.Dropout, nn.AlphaDropout)
CHANNELWISE = (nn.Dropout1d, nn.Dropout2d, nn.Dropout3d, nn.FeatureAlphaDropout)
DROPOUTS = (*ELEMENTWISE, *CHANNELWISE)
ALPHA_DROPOUTS = (nn.AlphaDropout, nn.FeatureAlphaDropout)
UNBATCHED_DIMS = ((nn.Dropout1d, 2), (nn.Dropout3d, 4))
"""Inputs of so many dimensions are a single item to a layer, whose channels come first; torch takes
three dimensions of a `Dropout2d` for a batch."""
SELU_FLOOR = -1.7580993408473766
"""What an alpha dropout puts in place of a value: the limit of SELU (Klambauer et al. 2017)."""
MEMORY_MB = {"cpu": 16.0}
"""Samples are computed together as long as their activations fit into this. More does not pay on a
CPU, whose caches it must fit: 36 px and 180 frames took 0.065 s a sample alone, 0.079 s with 60 MB
(bfloat16, 2 cores)."""
DEVICE_MEMORY_MB = 1024.0
"""The same on every other device."""
Precision = Literal["float32", "bfloat16"]
SPLIT = "mc_split"
"""A network may say by this attribute which of its methods compute what lies before its first
dropout, and all the rest: `head(*stem(x))` is its output for `mc_split = ("stem", "head")`."""
BLOCK = "mc_block"
"""And by this one, how many items along the first axis the random rest takes at a time on a CPU,
where these do not influence others: less memory, which a cache can hold."""
LIVE_LAYERS = 3
"""Outputs of so many layers are held at a time: a layer's input, its output and a copy."""


@torch.no_grad()
def sample_clip(
    model: nn.Module,
    clip: Tensor,
    n_samples: int = 30,
    *,
    seed: int = 0,
    clip_index: int = 0,
    rate: float | None = None,
    memory_mb: float | None = None,
    precision: Precision = "float32",
) -> Tensor:
    """Monte Carlo samples of a network's output for one clip.

    Only dropout is random: batch norm and everything else stay as in evaluation. Every pair
    (sample, clip) has a random generator of its own, so that a sample depends neither on how many
    are drawn, nor on how many are computed together, nor on the clips before it. What lies
    before the first dropout is computed once if the network says where that is, see `SPLIT`.

    Args:
        model: in evaluation mode; it is left so. Its dropout must be made of modules of `DROPOUTS`:
            all other, see `unsampled_layers`, stays off.
        clip: what the model takes, e.g. (N, 6, H, W) for STREAM-Net; items along the first axis
            must not influence each other across whole clips, so that clips can be stacked there.
        n_samples: S.
        seed: of the whole run.
        clip_index: which clip of the video this is.
        rate: one rate for all dropout layers; None keeps the trained ones.
        memory_mb: of activations at a time, estimated from the largest layer; None for a default
            by device.
        precision: in which the random part is computed.

    Returns:
        (S, ...) stacked outputs of the model.
    """
    inputs, draw = _split(model, clip)
    if precision == "bfloat16":
        inputs = [x.bfloat16() for x in inputs]  # once, not in every sample
    size = getattr(model, BLOCK, len(inputs[0])) if clip.device.type == "cpu" else len(inputs[0])
    blocks = list(zip(*(x.split(size) for x in inputs), strict=True))
    masks = Masks(rate)
    if memory_mb is None:
        memory_mb = MEMORY_MB.get(clip.device.type, DEVICE_MEMORY_MB)
    with _only_dropout_random(model, masks):
        samples: list[Tensor] = []
        batch = 1  # the first sample alone shows how much memory one takes
        while len(samples) < n_samples:
            batch = min(batch, n_samples - len(samples))
            masks.generators = [
                MaskGenerator(clip.device, seed, len(samples) + i, clip_index) for i in range(batch)
            ]
            with torch.autocast(clip.device.type, torch.bfloat16, enabled=precision == "bfloat16"):
                drawn = [draw(*(_stacked(x, batch) for x in block)) for block in blocks]
            by_sample = zip(*(out.float().chunk(batch) for out in drawn), strict=True)
            samples += [torch.cat(parts) for parts in by_sample]
            batch = max(1, int(memory_mb * 1e6 // max(1, LIVE_LAYERS * masks.largest_bytes)))
    return torch.stack(samples) if samples else clip.new_empty((0,))


def fast_precision(device: torch.device) -> Precision:
    """bfloat16 where the processor multiplies it natively, else float32."""
    if device.type == "cuda":
        return "bfloat16" if torch.cuda.is_bf16_supported(including_emulation=False) else "float32"
    flags = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
    native = any(getattr(torch.cpu, flag, lambda: False)() for flag in flags)
    return "bfloat16" if device.type == "cpu" and native else "float32"


def dropout_layers(model: nn.Module) -> list[nn.Module]:
    """The layers that Monte Carlo dropout would make random.

    What drops by a call of `torch.nn.functional` cannot be seen, and so stays off.
    """
    return [layer for layer in model.modules() if isinstance(layer, DROPOUTS)]


def unsampled_layers(model: nn.Module) -> list[str]:
    """Layers whose own dropout has no module, so that it stays off; "rnn (LSTM, dropout=0.3)"."""
    return [
        f"{name or 'the network'} ({type(layer).__name__}, dropout={layer.dropout:g})"
        for name, layer in model.named_modules()
        if _drops_inside(layer)
    ]


def _drops_inside(layer: nn.Module) -> bool:
    if isinstance(layer, nn.RNNBase):  # LSTM, GRU and RNN drop between their layers
        return layer.dropout > 0 and layer.num_layers > 1
    return isinstance(layer, nn.MultiheadAttention) and layer.dropout > 0


def _split(model: nn.Module, clip: Tensor) -> tuple[Sequence[Tensor], Callable[..., Tensor]]:
    """What is computed once, and the random rest of the network as a function of it."""
    split = getattr(model, SPLIT, None)
    if split is None:
        return (clip,), model
    before, after = (getattr(model, name) for name in split)
    return before(clip), after


def _stacked(x: Tensor, times: int) -> Tensor:
    """`x` so many times along the first axis, in the same memory format.

    Masks are drawn in the order of memory: it must not depend on the stacking.
    """
    y = x if times == 1 else x.repeat(times, *[1] * (x.dim() - 1))
    if x.dim() == 4 and x.is_contiguous(memory_format=torch.channels_last):
        return y.contiguous(memory_format=torch.channels_last)
    return y.contiguous()


@dataclass
class Masks:
    """What the dropout layers do: every item of the stack gets its own generator's mask.

    Attributes:
        rate: of all layers; None for their own.
        generators: one for each item that is stacked along the first axis, a sample or a clip.
        largest_bytes: of one item's output of a layer, see `weigh`.
    """

    rate: float | None
    generators: list[MaskGenerator] = field(default_factory=list)
    largest_bytes: int = 0

    def weigh(self, layer: nn.Module, given: Any, out: Any) -> None:
        """A forward hook: remembers the largest output of one sample."""
        if isinstance(out, Tensor):
            size = out.numel() * out.element_size() // len(self.generators)
            self.largest_bytes = max(self.largest_bytes, size)

    def drop(self, layer: nn.Module, x: Tensor) -> Tensor:
        """What dropout makes of the stack `x`."""
        p = float(layer.p if self.rate is None else self.rate)  # type: ignore[arg-type]
        if p == 0:
            return x
        parts = [
            _dropped(layer, part, p, generator)
            for part, generator in zip(x.chunk(len(self.generators)), self.generators, strict=True)
        ]
        return parts[0] if len(parts) == 1 else torch.cat(parts)


def _dropped(layer: nn.Module, x: Tensor, p: float, generator: MaskGenerator) -> Tensor:
    if isinstance(layer, CHANNELWISE):
        single = any(isinstance(layer, kind) and x.dim() == dims for kind, dims in UNBATCHED_DIMS)
        lead = 1 if single else 2
        kept = generator.kept(x.new_empty(x.shape[:lead] + (1,) * (x.dim() - lead)), p)
    else:
        kept = generator.kept(x, p)
    if not isinstance(layer, ALPHA_DROPOUTS):
        return x * kept.div_(1 - p)
    scale = ((1 - p) * (1 + p * SELU_FLOOR**2)) ** -0.5
    return scale * (x * kept + SELU_FLOOR * (1 - kept)) - scale * SELU_FLOOR * p


@contextmanager
def _only_dropout_random(model: nn.Module, masks: Masks) -> Iterator[None]:
    was_training = model.training
    model.eval()
    try:
        with ExitStack() as stack:
            for layer in dropout_layers(model):
                stack.enter_context(replaced_forward(layer, partial(masks.drop, layer)))
            for layer in model.modules():
                stack.callback(layer.register_forward_hook(masks.weigh).remove)
            yield
    finally:
        model.train(was_training)


@contextmanager
def replaced_forward(layer: nn.Module, forward: Callable[[Tensor], Tensor]) -> Iterator[None]:
    """A layer that computes something else, for a while."""
    own: dict[str, Any] = vars(layer)
    before = own.get("forward")
    own["forward"] = forward
    try:
        yield
    finally:
        if before is None:
            del own["forward"]
        else:
            own["forward"] = before


class MaskGenerator:
    """Masks of one item, from three counters, well mixed: a seed, a sample and a clip (or a step).

    On a CPU they come from NumPy's SFC64, 16 bits for each value: 1.1 ms for 1.7 million values on
    one core, against 15 ms of torch's own Bernoulli numbers. A rate is so rounded to 1 / 65,536.
    """

    def __init__(self, device: torch.device, seed: int, sample: int, clip: int) -> None:
        self.mixed = np.random.SeedSequence([seed, sample, clip])
        self.on_cpu = device.type == "cpu"
        if self.on_cpu:
            self.bits = np.random.SFC64(self.mixed)
        else:
            first = self.mixed.generate_state(1, np.uint64)[0]
            self.torch = torch.Generator(device).manual_seed(int(first >> 1))

    def kept(self, like: Tensor, p: float) -> Tensor:
        """1 with probability 1 - p, else 0, in the shape, type and memory order of `like`."""
        mask = torch.empty_like(like)  # dense, whatever `like` is
        if not self.on_cpu:
            return mask.bernoulli_(1 - p, generator=self.torch)
        n = mask.numel()
        drawn = self.bits.random_raw(-(-n // 4)).view(np.uint16)[:n]
        threshold = np.uint16(min(65535, round(p * 65536)))
        flat = torch.from_numpy(drawn >= threshold).to(like.dtype)
        return flat.as_strided(mask.shape, mask.stride())


class Sampled:
    """A method whose network has dropout layers, with Monte Carlo samples of its waveform.

    For networks of other packages, which know nothing of sampling: the whole method runs once per
    sample. STREAM-Net does better by itself, see `sample_clip`.

    Args:
        method: any; its network is found under `model`.
        n_samples, rate, seed: see `sample_clip`.
    """

    def __init__(
        self, method: Method, n_samples: int = 30, rate: float | None = None, seed: int = 0
    ) -> None:
        self.method, self.n_samples, self.rate, self.seed = method, n_samples, rate, seed

    @property
    def name(self) -> str:
        return self.method.name

    def __getattr__(self, name: str) -> Any:  # variant, provenance, trained_on, crop_px
        return getattr(self.method, name)

    @torch.no_grad()
    def predict(self, video: FaceVideo) -> Prediction:
        """The method's own prediction, with samples (S, T)."""
        plain = self.method.predict(video)
        model: nn.Module = self.method.model  # type: ignore[attr-defined]
        device = next((p.device for p in model.parameters()), torch.device("cpu"))
        masks, samples = Masks(self.rate), []
        with _only_dropout_random(model, masks):
            for s in range(self.n_samples):
                masks.generators = [MaskGenerator(device, self.seed, s, 0)]
                samples.append(self.method.predict(video).bvp)
        return replace(plain, samples=np.array(samples, dtype=np.float64))


def can_be_sampled(method: Method) -> bool:
    """Whether `method` shows a torch network with dropout layers under `model`."""
    model = getattr(method, "model", None)
    return isinstance(model, nn.Module) and bool(dropout_layers(model))


def cannot_be_sampled(method: Method) -> list[str]:
    """The `unsampled_layers` of the network that `method` shows under `model`, if it does."""
    model = getattr(method, "model", None)
    return unsampled_layers(model) if isinstance(model, nn.Module) else []
