"""Times whole training steps: forward, cross entropy, backward, and a step of SGD."""

import math

import torch
from torch import Tensor
from torch.nn import functional
from torch.utils.flop_counter import FlopCounterMode

import torchconv
from torchconv.bench.calls import Options
from torchconv.bench.networks import NETWORKS
from torchconv.bench.results import Row, Timing
from torchconv.bench.timing import Times, interleave
from torchconv.bench.timing_cuda import CaptureError, interleave_graphs
from torchconv.bench.verify import most_detours

_SIDES = ("ours", "native")
# So small that a network which sees the same batch again and again has still something to learn.
_LEARNING_RATE = 1e-4
_FORMATS = {"contiguous": torch.contiguous_format, "channels_last": torch.channels_last}


class Training:
    """A network of one library, in one layout, and a batch to learn.

    Args:
        name: One of :data:`torchconv.bench.networks.NETWORKS`.
        side: ``native`` (torch.nn), ``ours`` (torchconv.nn) or ``fused`` (``torchconv.fuse`` of
            ours).
        images: Tensor[batch, channels, height, width], whose dtype and device the network takes.
        labels: Tensor[batch].
        layout: Memory format of images and weights.
        state: Parameters to start from, if not new ones.
    """

    def __init__(
        self,
        name: str,
        side: str,
        images: Tensor,
        labels: Tensor,
        layout: str,
        state: dict[str, Tensor] | None = None,
    ) -> None:
        network = NETWORKS[name].build(torch.nn if side == "native" else torchconv.nn)
        network.load_state_dict(state or _he(network))
        self.network = torchconv.fuse(network) if side == "fused" else network
        self.network.to(images.device, images.dtype)
        self.network.to(memory_format=_FORMATS[layout])  # type: ignore[call-overload]
        self.images = images.contiguous(memory_format=_FORMATS[layout])
        self.labels = labels
        self.optimizer = torch.optim.SGD(self.network.parameters(), lr=_LEARNING_RATE)

    def loss(self) -> Tensor:
        """Runs forward, and returns the cross entropy."""
        return functional.cross_entropy(self.network(self.images).float(), self.labels)

    def gradients(self) -> Tensor:
        """Runs forward and backward, and returns the loss."""
        self.optimizer.zero_grad()
        loss = self.loss()
        loss.backward()
        return loss.detach()

    def step(self) -> None:
        """A whole training step."""
        self.gradients()
        self.optimizer.step()


def _he(network: torch.nn.Module) -> dict[str, Tensor]:
    """He's weights: with torch's own, the images hardly reach the loss of a deep network."""
    state = network.state_dict()
    for value in state.values():
        if value.dim() > 1:
            torch.nn.init.kaiming_normal_(value, nonlinearity="relu")
    return state


def loss_tolerance(dtype: torch.dtype) -> float:
    """How far, relatively, rounding may take the first losses of two sides from each other."""
    most = 64 * torch.finfo(torch.promote_types(dtype, torch.float32)).eps
    return most + (torch.finfo(dtype).eps if dtype.itemsize < 4 else 0)


def measure_training(name: str, batch: int, options: Options) -> Row:
    """Verifies and times a training step of one network.

    The losses of the first step must agree within rounding. Its gradients are only looked at
    coarsely, by the norm of their difference beside the norm of the gradient, as most_detours says.

    Args:
        name: One of :data:`torchconv.bench.networks.NETWORKS`.
        batch: Images in a batch.
        options: How it is measured. Layouts come one after the other, to keep fewer copies of the
            network.

    Returns:
        The row; its errors are the relative difference of the losses and, of the gradients, the
        largest one of any parameter.
    """
    dtype = getattr(torch, options.dtype)
    row = Row(f"net/{name}", "net", f"N={batch}", options.dtype)
    image, classes = NETWORKS[name].image, NETWORKS[name].classes
    images = torch.randn(batch, *image).to(options.device, dtype)
    labels = torch.randint(classes, (batch,), device=options.device)
    state = _he(NETWORKS[name].build(torch.nn))
    for layout in options.layouts:
        sides = {side: Training(name, side, images, labels, layout, state) for side in _SIDES}
        try:
            row.failure = _disagreement(row, sides, layout)
        except RuntimeError as error:
            row.failure = str(error).partition("\n")[0]
        if row.failure:
            return row
        if not row.work:
            with FlopCounterMode(display=False) as counter:
                sides["native"].gradients()
            row.work["training"] = float(counter.get_total_flops())
        try:
            for side, times in _timed(sides, options).items():
                row.timings.append(Timing("training", layout, side, times))
        except CaptureError as error:
            row.failure = str(error)
            return row
        del sides  # before the next layout makes its own
    return row


def _timed(sides: dict[str, Training], options: Options) -> dict[str, Times]:
    if options.device == "cuda":  # one set: a network itself is larger than the cache
        return interleave_graphs({side: [one.step] for side, one in sides.items()}, options.seconds)
    return interleave({side: one.step for side, one in sides.items()}, options.seconds)


def _disagreement(row: Row, sides: dict[str, Training], layout: str) -> str:
    """Notes how far the two sides are from each other, and says if that is too far."""
    losses = [sides[side].gradients().item() for side in ("ours", "native")]
    loss = abs(losses[0] - losses[1]) / abs(losses[1])
    parameters = [sides[side].network.parameters() for side in ("ours", "native")]
    gradients = [_difference(p.grad, q.grad) for p, q in zip(*parameters, strict=True)]
    # A NaN must not get lost among the others, as it would in max().
    gradient = math.nan if any(map(math.isnan, gradients)) else max(gradients)
    before = row.errors.get("training", {"ours": 0.0, "gradients": 0.0})
    row.errors["training"] = {
        "ours": max(before["ours"], loss),
        "gradients": max(before["gradients"], gradient),
    }
    dtype = sides["ours"].images.dtype
    if not loss <= loss_tolerance(dtype):
        return f"loss, {layout}: {losses[0]:.8g} instead of {losses[1]:.8g}"
    if not gradient <= most_detours(dtype):
        return f"gradients, {layout}: the difference is {gradient:.2g} of a parameter's gradient"
    return ""


def _difference(mine: Tensor | None, theirs: Tensor | None) -> float:
    assert mine is not None
    assert theirs is not None
    norm = theirs.double().norm().item()
    return (mine.double() - theirs.double()).norm().item() / (norm or 1.0)
