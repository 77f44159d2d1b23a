"""The metrics: Fréchet distance against closed forms, the classifier on digits it never saw, and
copies found.
"""

import math

import jaxtyping
import numpy as np
import pytest
import torch

from minddpm.data import load_mnist
from minddpm.metrics import (
    coarse_features,
    digit_report,
    drawn_distance,
    frechet_distance,
    image_report,
    load_classifier,
    nearest_training,
)


def rows_with(mean, root, count=200, seed=0):
    """Rows whose sample mean is `mean` and whose sample covariance is root.T @ root, exactly."""
    rows = torch.randn(
        count, len(mean), dtype=torch.float64, generator=torch.Generator().manual_seed(seed)
    )
    rows -= rows.mean(0)
    white = torch.linalg.qr(rows).Q * math.sqrt(count - 1)
    return white @ root + mean


def random_rows(count, width, seed):
    generator = torch.Generator().manual_seed(seed)
    mixing = torch.randn(width, width, dtype=torch.float64, generator=generator)
    return torch.randn(count, width, dtype=torch.float64, generator=generator) @ mixing


@pytest.fixture
def unchecked():
    """Let bad input through to the package's own checks, as it is for those who do not enforce
    annotations.
    """
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", False)


@pytest.fixture(scope="module")
def train():
    return load_mnist("train")


@pytest.fixture(scope="module")
def test():
    return load_mnist("test")


@pytest.fixture(scope="module")
def held_out_report(test):
    return digit_report(test[0])


def test_distance_of_gaussians_with_commuting_covariances():
    # A and B share their axes, so tr(A + B - 2 (A B)^{1/2}) is the sum of (sigma_a - sigma_b)^2
    mean_a, mean_b = torch.tensor([[0.3, -1.0, 2.0], [1.3, 0.0, 4.0]], dtype=torch.float64)
    sigma_a, sigma_b = torch.tensor([[1.0, 2.0, 0.5], [3.0, 0.5, 0.5]], dtype=torch.float64)
    turn = torch.linalg.qr(random_rows(3, 3, 1)).Q
    a, b = (
        rows_with(mean_a, torch.diag(sigma_a) @ turn),
        rows_with(mean_b, torch.diag(sigma_b) @ turn, 300, 1),
    )
    wanted = (1 + 1 + 4) + (4 + 2.25 + 0)
    assert abs(frechet_distance(a, b) - wanted) < 1e-10


def test_distance_equals_the_formula_with_a_general_eigen_decomposition():
    a, b = random_rows(150, 12, 2), random_rows(90, 12, 3) + 0.7
    A, B = a.T.cov(), b.T.cov()
    root_trace = torch.linalg.eigvals(A @ B).sqrt().sum().real
    wanted = (a.mean(0) - b.mean(0)).square().sum() + A.trace() + B.trace() - 2 * root_trace
    assert abs(frechet_distance(a, b) / wanted - 1) < 1e-10


@pytest.mark.parametrize("count", [300, 20], ids=["full rank", "fewer rows than columns"])
def test_distance_is_symmetric_blind_to_order_and_0_on_itself(count):
    a, b = random_rows(count, 32, 4), random_rows(count + 7, 32, 5)
    distance = frechet_distance(a, b)
    assert distance > 1
    assert abs(frechet_distance(b, a) / distance - 1) < 1e-12
    assert abs(frechet_distance(a.flip(0), b) / distance - 1) < 1e-12
    assert 0 <= frechet_distance(a, a) < 1e-10 * a.var(0).sum()
    assert abs(frechet_distance(a, a + 2) / (4 * 32) - 1) < 1e-9  # a shift alone
    assert isinstance(frechet_distance(a.float(), b.float()), float)


def test_few_rows_lie_further_apart_than_many_of_the_same_distribution():
    rows = random_rows(4000, 16, 6)
    assert (
        frechet_distance(rows[:100], rows[2000:])
        > 5 * frechet_distance(rows[:2000], rows[2000:])
        > 0
    )


@pytest.mark.parametrize(
    ("a", "b", "error", "message"),
    [
        (
            torch.zeros(1, 3),
            torch.zeros(4, 3),
            ValueError,
            r"features_a .* n at least 2, got \(1, 3\)",
        ),
        (
            torch.zeros(4, 3),
            torch.zeros(4),
            ValueError,
            r"features_b must have shape \(n, d\) .* got \(4,\)",
        ),
        (torch.zeros(4, 3), torch.zeros(4, 2), ValueError, "the same width, got 3 and 2"),
        (
            torch.zeros(4, 3),
            torch.tensor([[0.0] * 3, [math.nan] * 3]),
            ValueError,
            "features_b .* in 1 row$",
        ),
        (torch.full((4, 3), math.inf), torch.zeros(4, 3), ValueError, "features_a .* in 4 rows"),
        (
            torch.zeros(4, 3, dtype=torch.int64),
            torch.zeros(4, 3),
            TypeError,
            "floating point, got torch.int64",
        ),
    ],
)
def test_features_without_a_distance_are_refused(unchecked, a, b, error, message):
    with pytest.raises(error, match=message):
        frechet_distance(a, b)


def test_classifier_tells_held_out_digits(test):
    images, labels = test
    logits = load_classifier()(images)
    assert logits.shape == (500, 10)
    assert (logits.argmax(1) == labels).double().mean() >= 0.975


def test_classifier_is_about_as_sure_as_it_is_right(test):
    images, labels = test
    probability, digit = load_classifier()(images).softmax(1).max(1)
    # the standard error of a share of 500 near 0.985 is 0.0054: three of these
    assert abs(probability.mean() - (digit == labels).double().mean()) < 0.0163


def test_nearest_training_image_of_a_copy_is_its_original(train):
    index = torch.arange(0, 4500, 300)
    distances, indices = nearest_training(train[0][index])
    assert (distances == 0).all()
    assert torch.equal(indices, index)


def test_nearest_training_image_by_brute_force(train, test):
    images = test[0][:12]
    distances, indices = nearest_training(images)
    for image, distance, index in zip(images.double(), distances, indices, strict=True):
        all_distances = (train[0].double() - image).square().sum((1, 2, 3)).sqrt()
        assert index == all_distances.argmin()
        assert abs(distance / all_distances.min() - 1) < 1e-6


def test_report_of_the_held_out_digits_shows_them_beside_themselves(held_out_report, test):
    report = held_out_report
    assert report.images == report.held_out
    assert report.images.count == sum(report.images.class_counts) == 500
    assert report.images.class_balance > 0.9
    assert report.closer == 5 / 500  # 1% lie below the 1% quantile
    # the fewer, the further apart; and the held-out digits, evenly of all classes, nearer than as
    # many at random
    assert 0 < report.split_half < report.drawn_frechet < drawn_distance(100)
    assert 0 < report.held_out.frechet < report.drawn_frechet
    probability = load_classifier()(test[0]).softmax(1).amax(1)
    assert report.images.confident == (probability > 0.9).sum() / 500 > 0.9


def test_report_reads_as_an_aligned_table(held_out_report):
    lines = str(held_out_report).splitlines()
    assert lines[0].split() == ["500", "images", "these", "held-out", "ratio"]
    beside = [line for line in lines[1:-3] if not line.startswith(("  real", "  half"))]
    assert len(beside) == 7
    assert all(line.endswith("    1.00") and len(line) == len(lines[0]) for line in beside)
    assert [len(line) for line in lines[-3:]] == [len(lines[-1])] * 3
    assert len(repr(held_out_report)) < 1000  # without the 1,000 distances


def test_copies_are_found_out(train, test):
    honest, copies = test[0][:300], train[0][:100]
    report = digit_report(torch.cat([honest, copies]))
    assert report.closer >= 100 / 400
    assert report.images.nearest[:100] == (0.0,) * 100 < report.held_out.nearest[:1] * 100
    assert digit_report(honest).closer < 0.03


def test_noise_and_blank_images_are_no_digits():
    noise = torch.randn(60, 1, 28, 28, generator=torch.Generator().manual_seed(0)).clamp(-1, 1)
    report = digit_report(noise)
    assert report.images.confident < 0.05 < 0.9 < report.held_out.confident
    assert report.images.frechet > 5 * report.drawn_frechet
    assert digit_report(torch.full((2, 1, 28, 28), -1.0)).images.confident == 0


def test_a_class_left_out_shows_in_the_balance(test):
    images, labels = test
    report = digit_report(images[labels != 4])
    assert report.images.class_counts[4] < 10 < report.held_out.class_counts[4]
    assert report.images.class_balance < 0.2
    assert abs(sum(report.images.class_shares) - 1) < 1e-12
    assert report.images.frechet > 2 * report.drawn_frechet


def test_progress_is_shown_when_asked(capsys, test):
    digit_report(test[0][:2])
    assert "measuring" not in capsys.readouterr().err
    digit_report(test[0][:2], progress=True)
    assert "measuring" in capsys.readouterr().err


@pytest.mark.parametrize("measure", [digit_report, nearest_training])
@pytest.mark.parametrize(
    ("images", "error", "message"),
    [
        (torch.zeros(3, 28, 28), ValueError, r"shape \(n, 1, 28, 28\) .* got \(3, 28, 28\)"),
        (torch.zeros(3, 1, 32, 32), ValueError, r"got \(3, 1, 32, 32\)"),
        (torch.zeros(0, 1, 28, 28), ValueError, r"n at least .* got \(0, 1, 28, 28\)"),
        (
            torch.zeros(3, 1, 28, 28, dtype=torch.uint8),
            TypeError,
            "floating point, got torch.uint8",
        ),
        (
            torch.zeros(3, 1, 28, 28).index_fill(0, torch.tensor([1]), math.nan),
            ValueError,
            "NaN in 1 of them",
        ),
        (torch.full((3, 1, 28, 28), 1.001), ValueError, r"\[-1, 1\], got 1.001 to 1.001"),
        (torch.full((3, 1, 28, 28), -math.inf), ValueError, "got -inf to -inf"),
    ],
)
def test_images_that_are_no_digits_are_refused(unchecked, measure, images, error, message):
    with pytest.raises(error, match=message):
        measure(images)


@pytest.mark.parametrize(
    "measure", [digit_report, nearest_training, lambda x: frechet_distance(x, x)]
)
def test_what_is_no_tensor_is_refused(unchecked, measure):
    with pytest.raises(TypeError, match=r"must be a tensor, got a NumPy array .*torch.from_numpy"):
        measure(np.zeros((3, 1, 28, 28)))


def test_one_image_is_too_few_for_a_report(unchecked):
    with pytest.raises(ValueError, match=r"n at least 2, got \(1, 1, 28, 28\)"):
        digit_report(torch.zeros(1, 1, 28, 28))


def test_defaults_of_the_caller_change_nothing_in_the_classifier(test):
    usual = load_classifier()(test[0][:5])
    before = torch.get_rng_state()
    torch.set_default_dtype(torch.float64)
    torch.set_default_device("meta")
    try:
        classifier = load_classifier()
    finally:
        torch.set_default_dtype(torch.float32)
        torch.set_default_device(None)
    assert torch.equal(classifier(test[0][:5]), usual)
    assert torch.equal(torch.get_rng_state(), before)


# images of any kind


def coloured(count, seed, height=16, width=24):
    """Images of a random flat colour each, with a little noise, around a dark orange."""
    generator = torch.Generator().manual_seed(seed)
    shade = torch.tensor([0.2, -0.3, -0.8]).view(1, 3, 1, 1)
    shade = shade + 0.1 * torch.randn(count, 3, 1, 1, generator=generator)
    return (shade + 0.05 * torch.randn(count, 3, height, width, generator=generator)).clamp(-1, 1)


def test_coarse_features_are_means_over_areas():
    images = coloured(4, 0)
    features = coarse_features(images)
    assert features.shape == (4, 3 * 64)
    wanted = images.unflatten(3, (8, 3)).unflatten(2, (8, 2)).mean((3, 5))
    assert (features - wanted.flatten(1)).abs().max() < 1e-6


def test_a_report_on_colour_images_of_other_sides():
    training, held_out = coloured(80, 1), coloured(20, 2)
    report = image_report(held_out, training, held_out)
    assert report.images == report.held_out
    assert report.images.count == 20
    # of one distribution, and as many: near the distance of random halves
    assert 0.3 < report.images.frechet / report.drawn_frechet < 3
    wanted = frechet_distance(coarse_features(held_out), coarse_features(training))
    assert report.images.frechet == wanted


def test_the_report_sees_another_colour_and_copies():
    training, held_out = coloured(80, 1), coloured(20, 2)
    other = image_report(-coloured(20, 3), training, held_out)
    assert other.images.frechet > 20 * other.drawn_frechet
    copies = image_report(training[:20], training, held_out)
    assert copies.images.nearest == (0.0,) * 20
    assert copies.held_out.nearest[0] > 0
    assert copies.images.nearer_than(copies.held_out.nearest_quantile(0.01)) == 1


def test_the_report_on_images_reads_as_an_aligned_table():
    lines = str(image_report(coloured(7, 3), coloured(40, 1), coloured(9, 2))).splitlines()
    assert lines[0].split() == ["7", "images", "these", "held-out"]
    assert "8x8 pixels" in lines[1]
    assert {len(line) for line in lines if not line.startswith(("  real", "held-out"))} == {51}
    assert lines[-1] == "held-out: 9 real images that were not trained on"


def test_the_nearest_of_given_images_by_brute_force():
    training, images = coloured(30, 1), coloured(5, 2)
    distances, indices = nearest_training(images, training)
    for image, distance, index in zip(images.double(), distances, indices, strict=True):
        all_distances = (training.double() - image).square().sum((1, 2, 3)).sqrt()
        assert index == all_distances.argmin()
        assert abs(distance / all_distances.min() - 1) < 1e-6


@pytest.mark.parametrize(
    ("images", "training", "held_out", "said"),
    [
        (
            coloured(5, 0, 8, 8),
            coloured(9, 0),
            coloured(5, 0),
            r"\(n, 3, 16, 24\) .*\(5, 3, 8, 8\)",
        ),
        (coloured(1, 0), coloured(9, 0), coloured(5, 0), r"n at least 2, got \(1, 3"),
        (coloured(5, 0), coloured(3, 0), coloured(5, 0), r"training .* at least 4, got \(3, 3"),
        (coloured(5, 0), coloured(9, 0), coloured(1, 0), r"held_out .* at least 2, got \(1, 3"),
        (coloured(5, 0) * 9, coloured(9, 0), coloured(5, 0), r"lie in \[-1, 1\], got "),
        (coloured(5, 0) * math.nan, coloured(9, 0), coloured(5, 0), "got NaN in 5 of them"),
    ],
    ids=["shape", "one", "training", "held-out", "range", "NaN"],
)
def test_images_without_a_report_are_refused(unchecked, images, training, held_out, said):
    with pytest.raises(ValueError, match=said):
        image_report(images, training, held_out)
