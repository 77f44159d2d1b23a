"""A network that ONNX Runtime computes on the CPU, which takes a single image much less time."""

from __future__ import annotations

import copy
import io
import warnings
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from minddpm.checks import check_precision, checked_shape
from minddpm.network import Adapted, classes_of, undistributed


class OnnxNetwork:
    """A trained network, exported once, and called as the network itself is: samplers and `guided`
    take it.

    It computes on the CPU, on as many threads as PyTorch is told to use when this is made.

    Args:
        network: called as model(x_t, t), and as model(x_t, t, label) if it has labels; copied as it
            is now.
        image_shape: of one image, (c, h, w). Batches may have any size.
    Raises: ImportError where onnx or onnxruntime is not installed.
    """

    def __init__(self, network: nn.Module, image_shape: Sequence[int]) -> None:
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
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = torch.get_num_threads()
        self.session = onnxruntime.InferenceSession(
            exported(network, self.image_shape, labelled=self.classes > 0),
            options,
            providers=["CPUExecutionProvider"],
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
