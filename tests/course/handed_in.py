"""Notebooks of lesson 03 as students hand them in."""

SOLVED = {
    "posterior_coefficients": (
        "def posterior_coefficients(beta_t, alpha_bar_t, alpha_bar_prev):\n"
        "    coef_x0 = alpha_bar_prev.sqrt() * beta_t / (1 - alpha_bar_t)\n"
        "    return coef_x0, (1 - beta_t).sqrt() * (1 - alpha_bar_prev) / (1 - alpha_bar_t)\n"
    ),
    "posterior_variance": (
        "def posterior_variance(beta_t, alpha_bar_t, alpha_bar_prev):\n"
        "    return (1 - alpha_bar_prev) / (1 - alpha_bar_t) * beta_t\n"
    ),
    "product_of_gaussians": (
        "def product_of_gaussians(mean_1, var_1, mean_2, var_2):\n"
        "    variance = 1 / (1 / var_1 + 1 / var_2)\n"
        "    return variance * (mean_1 / var_1 + mean_2 / var_2), variance\n"
    ),
}
HEAD = "import torch\nfrom minddpm_course import ask, beside, check\nSTUDENT = 'Ada'"


def solved(**replaced):
    """The cells of a solved notebook of lesson 03, some of them replaced; None leaves one out."""
    cells = [HEAD]
    for name, source in {**SOLVED, **replaced}.items():
        if source is not None:
            cells += [source, f"check('03.{name}', {name})"]
    return cells
