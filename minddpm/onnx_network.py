"""A network as an ONNX model. ONNX Runtime computes a single image in much less time on the CPU."""

from __future__ import annotations

import copy
import io
import warnings
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn

from minddpm.checks import check_precision, checked_shape
from minddpm.network import Adapted, classes_of, undistributed

LARGE = 4096  # numbers in a tensor of weights from which on float16 suffices: see `with_half`

MOST_HALF = float(np.finfo(np.float16).max)


class OnnxNetwork:
    """A trained network, exported once, and called as the network itself is: samplers and `guided`
    take it.

    It computes on the CPU, on as many threads as PyTorch is told to use when this is made.

    Args:
        network: called as model(x_t, t), and as model(x_t, t, label) if it has labels; copied as it
            is now.
        image_shape: of one image, (c, h, w). Batches may have any size.
        half: store the weights as `with_half` does.
    Its attribute `onnx` holds the ONNX model, as the bytes of a file.
    Raises: ImportError where onnx or onnxruntime is not installed.
    """

    def __init__(
        self, network: nn.Module, image_shape: Sequence[int], *, half: bool = False
    ) -> None:
        try:
            import onnx  # noqa: F401  # which torch.onnx needs
            import onnxruntime
        except ImportError as error:
            raise ImportError(
                "ONNX Runtime is not installed: pip install 'minddpm[onnx]'"
            ) from error
        self.config = getattr(undistributed(network), "config", None)
        self.image_shape = checked_shape(image_shape)
        self.classes = classes_of(network) or 0
        self.onnx = exported(network, self.image_shape, labelled=self.classes > 0)
        if half:
            self.onnx = with_half(self.onnx)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = torch.get_num_threads()
        self.session = onnxruntime.InferenceSession(
            self.onnx, options, providers=["CPUExecutionProvider"]
        )

    def __call__(self, x_t: Tensor, t: Tensor, label: Tensor | None = None) -> Tensor:
        check_precision("images", x_t, (torch.float32,))
        if x_t.shape[1:] != self.image_shape:
            expected = f"(b, {', '.join(map(str, self.image_shape))})"
            raise ValueError(f"images must have shape {expected}, got {tuple(x_t.shape)}")
        inputs = {"x_t": x_t, "t": t}
        if self.classes:  # the number after the last label stands for none
            inputs["label"] = torch.full_like(t, self.classes) if label is None else label
        elif label is not None:
            raise ValueError("this network has no classes, so it takes no label")
        answers = self.session.run(None, {name: x.cpu().numpy() for name, x in inputs.items()})
        return torch.from_numpy(answers[0])


def exported(network: nn.Module, image_shape: Sequence[int], labelled: bool) -> bytes:
    """Export a network, in float32, as an ONNX model of x_t, t and, if there are labels, label."""
    network = copy.deepcopy(network).float().cpu().eval()
    inputs = {"x_t": torch.zeros(2, *image_shape), "t": torch.ones(2, dtype=torch.int64)}
    if labelled:
        inputs["label"] = torch.zeros(2, dtype=torch.int64)
    batch = {name: {0: "b"} for name in (*inputs, "noise")}
    file = io.BytesIO()
    with warnings.catch_warnings():
        # of tracing, which this exporter does: checks of shapes are not in what it writes, and
        # PyTorch prefers another that cannot see past checks of values
        warnings.simplefilter("ignore")
        torch.onnx.export(
            Adapted(network, lambda predict, *inputs: predict(*inputs)),
            tuple(inputs.values()),
            file,  # type: ignore[arg-type]  # which this exporter takes, too
            input_names=list(inputs),
            output_names=["noise"],
            dynamic_axes=batch,
            dynamo=False,
        )
    return file.getvalue()


def with_half(model: bytes) -> bytes:
    """Store an ONNX model's large tensors of weights in float16, which takes half the space.

    They are cast to float32 when the model is loaded, so nothing is computed in half precision.
    Small tensors, such as biases and those of the norms, stay in float32: they are 2% of the
    shipped weights, but rounding them changes pictures more than rounding all others does.

    Raises: ValueError for weights beyond the range of float16.
    """
    from onnx import ModelProto, TensorProto, helper, numpy_helper

    changed = ModelProto.FromString(model)
    casts = []
    for weight in changed.graph.initializer:
        values = numpy_helper.to_array(weight)
        if values.dtype != np.float32 or values.size < LARGE:
            continue
        if (largest := np.abs(values).max()) > MOST_HALF:
            raise ValueError(
                f"weights stored in float16 must be at most {MOST_HALF:g}, got {largest:g}"
            )
        name = weight.name
        weight.CopyFrom(numpy_helper.from_array(values.astype(np.float16), f"{name}.half"))
        casts.append(helper.make_node("Cast", [weight.name], [name], to=TensorProto.FLOAT))
    nodes = [*casts, *changed.graph.node]
    del changed.graph.node[:]
    changed.graph.node.extend(nodes)
    stored: bytes = changed.SerializeToString()
    return stored


@torch.inference_mode()
def largest_difference(network: nn.Module, exported: OnnxNetwork, T: int) -> float:
    """How far the noise that an exported network predicts is at most from the original's.

    Both get the same seeded noise: 16 images in one batch, and the first of them alone, at times
    from 1 to T. Where there are labels, the images have each in turn, and none.
    """
    generator = torch.Generator().manual_seed(0)
    x_t = torch.randn(16, *exported.image_shape, generator=generator)
    t = torch.linspace(1, T, 16).long()
    label = torch.arange(16) % (exported.classes + 1)
    network = copy.deepcopy(network).float().cpu().eval()
    inputs = (x_t, t, label) if exported.classes else (x_t, t)
    differences = [
        (network(*part) - exported(*part)).abs().max()
        for part in ([values[:count] for values in inputs] for count in (16, 1))
    ]
    return float(torch.stack(differences).max())
