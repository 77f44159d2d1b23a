"""The bank's reference answers and the library's functions are the same formulas: they agree on
random input, in float64.
"""

import pytest
import torch
from torch import nn

from marking.exercise import Exercise, Inputs
from minddpm import (
    EMA,
    Gaussian,
    GaussianMixture,
    Schedule,
    UNet,
    ddim_step,
    flow_from_x0,
    forward_diffusion,
    forward_step,
    gaussian_kl,
    guided,
    langevin,
    linear_schedule,
    min_snr_weight,
    noise_from_velocity,
    noise_from_x0,
    posterior_coefficients,
    posterior_variance,
    q_posterior,
    reverse_step,
    sample,
    score_from_noise,
    simple_loss,
    straight_time,
    timestep_embedding,
    to_straight_path,
    train,
    train_step,
    velocity_from_noise,
    x0_from_noise,
)
from minddpm_course.bank import BANK
from minddpm_course.bank.inputs import draw_betas

EXERCISES = {name: one for name, one in BANK.items() if isinstance(one, Exercise)}
WITHOUT_COUNTERPART = {
    "01.first_step_below": "the library looks up no threshold; lesson 01 does, to read a schedule",
}
TIES = {}
SHAPE = (3, 1, 4, 5)


def tie(name):
    """Register how the library answers an exercise: a function of fresh inputs that returns the
    arguments of the exercise, and the library's result.
    """

    def register(function):
        TIES[name] = function
        return function

    return register


def draw_schedule(draw, T=7):
    return Schedule.from_betas(draw_betas(draw, T).double())


def draw_images(draw, count):
    return [draw.normal(*SHAPE).double() for _ in range(count)]


def draw_times(draw, schedule):
    """A time for each image."""
    return torch.tensor([draw.integer(1, schedule.T) for _ in range(SHAPE[0])])


@tie("01.linear_betas")
def _(draw):
    args = draw.integer(2, 50), draw.decimal(0.001, 0.05), draw.decimal(0.1, 0.5)
    return args, linear_schedule(*args).beta[1:]


@tie("01.alpha_bars")
def _(draw):
    betas = draw_betas(draw, 7).double()
    return (betas,), Schedule.from_betas(betas).alpha_bar[1:]


@tie("01.snr")
def _(draw):
    schedule = draw_schedule(draw)
    return (schedule.alpha_bar[1:],), schedule.snr[1:]


@tie("02.forward_step")
def _(draw):
    schedule = draw_schedule(draw)
    x_prev, noise = draw_images(draw, 2)
    t = draw.integer(1, schedule.T)
    return (x_prev, float(schedule.beta[t]), noise), forward_step(x_prev, t, schedule, noise)


@tie("02.forward_diffusion")
def _(draw):
    schedule = draw_schedule(draw)
    x_0, noise = draw_images(draw, 2)
    t = draw_times(draw, schedule)
    x_t, _ = forward_diffusion(x_0, t, schedule, noise)
    return (x_0, schedule.alpha_bar[t], noise), x_t


@tie("02.recover_x0")
def _(draw):
    schedule = draw_schedule(draw)
    x_t, noise = draw_images(draw, 2)
    t = draw_times(draw, schedule)
    return (x_t, schedule.alpha_bar[t], noise), x0_from_noise(x_t, t, noise, schedule)


@tie("02.recover_noise")
def _(draw):
    schedule = draw_schedule(draw)
    x_t, x_0 = draw_images(draw, 2)
    t = draw_times(draw, schedule)
    return (x_t, x_0, schedule.alpha_bar[t]), noise_from_x0(x_t, t, x_0, schedule)


def posterior_arguments(schedule):
    return schedule.beta[1:], schedule.alpha_bar[1:], schedule.alpha_bar[:-1]


@tie("03.posterior_coefficients")
def _(draw):
    schedule = draw_schedule(draw)
    t = torch.arange(1, schedule.T + 1)
    return posterior_arguments(schedule), posterior_coefficients(t, schedule)


@tie("03.posterior_variance")
def _(draw):
    schedule = draw_schedule(draw)
    t = torch.arange(1, schedule.T + 1)
    return posterior_arguments(schedule), posterior_variance(t, schedule)


@tie("03.product_of_gaussians")
def _(draw):
    """The posterior is the product of the jump from x_0 and, as a function of x_{t-1}, the step to
    x_t.
    """
    schedule = draw_schedule(draw)
    t = draw.integer(2, schedule.T)
    x_0, x_t = draw_images(draw, 2)
    before, beta, alpha = schedule.alpha_bar[t - 1], schedule.beta[t], schedule.alpha[t]
    mean, variance = q_posterior(x_0, x_t, t, schedule)
    jump = before.sqrt() * x_0, (1 - before).expand_as(x_0)
    step = x_t / alpha.sqrt(), (beta / alpha).expand_as(x_0)
    return (*jump, *step), (mean, variance.expand_as(x_0))


@tie("04.gaussian_kl")
def _(draw):
    mean_1, mean_2 = draw.normal(2, 6).double()
    var_1, var_2 = draw.uniform(0.2, 2.0, 2, 6).double()
    divergence = gaussian_kl(Gaussian(mean_1, var_1), Gaussian(mean_2, var_2))
    return (mean_1, var_1, mean_2, var_2), divergence


@tie("04.mean_from_noise")
def _(draw):
    schedule = draw_schedule(draw)
    t = draw.integer(1, schedule.T)
    x_t, noise = draw_images(draw, 2)
    mean = q_posterior(x0_from_noise(x_t, t, noise, schedule), x_t, t, schedule).mean
    return (x_t, noise, float(schedule.beta[t]), float(schedule.alpha_bar[t])), mean


@tie("04.noise_loss_weight")
def _(draw):
    """The KL of two steps back of equal variance: the weight times the noise's squared error."""
    schedule = draw_schedule(draw)
    times = range(1, schedule.T + 1)
    sigma2 = draw.uniform(0.05, 0.6, schedule.T).double()
    x_t, noise, predicted_noise = draw_images(draw, 3)
    weights = []
    for t in times:
        means = [
            q_posterior(x0_from_noise(x_t, t, guess, schedule), x_t, t, schedule).mean
            for guess in (noise, predicted_noise)
        ]
        true_step, learned_step = (Gaussian(mean, sigma2[t - 1]) for mean in means)
        divergence = gaussian_kl(true_step, learned_step)
        weights.append(divergence.sum() / (noise - predicted_noise).square().sum())
    return (schedule.beta[1:], schedule.alpha_bar[1:], sigma2), torch.stack(weights)


@tie("04.simple_loss")
def _(draw):
    schedule = draw_schedule(draw)
    x_0, noise, predicted_noise = draw_images(draw, 3)
    t = draw_times(draw, schedule)
    loss = simple_loss(lambda x_t, t: predicted_noise, x_0, schedule, t=t, noise=noise)
    return (predicted_noise, noise), loss


@tie("05.timestep_embedding")
def _(draw):
    t = torch.tensor([draw.integer(1, 1000) for _ in range(5)], dtype=torch.float64)
    dim = 2 * draw.integer(1, 20)
    return (t, dim), timestep_embedding(t, dim)


def seen_in_a_network(draw):
    """What passes through the parts of a fresh U-Net: their inputs and outputs, by their names."""
    torch.manual_seed(draw.integer(0, 1000))
    network = UNet().double()
    for parameter in network.parameters():  # those that start at zero too
        nn.init.normal_(parameter, std=0.1)
    seen = {}
    for name, part in network.named_modules():

        def keep(_part, inputs, output, name=name):
            seen[name] = inputs, output

        part.register_forward_hook(keep)
    with torch.no_grad():
        network(draw.normal(2, 1, 28, 28).double(), torch.tensor([3, 700]))
    return seen


@tie("05.add_time")
def _(draw):
    seen = seen_in_a_network(draw)
    _, h = seen["middle_in.conv_in"]
    _, time_features = seen["middle_in.time"]
    (with_time,), _ = seen["middle_in.norm_out"]
    return (h, time_features), with_time


@tie("05.join_skip")
def _(draw):
    seen = seen_in_a_network(draw)
    _, h = seen["middle_out"]
    _, skip = seen["encoder.2.0"]
    joined = seen["decoder.0.0"][0][0]
    return (h, skip), joined


@tie("05.residual_block")
def _(draw):
    torch.manual_seed(draw.integer(0, 1000))
    network = UNet().double()
    block = network.decoder[0][0]
    for parameter in block.parameters():
        nn.init.normal_(parameter, std=0.1)
    x = draw.normal(2, block.norm_in.num_channels, 4, 4).double()
    time_features = draw.normal(2, block.time.in_features).double()
    chain = (block.norm_in, block.conv_in, block.time, block.norm_out, block.conv_out)
    with torch.no_grad():
        library = block(x, time_features)
    return (x, time_features, *chain, block.shortcut), library


@tie("05.unet_forward")
def _(draw):
    torch.manual_seed(draw.integer(0, 1000))
    network = UNet().double()
    for parameter in network.parameters():
        nn.init.normal_(parameter, std=0.1)
    x, t = draw.normal(2, 1, 28, 28).double(), torch.tensor([3, 700])

    def middle(h, features):
        return network.middle_out(network.attention(network.middle_in(h, features)), features)

    def larger(up):
        return lambda h: nn.functional.interpolate(up(h), scale_factor=2.0)

    with torch.no_grad():
        features = network.time(timestep_embedding(t, network.config.time_dim).double())
        library = network(x, t)
    parts = (
        network.stem,
        list(network.downs),
        [block for (block,) in network.encoder],
        middle,
        [block for (block,) in network.decoder],
        [*map(larger, network.ups[:-1]), nn.Identity()],
        nn.Sequential(network.norm, nn.SiLU(), network.out),
    )
    return (x, features, *parts), library


@tie("06.sample")
def _(draw):
    schedule = draw_schedule(draw)
    (x_T,) = draw_images(draw, 1)
    seed = draw.integer(0, 1000)

    def model(x_t, t):
        return 0.3 * x_t + t[:, None, None, None] / 10

    def step(x_t, predicted_noise, t):
        x_0 = x0_from_noise(x_t, t, predicted_noise, schedule)
        return reverse_step(x_t, t, x_0, schedule, generator=steps)

    # the noise of the library's own start, which it draws before that of the steps
    start = (x_T, schedule.T)
    drawn = torch.Generator().manual_seed(seed)
    library = sample(model, x_T.shape, schedule, clip=False, start=start, generator=drawn)
    steps = torch.Generator().manual_seed(seed)
    return (model, x_T, schedule.T, step), library


class WithTime(nn.Module):
    """A network that is told the time, and makes nothing of it."""

    def __init__(self, network):
        super().__init__()
        self.network = network

    def forward(self, x_t, _t):
        return self.network(x_t)


@tie("07.train_step")
def _(draw):
    schedule = draw_schedule(draw)
    x_0, noise = draw_images(draw, 2)
    t = draw_times(draw, schedule)

    def fresh():
        torch.manual_seed(1)
        weights = nn.Conv2d(1, 1, 3, padding=1).double()
        return weights, torch.optim.SGD(weights.parameters(), lr=0.1)

    def loss(model, x_0, schedule, *, generator):
        return simple_loss(model, x_0, schedule, t=t, noise=noise)

    theirs, optimizer = fresh()
    value = train_step(WithTime(theirs), x_0, optimizer, schedule, loss=loss)
    network, optimizer = fresh()
    args = (lambda x, _t: network(x), optimizer, x_0, schedule.alpha_bar[1:], t, noise)
    return args, value


@tie("07.training_loop")
def _(draw):
    images = draw_images(draw, 1)[0][:, :, :2].repeat(3, 1, 1, 1)[:7] / 10
    share = torch.arange(1, 4).double()[:, None, None, None]
    seed, model = draw.integer(0, 1000), WithTime(nn.Conv2d(1, 1, 1).double())

    def loss(model, x_0, schedule, *, generator):
        return (share * x_0).sum() + 0 * model.network.weight.sum()

    run = train(
        *(model, images.clamp(-1, 1), draw_schedule(draw)),
        steps=4,
        batch_size=3,
        seed=seed,
        loss=loss,
    )
    library = torch.stack([state.last_loss for state in run])
    draws = [torch.Generator().manual_seed(seed * 1_000_003 + epoch) for epoch in range(2)]
    orders = torch.stack([torch.randperm(len(images), generator=one) for one in draws])
    return (images.clamp(-1, 1), orders, 3, lambda batch: (share * batch).sum()), library


@tie("06.reverse_step")
def _(draw):
    schedule = draw_schedule(draw)
    x_t, predicted_noise, noise = draw_images(draw, 3)
    t = draw.integer(1, schedule.T)
    x_0 = x0_from_noise(x_t, t, predicted_noise, schedule)
    args = x_t, predicted_noise, t, schedule.beta[1:], noise
    return args, reverse_step(x_t, t, x_0, schedule, noise)


@tie("06.steps")
def _(draw):
    schedule = draw_schedule(draw, draw.integer(1, 30))
    return (schedule.T,), torch.tensor(list(schedule.steps()))


@tie("07.training_pair")
def _(draw):
    schedule = draw_schedule(draw)
    x_0, noise = draw_images(draw, 2)
    t = draw_times(draw, schedule)
    seen = []

    def names_the_noise(x_t, t):
        seen.append(x_t)
        return noise

    loss = simple_loss(names_the_noise, x_0, schedule, t=t, noise=noise)
    assert loss == 0  # so the noise is the target
    return (x_0, schedule.alpha_bar[1:], t, noise), (seen[0], noise)


@tie("07.ema_update")
def _(draw):
    first, second = (nn.Linear(3, 4).double().requires_grad_(False) for _ in range(2))
    nn.init.normal_(first.weight, generator=draw.generator)
    nn.init.normal_(second.weight, generator=draw.generator)
    decay = draw.decimal(0.7, 0.95)
    ema = EMA(first, decay)
    ema.updates = 10**6  # past the beginning, where it forgets faster
    ema.update(second)
    return (first.weight, second.weight, decay), ema.model.weight


@tie("08.score_from_noise")
def _(draw):
    schedule = draw_schedule(draw)
    (noise,) = draw_images(draw, 1)
    t = draw_times(draw, schedule)
    return (noise, schedule.alpha_bar[t]), score_from_noise(noise, t, schedule)


@tie("08.gaussian_score")
def _(draw):
    x, mean = draw.normal(2, 5).double()
    var = draw.uniform(0.1, 0.7, 5).double()
    schedule = draw_schedule(draw)
    scores = []
    for point, centre, variance in zip(x, mean, var):
        cloud = GaussianMixture(centre.reshape(1, 1), variance.item(), torch.ones(1).double())
        scores.append(cloud.score(point.reshape(1, 1), 0, schedule).reshape(()))
    return (x, mean, var), torch.stack(scores)


@tie("08.langevin_step")
def _(draw):
    x, score = draw.normal(2, 5, 2).double()
    step_size = draw.decimal(0.01, 0.4)
    seed = draw.integer(0, 1000)
    noise = torch.randn(x.shape, generator=torch.Generator().manual_seed(seed), dtype=x.dtype)
    generator = torch.Generator().manual_seed(seed)
    moved = langevin(lambda x: score, x, step_size=step_size, steps=1, generator=generator)
    return (x, score, step_size, noise), moved


@tie("09.ddim_step")
def _(draw):
    schedule = draw_schedule(draw)
    x_t, predicted_noise = draw_images(draw, 2)
    t = draw.integer(1, schedule.T)
    x_0 = x0_from_noise(x_t, t, predicted_noise, schedule)
    levels = float(schedule.alpha_bar[t]), float(schedule.alpha_bar[t - 1])
    return (x_t, predicted_noise, *levels), ddim_step(x_t, t, x_0, predicted_noise, schedule)


@tie("10.guided_noise")
def _(draw):
    x_t, unconditional, conditional = draw_images(draw, 3)
    scale = draw.decimal(0.0, 8.0)

    def model(x_t, t, label=None):
        return unconditional if label is None else conditional

    t = torch.ones(len(x_t), dtype=torch.int64)
    return (unconditional, conditional, scale), guided(model, 3, scale)(x_t, t)


@tie("11.velocity_from_noise")
def _(draw):
    schedule = draw_schedule(draw)
    x_t, noise = draw_images(draw, 2)
    t = draw_times(draw, schedule)
    return (x_t, noise, schedule.alpha_bar[t]), velocity_from_noise(x_t, t, noise, schedule)


@tie("11.noise_from_velocity")
def _(draw):
    schedule = draw_schedule(draw)
    x_t, velocity = draw_images(draw, 2)
    t = draw_times(draw, schedule)
    return (x_t, velocity, schedule.alpha_bar[t]), noise_from_velocity(x_t, t, velocity, schedule)


@tie("11.min_snr_weight")
def _(draw):
    alpha_bar, gamma = draw.uniform(0.05, 0.99, 20).double(), draw.decimal(1.0, 8.0)
    return (alpha_bar, gamma), min_snr_weight(alpha_bar, gamma)


@tie("11.straight_path")
def _(draw):
    schedule = draw_schedule(draw)
    x_0, noise = draw_images(draw, 2)
    t = draw_times(draw, schedule)
    x_t, _ = forward_diffusion(x_0, t, schedule, noise)
    point = to_straight_path(x_t, t, schedule)
    return (x_0, noise, straight_time(t, schedule)), (point, flow_from_x0(x_t, t, x_0, schedule))


def test_every_formula_is_tied_or_named_with_the_reason():
    assert not TIES.keys() & WITHOUT_COUNTERPART.keys()
    assert TIES.keys() | WITHOUT_COUNTERPART.keys() == EXERCISES.keys()


def as_tuple(result):
    parts = result if isinstance(result, tuple) else (result,)
    return tuple(torch.as_tensor(part, dtype=torch.float64).detach() for part in parts)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("name", TIES)
def test_the_bank_and_the_library_agree(name, seed):
    args, library = TIES[name](Inputs(seed))
    reference = as_tuple(EXERCISES[name].reference(*args))
    library = as_tuple(library)
    assert len(reference) == len(library)
    for ours, theirs in zip(reference, library):
        assert ours.shape == theirs.shape
        assert (ours - theirs).abs().max() <= 1e-12 * max(1.0, float(theirs.abs().max()))
