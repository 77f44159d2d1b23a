"""How good are generated images? For digits, a classifier's confidence; for any images, a distance
between distributions, and signs of copying.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass, field
from statistics import fmean

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int64
from safetensors.torch import load_file
from torch import Tensor, nn

from minddpm.checks import check_images, how_many
from minddpm.data import ASSETS, load_mnist

SURE = 0.9  # a digit counts as confident above this probability
MEASURED_AT_ONCE = 250  # images measured at once
DRAWS = 20  # seeded draws of real images that a distance is averaged over
COARSE = 8  # side of the small copies on which images of any kind are compared


class DigitClassifier(nn.Module):
    """A small convolutional network that tells the ten digits apart, and whose features describe an
    image.
    """

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(
            *convolution(1, 24, 5, stride=2),  # 28 -> 14
            *convolution(24, 32, 3),
            *convolution(32, 64, 3, stride=2),  # 14 -> 7
            *convolution(64, 64, 3),
            nn.MaxPool2d(3, stride=2),  # 7 -> 3
            nn.Flatten(),
            nn.Linear(64 * 3 * 3, 64, bias=False),
            nn.BatchNorm1d(64),  # keeps every feature alive
            nn.ReLU(),
        )
        self.head = nn.Sequential(nn.Dropout(0.3), nn.Linear(64, 10))

    def features(self, images: Float[Tensor, "n 1 28 28"]) -> Float[Tensor, "n d"]:
        """The activations before the last layer: what `frechet_distance` compares."""
        features: Tensor = self.body(images)
        return features

    def forward(self, images: Float[Tensor, "n 1 28 28"]) -> Float[Tensor, "n 10"]:
        """Logits of the ten digits, for images in [-1, 1]."""
        logits: Tensor = self.head(self.features(images))
        return logits


def convolution(channels_in: int, channels_out: int, size: int, stride: int = 1) -> list[nn.Module]:
    """One layer of the classifier."""
    weights = nn.Conv2d(
        channels_in, channels_out, size, stride=stride, padding=size // 2, bias=False
    )
    return [weights, nn.BatchNorm2d(channels_out), nn.ReLU()]


def load_classifier() -> DigitClassifier:
    """The classifier that the package ships, as `tools/train_classifier.py` trained it, in eval
    mode.
    """
    # no default of the caller's, nor the state of the random numbers, makes a difference
    with torch.device("cpu"), torch.random.fork_rng(devices=[]):
        model = DigitClassifier()
        weights = load_file(ASSETS / "classifier.safetensors")
    model.load_state_dict(weights, assign=True)
    return model.eval().requires_grad_(False)


def frechet_distance(features_a: Float[Tensor, "n d"], features_b: Float[Tensor, "m d"]) -> float:
    """Fréchet distance between two Gaussians, those with the means and covariances of two sets of
    features.

    |mu_a - mu_b|^2 + tr(A + B - 2 (A B)^{1/2}), A and B the sample covariances; 0 for equal mean
    and covariance

    Finite sets make it too large: even between two sets from one distribution it has a bias of the
        order 1/n + 1/m.
    So compare distances only between sets of the same sizes, on the same features.

    Computed in float64. With centred features Q_a R_a / sqrt(n - 1), A = R_a^T R_a, so that tr (A
    B)^{1/2} is the sum of the singular values of R_a R_b^T. This takes no square root of a rounding
    error, and works for rank-deficient covariances.

    Args:
        features_a: one row per image, shape (n, d), n >= 2.
        features_b: one row per image, shape (m, d), m >= 2.

    Raises: TypeError unless both are floating point tensors; ValueError for fewer rows, unequal
        widths, NaN or infinity.
    Source: Heusel et al. 2017 (FID, with features of another network).
    """
    for name, features in (("features_a", features_a), ("features_b", features_b)):
        check_images(features, name)
        if features.ndim != 2 or len(features) < 2:
            raise ValueError(
                f"{name} must have shape (n, d) with n at least 2, got {tuple(features.shape)}"
            )
        bad = len(features) - int(features.isfinite().all(1).sum())
        if bad:
            raise ValueError(
                f"{name} must be finite, got NaN or infinity in {how_many(bad, 'row')}"
            )
    if features_a.shape[1] != features_b.shape[1]:
        raise ValueError(
            f"features_a and features_b must have the same width, got {features_a.shape[1]} and"
            f" {features_b.shape[1]}"
        )
    means, roots = [], []
    for features in (features_a.double(), features_b.double()):
        means.append(features.mean(0))
        roots.append(
            torch.linalg.qr((features - means[-1]) / (len(features) - 1) ** 0.5, mode="r").R
        )
    shift = (means[0] - means[1]).square().sum()
    spread = (
        roots[0].square().sum()
        + roots[1].square().sum()
        - 2 * torch.linalg.svdvals(roots[0] @ roots[1].T).sum()
    )
    return float((shift + spread).clamp(min=0))


def nearest_training(
    images: Float[Tensor, " n *dims"], training: Float[Tensor, " m *dims"] | None = None
) -> tuple[Float[Tensor, " n"], Int64[Tensor, " n"]]:
    """Find the training image nearest to each image.

    Args:
        images: in [-1, 1], shape (n, *dims), n >= 1.
        training: in [-1, 1], shape (m, *dims), m >= 1; the digits of `load_mnist("train")` if None.

    Returns: Euclidean distances over all pixels, and indices into the training images, both of
        shape (n,).
    Raises: as `digit_report` and, with training images, `image_report`.
    """
    if training is None:
        check_digits(images, 1)
        training = load_mnist("train")[0]
    else:
        check_images(training, "training")
        check_images_like(images, training, 1)
    images, training = images.float().flatten(1), training.float().flatten(1)
    indices = torch.cat(
        [torch.cdist(batch, training).argmin(1) for batch in torch.split(images, MEASURED_AT_ONCE)]
    )
    # the distances afresh: cdist rounds, and a copy lies at 0
    return (images - training[indices]).norm(dim=1), indices


def check_digits(images: Tensor, least: int) -> None:
    """Raise unless these are at least this many images of 28 by 28 pixels in [-1, 1]."""
    check_images_like(images, torch.empty(1, 1, 28, 28, device="cpu"), least)


def check_images_like(images: Tensor, others: Tensor, least: int, name: str = "images") -> None:
    """Raise unless these are at least this many images in [-1, 1], each of the others' shape.

    Args: name, of the argument that holds them.
    """
    check_images(images, name)
    if images.shape[1:] != others.shape[1:] or len(images) < least:
        sides = ", ".join(map(str, others.shape[1:]))
        raise ValueError(
            f"{name} must have shape (n, {sides}) with n at least {least}, got"
            f" {tuple(images.shape)}"
        )
    if images.isnan().any():
        raise ValueError(
            f"{name} must lie in [-1, 1], got NaN in {images.isnan().flatten(1).any(1).sum()} of"
            " them"
        )
    if images.abs().max() > 1:
        raise ValueError(
            f"{name} must lie in [-1, 1], got {images.min():.7g} to {images.max():.7g}"
        )


def check_comparable(training: Tensor, held_out: Tensor) -> None:
    """Raise unless `image_report` can compare images with these."""
    check_images_like(training, training, 4, "training")
    check_images_like(held_out, training, 2, "held_out")


@functools.cache
def training_features() -> Float[Tensor, "n d"]:
    """The classifier's features of the train split, computed once."""
    classifier = load_classifier()
    batches = torch.split(load_mnist("train")[0], MEASURED_AT_ONCE)
    return torch.cat([classifier.features(batch) for batch in batches])


@functools.cache
def drawn_distance(count: int) -> float:
    """`random_distance` for this many images of the train split."""
    return random_distance(training_features(), count)


def random_distance(features: Float[Tensor, "n d"], count: int) -> float:
    """Mean Fréchet distance of this many rows, drawn at random from a seed, to the other rows."""
    generator = torch.Generator().manual_seed(0)
    orders = [
        torch.randperm(len(features), generator=generator, device="cpu") for _ in range(DRAWS)
    ]
    return fmean(
        frechet_distance(features[order[:count]], features[order[count:]]) for order in orders
    )


@dataclass(frozen=True)
class ImageFigures:
    """What `image_report` measures of one set of images."""

    count: int
    frechet: float  # to the training images
    nearest: tuple[float, ...] = field(
        repr=False
    )  # distances to the nearest training image, ascending

    def nearest_quantile(self, share: float) -> float:
        return torch.tensor(self.nearest, dtype=torch.float64).quantile(share).item()

    def nearer_than(self, distance: float) -> float:
        return sum(nearest < distance for nearest in self.nearest) / self.count


@dataclass(frozen=True)
class DigitFigures(ImageFigures):
    """What `digit_report` measures of one set of images."""

    confident: float  # share of images, 0..1
    class_counts: tuple[int, ...]  # images taken for a 0, 1, ... 9

    @property
    def class_shares(self) -> tuple[float, ...]:
        return tuple(n / self.count for n in self.class_counts)

    @property
    def class_balance(self) -> float:
        return min(self.class_counts) / max(self.class_counts)


@dataclass(frozen=True)
class DigitReport:
    """The figures of some images next to those of the held-out real digits; `print` shows them as a
    table.
    """

    images: DigitFigures
    held_out: DigitFigures
    drawn_frechet: float
    split_half: float

    @property
    def closer(self) -> float:
        """Share of images nearer to a training image than 99% of the held-out digits are."""
        return self.images.nearer_than(self.held_out.nearest_quantile(0.01))

    def __str__(self) -> str:
        low = self.held_out.nearest_quantile(0.01)
        rows: dict[str, Callable[[DigitFigures], float]] = {
            f"more than {SURE} sure, %": lambda x: 100 * x.confident,
            "Fréchet distance to train": lambda x: x.frechet,
            "nearest training image, least": lambda x: x.nearest[0],
            "  1% quantile": lambda x: x.nearest_quantile(0.01),
            "  median": lambda x: x.nearest_quantile(0.5),
            f"  nearer than {low:.2f}, %": lambda x: 100 * x.nearer_than(low),
            "rarest digit / commonest": lambda x: x.class_balance,
        }
        lines = [f"{f'{self.images.count} images':<30}{'these':>9}{'held-out':>10}{'ratio':>8}"]
        for name, figure in rows.items():
            these, real = figure(self.images), figure(self.held_out)
            lines.append(f"{name:<30}{these:>9.2f}{real:>10.2f}{these / real:>8.2f}")
        ratio = self.images.frechet / self.drawn_frechet
        lines.insert(
            3, f"{'  real digits, as many, at random':<32}{self.drawn_frechet:>17.2f}{ratio:>8.2f}"
        )
        lines.insert(4, f"{'  half of train to its other':<32}{self.split_half:>17.2f}")
        lines.append("share of each digit, %" + "".join(f"{digit:>6}" for digit in range(10)))
        for name, shares in (
            ("these", self.images.class_shares),
            ("held-out", self.held_out.class_shares),
        ):
            lines.append(f"  {name:<20}" + "".join(f"{100 * share:>6.1f}" for share in shares))
        return "\n".join(lines)


@torch.inference_mode()
def figures_of(images: Float[Tensor, "n 1 28 28"], progress: bool) -> DigitFigures:
    """Measure one set of images."""
    from tqdm.auto import tqdm

    classifier = load_classifier()
    batches = tqdm(
        torch.split(images.float(), MEASURED_AT_ONCE), desc="measuring", disable=not progress
    )
    features = torch.cat([classifier.features(batch) for batch in batches])
    probability, digit = classifier.head(features).softmax(1).max(1)
    return DigitFigures(
        count=len(images),
        confident=(probability > SURE).double().mean().item(),
        class_counts=tuple(digit.bincount(minlength=10).tolist()),
        frechet=frechet_distance(features, training_features()),
        nearest=tuple(nearest_training(images)[0].sort().values.tolist()),
    )


@functools.cache
def held_out_figures() -> DigitFigures:
    """The figures of the held-out real digits, measured once."""
    return figures_of(load_mnist("test")[0], progress=False)


def digit_report(images: Float[Tensor, "n 1 28 28"], progress: bool = False) -> DigitReport:
    """Compare generated digits with the 500 held-out real ones, both measured against the 4,500 of
    the train split.

    - confident: the share of images to which the classifier gives one digit with more than 0.9
      probability.
    - class_counts: images per class, by the classifier. If all classes are equally likely, 1,000
      digits have 100 of each, give or take 9.5, so that the rarest class has only about 3/4 as many
      as the commonest.
    - frechet: distance to the train split, on classifier features. That of held-out digits is the
      floor; it is above 0 because they are few.
    - drawn_frechet: the floor for these images. The bias falls with their number, and it is about
      half as large for the held-out digits, exactly 50 of each class, as for images with random
      classes. So this is the average for n real digits, drawn at random from the train split (at
      most half of it: split_half) and compared with the others.
    - nearest: Euclidean distance over the 784 pixels to the nearest training image. Copies have
      distances well below those of held-out digits, and `closer`, the share below their 1%
      quantile, is then well above 1%.

    Args:
        images: in [-1, 1], shape (n, 1, 28, 28), n >= 2; about 1,000 are enough.
        progress: show a bar.

    Raises: TypeError unless images are a floating point tensor; ValueError for another shape, NaN
        or pixels outside [-1, 1].
    """
    check_digits(images, 2)
    these, real, half = (
        figures_of(images, progress),
        held_out_figures(),
        len(training_features()) // 2,
    )
    return DigitReport(these, real, drawn_distance(min(len(images), half)), drawn_distance(half))


def coarse_features(images: Float[Tensor, "n c h w"]) -> Float[Tensor, "n d"]:
    """The pixels of images averaged to 8 by 8, one row per image.

    They show brightness, colour and rough shape, but no texture or detail.
    """
    return F.adaptive_avg_pool2d(images.float(), COARSE).flatten(1)


@dataclass(frozen=True)
class ImageReport:
    """The figures of some images next to those of held-out real ones; `print` shows a table."""

    images: ImageFigures
    held_out: ImageFigures
    drawn_frechet: float

    def __str__(self) -> str:
        low = self.held_out.nearest_quantile(0.01)
        rows: dict[str, Callable[[ImageFigures], float]] = {
            f"Fréchet distance, {COARSE}x{COARSE} pixels": lambda x: x.frechet,
            "nearest training image, least": lambda x: x.nearest[0],
            "  1% quantile": lambda x: x.nearest_quantile(0.01),
            "  median": lambda x: x.nearest_quantile(0.5),
            f"  nearer than {low:.2f}, %": lambda x: 100 * x.nearer_than(low),
        }
        lines = [f"{f'{self.images.count} images':<32}{'these':>9}{'held-out':>10}"]
        for name, figure in rows.items():
            lines.append(f"{name:<32}{figure(self.images):>9.3f}{figure(self.held_out):>10.3f}")
        random = f"{'  real images, as many, at random':<34}{self.drawn_frechet:>17.3f}"
        lines.insert(2, random)
        lines.append(f"held-out: {self.held_out.count} real images that were not trained on")
        return "\n".join(lines)


def image_report(
    images: Float[Tensor, "n c h w"],
    training: Float[Tensor, "m c h w"],
    held_out: Float[Tensor, "k c h w"],
    progress: bool = False,
) -> ImageReport:
    """Compare generated images of any kind with held-out real ones, both measured against the
    images that the network was trained on.

    - frechet: distance to the training images, on `coarse_features`. It sees brightness, colour and
      rough shape; compare it only between sets of the same size, on the same data.
    - drawn_frechet: the floor for this many images: the average for as many real training images
      (at most half of them), drawn at random and compared with the others.
    - nearest: Euclidean distance over all pixels to the nearest training image. Copies lie nearer
      than held-out images do.

    Args:
        images, training, held_out: in [-1, 1], all of the same shape (c, h, w); at least 2, 4 and 2
            of them.
        progress: show a bar.

    Raises: TypeError unless all are floating point tensors; ValueError for another shape, too few
        images, NaN or pixels outside [-1, 1].
    """
    check_comparable(training, held_out)
    check_images_like(images, training, 2)
    features = coarse_features(training)
    half = len(training) // 2
    drawn = random_distance(features, min(len(images), half))
    return ImageReport(
        image_figures(images, training, features, progress),
        image_figures(held_out, training, features, progress),
        drawn,
    )


def image_figures(
    images: Tensor, training: Tensor, features: Float[Tensor, "m d"], progress: bool
) -> ImageFigures:
    """Measure one set of images against the training images and their coarse features."""
    from tqdm.auto import tqdm

    batches = tqdm(torch.split(images, MEASURED_AT_ONCE), desc="measuring", disable=not progress)
    distances = torch.cat([nearest_training(batch, training)[0] for batch in batches])
    return ImageFigures(
        count=len(images),
        frechet=frechet_distance(coarse_features(images), features),
        nearest=tuple(distances.sort().values.tolist()),
    )
