"""The figures of the course: what each shows follows its data, and all of it can be read."""

import base64
import html
import io
import re
from pathlib import Path

import IPython.display
import matplotlib.pyplot as plt
import pytest
import torch
from matplotlib.colors import to_hex, to_rgb
from matplotlib.text import Text
from PIL import Image

from minddpm.checkpoints import load_pretrained
from minddpm.data import load_mnist
from minddpm.loss import simple_loss, variational_bound
from minddpm.noising import forward_diffusion, x0_from_noise
from minddpm.posterior import beta_variance, q_posterior
from minddpm.sampler import reverse_step, sample_steps
from minddpm.schedule import cosine_schedule, linear_schedule
from minddpm.unet import UNet, UNetConfig, timestep_embedding
from minddpm_course.diagrams import (
    bound_to_simple_loss,
    sampling_step_stages,
    training_step_stages,
    unet_diagram,
)
from minddpm_course.figures import (
    COLOURS,
    GREY,
    INK,
    TEXT,
    digit_to_noise,
    draw_image,
    forward_and_reverse,
    image_grid,
    in_a_row,
    new_figure,
    point_clouds,
    progressive_denoising,
    show,
    show_live,
    stepping_and_jumping,
    to_html,
    true_and_learned_posterior,
)

ROOT = Path(__file__).parents[2]
TIMES = (0, 2, 5, 8, 12)
SHORT = linear_schedule(12, 0.05, 0.4)
OTHER = cosine_schedule(12)
DIGITS = load_mnist("test")[0][:4]
X_0 = DIGITS[:1]
NOISE = torch.randn(X_0.shape, generator=torch.Generator().manual_seed(1))
X_5 = forward_diffusion(X_0, 5, SHORT, NOISE)[0]


def tiny_unet(**config):
    """A small U-Net whose zero-initialised layers are filled, so that it predicts something."""
    torch.manual_seed(0)
    model = UNet(UNetConfig(**{"channels": (8, 16), "time_dim": 8, "groups": 4} | config)).eval()
    for parameter in model.parameters():
        if not parameter.any():
            torch.nn.init.normal_(parameter, std=0.05)
    return model


MODEL = tiny_unet()


def strips(schedule=SHORT, **_):
    images = torch.cat([forward_diffusion(X_0, t, schedule, NOISE)[0] for t in TIMES])
    return forward_and_reverse(images, images.flip(0), TIMES)


def bound(schedule=SHORT, model=MODEL):
    generator = torch.Generator().manual_seed(3)
    terms = variational_bound(model, DIGITS, schedule, generator=generator)
    with torch.inference_mode():
        errors = [
            simple_loss(model, DIGITS, schedule, t=t, generator=generator)
            for t in range(1, schedule.T + 1)
        ]
    return terms, schedule, torch.stack(errors)


def denoising(schedule=SHORT, model=MODEL, batch=2):
    steps = sample_steps(
        model, (batch, 1, 28, 28), schedule, generator=torch.Generator().manual_seed(4)
    )
    return progressive_denoising([step for step in steps if step.t in TIMES])


POINTS = torch.randn(60, 2, generator=torch.Generator().manual_seed(6))


def clouds(schedule=SHORT, **_):
    noisy = forward_diffusion(POINTS, 5, schedule, POINTS.flip(0))[0]
    return point_clouds(
        [POINTS, noisy], ["data", "noisy"], [COLOURS["clean"], COLOURS["noisy"]], beneath=POINTS
    )


FIGURES = {
    1: strips,
    2: lambda schedule=SHORT, **_: digit_to_noise(X_0, schedule, TIMES, NOISE),
    3: lambda schedule=SHORT, **_: stepping_and_jumping(
        0.8, schedule, 9, torch.Generator().manual_seed(2)
    ),
    4: lambda schedule=SHORT, model=MODEL: true_and_learned_posterior(model, X_0, X_5, 5, schedule),
    5: lambda schedule=SHORT, model=MODEL: training_step_stages(model, X_0, schedule, 5, NOISE),
    6: lambda **given: bound_to_simple_loss(*bound(**given)),
    7: lambda model=MODEL, **_: unet_diagram(model, X_5, 5),
    8: lambda schedule=SHORT, model=MODEL: sampling_step_stages(model, X_5, 5, schedule, NOISE),
    9: lambda **_: image_grid(DIGITS, [f"number {place}" for place in range(4)], columns=3),
    10: denoising,
    11: clouds,
}


@pytest.fixture(scope="module")
def drawn():
    """Each figure, once saved, so that it is laid out."""
    figures = {number: draw() for number, draw in FIGURES.items()}
    for figure in figures.values():
        figure.picture = pixels(figure)
        figure.draw_without_rendering()
    return figures


def words(figure):
    """All texts of a figure that can be seen, with their boxes in pixels."""
    seen = [text for text in figure.findobj(Text) if text.get_visible() and text.get_text().strip()]
    for axis in figure.axes:
        hidden = [] if axis.axison else [axis.xaxis, axis.yaxis]
        outside = [
            tick.label1
            for line, limits in ((axis.xaxis, axis.get_xlim()), (axis.yaxis, axis.get_ylim()))
            for tick in [*line.get_major_ticks(), *line.get_minor_ticks()]
            if not min(limits) <= tick.get_loc() <= max(limits)
        ]
        gone = [*outside, *(text for line in hidden for text in line.findobj(Text))]
        seen = [text for text in seen if not any(text is other for other in gone)]
    return [(text.get_text(), text.get_window_extent(), text) for text in seen]


def pixels(figure):
    """A figure as it is shown, as bytes."""
    png = io.BytesIO()
    figure.savefig(png, format="png", dpi=60)
    return Image.open(png).convert("RGB").tobytes()


def said(figure):
    return " ".join(text for text, *_ in words(figure))


def images_of(figure):
    return [
        torch.as_tensor(image.get_array().data) for axis in figure.axes for image in axis.images
    ]


@pytest.mark.parametrize("number", FIGURES)
def test_it_is_seven_inches_wide_and_closed(drawn, number):
    assert drawn[number].get_figwidth() == 7
    assert not plt.get_fignums()  # open figures would be shown twice in a notebook


@pytest.mark.parametrize("number", FIGURES)
def test_its_words_are_large_enough_stay_inside_and_do_not_meet(drawn, number):
    figure = drawn[number]
    boxes = words(figure)
    assert boxes
    for text, box, artist in boxes:
        assert artist.get_fontsize() >= 7.5, text
        assert box.x0 >= -1 and box.y0 >= -1, text
        assert box.x1 <= figure.bbox.x1 + 1 and box.y1 <= figure.bbox.y1 + 1, text
    for place, (text, box, _) in enumerate(boxes):
        for other, other_box, _ in boxes[:place]:
            wide = min(box.x1, other_box.x1) - max(box.x0, other_box.x0)
            high = min(box.y1, other_box.y1) - max(box.y0, other_box.y0)
            assert min(wide, high) <= 1, f"{text!r} and {other!r} meet"


@pytest.mark.parametrize("number", FIGURES)
def test_what_has_a_scale_has_a_label(drawn, number):
    for axis in drawn[number].axes:
        if not axis.axison:
            continue
        assert axis.get_xlabel()
        sharing = any(
            other is not axis and other.get_ylabel()
            for other in axis.get_shared_y_axes().get_siblings(axis)
        )
        assert axis.get_ylabel() or sharing or not axis.spines["left"].get_visible()


@pytest.mark.parametrize("number", FIGURES)
def test_its_colours_are_the_roles_or_grey(drawn, number):
    used = {to_hex(text.get_color()) for _, _, text in words(drawn[number])}
    for axis in drawn[number].axes:
        used |= {to_hex(line.get_color()) for line in axis.lines}
        used |= {to_hex(patch.get_facecolor()) for patch in axis.patches}
        assert all(image.get_cmap().name == "gray" for image in axis.images)
    roles = {colour.lower() for colour in COLOURS.values()}
    assert all(colour in roles or colour[1:3] == colour[3:5] == colour[5:] for colour in used)


def luminance(colour):
    """The relative luminance of a colour (WCAG 2.2)."""
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in to_rgb(colour)]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("colour", [*TEXT.values(), INK, GREY])
def test_words_stand_out_from_white(colour):
    assert 1.05 / (luminance(colour) + 0.05) >= 4.5


def test_words_of_a_role_are_shown_darker_than_its_marks():
    figure, ((axis,),) = new_figure()
    axis.plot([0, 1], [0, 1], color=COLOURS["posterior"])
    words = [axis.text(0, 0, role, color=COLOURS[role]) for role in COLOURS]
    axis.set_title("title", color=COLOURS["noisy"])
    other = axis.text(0, 0, "other", color="#123456")
    to_html(figure, "caption")
    assert [text.get_color() for text in words] == list(TEXT.values())
    assert axis.title.get_color() == TEXT["noisy"]
    assert to_hex(other.get_color()) == "#123456"
    assert axis.lines[0].get_color() == COLOURS["posterior"]


@pytest.mark.parametrize(
    "lesson", sorted((ROOT / "notebooks" / "py").glob("*.py")), ids=lambda path: path.stem
)
def test_formulas_have_the_colours_of_words(lesson):
    used = set(re.findall(r"\\color\{(#\w+)\}", lesson.read_text(encoding="utf-8")))
    assert used <= set(TEXT.values())


@pytest.mark.parametrize("number", set(FIGURES) - {7, 9})
def test_another_schedule_moves_it(drawn, number):
    assert pixels(FIGURES[number](schedule=OTHER)) != drawn[number].picture


@pytest.mark.parametrize("number", [4, 5, 6, 7, 8, 10])
def test_another_model_moves_it(drawn, number):
    other = tiny_unet(channels=(8, 24))
    assert pixels(FIGURES[number](model=other)) != drawn[number].picture


def test_the_strips_hold_forward_above_backward(drawn):
    shown = images_of(drawn[1])
    for column, t in enumerate(TIMES):
        assert torch.equal(shown[2 * column], forward_diffusion(X_0, t, SHORT, NOISE)[0].squeeze())
    assert torch.equal(shown[1], shown[-2])  # the second strip was the first, turned round
    with pytest.raises(ValueError, match="needs 5 images, one a time, got 4 and 4"):
        forward_and_reverse(DIGITS, DIGITS, TIMES)


def test_the_histograms_count_every_pixel(drawn):
    for axis, t in zip(drawn[2].axes[len(TIMES) :], TIMES):
        share = sum(bar.get_height() * bar.get_width() for bar in axis.patches)
        assert share == pytest.approx(1, abs=1e-6), t
    assert rf"\overline{{\alpha}}_t={float(SHORT.alpha_bar[5]):.2g}$" in said(drawn[2])


def test_chains_and_jumps_end_where_the_closed_form_says(drawn):
    mean, spread = 0.8 * float(SHORT.alpha_bar[9].sqrt()), float((1 - SHORT.alpha_bar[9]).sqrt())
    titles = " ".join(axis.get_title() for axis in drawn[3].axes[1:])
    found = [float(number) for number in re.findall(r"-?\d\.\d{3}", titles)]
    assert found[0::2] == pytest.approx([mean] * 2, abs=5 * spread / 2000**0.5)
    assert found[1::2] == pytest.approx([spread] * 2, abs=5 * spread / 4000**0.5)
    assert f"({mean:.3f}" in said(drawn[3])
    assert f"{spread:.3f}^2)" in said(drawn[3])


def test_the_marked_pixel_is_where_the_two_means_differ_most(drawn):
    with torch.inference_mode():
        predicted = MODEL(X_5, torch.full((1,), 5))
    truth = q_posterior(X_0, X_5, 5, SHORT)
    learned = q_posterior(x0_from_noise(X_5, 5, predicted, SHORT), X_5, 5, SHORT)
    difference = (learned.mean - truth.mean).squeeze()
    *pictures, density = drawn[4].axes
    assert torch.allclose(images_of(drawn[4])[2], difference)
    (column,), (row,) = pictures[0].lines[0].get_data()
    assert abs(difference[row, column]) == difference.abs().max()
    for line, gaussian in zip(density.lines, (truth, learned)):
        peak = float(line.get_xdata()[line.get_ydata().argmax()])
        assert peak == pytest.approx(float(gaussian.mean[0, 0, row, column]), abs=1e-4)
    with pytest.raises(ValueError, match=r"2\.\.12, got 1"):
        true_and_learned_posterior(MODEL, X_0, X_5, 1, SHORT)


def test_the_training_step_prints_the_loss_that_training_has(drawn):
    with torch.inference_mode():
        loss = float(simple_loss(MODEL, X_0, SHORT, t=5, noise=NOISE))
    assert f"loss = {loss:.4f}" in said(drawn[5])
    assert torch.allclose(images_of(drawn[5])[2], X_5.squeeze())


def test_the_bound_is_drawn_term_by_term(drawn):
    terms, schedule, errors = bound()
    sums, middle, weights, simple = drawn[6].axes
    total = sum(bar.get_width() for bar in sums.patches)
    assert total == pytest.approx(float(terms.total_bits_per_dim.mean()) * 784 * 0.6931471805599453)
    assert torch.allclose(
        torch.as_tensor(middle.lines[0].get_ydata()), terms.denoising.mean(0).flip(0)
    )
    assert torch.equal(torch.as_tensor(simple.lines[0].get_ydata()), errors)
    with pytest.raises(ValueError, match="needs 11 denoising terms and 12 errors, got"):
        bound_to_simple_loss(terms, schedule, errors[1:])


def test_the_weight_is_what_the_simple_loss_drops():
    """With one noise for both, each denoising term is exactly its weight times the squared error of
    the noise.
    """
    generator = torch.Generator().manual_seed(5)
    terms = variational_bound(MODEL, DIGITS, SHORT, generator=generator)
    generator.manual_seed(5)
    errors = []
    with torch.inference_mode():
        for t in SHORT.steps():
            errors.append(simple_loss(MODEL, DIGITS, SHORT, t=t, generator=generator))
    figure = bound_to_simple_loss(terms, SHORT, torch.stack(errors).flip(0))
    drawn, substituted = (
        torch.as_tensor(line.get_ydata()).double() for line in figure.axes[1].lines
    )
    assert torch.allclose(drawn, substituted, rtol=1e-4)


@pytest.mark.parametrize(
    ("config", "image", "shapes", "joins"),
    [
        (
            {},
            (1, 28, 28),
            {"8 × 28 × 28": 3, "1 × 28 × 28": 1, "16 × 14 × 14": 5},
            {"16 × 28 × 28": 1, "32 × 14 × 14": 1},
        ),
        (
            {"channels": (4, 8, 12), "blocks": 2},
            (1, 16, 24),
            {"4 × 16 × 24": 5, "8 × 8 × 12": 4, "12 × 4 × 6": 7},
            {"8 × 16 × 24": 2, "16 × 8 × 12": 2, "24 × 4 × 6": 2},
        ),
        (
            {"channels": (12,), "image_channels": 3},
            (3, 8, 8),
            {"12 × 8 × 8": 6, "3 × 8 × 8": 1},
            {"24 × 8 × 8": 1},
        ),
        (
            {"channels": (4, 4, 8, 8, 16)},
            (1, 32, 32),
            {"4 × 32 × 32": 3, "8 × 4 × 4": 2, "16 × 2 × 2": 5},
            {"8 × 32 × 32": 1, "16 × 4 × 4": 1, "32 × 2 × 2": 1},
        ),
    ],
)
def test_the_unet_is_drawn_from_its_own_shapes(config, image, shapes, joins):
    model = tiny_unet(**config)
    x_t = torch.randn(1, *image, generator=torch.Generator().manual_seed(6))
    figure = unet_diagram(model, x_t, 5)
    figure.draw_without_rendering()
    found = [text for text, *_ in words(figure)]
    for shape, times in {**shapes, **joins}.items():
        assert found.count(shape) == times, shape
    assert found.count("join") == len(model.config.channels) * model.config.blocks
    assert f"{sum(weights.numel() for weights in model.parameters()):,} parameters" in found
    assert not any(module._forward_hooks for module in model.modules())
    test_its_words_are_large_enough_stay_inside_and_do_not_meet({7: figure}, 7)


def test_the_unet_is_drawn_with_what_it_computes(drawn):
    """The noisy image, the predicted noise, and of each skip the channel that varies most."""
    with torch.inference_mode():
        predicted = MODEL(X_5, torch.full((1,), 5))
        features = MODEL.time(timestep_embedding(torch.full((1,), 5), 8))
        fine = MODEL.encoder[0][0](MODEL.stem(X_5), features)
        coarse = MODEL.encoder[1][0](MODEL.downs[1](fine), features)
    noisy, noise, *skips = images_of(drawn[7])
    assert torch.equal(noisy, X_5.squeeze())
    assert torch.allclose(noise, predicted.squeeze(), atol=1e-6)
    for shown, maps in zip(skips, (fine, coarse), strict=True):
        most = max(maps[0], key=lambda channel: float(channel.var()))
        assert torch.allclose(shown, most, atol=1e-6)
    assert "$t=5$" in said(drawn[7])


def test_the_unet_has_the_names_of_the_lesson():
    """What `forward` of the rebuilt network calls and keeps is written in the picture."""
    twin = (ROOT / "notebooks" / "py" / "05_unet.py").read_text(encoding="utf-8")
    network = twin[twin.rindex("class RebuiltUNet(") :]  # the one after the empty one
    forward = network[network.index("def forward(") : network.index("# %%")]
    names = set(re.findall(r"self\.(\w+)|\b(skip_\d+)", forward))
    names = {one or other for one, other in names} - {"norm"}  # the norm belongs to `out`
    assert len(names) == 20
    model, _, _ = load_pretrained()
    assert {name for name in names if name not in said(unet_diagram(model, X_5, 5))} == set()


def test_the_sampling_step_is_the_samplers(drawn):
    with torch.inference_mode():
        predicted = MODEL(X_5, torch.full((1,), 5))
    shown = images_of(drawn[8])
    x_0 = x0_from_noise(X_5, 5, predicted, SHORT).clamp(-1, 1)
    x_4 = reverse_step(X_5, 5, x_0, SHORT, NOISE)
    assert torch.allclose(shown[5], x_4.squeeze())
    assert torch.allclose(shown[3] + shown[4], x_4.squeeze(), atol=1e-6)
    assert torch.allclose(
        shown[4], (beta_variance(5, SHORT).sqrt() * NOISE).squeeze().float(), atol=1e-6
    )
    last = sampling_step_stages(MODEL, X_5, 1, SHORT, NOISE)
    assert "none at $t=1$" in said(last)
    assert not images_of(last)[4].any()


def test_a_grid_holds_every_image_once(drawn):
    shown = images_of(drawn[9])
    assert len(shown) == 4
    assert all(torch.equal(image, digit.squeeze()) for image, digit in zip(shown, DIGITS))
    assert "number 3" in said(drawn[9])


def test_images_in_a_row_are_apart_in_white_and_in_their_order():
    images = torch.rand(3, 1, 4, 5, generator=torch.Generator().manual_seed(0)) * 2 - 1
    row = in_a_row(images, gap=2)
    assert row.shape == (1, 4, 3 * 5 + 2 * 2)
    for place, image in enumerate(images):
        assert torch.equal(row[..., 7 * place : 7 * place + 5], image)
    figure, ((axis,),) = new_figure(layout="none", height=2)
    draw_image(axis, row, limits=(-2, 2))
    assert axis.images[0].get_array().mask.sum() == 2 * 2 * 4  # what is not drawn is white


@pytest.mark.parametrize("batch", [1, 4])
def test_denoising_shows_both_rows_of_every_image(batch):
    figure = denoising(batch=batch)
    assert len(images_of(figure)) == 2 * batch * len(TIMES)
    assert said(figure).count("$x_t$") == batch
    test_its_words_are_large_enough_stay_inside_and_do_not_meet({10: figure}, 10)


def test_clouds_hold_every_point_above_those_beneath(drawn):
    noisy = forward_diffusion(POINTS, 5, SHORT, POINTS.flip(0))[0]
    for axis, cloud, role in zip(drawn[11].axes, (POINTS, noisy), ("clean", "noisy")):
        below, above = axis.collections
        assert torch.equal(torch.as_tensor(below.get_offsets().data).float(), POINTS)
        assert torch.equal(torch.as_tensor(above.get_offsets().data).float(), cloud)
        assert to_hex(above.get_facecolor()[0]) == COLOURS[role].lower()
        width, height = axis.get_window_extent().size
        assert width == pytest.approx(height, rel=0.01)  # as long one way as the other
    single = point_clouds([POINTS])
    assert list(single.get_size_inches()) == [3.5, 3.5]
    assert len(single.axes[0].collections) == 1


def test_show_says_one_sentence_thrice(monkeypatch, drawn):
    bundles = []
    monkeypatch.setattr(
        IPython.display, "display", lambda bundle, raw: bundles.append((bundle, raw))
    )
    caption = 'Where "x < y" & more: nothing is lost.'
    show(drawn[9], caption)
    ((bundle, raw),) = bundles
    assert raw
    assert set(bundle) == {"text/html", "image/png", "text/plain"}
    assert bundle["text/plain"] == caption
    picture = Image.open(io.BytesIO(base64.b64decode(bundle["image/png"])))
    assert picture.width == 1155  # 7 inches at 165 dpi
    assert html.unescape(re.search('alt="([^"]*)"', bundle["text/html"])[1]) == caption
    assert (
        html.unescape(re.search("<figcaption>(.*)</figcaption>", bundle["text/html"])[1]) == caption
    )


def test_a_figure_that_is_shown_live_takes_the_place_of_the_one_before(monkeypatch):
    shown, updated = [], []

    class View:
        def update(self, bundle, raw):
            assert bundle["image/png"]
            updated.append((bundle["text/plain"], raw))

    def display(bundle, raw, display_id):
        shown.append((bundle["text/plain"], raw, display_id))
        return View()

    monkeypatch.setattr(IPython.display, "display", display)
    for show_again in (show_live(), show_live()):
        for caption in ("first", "second", "third"):
            show_again(new_figure()[0], caption)
    assert shown == [("first", True, True)] * 2
    assert updated == [("second", True), ("third", True)] * 2


@pytest.mark.parametrize("number", [4, 5])
def test_the_same_data_give_the_same_bytes(drawn, number):
    assert pixels(FIGURES[number]()) == drawn[number].picture


def test_the_shipped_network_is_drawn_whole():
    model, _, _ = load_pretrained()
    figure = unet_diagram(model, X_5, 5)
    assert f"{sum(weights.numel() for weights in model.parameters()):,} parameters" in said(figure)
