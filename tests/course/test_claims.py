"""What docs/claims.md says of claims that no lesson discusses."""

from minddpm import linear_schedule

LINEAR = linear_schedule()


def test_the_posterior_of_the_worked_example_has_a_rounded_alpha_bar():
    assert f"{0.5 / 0.99:.5f}" == "0.50505"


def test_half_of_the_signal_is_left_long_before_t_500():
    assert LINEAR.alpha_bar[259] >= 0.5 > LINEAR.alpha_bar[260]
    assert LINEAR.alpha_bar[500] < 0.1
    assert 0.4 < LINEAR.beta[259] / 0.01 < 0.6
