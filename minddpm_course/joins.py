"""Where your functions join the package: the lines of `minddpm` that each of them stands in for.

Where an exercise asks for less than the package offers, the lines that call yours make up for the
rest: they look numbers up at t, bring images of any rank to the exercise's shape, and the result to
the package's dtype.
"""

from __future__ import annotations

from dataclasses import dataclass

ROOMS = {  # the room that each lesson builds
    "01": "schedule",
    "02": "noising",
    "03": "posterior",
    "04": "loss",
    "05": "unet",
    "06": "sampler",
    "07": "training",
    "08": "score",
    "09": "ddim",
    "10": "guidance",
    "11": "targets",
}


@dataclass(frozen=True)
class Join:
    """Lines of a module of the library, and the lines that call yours instead."""

    module: str
    lines: str
    yours: str


JOINS = {
    "01.linear_betas": Join(
        "schedule",
        """\
    betas = torch.linspace(beta_start, beta_end, steps, dtype=torch.float64, device="cpu")
""",
        """\
    with doubles():
        betas = as_tensor(yours.linear_betas(steps, beta_start, beta_end)).double().reshape(-1)
""",
    ),
    "01.alpha_bars": Join(
        "schedule",
        """\
        return cls(beta, (1 - beta).cumprod(0))
""",
        """\
        with doubles():
            alpha_bar = tensor_of(yours.alpha_bars(beta[1:]), beta[1:])
        return cls(beta, torch.cat([beta.new_ones(1), alpha_bar]))
""",
    ),
    "01.snr": Join(
        "schedule",
        """\
        return self.alpha_bar / (1 - self.alpha_bar)
""",
        """\
        ratio = tensor_of(yours.snr(self.alpha_bar[1:]), self.alpha_bar[1:])
        return torch.cat([ratio.new_full((1,), torch.inf), ratio])
""",
    ),
    "02.forward_step": Join(
        "noising",
        """\
    return per_image((1 - beta).sqrt(), x_prev) * x_prev + per_image(beta.sqrt(), x_prev) * noise
""",
        """\

    def step(t: int, x_prev: Images, noise: Images) -> Images:
        beta_t = schedule.beta[t].item()
        return tensor_of(yours.forward_step(flat(x_prev), beta_t, flat(noise)), x_prev)

    return image_by_image(step, t, x_prev, noise)
""",
    ),
    "02.forward_diffusion": Join(
        "noising",
        """\
    signal, spread = jump_coefficients(t, schedule, x_0)
    return signal * x_0 + spread * noise, noise
""",
        """\
    alpha_bar = levels(schedule.alpha_bar[t], x_0)
    x_t = yours.forward_diffusion(flat(x_0), alpha_bar, flat(noise))
    return tensor_of(x_t, x_0), noise
""",
    ),
    "02.recover_x0": Join(
        "noising",
        """\
    signal, spread = jump_coefficients(t, schedule, x_t)
    return (x_t - spread * noise) / signal
""",
        """\
    alpha_bar = levels(schedule.alpha_bar[t], x_t)
    return tensor_of(yours.recover_x0(flat(x_t), alpha_bar, flat(noise)), x_t)
""",
    ),
    "02.recover_noise": Join(
        "noising",
        """\
    signal, spread = jump_coefficients(t, schedule, x_t)
    return (x_t - signal * x_0) / spread
""",
        """\
    alpha_bar = levels(schedule.alpha_bar[t], x_t)
    return tensor_of(yours.recover_noise(flat(x_t), flat(x_0), alpha_bar), x_t)
""",
    ),
    "03.posterior_coefficients": Join(
        "posterior",
        """\
    coef_x0 = alpha_bar_prev.sqrt() * beta / (1 - alpha_bar)
    coef_xt = (1 - beta).sqrt() * (1 - alpha_bar_prev) / (1 - alpha_bar)
    return coef_x0, coef_xt
""",
        """\
    rows = [values.reshape(-1) for values in (beta, alpha_bar, alpha_bar_prev)]
    with doubles():
        coef_x0, coef_xt = yours.posterior_coefficients(*rows)
    return tensor_of(coef_x0, beta), tensor_of(coef_xt, beta)
""",
    ),
    "03.posterior_variance": Join(
        "posterior",
        """\
    return (1 - schedule.alpha_bar[t - 1]) / (1 - schedule.alpha_bar[t]) * schedule.beta[t]
""",
        """\
    beta, alpha_bar = schedule.beta[t], schedule.alpha_bar[t]
    rows = [values.reshape(-1) for values in (beta, alpha_bar, schedule.alpha_bar[t - 1])]
    with doubles():
        beta_tilde = tensor_of(yours.posterior_variance(*rows), beta)
    return beta_tilde.clamp(min=0)  # what rounds to a little less than 0 at t = 1
""",
    ),
    "04.gaussian_kl": Join(
        "loss",
        """\
    ratio = q.variance / p.variance
    distance = (p.mean - q.mean) ** 2
    return (torch.log(ratio) + (p.variance + distance) / q.variance - 1) / 2
""",
        """\
    numbers = torch.broadcast_tensors(p.mean, p.variance, q.mean, q.variance)
    rows = [exact(values).reshape(-1) for values in numbers]
    return tensor_of(yours.gaussian_kl(*rows), numbers[0])
""",
    ),
    "04.simple_loss": Join(
        "loss",
        """\
    return F.mse_loss(predicted_noise, noise)
""",
        """\
    return tensor_of(yours.simple_loss(predicted_noise, noise), predicted_noise, ())
""",
    ),
    "05.timestep_embedding": Join(
        "unet",
        """\
    waves = torch.cat([angle.sin(), angle.cos()], dim=1)
""",
        """\
    waves = torch.cat([angle.sin(), angle.cos()], dim=1)
    if max_period == 10_000:  # the one of your exercise
        with doubles():
            waves = tensor_of(yours.timestep_embedding(t.to(precise), dim), waves)
""",
    ),
    "05.unet_forward": Join(
        "unet",
        """\
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
""",
        """\
        # a level of several blocks is several levels of yours, of one size
        same = nn.Identity()
        further = [same] * (self.config.blocks - 1)
        larger = [lambda h, up=up: F.interpolate(up(h), scale_factor=2.0) for up in self.ups]

        def middle(h: Tensor, time_features: Tensor) -> Tensor:
            return self.middle_out(self.attention(self.middle_in(h, time_features)), time_features)

        answer = yours.unet_forward(
            x_t,
            time_features,
            lambda x: self.stem(F.pixel_unshuffle(x, self.config.patch)),
            [step for down in self.downs for step in (down, *further)],
            [block for blocks in self.encoder for block in blocks],
            middle,
            [block for blocks in self.decoder for block in blocks],
            [step for up in (*larger[:-1], same) for step in (*further, up)],
            lambda h: F.pixel_shuffle(self.out(F.silu(self.norm(h))), self.config.patch),
        )
        answer = tensor_of(answer, x_t)
""",
    ),
    "05.residual_block": Join(
        "unet",
        """\
        h: Tensor = self.conv_in(F.silu(self.norm_in(x)))
        h = h + self.time(time_features)[:, :, None, None]
        h = self.conv_out(F.silu(self.norm_out(h)))
        shortcut: Tensor = self.shortcut(x)
        return shortcut + h
""",
        """\
        chain = (self.norm_in, self.conv_in, self.time, self.norm_out, self.conv_out)
        return as_tensor(yours.residual_block(x, time_features, *chain, self.shortcut))
""",
    ),
    "05.add_time": Join(
        "unet",
        """\
        h = h + self.time(time_features)[:, :, None, None]
""",
        """\
        h = tensor_of(yours.add_time(h, self.time(time_features)), h)
""",
    ),
    "05.join_skip": Join(
        "unet",
        """\
                h = block(torch.cat([h, skips.pop()], dim=1), time_features)
""",
        """\
                h = block(as_tensor(yours.join_skip(h, skips.pop())), time_features)
""",
    ),
    "06.steps": Join(
        "sampler",
        """\
    for t in schedule.steps():
""",
        """\
    for t in map(int, yours.steps(schedule.T)):
""",
    ),
    "06.reverse_step": Join(
        "sampler",
        """\
    mean, _ = q_posterior(x_0, x_t, t, schedule)
    spread = variance_at(t, schedule).sqrt() * (time_index(t, schedule) > 1)
    return mean + per_image(spread, x_t) * noise
""",
        """\
    spread = variance_at(t, schedule).sqrt() * (time_index(t, schedule) > 1)
    if (schedule.beta[time_index(t, schedule)] == 1).any():  # yours divides by 1 - beta
        mean, _ = q_posterior(x_0, x_t, t, schedule)
        return mean + per_image(spread, x_t) * noise
    # your step takes the noise that this x_0 implies, and its variance is beta
    predicted_noise = noise_from_x0(exact(x_t), t, exact(x_0), schedule)
    fresh = noise if variance is beta_variance else 0 * noise

    def step(t: int, x_t: Images, *others: Images) -> Images:
        predicted, fresh = map(flat, others)
        x_prev = yours.reverse_step(flat(x_t), predicted, t, schedule.beta[1:], fresh)
        return tensor_of(x_prev, x_t)

    x_prev = image_by_image(step, time_index(t, schedule), x_t, predicted_noise, fresh)
    if variance is beta_variance:
        return x_prev
    return x_prev + per_image(spread, x_t) * noise
""",
    ),
    "06.sample": Join(
        "sampler",
        """\
    x_t, remaining = starting_point(model, image_shape, schedule, start, generator, device)
    step = ancestral(remaining, variance, generator)
    states = reverse_process(model, x_t, remaining, step, clip=clip)
    return final_images(states, remaining.T, progress)
""",
        """\
    from tqdm.auto import tqdm

    x_t, remaining = starting_point(model, image_shape, schedule, start, generator, device)
    back = ancestral(remaining, variance, generator)

    def predict(x_t: Images, t: Time) -> Images:
        return call_model(model, x_t, int(t[0]))

    def step(x_t: Images, predicted_noise: Images, t: int) -> Images:
        x_0 = x0_from_noise(x_t, int(t), predicted_noise, remaining)
        bar.update()
        return back(x_t, int(t), x_0.clamp(-1, 1) if clip else x_0, predicted_noise)

    with tqdm(total=remaining.T, desc="sampling", unit="step", disable=not progress) as bar:
        return tensor_of(yours.sample(predict, x_t, remaining.T, step), x_t)
""",
    ),
    "07.train_step": Join(
        "training",
        """\
    value = loss(with_label(model, label), x_0, schedule, generator=generator)
    check_loss(value)
""",
        """\
    if loss is simple_loss:  # the loss of your step
        check_images(x_0)
        check_schedule(schedule)
        t = schedule.sample_t(len(x_0), generator=generator)
        noise = standard_noise(x_0, None, generator)
        network = with_label(model, label)

        def predict(x_t: Images, t: Tensor) -> Images:
            predicted = as_prediction(network(tensor_of(x_t, x_0), t), x_0)
            if predicted.device.type == "cpu" and not torch.isfinite(predicted).all():
                raise FloatingPointError("the loss is nan")
            return flat(predicted)

        alpha_bars, t = exact(schedule.alpha_bar[1:].to(x_0.device)), t.to(x_0.device)
        value = yours.train_step(predict, optimizer, flat(x_0), alpha_bars, t, flat(noise))
        return as_tensor(value).detach().to(x_0.dtype).to(x_0.device).reshape(())
    value = loss(with_label(model, label), x_0, schedule, generator=generator)
    check_loss(value)
""",
    ),
    "07.training_loop": Join(
        "training",
        """\
        step(order[batch * batch_size : (batch + 1) * batch_size])
        yield state
""",
        """\
        places = flat(torch.arange(len(images)))  # for images, so that labels can be found too

        def loop(take: Callable[[Images], Tensor]) -> Iterator[Tensor]:
            return iter(yours.training_loop(places, order[None], batch_size, take))

        for _ in one_at_a_time(loop, lambda some: step(tensor_of(some, order, (-1,))), batch):
            yield state
            if state.step == steps:
                return
""",
    ),
    "07.training_pair": Join(
        "loss",
        """\
    x_t, noise = forward_diffusion(x_0, t, schedule, noise, generator=generator)
    t = t if t.ndim else t.expand(len(x_0))
""",
        """\
    from minddpm.training import yours as training  # here, because that room imports this one

    noise = standard_noise(x_0, noise, generator)
    check_one_each(t, x_0)
    t = t if t.ndim else t.expand(len(x_0))
    pair = training.training_pair(flat(x_0), schedule.alpha_bar[1:], t, flat(noise))
    x_t, noise = (tensor_of(part, x_0) for part in pair)
""",
    ),
    "07.ema_update": Join(
        "state",
        """\
        torch._foreach_lerp_(list(self.model.parameters()), list(model.parameters()), 1 - decay)
""",
        """\
        from minddpm.training import yours  # here, because that room imports this one

        for average, value in zip(self.model.parameters(), model.parameters()):
            average.copy_(tensor_of(yours.ema_update(average.clone(), value, decay), average))
""",
    ),
    "08.score_from_noise": Join(
        "score",
        """\
    return -noise / noise_level(t, schedule, noise)
""",
        """\
    alpha_bar = levels(schedule.alpha_bar[time_index(t, schedule)], noise)
    return tensor_of(yours.score_from_noise(flat(noise), alpha_bar), noise)
""",
    ),
    "08.langevin_step": Join(
        "score",
        """\
        x = x + step_size * slope + (2 * step_size) ** 0.5 * standard_noise(x, None, generator)
""",
        """\
        noise = standard_noise(x, None, generator)
        x = tensor_of(yours.langevin_step(flat(x), flat(slope), step_size, flat(noise)), x)
""",
    ),
    "09.ddim_step": Join(
        "ddim",
        """\
    # the share of the noise's variance that is drawn afresh, sigma^2 / (1 - alpha_bar_{t-1})
""",
        """\
    if eta == 0 and noise is None and (schedule.alpha_bar[t] > 0).all():  # yours divides by it
        # your step knows no clipping, so what was clipped off x_0 is taken off after it
        implied = x0_from_noise(exact(x_t), t, exact(predicted_noise), schedule)
        clipped = exact(x_0) - implied

        def step(t: int, x_t: Images, predicted_noise: Images) -> Images:
            alpha_bar, before = schedule.alpha_bar[t].item(), schedule.alpha_bar[t - 1].item()
            x_prev = yours.ddim_step(flat(x_t), flat(predicted_noise), alpha_bar, before)
            return tensor_of(x_prev, exact(x_t))

        x_prev = image_by_image(step, t, x_t, predicted_noise)
        x_prev = x_prev + per_image(schedule.alpha_bar[t - 1].sqrt(), clipped) * clipped
        return x_prev.to(x_t.dtype)
    # the share of the noise's variance that is drawn afresh, sigma^2 / (1 - alpha_bar_{t-1})
""",
    ),
    "10.guided_noise": Join(
        "guidance",
        """\
        return unconditional + scale * (conditional - unconditional)
""",
        """\
        return tensor_of(yours.guided_noise(unconditional, conditional, scale), x_t)
""",
    ),
    "11.velocity_from_noise": Join(
        "targets",
        """\
    x_0 = x0_from_noise(x_t, t, noise, schedule)
    signal, spread = jump_at(t, schedule, x_t)
    return signal * noise - spread * x_0
""",
        """\
    t = time_index(t, schedule)
    check_like("noise", noise, x_t)
    check_signal(schedule.alpha_bar[t], t)
    alpha_bar = levels(schedule.alpha_bar[t], x_t)
    return tensor_of(yours.velocity_from_noise(flat(x_t), flat(noise), alpha_bar), x_t)
""",
    ),
    "11.noise_from_velocity": Join(
        "targets",
        """\
    signal, spread = jump_at(t, schedule, x_t, velocity=velocity)
    return signal * velocity + spread * x_t
""",
        """\
    check_like("velocity", velocity, x_t)
    alpha_bar = levels(schedule.alpha_bar[time_index(t, schedule)], x_t)
    return tensor_of(yours.noise_from_velocity(flat(x_t), flat(velocity), alpha_bar), x_t)
""",
    ),
    "11.min_snr_weight": Join(
        "weighting",
        """\
    return (gamma * (1 - alpha_bar) / alpha_bar).clamp(max=1)
""",
        """\
    from minddpm.targets import yours  # here, where its name says nothing of another room

    signal = alpha_bar.clamp(min=1e-12)  # where none is left the weight is 1, but 0 / 0 is nan
    return tensor_of(yours.min_snr_weight(signal.reshape(-1), gamma), alpha_bar)
""",
    ),
}
