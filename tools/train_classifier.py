"""Train the digit classifier of minddpm/metrics.py on the 4,500 bundled training digits, and write
its weights.

    python tools/train_classifier.py

The held-out digits decide nothing: the number of epochs is fixed, and the last weights are kept.
The targets are plain labels, because smoothed ones would keep the probabilities near 0.9, the
threshold for sure. One image in eight is not a digit; its target gives all ten digits the same
probability, so that noise is not taken for a digit.
"""

import argparse
import math
import time
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from torch import Tensor
from tqdm import tqdm

from minddpm.data import ASSETS, load_mnist
from minddpm.metrics import SURE, DigitClassifier

BATCH = 100
PEAK_RATE = 4e-3


def uniform(low: float, high: float, shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
    return low + (high - low) * torch.rand(shape, generator=generator)


def distort(images: Tensor, generator: torch.Generator) -> Tensor:
    """Write each digit in another hand: turned, stretched, slanted, shifted, bent, thicker or
    thinner, and noisy.
    """
    n = len(images)
    turn = math.radians(15) * uniform(-1, 1, (n,), generator)
    wide, high = 1 + uniform(-0.15, 0.15, (2, n), generator)
    slant = uniform(-0.2, 0.2, (n,), generator)
    shift_x, shift_y = uniform(-0.18, 0.18, (2, n), generator)  # in half-widths: 2.5 pixels
    rows = [wide * turn.cos(), slant - turn.sin(), shift_x, turn.sin(), high * turn.cos(), shift_y]
    grid = F.affine_grid(
        torch.stack(rows, 1).view(n, 2, 3), list(images.shape), align_corners=False
    )
    bend = F.interpolate(
        0.06 * torch.randn(n, 2, 5, 5, generator=generator), size=28, mode="bicubic"
    )
    images = F.grid_sample(images + 1, grid + bend.movedim(1, 3), align_corners=False)
    thick, thin = F.max_pool2d(images, 3, 1, 1), -F.max_pool2d(-images, 3, 1, 1)
    amount = uniform(-0.5, 0.5, (n, 1, 1, 1), generator)
    images = (
        images + amount.clamp(min=0) * (thick - images) + amount.clamp(max=0) * (images - thin) - 1
    )
    noise = uniform(-0.2, 0.2, (n, 1, 1, 1), generator).clamp(min=0) * torch.randn(
        images.shape, generator=generator
    )
    return (images + noise).clamp(-1, 1)


def no_digits(images: Tensor, generator: torch.Generator) -> Tensor:
    """Noise from white to smooth, of any contrast and brightness, and as many digits with shuffled
    pixels.
    """
    n = len(images)
    white = torch.randn(images.shape, generator=generator)
    smooth = F.interpolate(F.interpolate(white, size=9), size=28, mode="bicubic")
    mix = uniform(0, math.pi / 2, (n, 1, 1, 1), generator)
    noise = uniform(0.1, 1.5, (n, 1, 1, 1), generator) * (mix.cos() * white + mix.sin() * smooth)
    noise = (noise + uniform(-1.2, 0.5, (n, 1, 1, 1), generator)).clamp(-1, 1)
    noise[::2] = images.flatten(1)[::2, torch.randperm(784, generator=generator)].view_as(
        noise[::2]
    )
    return noise


def train(epochs: int, seed: int) -> DigitClassifier:
    images, labels = load_mnist("train")
    targets = F.one_hot(labels, 10).float()
    torch.manual_seed(seed)  # first weights and dropout
    generator = torch.Generator().manual_seed(seed)
    model = DigitClassifier()
    optimizer = torch.optim.AdamW(model.parameters(), weight_decay=0.01)
    rate = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, PEAK_RATE, epochs * (len(images) // BATCH), pct_start=0.15
    )
    bar = tqdm(range(epochs), unit="epoch", mininterval=5)
    for _ in bar:
        total = 0.0
        for index in torch.randperm(len(images), generator=generator).split(BATCH):
            wrong = BATCH // 8
            x = distort(images[index], generator)
            x[:wrong] = no_digits(images[index[:wrong]], generator)
            target = targets[index]
            target[:wrong] = 0.1
            loss = F.cross_entropy(model(x), target)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            rate.step()
            total += loss.item() * len(index) / len(images)
        bar.set_postfix(loss=f"{total:.4f}")
    return model.eval()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=ASSETS / "classifier.safetensors")
    parser.add_argument("--epochs", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    start = time.perf_counter()
    model = train(options.epochs, options.seed)
    seconds = time.perf_counter() - start
    images, labels = load_mnist("test")
    with torch.inference_mode():
        probabilities = model(images).softmax(1)
    right = probabilities.argmax(1) == labels
    sure = probabilities.amax(1) > SURE
    accuracy = right.double().mean().item()
    metadata = {"epochs": options.epochs, "seed": options.seed, "held_out_accuracy": accuracy}
    save_file(
        model.state_dict(), options.out, {name: str(value) for name, value in metadata.items()}
    )
    print(
        f"{options.out}: {options.out.stat().st_size / 1e6:.2f} MB after {options.epochs} epochs,"
        f" {seconds:.0f} s"
    )
    print(
        f"held-out digits: {accuracy:.1%} right; more than {SURE} sure of"
        f" {sure.double().mean():.1%}, and {right[sure].double().mean():.1%} of these right; mean"
        f" probability {probabilities.amax(1).mean():.3f}; cross-entropy"
        f" {F.nll_loss(probabilities.log(), labels):.4f}"
    )


if __name__ == "__main__":
    main()
