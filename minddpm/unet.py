"""The noise predictor: a small U-Net that knows the time (Ho et al. 2020, appendix B)."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int64, Real
from torch import Tensor, nn

from minddpm.checks import check_config, check_embedding, check_unet_input, checked_widths
from minddpm.hub import OnHub


def timestep_embedding(
    t: Real[Tensor, " b"], dim: int, max_period: float = 10_000
) -> Float[Tensor, "b {dim}"]:
    """Turn each time into a vector of slow and fast waves: all sines, then all cosines.

    embedding[:, i] = sin(t w_i), embedding[:, dim/2 + i] = cos(t w_i), w_i = max_period^(-i /
    (dim/2))

    Args: t, any real numbers, shape (b,); dim, even and positive; max_period, positive, about
        1 / (2 pi) of the slowest wave's period.
    Returns: shape (b, dim); float32, or the dtype of t if that is floating point.
    Raises: TypeError or ValueError for another dim or max_period, or a t of another rank.
    Source: Vaswani et al. 2017, section 3.5.
    """
    check_embedding(t, dim, max_period)
    half = dim // 2
    exponent = -torch.arange(half, dtype=torch.float64, device="cpu") / half
    # Apple's GPUs, for one, have no float64
    precise = torch.float64 if t.device.type in ("cpu", "cuda") else torch.float32
    frequency = (max_period**exponent).to(precise).to(t.device)
    angle = t.to(precise)[:, None] * frequency  # (b, dim/2)
    waves = torch.cat([angle.sin(), angle.cos()], dim=1)
    return waves.to(t.dtype if t.is_floating_point() else torch.float32)


@dataclass(frozen=True)
class UNetConfig:
    """The shape of a U-Net, and all that is needed to build it again.

    Args:
        image_channels: channels of the images, 1 for grey, 3 for colour.
        channels: width at each resolution, the finest first; each further one halves the sides.
        blocks: residual blocks at each resolution, on the way down and again on the way up.
        time_dim: length of the time embedding, even.
        groups: groups of each GroupNorm; divides every width.
        classes: how many labels there are, 0..classes-1; 0 for a network without labels.
        patch: squares of patch x patch pixels are seen as one place, with their pixels as its
            channels: a fraction of the work at the finest resolution.
        residual: predict how the noise differs from x_t, times a size that is learnt for each t.
            Where x_t is nearly all noise, that leaves little to predict.
    Raises: TypeError or ValueError for a setting that is not an integer in its range, or a residual
        that is neither True nor False.
    """

    image_channels: int = 1
    channels: Sequence[int] = (16, 48, 96)
    blocks: int = 1
    time_dim: int = 64
    groups: int = 8
    classes: int = 0
    patch: int = 1
    residual: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "channels", checked_widths(self))


def conv3x3(in_channels: int, out_channels: int, stride: int = 1) -> nn.Conv2d:
    """A convolution that looks one pixel around; with stride 2 it halves the sides."""
    return nn.Conv2d(in_channels, out_channels, 3, stride=stride, padding=1)


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
        self.conv_in = conv3x3(in_channels, out_channels)
        self.time = nn.Linear(4 * config.channels[0], out_channels)
        self.norm_out = nn.GroupNorm(config.groups, out_channels)
        self.conv_out = zero_init(conv3x3(out_channels, out_channels))
        self.shortcut: nn.Module = nn.Identity()
        if in_channels != out_channels:
            self.shortcut = nn.Conv2d(in_channels, out_channels, 1)

    def forward(
        self, x: Float[Tensor, "b in h w"], time_features: Float[Tensor, "b f"]
    ) -> Float[Tensor, "b out h w"]:
        h: Tensor = self.conv_in(F.silu(self.norm_in(x)))
        h = h + self.time(time_features)[:, :, None, None]
        h = self.conv_out(F.silu(self.norm_out(h)))
        shortcut: Tensor = self.shortcut(x)
        return shortcut + h


class SelfAttention(nn.Module):
    """Let every place look at every other (Vaswani et al. 2017, eq. 1, one head)."""

    def __init__(self, channels: int, config: UNetConfig) -> None:
        super().__init__()
        self.norm = nn.GroupNorm(config.groups, channels)
        self.query_key_value = nn.Conv2d(channels, 3 * channels, 1)
        self.out = zero_init(nn.Conv2d(channels, channels, 1))

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
        places = self.query_key_value(self.norm(x)).flatten(2).transpose(1, 2)  # (b, h w, 3 c)
        h = F.scaled_dot_product_attention(*places.chunk(3, dim=-1))  # (b, h w, c)
        out: Tensor = self.out(h.transpose(1, 2).reshape(x.shape))
        return x + out


class UNet(OnHub):
    """Predict the noise in x_t: down through the resolutions, across, and up again with the skips.

    Raises: TypeError for a config that is not a `UNetConfig`.
    Source: Ronneberger et al. 2015 for the shape, Ho et al. 2020, appendix B, for the blocks.
    """

    at_once = 100  # images that suit samplers best on the CPU: see `network.predict`

    def __init__(self, config: UNetConfig = UNetConfig()) -> None:
        super().__init__()
        check_config(config, UNetConfig)
        self.config = config
        widths = config.channels
        features = 4 * widths[0]
        to_features = nn.Linear(config.time_dim, features)
        self.time = nn.Sequential(to_features, nn.SiLU(), nn.Linear(features, features), nn.SiLU())
        if config.classes:  # a row for each class, and a last one for no label, which stays zero
            rows = config.classes + 1
            self.label = zero_init(nn.Embedding(rows, features, padding_idx=config.classes))
        places = config.image_channels * config.patch**2
        self.stem = conv3x3(places, widths[0])

        self.encoder = nn.ModuleList()
        self.downs = nn.ModuleList()
        for level, width in enumerate(widths):
            self.downs.append(conv3x3(widths[level - 1], width, 2) if level else nn.Identity())
            blocks = [ResidualBlock(width, width, config) for _ in range(config.blocks)]
            self.encoder.append(nn.ModuleList(blocks))

        self.middle_in = ResidualBlock(widths[-1], widths[-1], config)
        self.attention = SelfAttention(widths[-1], config)
        self.middle_out = ResidualBlock(widths[-1], widths[-1], config)

        self.decoder = nn.ModuleList()
        self.ups = nn.ModuleList()
        for level, width in reversed(list(enumerate(widths))):
            blocks = [ResidualBlock(2 * width, width, config) for _ in range(config.blocks)]
            self.decoder.append(nn.ModuleList(blocks))
            self.ups.append(nn.Conv2d(width, widths[level - 1], 1) if level else nn.Identity())

        self.norm = nn.GroupNorm(config.groups, widths[0])
        self.out = zero_init(conv3x3(widths[0], places))
        if config.residual:
            self.size = nn.Linear(features, 1)
            nn.init.zeros_(self.size.weight)
            nn.init.ones_(self.size.bias)

    def forward(
        self,
        x_t: Float[Tensor, "b c h w"],
        t: Int64[Tensor, " b"],
        label: Int64[Tensor, " b"] | None = None,
    ) -> Float[Tensor, "b c h w"]:
        """Predict the noise in x_t at its times t, 1..T.

        Args:
            x_t: shape (b, image_channels, height, width), dtype of the weights; both sides
                divisible by patch, and then by 2 for each resolution after the first.
            t: int64, shape (b,).
            label: one for each image, 0..classes-1, or `classes` for no label; None if no image has
                one.
        Returns: the predicted noise, shape of x_t.
        Raises: TypeError or ValueError for inputs other than these.
        """
        check_unet_input(self.config, self.stem.weight.dtype, x_t, t, label)
        time_features = self.time(timestep_embedding(t, self.config.time_dim).to(x_t.dtype))
        if label is not None:
            time_features = time_features + self.label(label)
        h = self.stem(F.pixel_unshuffle(x_t, self.config.patch))
        skips = []
        for down, blocks in zip(self.downs, self.encoder):
            h = down(h)
            for block in blocks:  # type: ignore[attr-defined]  # a ModuleList, which torch hides
                h = block(h, time_features)
                skips.append(h)
        h = self.middle_out(self.attention(self.middle_in(h, time_features)), time_features)
        for blocks, up in zip(self.decoder, self.ups):
            for block in blocks:  # type: ignore[attr-defined]  # a ModuleList, which torch hides
                h = block(torch.cat([h, skips.pop()], dim=1), time_features)
            if skips:
                h = F.interpolate(up(h), scale_factor=2.0)
        answer = F.pixel_shuffle(self.out(F.silu(self.norm(h))), self.config.patch)
        if not self.config.residual:
            return answer
        size: Tensor = self.size(time_features)
        return x_t + size[:, :, None, None] * answer
