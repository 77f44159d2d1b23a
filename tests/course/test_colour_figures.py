"""The course's figures draw images of any kind: grey or colour, of any sides."""

import pytest
import torch

from minddpm_course.figures import draw_image, image_grid, new_figure


def drawn(axis):
    (image,) = axis.images
    return torch.as_tensor(image.get_array().data)


@pytest.mark.parametrize("limits", [(-1.0, 1.0), (-2.0, 2.0)])
def test_a_colour_image_is_drawn_in_its_colours(limits):
    image = torch.rand(3, 8, 14, generator=torch.Generator().manual_seed(0)) * 4 - 2
    _, ((axis,),) = new_figure()
    draw_image(axis, image, limits=limits)
    low, high = limits
    wanted = ((image.permute(1, 2, 0) - low) / (high - low)).clamp(0, 1)
    assert torch.allclose(drawn(axis), wanted)


@pytest.mark.parametrize("shape", [(8, 14), (1, 8, 14), (1, 1, 8, 14)])
def test_a_grey_image_keeps_its_shades_and_limits(shape):
    image = torch.rand(shape, generator=torch.Generator().manual_seed(0)) * 2 - 1
    _, ((axis,),) = new_figure()
    draw_image(axis, image)
    assert torch.equal(drawn(axis), image.reshape(8, 14))
    assert axis.images[0].get_clim() == (-1, 1)
    assert axis.images[0].get_cmap().name == "gray"


def test_a_grid_of_colour_images():
    images = torch.rand(5, 3, 8, 14, generator=torch.Generator().manual_seed(0)) * 2 - 1
    figure = image_grid(images, columns=3)
    assert len(figure.axes) == 6
    for axis, image in zip(figure.axes, images):
        assert torch.allclose(drawn(axis), (image.permute(1, 2, 0) + 1) / 2)
