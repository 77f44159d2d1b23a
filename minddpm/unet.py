"""The noise predictor: a small U-Net that is told the time (Ho et al. 2020, appendix B)."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int64, Real
from torch import Tensor, nn


def timestep_embedding(
    t: Real[Tensor, "b"], dim: int, max_period: float = 10_000
) -> Float[Tensor, "b {dim}"]:
    """Turn each time into a vector of slow and fast waves: all sines, then all cosines.

    embedding[:, i] = sin(t w_i), embedding[:, dim/2 + i] = cos(t w_i), w_i = max_period^(-i /
    (dim/2))

    Args: t, any real numbers, shape (b,); dim, even and positive; the slowest wave's turn is nearly
        2 pi max_period.
    Returns: shape (b, dim), float32 (float64 if t is float64).
    Raises: ValueError for an odd or non-positive dim, or for t that is not one-dimensional.
    Source: Vaswani et al. 2017, section 3.5.
    """
    if dim < 2 or dim % 2:
        raise ValueError(f"dim must be even and positive, got {dim}")
    if t.ndim != 1:
        raise ValueError(f"t must have shape (b,), got {tuple(t.shape)}")
    dtype = t.dtype if t.is_floating_point() else torch.float32
    half = dim // 2
    frequency = max_period ** (-torch.arange(half, dtype=torch.float64, device=t.device) / half)
    angle = t.to(torch.float64)[:, None] * frequency  # (b, dim/2)
    return torch.cat([angle.sin(), angle.cos()], dim=1).to(dtype)


@dataclass(frozen=True)
class UNetConfig:
    """The shape of a U-Net, and all that is needed to build it again.

    Args:
        image_channels: channels of the images, 1 for grey ones.
        channels: width of each resolution, the finest first; each further one halves the sides.
        blocks: residual blocks at each resolution, on the way down and on the way up.
        time_dim: length of the time embedding, even.
        groups: groups of each GroupNorm; divides every width.
        classes: kinds of image that may be asked for, labels 0..classes-1; 0 for a network that
            takes no label.
    Raises: ValueError for a setting outside its range.
    """

    image_channels: int = 1
    channels: Sequence[int] = (16, 48, 96)
    blocks: int = 1
    time_dim: int = 64
    groups: int = 8
    classes: int = 0

    def __post_init__(self) -> None:
        object.__setattr__(self, "channels", tuple(self.channels))
        if (
            self.groups < 1
            or not self.channels
            or any(width < 1 or width % self.groups for width in self.channels)
        ):
            raise ValueError(
                f"every width must be a positive multiple of groups={self.groups}, got"
                f" {self.channels}"
            )
        if self.image_channels < 1 or self.blocks < 1:
            got = f"{self.image_channels} and {self.blocks}"
            raise ValueError(f"image_channels and blocks must be at least 1, got {got}")
        if self.time_dim < 2 or self.time_dim % 2:
            raise ValueError(f"time_dim must be even and positive, got {self.time_dim}")
        if self.classes < 0:
            raise ValueError(f"classes must be at least 0, got {self.classes}")


def zero_init(layer: nn.Module) -> nn.Module:
    """Start a layer at zero, so that the block it ends begins by adding nothing."""
    for parameter in layer.parameters():
        nn.init.zeros_(parameter)
    return layer


class ResidualBlock(nn.Module):
    """norm, SiLU, conv; add the time; norm, SiLU, conv; add the input."""

    def __init__(self, in_channels: int, out_channels: int, config: UNetConfig) -> None:
        super().__init__()
        self.norm_in = nn.GroupNorm(config.groups, in_channels)
        self.conv_in = nn.Conv2d(in_channels, out_channels, 3, padding=1)
        self.time = nn.Linear(4 * config.channels[0], out_channels)
        self.norm_out = nn.GroupNorm(config.groups, out_channels)
        self.conv_out = zero_init(nn.Conv2d(out_channels, out_channels, 3, padding=1))
        self.shortcut = (
            nn.Identity()
            if in_channels == out_channels
            else nn.Conv2d(in_channels, out_channels, 1)
        )

    def forward(
        self, x: Float[Tensor, "b in h w"], time_features: Float[Tensor, "b f"]
    ) -> Float[Tensor, "b out h w"]:
        h = self.conv_in(F.silu(self.norm_in(x)))
        h = h + self.time(time_features)[:, :, None, None]
        h = self.conv_out(F.silu(self.norm_out(h)))
        return self.shortcut(x) + h


class SelfAttention(nn.Module):
    """Let every place look at every other (Vaswani et al. 2017, eq. 1, one head)."""

    def __init__(self, channels: int, config: UNetConfig) -> None:
        super().__init__()
        self.norm = nn.GroupNorm(config.groups, channels)
        self.query_key_value = nn.Conv2d(channels, 3 * channels, 1)
        self.out = zero_init(nn.Conv2d(channels, channels, 1))

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
        q, k, v = (
            self.query_key_value(self.norm(x)).flatten(2).transpose(1, 2).chunk(3, dim=-1)
        )  # (b, h w, c)
        h = F.scaled_dot_product_attention(q, k, v)
        return x + self.out(h.transpose(1, 2).reshape(x.shape))


class UNet(nn.Module):
    """Predict the noise in x_t: down through the resolutions, across, and up again past the skips.

    Source: Ronneberger et al. 2015 for the shape, Ho et al. 2020, appendix B, for the blocks.
    """

    def __init__(self, config: UNetConfig = UNetConfig()) -> None:
        super().__init__()
        self.config = config
        widths, features = config.channels, 4 * config.channels[0]
        layers = (
            nn.Linear(config.time_dim, features),
            nn.SiLU(),
            nn.Linear(features, features),
            nn.SiLU(),
        )
        self.time = nn.Sequential(*layers)
        if config.classes:  # one row a class, and a last one for no label, which is and stays zero
            self.label = zero_init(
                nn.Embedding(config.classes + 1, features, padding_idx=config.classes)
            )
        self.stem = nn.Conv2d(config.image_channels, widths[0], 3, padding=1)

        self.encoder, self.downs = nn.ModuleList(), nn.ModuleList()
        for level, width in enumerate(widths):
            self.downs.append(
                nn.Conv2d(widths[level - 1], width, 3, stride=2, padding=1)
                if level
                else nn.Identity()
            )
            self.encoder.append(
                nn.ModuleList(ResidualBlock(width, width, config) for _ in range(config.blocks))
            )

        self.middle_in = ResidualBlock(widths[-1], widths[-1], config)
        self.attention = SelfAttention(widths[-1], config)
        self.middle_out = ResidualBlock(widths[-1], widths[-1], config)

        self.decoder, self.ups = nn.ModuleList(), nn.ModuleList()
        for level, width in reversed(list(enumerate(widths))):
            blocks = [ResidualBlock(2 * width, width, config) for _ in range(config.blocks)]
            self.decoder.append(nn.ModuleList(blocks))
            self.ups.append(nn.Conv2d(width, widths[level - 1], 1) if level else nn.Identity())

        self.norm = nn.GroupNorm(config.groups, widths[0])
        self.out = zero_init(nn.Conv2d(widths[0], config.image_channels, 3, padding=1))

    def forward(
        self,
        x_t: Float[Tensor, "b c h w"],
        t: Int64[Tensor, "b"],
        label: Int64[Tensor, "b"] | None = None,
    ) -> Float[Tensor, "b c h w"]:
        """Predict the noise in x_t at its times t, 1..T, told the label of each image, or `classes`
        where it has none.

        Raises: TypeError or ValueError for images that the levels cannot halve, or for inputs of
            another kind or shape.
        """
        self.check(x_t, t, label)
        time_features = self.time(timestep_embedding(t, self.config.time_dim).to(x_t.dtype))
        if label is not None:
            time_features = time_features + self.label(label)
        h = self.stem(x_t)
        skips = []
        for down, blocks in zip(self.downs, self.encoder):
            h = down(h)
            for block in blocks:
                h = block(h, time_features)
                skips.append(h)
        h = self.middle_out(self.attention(self.middle_in(h, time_features)), time_features)
        for blocks, up in zip(self.decoder, self.ups):
            for block in blocks:
                h = block(torch.cat([h, skips.pop()], dim=1), time_features)
            if skips:
                h = F.interpolate(up(h), scale_factor=2.0)
        return self.out(F.silu(self.norm(h)))

    def check(self, x_t: Tensor, t: Tensor, label: Tensor | None) -> None:
        """Raise unless the network can take these images, times and labels."""
        if x_t.ndim != 4 or x_t.shape[1] != self.config.image_channels:
            wanted = f"(b, {self.config.image_channels}, height, width)"
            raise ValueError(f"images must have shape {wanted}, got {tuple(x_t.shape)}")
        halvings = len(self.config.channels) - 1
        (height, width), multiple = x_t.shape[2:], 2**halvings
        if any(side < 1 or side % multiple for side in (height, width)):
            wanted = f"multiples of {multiple} to be halved {halvings} times"
            raise ValueError(f"image sides must be {wanted}, got {height}x{width}")
        for name, values in (("t", t), ("label", label))[: 1 if label is None else 2]:
            if not isinstance(values, Tensor) or values.dtype != torch.int64:
                got = f"one of {values.dtype}" if isinstance(values, Tensor) else repr(values)
                raise TypeError(f"{name} must be an int64 tensor, got {got}")
            if values.shape != x_t.shape[:1]:
                raise ValueError(
                    f"{name} must have shape ({len(x_t)},), one for each image, got"
                    f" {tuple(values.shape)}"
                )
        if label is not None and not self.config.classes:
            raise ValueError("label must be None for a network without classes")
        if label is not None and not bool(((label >= 0) & (label <= self.config.classes)).all()):
            raise ValueError(
                f"label must lie in 0..{self.config.classes}, the last for none, got"
                f" {label.tolist()}"
            )
