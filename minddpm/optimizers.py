"""What takes the steps of training: Adam, or Muon, which learns more from each image."""

from collections.abc import Callable, Iterable

import torch
from jaxtyping import Float
from torch import Tensor, nn

from minddpm.checks import check_callable, check_positive, check_share, kind_of

MakeOptimizer = Callable[[nn.Module], torch.optim.Optimizer]
NEWTON_SCHULZ = (3.4445, -4.7750, 2.0315)  # a polynomial that takes (0, 1] to about 1 in five turns
TURNS = 5
ADAM = (0.9, 0.999)  # how much of the mean gradient, and of its square, each step keeps


def optimizer_of(
    model: nn.Module, make: MakeOptimizer | None, learning_rate: float
) -> torch.optim.Optimizer:
    """The optimizer that `make` returns for a model; Adam, at this learning rate, if it is None.

    Raises: TypeError for a `make` that returns no optimizer of PyTorch; ValueError for one that
        changes other weights than the model's.
    """
    if make is None:
        return torch.optim.Adam(model.parameters(), lr=learning_rate, fused=True)
    check_callable("optimizer", make, "muon")
    optimizer = make(model)
    if not isinstance(optimizer, torch.optim.Optimizer):
        got = kind_of(optimizer)
        raise TypeError(f"optimizer must return an optimizer of torch.optim, got {got}")
    own = {id(weight) for weight in model.parameters()}
    if any(id(weight) not in own for group in optimizer.param_groups for weight in group["params"]):
        raise ValueError("optimizer must change the weights of the model, got one of other weights")
    return optimizer


def orthogonal(matrix: Float[Tensor, "n m"]) -> Float[Tensor, "n m"]:
    """Give all singular values of a matrix about the same size, and keep its singular vectors.

    U S V^T becomes U R V^T: where S is at least a few thousandths of the matrix's norm, R lies
    between about 0.7 and 1.2.

    Each turn of Newton and Schulz replaces X by (a + b X X^T + c (X X^T)^2) X. Here the turns
    work on X X^T alone, which is square and, for a convolution, several times as small.

    Source: Jordan et al. 2024, "Muon: an optimizer for hidden layers in neural networks".
    """
    if matrix.shape[0] > matrix.shape[1]:
        return orthogonal(matrix.T).T
    matrix = matrix / matrix.norm().clamp(min=1e-12)
    square = matrix @ matrix.T
    factor = torch.eye(len(matrix), dtype=matrix.dtype, device=matrix.device)
    a, b, c = NEWTON_SCHULZ
    for _ in range(TURNS):
        turned = factor @ square @ factor
        change = torch.addmm(turned, turned, turned, beta=b, alpha=c)
        change.diagonal().add_(a)
        factor = change @ factor
    return factor @ matrix


class Muon(torch.optim.Optimizer):
    """Momentum whose steps are as large in every direction of a weight matrix; Adam for the rest.

    m <- (1 - momentum) gradient + momentum m
    W <- W - lr sqrt(max(1, n / k)) orthogonal((1 - momentum) gradient + momentum m)

    for W of shape (n, k); a convolution's is (out, in * height * width). A gradient is nearly all
    in a few directions, and Adam's steps follow it; here the others are learnt as fast.

    Args:
        matrices: weights with at least two dimensions.
        others: weights that Adam moves, of any shape.
        lr: how large a step's singular values are, at its peak; positive.
        adam_lr: Adam's rate at its peak; positive. None means an eighth of lr.
        momentum: in [0, 1].
    Raises: TypeError or ValueError for settings out of range, or a matrix of fewer dimensions.
    Source: Jordan et al. 2024; Kingma and Ba 2015 for Adam.
    """

    def __init__(
        self,
        matrices: Iterable[Tensor],
        others: Iterable[Tensor] = (),
        *,
        lr: float = 0.02,
        adam_lr: float | None = None,
        momentum: float = 0.95,
    ) -> None:
        matrices, others = list(matrices), list(others)
        check_positive("lr", lr)
        adam_lr = lr / 8 if adam_lr is None else adam_lr
        check_positive("adam_lr", adam_lr)
        check_share("momentum", momentum)
        for matrix in matrices:
            if matrix.ndim < 2:
                shape = tuple(matrix.shape)
                raise ValueError(f"matrices must have at least 2 dimensions, got shape {shape}")
        groups = [
            {"params": matrices, "lr": lr, "momentum": momentum},
            {"params": others, "lr": adam_lr, "momentum": None},
        ]
        super().__init__([group for group in groups if group["params"]], {})

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        """Move every weight that has a gradient."""
        for group in self.param_groups:
            for weight in group["params"]:
                if weight.grad is None:
                    continue
                state = self.state[weight]
                if group["momentum"] is None:
                    adam_step(weight, weight.grad, state, group["lr"])
                else:
                    muon_step(weight, weight.grad, state, group["lr"], group["momentum"])


def muon_step(
    weight: Tensor, gradient: Tensor, state: dict[str, Tensor], lr: float, momentum: float
) -> None:
    """Move one matrix, and remember its mean gradient."""
    if not state:
        state |= {"step": torch.tensor(0.0), "mean": torch.zeros_like(weight)}
    state["step"] += 1
    state["mean"].lerp_(gradient, 1 - momentum)
    matrix = gradient.lerp(state["mean"], momentum).flatten(1)
    size = lr * max(1, matrix.shape[0] / matrix.shape[1]) ** 0.5
    weight.sub_(orthogonal(matrix).reshape(weight.shape), alpha=size)


def adam_step(weight: Tensor, gradient: Tensor, state: dict[str, Tensor], lr: float) -> None:
    """Move one weight, and remember its mean gradient and the mean of that squared."""
    if not state:
        zeros = {"mean": torch.zeros_like(weight), "square": torch.zeros_like(weight)}
        state |= {"step": torch.tensor(0.0)} | zeros
    state["step"] += 1
    first, second = ADAM
    state["mean"].lerp_(gradient, 1 - first)
    state["square"].lerp_(gradient.square(), 1 - second)
    step = int(state["step"])
    mean, square = state["mean"] / (1 - first**step), state["square"] / (1 - second**step)
    weight.sub_(lr * mean / (square.sqrt() + 1e-8))


def muon(model: nn.Module, **settings: float) -> Muon:
    """Muon for a network: its convolutions and the matrices of its linear layers learn by `Muon`,
    biases, norms and embeddings by Adam.

    Args: settings: lr, adam_lr and momentum, as of `Muon`.
    Raises: as `Muon`; TypeError for a model that is not an nn.Module.
    """
    if not isinstance(model, nn.Module):
        raise TypeError(f"model must be an nn.Module, got {kind_of(model)}")
    looked_up = {id(layer.weight) for layer in model.modules() if isinstance(layer, nn.Embedding)}
    matrices: list[Tensor] = []
    others: list[Tensor] = []
    for weight in model.parameters():
        (matrices if weight.ndim > 1 and id(weight) not in looked_up else others).append(weight)
    return Muon(matrices, others, **settings)
