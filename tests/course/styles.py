"""Right answers in unusual styles: for each exercise its formula, and ways to write down any
formula and to give back any result.

An answer is a list of cells, as a student writes them. The last one defines the function.
"""

import inspect
from dataclasses import dataclass

from right import __dict__ as RIGHT

LEVELS = "alpha_bar_t[:, None, None, None]"
PAIRS = {"posterior_coefficients", "product_of_gaussians", "straight_path", "training_pair"}
NUMBERS = {"first_step_below", "simple_loss"}
INTEGERS = {"first_step_below", "steps"}

# by the exercise's name: the arguments with their types, and the right result in torch
FORMULAS = {
    "01.linear_betas": (
        "T: int, beta_start: float, beta_end: float",
        "torch.linspace(beta_start, beta_end, T, dtype=torch.float64)",
    ),
    "01.alpha_bars": ("betas: torch.Tensor", "torch.cumprod(1 - betas, 0)"),
    "01.snr": ("alpha_bar: torch.Tensor", "alpha_bar / (1 - alpha_bar)"),
    "01.first_step_below": (
        "alpha_bars: torch.Tensor, threshold: float",
        "torch.nonzero(alpha_bars < threshold)[0, 0] + 1",
    ),
    "02.forward_step": (
        "x_prev: torch.Tensor, beta_t: float, noise: torch.Tensor",
        "(1 - beta_t) ** 0.5 * x_prev + beta_t**0.5 * noise",
    ),
    "02.forward_diffusion": (
        "x_0: torch.Tensor, alpha_bar_t: torch.Tensor, noise: torch.Tensor",
        f"{LEVELS}.sqrt() * x_0 + (1 - {LEVELS}).sqrt() * noise",
    ),
    "02.recover_x0": (
        "x_t: torch.Tensor, alpha_bar_t: torch.Tensor, noise: torch.Tensor",
        f"(x_t - (1 - {LEVELS}).sqrt() * noise) / {LEVELS}.sqrt()",
    ),
    "02.recover_noise": (
        "x_t: torch.Tensor, x_0: torch.Tensor, alpha_bar_t: torch.Tensor",
        f"(x_t - {LEVELS}.sqrt() * x_0) / (1 - {LEVELS}).sqrt()",
    ),
    "03.posterior_coefficients": (
        "beta_t: torch.Tensor, alpha_bar_t: torch.Tensor, alpha_bar_prev: torch.Tensor",
        "(alpha_bar_prev.sqrt() * beta_t / (1 - alpha_bar_t),"
        " (1 - beta_t).sqrt() * (1 - alpha_bar_prev) / (1 - alpha_bar_t))",
    ),
    "03.posterior_variance": (
        "beta_t: torch.Tensor, alpha_bar_t: torch.Tensor, alpha_bar_prev: torch.Tensor",
        "(1 - alpha_bar_prev) / (1 - alpha_bar_t) * beta_t",
    ),
    "03.product_of_gaussians": (
        "mean_1: torch.Tensor, var_1: torch.Tensor, mean_2: torch.Tensor, var_2: torch.Tensor",
        "((mean_1 * var_2 + mean_2 * var_1) / (var_1 + var_2), var_1 * var_2 / (var_1 + var_2))",
    ),
    "04.gaussian_kl": (
        "mean_1: torch.Tensor, var_1: torch.Tensor, mean_2: torch.Tensor, var_2: torch.Tensor",
        "(torch.log(var_2 / var_1) + (var_1 + (mean_1 - mean_2) ** 2) / var_2 - 1) / 2",
    ),
    "04.mean_from_noise": (
        "x_t: torch.Tensor, noise: torch.Tensor, beta_t: float, alpha_bar_t: float",
        "(x_t - beta_t / (1 - alpha_bar_t) ** 0.5 * noise) / (1 - beta_t) ** 0.5",
    ),
    "04.noise_loss_weight": (
        "beta_t: torch.Tensor, alpha_bar_t: torch.Tensor, sigma2: torch.Tensor",
        "beta_t**2 / (2 * sigma2 * (1 - beta_t) * (1 - alpha_bar_t))",
    ),
    "04.simple_loss": (
        "predicted_noise: torch.Tensor, noise: torch.Tensor",
        "((noise - predicted_noise) ** 2).mean()",
    ),
    "05.timestep_embedding": (
        "t: torch.Tensor, dim: int",
        "(lambda angles: torch.cat([angles.sin(), angles.cos()], 1))("
        "t.double()[:, None] * 10_000.0 ** (-2 * torch.arange(dim // 2) / dim))",
    ),
    "05.add_time": (
        "h: torch.Tensor, time_features: torch.Tensor",
        "h + time_features[:, :, None, None]",
    ),
    "05.join_skip": ("h: torch.Tensor, skip: torch.Tensor", "torch.cat([h, skip], 1)"),
    "06.reverse_step": (
        "x_t: torch.Tensor, predicted_noise: torch.Tensor, t: int, betas: torch.Tensor,"
        " noise: torch.Tensor",
        "(x_t - betas[t - 1] / (1 - torch.prod(1 - betas[:t])).sqrt() * predicted_noise)"
        " / (1 - betas[t - 1]).sqrt() + (betas[t - 1].sqrt() * noise if t > 1 else 0 * noise)",
    ),
    "06.steps": ("T: int", "torch.arange(T, 0, -1)"),
    "07.training_pair": (
        "x_0: torch.Tensor, alpha_bars: torch.Tensor, t: torch.Tensor, noise: torch.Tensor",
        "(alpha_bars[t - 1][:, None, None, None].sqrt() * x_0"
        " + (1 - alpha_bars[t - 1][:, None, None, None]).sqrt() * noise, noise)",
    ),
    "07.ema_update": (
        "average: torch.Tensor, value: torch.Tensor, decay: float",
        "decay * average + (1 - decay) * value",
    ),
    "08.score_from_noise": (
        "noise: torch.Tensor, alpha_bar_t: torch.Tensor",
        f"-noise / (1 - {LEVELS}).sqrt()",
    ),
    "08.gaussian_score": (
        "x: torch.Tensor, mean: torch.Tensor, var: torch.Tensor",
        "(mean - x) / var",
    ),
    "08.langevin_step": (
        "x: torch.Tensor, score: torch.Tensor, step_size: float, noise: torch.Tensor",
        "x + step_size * score + (2 * step_size) ** 0.5 * noise",
    ),
    "09.ddim_step": (
        "x_t: torch.Tensor, predicted_noise: torch.Tensor, alpha_bar_t: float,"
        " alpha_bar_prev: float",
        "alpha_bar_prev**0.5 * (x_t - (1 - alpha_bar_t) ** 0.5 * predicted_noise)"
        " / alpha_bar_t**0.5 + (1 - alpha_bar_prev) ** 0.5 * predicted_noise",
    ),
    "10.guided_noise": (
        "unconditional: torch.Tensor, conditional: torch.Tensor, scale: float",
        "unconditional + scale * (conditional - unconditional)",
    ),
    "11.velocity_from_noise": (
        "x_t: torch.Tensor, noise: torch.Tensor, alpha_bar_t: torch.Tensor",
        f"(noise - (1 - {LEVELS}).sqrt() * x_t) / {LEVELS}.sqrt()",
    ),
    "11.noise_from_velocity": (
        "x_t: torch.Tensor, velocity: torch.Tensor, alpha_bar_t: torch.Tensor",
        f"{LEVELS}.sqrt() * velocity + (1 - {LEVELS}).sqrt() * x_t",
    ),
    "11.min_snr_weight": (
        "alpha_bar: torch.Tensor, gamma: float",
        "torch.clamp(gamma * (1 - alpha_bar) / alpha_bar, max=1.0)",
    ),
    "11.straight_path": (
        "x_0: torch.Tensor, noise: torch.Tensor, s: torch.Tensor",
        "((1 - s[:, None, None, None]) * x_0 + s[:, None, None, None] * noise, noise - x_0)",
    ),
}

# answers that are put together from given functions: the arguments, and one that the styles wrap
PUT_TOGETHER = {
    "05.residual_block": (
        "x, time_features, norm_in, conv_in, time, norm_out, conv_out, shortcut",
        """    h = conv_in(nn.functional.silu(norm_in(x))) + time(time_features)[:, :, None, None]
    return shortcut(x) + conv_out(nn.functional.silu(norm_out(h)))""",
    ),
    "05.unet_forward": (
        "x, time_features, stem, downs, encoder, middle, decoder, ups, out",
        """    h, skips = stem(x), []
    for down, block in zip(downs, encoder):
        skips.append(h := block(down(h), time_features))
    h = middle(h, time_features)
    for block, up in zip(decoder, ups):
        h = up(block(torch.cat([h, skips.pop()], 1), time_features))
    return out(h)""",
    ),
    "06.sample": (
        "model, x_T, T, step",
        """    for t in range(T, 0, -1):
        x_T = step(x_T, model(x_T, torch.full((len(x_T),), t)), t)
    return x_T""",
    ),
    "07.train_step": (
        "model, optimizer, x_0, alpha_bars, t, noise",
        """    level = alpha_bars[t - 1][:, None, None, None]
    loss = (model(level**0.5 * x_0 + (1 - level) ** 0.5 * noise, t) - noise).square().mean()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return loss.detach()""",
    ),
    "07.training_loop": (
        "images, orders, batch_size, step",
        """    places = [row.split(batch_size) for row in orders]
    losses = [step(images[one]) for row in places for one in row if len(one) == batch_size]
    return torch.stack(losses)""",
    ),
}
# what cannot be said of functions: they are no key of a cache and in no TorchScript, layers of
# float32 take no float64, and a step that learns needs gradients
UNFIT = ("scripted", "cache", "double inside")
WITHOUT_GRADIENTS = ("no_grad", "inference_mode")

# what becomes of a tensor: an expression in x
ARRAYS = {
    "numpy": "x.numpy()",
    "float64": "x if x.dtype == torch.int64 else x.double()",
    "float64 numpy": "x.numpy() if x.dtype == torch.int64 else x.numpy().astype(float)",
    "list": "x.tolist()",
    "tuple": "tuple(x.tolist())",
    "list of tensors": "list(x)",
    "tuple of tensors": "x.unbind()",
    "list of arrays": "list(x.numpy())",
    "nested lists of 0-d tensors": "nested(x)",
    "list of tensors of one number": "list(x[:, None]) if x.ndim == 1 else list(x)",
    "iterator": "iter(x.tolist())",
    "iterator of tensors": "iter(x)",
    "generator": "(row for row in x.tolist())",
    "generator of tensors": "(row for row in x)",
    "generator of generators": "((1 * v for v in row) if x.ndim > 1 else row for row in x)",
    "map": "map(lambda row: row * 1, x)",
    "chain": "itertools.chain(x[:1], x[1:])",
    "zip": "zip(*x.T) if x.ndim == 2 else map(torch.clone, x)",
    "deque": "collections.deque(x.tolist())",
    "values of a dict": "dict(enumerate(x)).values()",
    "object array": "objects(x)",
    "numpy scalars": "[np.float64(v) for v in x] if x.ndim == 1 else x.numpy()",
    "float32 scalars": "[np.float32(v) for v in x] if x.ndim == 1 else x.numpy()",
    "fractions": "[fractions.Fraction(v) for v in x.tolist()] if x.ndim == 1 else x",
    "decimals": "[decimal.Decimal(v) for v in x.tolist()] if x.ndim == 1 else x",
    "array module": "array.array('d', x.tolist()) if x.ndim == 1 else x",
    "requires grad": "x if x.dtype == torch.int64 else x.requires_grad_()",
    "of a graph": "x if x.dtype == torch.int64 else x * torch.ones(1, requires_grad=True)",
    "parameter": "x if x.dtype == torch.int64 else torch.nn.Parameter(x)",
    "a view that is expanded": "torch.stack([x, x])[:1].expand(3, *x.shape)[2]",
    "not contiguous": "torch.stack([x, x], -1)[..., 1]",
    "transposed": "x.mT.contiguous().mT if x.ndim > 1 else x.flip(0).flip(0)",
    "negative strides": "np.flip(np.flip(x.numpy(), 0).copy(), 0)",
    "read-only": "frozen(x.numpy())",
    "big-endian": "x.numpy().astype(x.numpy().dtype.newbyteorder('>'))",
    "conjugate": "torch.complex(x.double(), x.double() * 0).conj().real"
    " if x.dtype != torch.int64 else x",
    "negated view": "torch.complex(0 * x.double(), -x.double()).conj().imag"
    " if x.dtype != torch.int64 else x",
    "subclass": "x.as_subclass(Mine)",
    "sparse": "x.to_sparse()",
    "matrix": "np.asmatrix(x.numpy()) if x.ndim == 2 else x.numpy()",
    "masked array": "np.ma.masked_array(x.numpy())",
    "__array__": "Holder(x.numpy())",
    "sequence of one's own": "Row(x)",
    "whole floats": "x.double().tolist()",
    "int32": "x.int() if x.dtype == torch.int64 else x",
}
NUMBER = {
    "0-d tensor": "x",
    "shape (1,)": "x.reshape(1)",
    "shape (1,) numpy": "x.numpy().reshape(1)",
    "list of one": "[x.item()]",
    "number": "x.item()",
    "numpy scalar": "x.numpy()[()]",
    "0-d array": "x.numpy()",
    "float64 scalar": "np.float64(x.item())",
    "whole float or float64": "float(x)",
    "fraction": "fractions.Fraction(x.item())",
    "decimal": "decimal.Decimal(x.item())",
    "0-d double": "x.double()",
    "requires grad": "x if x.dtype == torch.int64 else x.requires_grad_()",
    "object array": "np.array(x.item(), dtype=object)",
    "__float__": "Floating(x.item())",
    "int32": "x.int() if x.dtype == torch.int64 else x",
}
# what becomes of the two tensors of a pair: an expression in a and b
COUPLES = {
    "list": "[a, b]",
    "named tuple": "Couple(a, b)",
    "typed named tuple": "TypedCouple(first=a, second=b)",
    "stacked": "torch.stack([a, b])",
    "stacked numpy": "np.stack([a.numpy(), b.numpy()])",
    "generator": "(part for part in (a, b))",
    "map": "map(torch.clone, [a, b])",
    "zip": "zip(*zip(a, b))",
    "one of each": "(a.numpy(), b)",
    "list of lists": "[a.tolist(), b.tolist()]",
    "object array": "couple(a, b)",
    "values of a dict": "{'first': a, 'second': b}.values()",
    "float64": "(a.double(), b.double())",
    "iterator of iterators": "iter([iter(a), iter(b)])",
    "reversed": "reversed([b, a])",
}

IMPORTS = (
    "import array, collections, decimal, fractions, functools, itertools, math, typing\n"
    "import numpy as np\nimport torch\nfrom torch import Tensor, nn\n"
)
HELPERS = (
    "Couple = collections.namedtuple('Couple', ['first', 'second'])\n"
    "class TypedCouple(typing.NamedTuple):\n    first: Tensor\n    second: Tensor\n"
    "class Mine(torch.Tensor):\n    pass\n"
    "class Holder:\n"
    "    def __init__(self, values):\n        self.values = values\n"
    "    def __array__(self, dtype=None, copy=None):\n        return self.values\n"
    "class Floating:\n"
    "    def __init__(self, value):\n        self.value = value\n"
    "    def __float__(self):\n        return float(self.value)\n"
    "class Row(collections.abc.Sequence):\n"
    "    def __init__(self, values):\n        self.values = values\n"
    "    def __len__(self):\n        return len(self.values)\n"
    "    def __getitem__(self, place):\n        return self.values[place]\n"
    "def nested(x):\n"
    "    return [nested(row) for row in x] if x.ndim else x\n"
    "def frozen(values):\n    values.flags.writeable = False\n    return values\n"
    "def objects(x):\n    return np.array(x.tolist(), dtype=object)\n"
    "def couple(a, b):\n"
    "    both = np.empty(2, dtype=object)\n    both[0], both[1] = a, b\n    return both\n"
)

# how a function is written down; {args} are its arguments, {typed} with types, {right} its result
DEFINITIONS = {
    "plain": ("def {name}({args}):\n    return {right}",),
    "lambda": ("{name} = lambda {args}: {right}",),
    "typed lambda": ("{name}: typing.Callable = lambda {args}: {right}",),
    "star arguments": ("def {name}(*args):\n    {args}, *_ = *args, None\n    return {right}",),
    "defaults": ("def {name}({args}, verbose=False, **options):\n    return {right}",),
    "annotated": ("def {name}({typed}) -> Tensor:\n    return {right}",),
    "forward references": (
        "class Later: ...",
        "def {name}({quoted}) -> 'NotDefinedAnywhere':\n    return {right}",
    ),
    "jaxtyping": (
        "from jaxtyping import Float, Int, jaxtyped",
        "@jaxtyped(typechecker=None)\n"
        "def {name}({args}) -> \"Float[Tensor, '...']\":\n    return {right}",
    ),
    "partial": (
        "def work(extra, {args}):\n    return {right}",
        "{name} = functools.partial(work, 'extra')",
    ),
    "partial of a lambda": ("{name} = functools.partial(lambda extra, {args}: {right}, None)",),
    "callable object": (
        "class Work:\n    def __call__(self, {args}):\n        return {right}",
        "{name} = Work()",
    ),
    "class": ("class {name}:\n    def __call__(self, {args}):\n        return {right}",),
    "class that returns": ("class {name}:\n    def __new__(cls, {args}):\n        return {right}",),
    "module": (
        "class Work(nn.Module):\n    def forward(self, {args}):\n        return {right}",
        "{name} = Work().eval()",
    ),
    "module with a buffer": (
        "class Work(nn.Module):\n    def __init__(self):\n        super().__init__()\n"
        "        self.register_buffer('one', torch.ones(()))\n"
        "    def forward(self, {args}):\n        return {right}",
        "{name} = nn.Sequential(Work())[0]",
    ),
    "method": (
        "class Course:\n    def work(self, {args}):\n        return {right}",
        "{name} = Course().work",
    ),
    "static method": (
        "class Course:\n    @staticmethod\n    def work({args}):\n        return {right}",
        "{name} = Course.work",
    ),
    "class method": (
        "class Course:\n    @classmethod\n    def work(cls, {args}):\n        return {right}",
        "{name} = Course.work",
    ),
    "closure": (
        "def make():\n    one = 1\n    def inner({args}):\n        assert one == 1\n"
        "        return {right}\n    return inner",
        "{name} = make()",
    ),
    "helper in another cell": (
        "def result_of({args}):\n    return {right}",
        "def {name}({args}):\n    return result_of({args})",
    ),
    "helper under it": (
        "def {name}({args}):\n    return helper_below({args})\n\n"
        "def helper_below({args}):\n    return {right}",
    ),
    "global constant": (
        "ONE = 1.0",
        "def {name}({args}):\n    assert ONE == 1\n    return {right}",
    ),
    "decorator": (
        "def noisy(function):\n    def wrapper(*args, **options):\n"
        "        print('called')\n        return function(*args, **options)\n    return wrapper",
        "@noisy\ndef {name}({args}):\n    return {right}",
    ),
    "decorator that wraps": (
        "def timed(function):\n    @functools.wraps(function)\n    def wrapper(*args):\n"
        "        return function(*args)\n    return wrapper",
        "@timed\n@timed\ndef {name}({args}):\n    return {right}",
    ),
    "no_grad": ("@torch.no_grad()\ndef {name}({args}):\n    return {right}",),
    "inference_mode": ("@torch.inference_mode()\ndef {name}({args}):\n    return {right}",),
    "cache": ("@functools.lru_cache\ndef {name}({args}):\n    return {right}",),
    "single dispatch": ("@functools.singledispatch\ndef {name}({args}):\n    return {right}",),
    "compiled": ("@torch.compile\ndef {name}({args}):\n    return {right}",),
    "compiled module": (
        "class Work(nn.Module):\n    def forward(self, {args}):\n        return {right}",
        "{name} = torch.compile(Work())",
    ),
    "compiled helper": (
        "@torch.compile(dynamic=True)\ndef work({args}):\n    return {right}",
        "def {name}({args}):\n    return work({args})",
    ),
    "scripted": ("@torch.jit.script\ndef {name}({typed}):\n    return {right}",),
    "scripted later": (
        "def work({typed}):\n    return {right}",
        "{name} = torch.jit.script(work)",
    ),
    "scripted module": (
        "class Work(nn.Module):\n    def forward(self, {typed}):\n        return {right}",
        "{name} = torch.jit.script(Work())",
    ),
    "defined twice": (
        "def {name}({args}):\n    return None",
        "def {name}({args}):\n    return {right}",
    ),
    "defined twice in a cell": (
        "def {name}({args}):\n    return 0\n\ndef {name}({args}):\n    return {right}",
    ),
    "only if": ("if True:\n    def {name}({args}):\n        return {right}",),
    "after a docstring": (
        '"""A cell with a docstring."""\ndef {name}({args}):\n'
        '    """Return it.\n\n    def {name}(nothing): ...\n    """\n    return {right}',
    ),
    "executed": ('exec("""def {name}({args}):\n    return {right}\n""")',),
    "%%time": ("%%time\ndef {name}({args}):\n    return {right}",),
    "%%capture": ("%%capture\ndef {name}({args}):\n    return {right}",),
    "%%capture into a name": (
        "%%capture shown --no-stderr\nprint('loud')\ndef {name}({args}):\n    return {right}",
        "shown.show()\nloud = shown.stdout",
    ),
    "%%capture of %%time": (
        "%%capture\n%%time\n%matplotlib inline\ndef {name}({args}):\n    return {right}",
    ),
    "%%prun": ("%%prun -q\ndef {name}({args}):\n    return {right}",),
    "%time": ("%time {name} = lambda {args}: {right}",),
    "magics beside it": (
        "%matplotlib inline\n%load_ext autoreload\n%autoreload 0\n"
        "!true pip install nothing\nfiles = !echo a\nhere = %pwd\n"
        "def {name}({args}):\n    return {right}\n%timeit -n1 -r1 1 + 1\n%time one = 1\n?print",
    ),
    "magics in other cells": (
        "%%bash\ntrue",
        "%%timeit -n1 -r1\n1 + 1",
        "%%html\n<b>def</b>",
        "%%writefile /tmp/words.txt\nno Python at all",
        "%config InlineBackend.figure_format = 'svg'",
        "def {name}({args}):\n    return {right}",
        "{name}?",
    ),
    "a plot in its cell": (
        "import matplotlib.pyplot as plt\n"
        "def {name}({args}):\n    return {right}\n"
        "plt.plot([1, 2, 3])\nplt.show()",
    ),
    "awaited": ("import asyncio\nawait asyncio.sleep(0)\ndef {name}({args}):\n    return {right}",),
    "after the library": (
        "from minddpm import *\nimport minddpm.schedule as schedule\nMORE = 1\n"
        "def {name}({args}):\n    return {right}",
    ),
    "after an error": (
        "1 / 0",
        "not Python",
        "def {name}({args}):\n    return {right}\nraise ValueError('after it')",
    ),
    "own copies": (
        "def {name}({args}):\n"
        "    {args}, = (v.clone() if isinstance(v, Tensor) else v for v in ({args},))\n"
        "    result = {right}\n"
        "    for v in ({args},):\n        if isinstance(v, Tensor):\n            v.neg_().neg_()\n"
        "    return result",
    ),
    "copies of numpy": (
        "def {name}({args}):\n"
        "    kept = [v.numpy().copy() for v in ({args},) if isinstance(v, Tensor)]\n"
        "    for v in kept:\n        v[...] = 0\n    return {right}",
    ),
    "double inside": (
        "def {name}({args}):\n"
        "    {args}, = (v.double() if isinstance(v, Tensor) and v.is_floating_point() else v\n"
        "               for v in ({args},))\n    return {right}",
    ),
    "a match": (
        "def {name}({args}):\n    match 1:\n        case 1:\n            return {right}\n"
        "        case _:\n            raise AssertionError",
    ),
    "a walrus": (
        "def {name}({args}):\n    if (found := {right}) is not None:\n        return found",
    ),
    "try and finally": (
        "def {name}({args}):\n    try:\n        return {right}\n"
        "    finally:\n        print('done')",
    ),
    "warns": (
        "import warnings",
        "def {name}({args}):\n    warnings.warn('careful')\n    return {right}",
    ),
    "prints": ("def {name}({args}):\n    print('x' * 1000)\n    return {right}",),
    "semicolons and comments": (
        "# def {name}(wrong): return None\n"
        "def {name}({args}): result = {right}; return result  # = 1 ?",
    ),
    "Windows line ends": ("def {name}({args}):\r\n    return {right}\r\n",),
    "draws from its own generator": (
        "def {name}({args}):\n    torch.rand(3, generator=torch.Generator().manual_seed(0))\n"
        "    return {right}",
    ),
    "default dtype": (
        "def {name}({args}):\n    torch.manual_seed(0)\n    torch.set_num_threads(1)\n"
        "    return {right}",
    ),
    # last, because it holds for all cells that follow
    "annotations from the future": (
        "from __future__ import annotations",
        "def {name}({quoted}) -> NotDefinedAnywhere:\n    return {right}",
    ),
}
# TorchScript has no lambda and no conditional expression over None
UNSCRIPTED = {"05.timestep_embedding"}

# answers to one exercise each, by hand: cells, and the variable where it is another
BY_HAND = {
    "01.linear_betas": {
        "running sum in float32": (
            "def linear_betas(T, beta_start, beta_end):\n"
            "    step = torch.tensor((beta_end - beta_start) / (T - 1))\n"
            "    beta, betas = torch.tensor(beta_start), []\n"
            "    for _ in range(T):\n        betas.append(beta)\n        beta = beta + step\n"
            "    return torch.stack(betas)",
        ),
        "running sum of float32 scalars": (
            "def linear_betas(T, beta_start, beta_end):\n"
            "    beta = np.float32(beta_start)\n"
            "    step = np.float32((beta_end - beta_start) / (T - 1))\n"
            "    betas = []\n"
            "    for _ in range(T):\n        betas.append(beta)\n        beta += step\n"
            "    return betas",
        ),
        "numpy's linspace": (
            "def linear_betas(T, beta_start, beta_end):\n"
            "    return np.linspace(beta_start, beta_end, num=T)",
        ),
        "float32 linspace": (
            "def linear_betas(T, beta_start, beta_end):\n"
            "    return torch.linspace(beta_start, beta_end, T)",
        ),
        "accumulate": (
            "def linear_betas(T, beta_start, beta_end):\n"
            "    step = (beta_end - beta_start) / (T - 1)\n"
            "    return itertools.accumulate([beta_start] + [step] * (T - 1))",
        ),
        "lerp": (
            "def linear_betas(T, beta_start, beta_end):\n"
            "    return torch.lerp(torch.tensor(beta_start), torch.tensor(beta_end),"
            " torch.arange(T) / (T - 1))",
        ),
        "filled in": (
            "def linear_betas(T, beta_start, beta_end):\n"
            "    betas = np.zeros(T, dtype=np.float32)\n"
            "    for t in range(T):\n"
            "        betas[t] = beta_start + t / (T - 1) * (beta_end - beta_start)\n"
            "    return betas",
        ),
    },
    "01.alpha_bars": {
        "running product in float32": (
            "def alpha_bars(betas):\n    left = torch.tensor(1.0)\n    kept = []\n"
            "    for beta in betas:\n        left = left * (1 - beta)\n        kept.append(left)\n"
            "    return kept",
        ),
        "in place on one's own": (
            "def alpha_bars(betas):\n    kept = (1 - betas).clone()\n"
            "    for t in range(1, len(kept)):\n        kept[t] *= kept[t - 1]\n    return kept",
        ),
        "sum of logarithms": (
            "def alpha_bars(betas):\n    return np.exp(np.cumsum(np.log1p(-betas.numpy())))",
        ),
        "accumulate": (
            "import operator",
            "def alpha_bars(betas):\n"
            "    return list(itertools.accumulate(1 - betas, operator.mul))",
        ),
        "yields": (
            "def alpha_bars(betas):\n    left = 1\n    for beta in betas:\n"
            "        left *= 1 - beta\n        yield left",
        ),
        "recursion": (
            "def alpha_bars(betas):\n    if len(betas) == 1:\n        return [1 - betas[0]]\n"
            "    half = len(betas) // 2\n    before = alpha_bars(betas[:half])\n"
            "    return before + [before[-1] * a for a in alpha_bars(betas[half:])]",
        ),
        "products of beginnings": (
            "def alpha_bars(betas):\n"
            "    return [math.prod((1 - betas[: t + 1]).tolist()) for t in range(len(betas))]",
        ),
    },
    "01.snr": {
        "comprehension": ("def snr(alpha_bar):\n    return [a / (1 - a) for a in alpha_bar]",),
        "items": (
            "def snr(alpha_bar):\n    return [a.item() / (1 - a.item()) for a in alpha_bar]",
        ),
        "vectorize": (
            "def snr(alpha_bar):\n"
            "    return np.vectorize(lambda a: a / (1 - a))(alpha_bar.numpy())",
        ),
        "vmap": ("snr = torch.vmap(lambda a: a / (1 - a))",),
        "ufunc": (
            "def snr(alpha_bar):\n"
            "    return np.frompyfunc(lambda a: a / (1 - a), 1, 1)(alpha_bar.numpy())",
        ),
        "logits": ("def snr(alpha_bar):\n    return torch.logit(alpha_bar.double()).exp()",),
        "fractions": (
            "from fractions import Fraction",
            "def snr(alpha_bar):\n    levels = map(Fraction, alpha_bar.tolist())\n"
            "    return [a / (1 - a) for a in levels]",
        ),
    },
    "01.first_step_below": {
        "argmax": (
            "def first_step_below(alpha_bars, threshold):\n"
            "    return np.argmax(alpha_bars.numpy() < threshold) + 1",
        ),
        "0-d tensor": (
            "def first_step_below(alpha_bars, threshold):\n"
            "    return (alpha_bars < threshold).int().argmax() + 1",
        ),
        "next": (
            "def first_step_below(alpha_bars, threshold):\n"
            "    return next(t for t, a in enumerate(alpha_bars, 1) if a < threshold)",
        ),
        "nonzero of shape (1,)": (
            "def first_step_below(alpha_bars, threshold):\n"
            "    return (alpha_bars < threshold).nonzero()[0] + 1",
        ),
        "count as a float": (
            "def first_step_below(alpha_bars, threshold):\n"
            "    return float(sum(a >= threshold for a in alpha_bars.tolist())) + 1.0",
        ),
        "sum of comparisons": (
            "def first_step_below(alpha_bars, threshold):\n"
            "    return (alpha_bars >= threshold).sum() + 1.0",
        ),
        "while": (
            "def first_step_below(alpha_bars, threshold):\n    t = 1\n"
            "    while not alpha_bars[t - 1] < threshold:\n        t += 1\n    return t",
        ),
        "where": (
            "def first_step_below(alpha_bars, threshold):\n"
            "    return np.where(alpha_bars < threshold)[0][0] + 1",
        ),
        "int8": (
            "def first_step_below(alpha_bars, threshold):\n"
            "    return np.uint16((alpha_bars >= threshold).sum() + 1)",
        ),
    },
    "02.forward_step": {
        "add": (
            "def forward_step(x_prev, beta_t, noise):\n"
            "    return torch.add(np.sqrt(1 - beta_t) * x_prev, noise, alpha=np.sqrt(beta_t))",
        ),
        "pixel by pixel": (
            "def forward_step(x_prev, beta_t, noise):\n    out = torch.zeros_like(x_prev)\n"
            "    for b in range(x_prev.shape[0]):\n        for i in range(x_prev.shape[2]):\n"
            "            for j in range(x_prev.shape[3]):\n"
            "                out[b, 0, i, j] = math.sqrt(1 - beta_t) * x_prev[b, 0, i, j]"
            " + math.sqrt(beta_t) * noise[b, 0, i, j]\n"
            "    return out",
        ),
    },
    "02.forward_diffusion": {
        "einsum": (
            "def forward_diffusion(x_0, alpha_bar_t, noise):\n"
            "    return torch.einsum('b,bchw->bchw', alpha_bar_t.sqrt(), x_0)"
            " + torch.einsum('b,bchw->bchw', (1 - alpha_bar_t).sqrt(), noise)",
        ),
        "one image at a time": (
            "def forward_diffusion(x_0, alpha_bar_t, noise):\n"
            "    return [a.sqrt() * x + (1 - a).sqrt() * e"
            " for x, a, e in zip(x_0, alpha_bar_t, noise)]",
        ),
        "yields images": (
            "def forward_diffusion(x_0, alpha_bar_t, noise):\n"
            "    for x, a, e in zip(x_0, alpha_bar_t, noise):\n"
            "        yield a.sqrt() * x + (1 - a).sqrt() * e",
        ),
        "vmap": (
            "@torch.vmap\ndef forward_diffusion(x_0, alpha_bar_t, noise):\n"
            "    return alpha_bar_t.sqrt() * x_0 + (1 - alpha_bar_t).sqrt() * noise",
        ),
    },
    "03.posterior_coefficients": {
        "rows": (
            "def posterior_coefficients(beta_t, alpha_bar_t, alpha_bar_prev):\n"
            "    first, second = [], []\n"
            "    for b, a, p in zip(beta_t, alpha_bar_t, alpha_bar_prev):\n"
            "        first.append(p.sqrt() * b / (1 - a))\n"
            "        second.append((1 - b).sqrt() * (1 - p) / (1 - a))\n"
            "    return first, second",
        ),
        "zip of pairs": (
            "def posterior_coefficients(beta_t, alpha_bar_t, alpha_bar_prev):\n"
            "    return zip(*[(p.sqrt() * b / (1 - a), (1 - b).sqrt() * (1 - p) / (1 - a))\n"
            "                 for b, a, p in zip(beta_t, alpha_bar_t, alpha_bar_prev)])",
        ),
    },
    "04.simple_loss": {
        "mse_loss": (
            "import torch.nn.functional as F",
            "simple_loss = F.mse_loss",
        ),
        "MSELoss": ("simple_loss = nn.MSELoss()",),
        "MSELoss class": ("simple_loss = nn.MSELoss",),
        "running sum in float32": (
            "def simple_loss(predicted_noise, noise):\n    total = np.float32(0)\n"
            "    for a, b in zip(predicted_noise.flatten(), noise.flatten()):\n"
            "        total += np.float32((a - b) ** 2)\n    return total / noise.numel()",
        ),
        "numpy": (
            "def simple_loss(predicted_noise, noise):\n"
            "    return np.mean(np.square((noise - predicted_noise).numpy()))",
        ),
        "one number in a tensor": (
            "def simple_loss(predicted_noise, noise):\n"
            "    return torch.tensor([((noise - predicted_noise) ** 2).mean()])",
        ),
    },
    "05.join_skip": {
        "concatenate": ("def join_skip(h, skip):\n    return np.concatenate([h, skip], axis=1)",),
        "image by image": (
            "def join_skip(h, skip):\n    return [torch.cat(pair) for pair in zip(h, skip)]",
        ),
        "channel by channel": (
            "def join_skip(h, skip):\n    return [[*a, *b] for a, b in zip(h, skip)]",
        ),
    },
    "05.residual_block": {
        "sequential": (
            "def residual_block(x, f, norm_in, conv_in, time, norm_out, conv_out, shortcut):\n"
            "    h = x\n"
            "    for layer in (norm_in, nn.SiLU(), conv_in):\n        h = layer(h)\n"
            "    h = h + time(f).unsqueeze(-1).unsqueeze(-1)\n"
            "    for layer in (norm_out, nn.SiLU(), conv_out):\n        h = layer(h)\n"
            "    return h.add(shortcut(x))",
        ),
        "reduce": (
            "def residual_block(x, f, norm_in, conv_in, time, norm_out, conv_out, shortcut):\n"
            "    told = lambda h: h + time(f)[..., None, None]\n"
            "    chain = [norm_in, torch.nn.functional.silu, conv_in, told]\n"
            "    chain += [norm_out, torch.nn.functional.silu, conv_out]\n"
            "    return shortcut(x) + functools.reduce(lambda h, layer: layer(h), chain, x)",
        ),
        "silu by hand": (
            "def swish(h):\n    return h / (1 + torch.exp(-h))",
            "def residual_block(x, f, norm_in, conv_in, time, norm_out, conv_out, shortcut):\n"
            "    h = conv_in(swish(norm_in(x))) + time(f)[:, :, None, None]\n"
            "    return shortcut(x) + conv_out(swish(norm_out(h)))",
        ),
        "in place on one's own": (
            "def residual_block(x, f, norm_in, conv_in, time, norm_out, conv_out, shortcut):\n"
            "    h = conv_in(nn.functional.silu(norm_in(x))).clone()\n"
            "    h += time(f)[:, :, None, None]\n"
            "    h = conv_out(nn.functional.silu(norm_out(h))).clone()\n"
            "    h += shortcut(x)\n    return h",
        ),
        "image by image": (
            "def residual_block(x, f, *layers):\n"
            "    return torch.cat([one(x[k : k + 1], f[k : k + 1], *layers)"
            " for k in range(len(x))])",
            "def one(x, f, norm_in, conv_in, time, norm_out, conv_out, shortcut):\n"
            "    h = conv_in(nn.SiLU()(norm_in(x))) + time(f).reshape(1, -1, 1, 1)\n"
            "    return shortcut(x) + conv_out(nn.SiLU()(norm_out(h)))",
        ),
        "shortcut first": (
            "def residual_block(x, f, norm_in, conv_in, time, norm_out, conv_out, shortcut):\n"
            "    kept, shift = shortcut(x), time(f)\n"
            "    h = conv_in(nn.functional.silu(norm_in(x)))\n"
            "    h = torch.einsum('bchw,bc->bchw', torch.ones_like(h), shift) + h\n"
            "    return kept + conv_out(nn.functional.silu(norm_out(h)))",
        ),
        "layers by name": (
            "def residual_block(x, time_features, norm_in, conv_in, time, norm_out, conv_out,"
            " shortcut):\n"
            "    layers = dict(a=norm_in, b=conv_in, c=norm_out, d=conv_out)\n"
            "    silu = nn.functional.silu\n"
            "    h = layers['b'](silu(layers['a'](x)))\n"
            "    h = h + time(time_features)[:, :, None].unsqueeze(3)\n"
            "    return torch.stack([shortcut(x), layers['d'](silu(layers['c'](h)))]).sum(0)",
        ),
        "numpy sum": (
            "def residual_block(x, f, norm_in, conv_in, time, norm_out, conv_out, shortcut):\n"
            "    h = conv_in(nn.functional.silu(norm_in(x)))\n"
            "    h = torch.from_numpy(h.numpy() + time(f).numpy()[:, :, None, None])\n"
            "    return np.add(shortcut(x), conv_out(nn.functional.silu(norm_out(h))))",
        ),
    },
    "05.unet_forward": {
        "recursion": (
            "def unet_forward(x, f, stem, downs, encoder, middle, decoder, ups, out):\n"
            "    def inside(h, level):\n"
            "        if level == len(downs):\n            return middle(h, f)\n"
            "        skip = encoder[level](downs[level](h), f)\n"
            "        back = -1 - level\n"
            "        joined = torch.cat([inside(skip, level + 1), skip], dim=1)\n"
            "        return ups[back](decoder[back](joined, f))\n"
            "    return out(inside(stem(x), 0))",
        ),
        "reversed skips": (
            "def unet_forward(x, f, stem, downs, encoder, middle, decoder, ups, out):\n"
            "    maps = [stem(x)]\n"
            "    for k in range(len(downs)):\n"
            "        maps.append(encoder[k](downs[k](maps[-1]), f))\n"
            "    h = middle(maps[-1], f)\n"
            "    for block, up, skip in zip(decoder, ups, maps[:0:-1]):\n"
            "        h = up(block(torch.cat((h, skip), 1), f))\n"
            "    return out(h)",
        ),
        "deque": (
            "def unet_forward(x, f, stem, downs, encoder, middle, decoder, ups, out):\n"
            "    skips, h = collections.deque(), stem(x)\n"
            "    for down, block in zip(downs, encoder):\n"
            "        h = block(down(h), f)\n        skips.appendleft(h)\n"
            "    h = middle(h, f)\n"
            "    for block, up in zip(decoder, ups):\n"
            "        h = up(block(torch.cat([h, skips.popleft()], 1), f))\n"
            "    return out(h)",
        ),
        "accumulate": (
            "def unet_forward(x, f, stem, downs, encoder, middle, decoder, ups, out):\n"
            "    levels = zip(downs, encoder)\n"
            "    _, *skips = itertools.accumulate(\n"
            "        levels, lambda h, level: level[1](level[0](h), f), initial=stem(x))\n"
            "    h = middle(skips[-1], f)\n"
            "    for block, up in zip(decoder, ups):\n"
            "        h = up(block(torch.cat([h, skips.pop()], 1), f))\n"
            "    return out(h)",
        ),
        "while": (
            "def unet_forward(x, f, stem, downs, encoder, middle, decoder, ups, out):\n"
            "    h, skips, k = stem(x), {}, 0\n"
            "    while k < len(downs):\n"
            "        h = skips[k] = encoder[k](downs[k](h), f)\n        k += 1\n"
            "    h = middle(h, f)\n"
            "    while k:\n        k -= 1\n        place = len(decoder) - 1 - k\n"
            "        h = ups[place](decoder[place](torch.cat([h, skips[k]], 1), f))\n"
            "    return out(h)",
        ),
        "concatenate": (
            "def unet_forward(x, f, stem, downs, encoder, middle, decoder, ups, out):\n"
            "    h, skips = stem(x), []\n"
            "    for level in range(len(downs)):\n"
            "        h = encoder[level](downs[level](h), f)\n"
            "        skips = [h.clone(), *skips]\n"
            "    h = middle(h, f)\n"
            "    for skip, block, up in zip(skips, decoder, ups):\n"
            "        both = torch.from_numpy(np.concatenate([h, skip], axis=1))\n"
            "        h = up(block(both, f))\n"
            "    return out(h).numpy()",
        ),
        "class": (
            "class unet_forward:\n"
            "    def __call__(self, x, f, stem, downs, encoder, middle, decoder, ups, out):\n"
            "        self.skips = []\n"
            "        h = middle(self.down(stem(x), f, downs, encoder), f)\n"
            "        for block, up in zip(decoder, ups):\n"
            "            h = up(block(torch.cat([h, self.skips.pop(-1)], 1), f))\n"
            "        return out(h)\n"
            "    def down(self, h, f, downs, encoder):\n"
            "        for smaller, block in zip(downs, encoder):\n"
            "            self.skips.append(block(smaller(h), f))\n"
            "            h = self.skips[-1]\n"
            "        return h",
        ),
        "image by image": (
            "def unet_forward(x, f, *parts):\n"
            "    for k in range(len(x)):\n        yield one(x[k : k + 1], f[k : k + 1], *parts)[0]",
            "def one(x, f, stem, downs, encoder, middle, decoder, ups, out):\n"
            "    h, skips = stem(x), []\n"
            "    for down, block in zip(downs, encoder):\n"
            "        h = block(down(h), f)\n        skips += [h]\n"
            "    h = middle(h, f)\n"
            "    for block, up in zip(decoder, ups):\n"
            "        h = up(block(torch.cat([h, skips.pop()], 1), f))\n"
            "    return out(h)",
        ),
    },
    "06.sample": {
        "reversed": (
            "def sample(model, x_T, T, step):\n    x = x_T\n"
            "    for t in reversed(range(1, T + 1)):\n"
            "        x = step(x, model(x, torch.tensor([t]).expand(len(x))), t)\n    return x",
        ),
        "reduce": (
            "def sample(model, x_T, T, step):\n"
            "    times = lambda x, t: torch.full(x.shape[:1], t)\n"
            "    back = lambda x, t: step(x, model(x, times(x, t)), t)\n"
            "    return functools.reduce(back, range(T, 0, -1), x_T)",
        ),
        "recursion": (
            "def sample(model, x_T, T, step):\n    if T == 0:\n        return x_T\n"
            "    t = torch.ones(len(x_T), dtype=torch.long) * T\n"
            "    return sample(model, step(x_T, model(x_T, t), T), T - 1, step)",
        ),
        "while": (
            "def sample(model, x_T, T, step):\n    x, t = x_T.clone(), T\n"
            "    while t > 0:\n"
            "        e = model(x, torch.LongTensor([t] * x.size(0)))\n"
            "        x = step(x, e, t)\n        t = t - 1\n    return x",
        ),
        "last of a trajectory": (
            "def trajectory(model, x, T, step):\n    yield x\n"
            "    for t in range(T, 0, -1):\n"
            "        x = step(x, model(x, torch.full((len(x),), t)), t)\n        yield x",
            "def sample(model, x_T, T, step):\n"
            "    *_, last = trajectory(model, x_T, T, step)\n    return last",
        ),
        "times of numpy": (
            "def sample(model, x_T, T, step):\n    x = x_T\n"
            "    for t in np.arange(T, 0, -1).tolist():\n"
            "        x = step(x, model(x, torch.from_numpy(np.full(len(x), t))), t)\n"
            "    return x.numpy()",
        ),
        "times of float32": (
            "def sample(model, x_T, T, step):\n    x = x_T\n"
            "    for t in torch.linspace(T, 1, T):\n"
            "        x = step(x, model(x, t.repeat(len(x))), int(t))\n    return x",
        ),
        "kept in a list": (
            "def sample(model, x_T, T, step):\n    seen = [x_T]\n"
            "    for k in range(T):\n        t = T - k\n"
            "        times = torch.zeros(len(x_T), dtype=torch.int64).fill_(t)\n"
            "        seen.append(step(seen[k], model(seen[k], times), t))\n    return seen[-1]",
        ),
    },
    "07.train_step": {
        "mse_loss": (
            "def train_step(model, optimizer, x_0, alpha_bars, t, noise):\n"
            "    optimizer.zero_grad()\n    a = alpha_bars[t - 1].reshape(-1, 1, 1, 1)\n"
            "    x_t = a.sqrt() * x_0 + (1 - a).sqrt() * noise\n"
            "    loss = nn.functional.mse_loss(model(x_t, t), noise)\n"
            "    loss.backward()\n    optimizer.step()\n    return loss.item()",
        ),
        "closure": (
            "def train_step(model, optimizer, x_0, alpha_bars, t, noise):\n"
            "    a = alpha_bars[t - 1][:, None, None, None]\n"
            "    def closure():\n        optimizer.zero_grad()\n"
            "        x_t = a**0.5 * x_0 + (1 - a) ** 0.5 * noise\n"
            "        loss = (model(x_t, t) - noise).pow(2).mean()\n"
            "        loss.backward()\n        return loss\n"
            "    return optimizer.step(closure)",
        ),
        "autograd": (
            "def train_step(model, optimizer, x_0, alpha_bars, t, noise):\n"
            "    a = alpha_bars[t - 1][:, None, None, None]\n"
            "    loss = ((model(a**0.5 * x_0 + (1 - a) ** 0.5 * noise, t) - noise) ** 2).mean()\n"
            "    weights = list(model.parameters())\n"
            "    for weight, slope in zip(weights, torch.autograd.grad(loss, weights)):\n"
            "        weight.grad = slope\n"
            "    optimizer.step()\n    return loss",
        ),
        "cleared by the model": (
            "def train_step(model, optimizer, x_0, alpha_bars, t, noise):\n"
            "    model.train()\n    model.zero_grad(set_to_none=False)\n"
            "    a = torch.index_select(alpha_bars, 0, t - 1).view(len(t), 1, 1, 1)\n"
            "    error = noise - model(torch.sqrt(a) * x_0 + torch.sqrt(1 - a) * noise, t)\n"
            "    loss = torch.mean(error * error)\n"
            "    loss.backward()\n    optimizer.step()\n    return float(loss)",
        ),
        "no gradients after": (
            "def train_step(model, optimizer, x_0, alpha_bars, t, noise):\n"
            "    optimizer.zero_grad()\n    a = alpha_bars[t - 1][:, None, None, None]\n"
            "    loss = (model(a**0.5 * x_0 + (1 - a) ** 0.5 * noise, t) - noise).square().mean()\n"
            "    loss.backward()\n    optimizer.step()\n    optimizer.zero_grad()\n"
            "    return loss.detach().numpy()",
        ),
        "sum over count": (
            "def train_step(model, optimizer, x_0, alpha_bars, t, noise):\n"
            "    optimizer.zero_grad()\n    a = alpha_bars[t - 1][:, None, None, None]\n"
            "    error = (model(a**0.5 * x_0 + (1 - a) ** 0.5 * noise, t) - noise).flatten()\n"
            "    loss = error @ error / error.numel()\n"
            "    loss.backward()\n    optimizer.step()\n    return [loss.item()]",
        ),
        "with gradients on": (
            "def train_step(model, optimizer, x_0, alpha_bars, t, noise):\n"
            "    with torch.no_grad():\n        a = alpha_bars[t - 1][:, None, None, None]\n"
            "        x_t = a.sqrt() * x_0 + (1 - a).sqrt() * noise\n"
            "    with torch.enable_grad():\n        predicted = model(x_t, t)\n"
            "        loss = nn.MSELoss()(predicted, noise)\n"
            "    optimizer.zero_grad()\n    loss.backward()\n    optimizer.step()\n"
            "    return loss",
        ),
        "image by image": (
            "def train_step(model, optimizer, x_0, alpha_bars, t, noise):\n"
            "    optimizer.zero_grad()\n    losses = []\n"
            "    for k, time in enumerate(t.tolist()):\n        a = alpha_bars[time - 1]\n"
            "        x_t = a.sqrt() * x_0[k : k + 1] + (1 - a).sqrt() * noise[k : k + 1]\n"
            "        error = model(x_t, t[k : k + 1]) - noise[k : k + 1]\n"
            "        losses.append(error.square().mean())\n"
            "    loss = sum(losses) / len(losses)\n"
            "    loss.backward()\n    optimizer.step()\n    return loss",
        ),
    },
    "07.training_loop": {
        "yields": (
            "def training_loop(images, orders, batch_size, step):\n    for order in orders:\n"
            "        for k in range(len(order) // batch_size):\n"
            "            yield step(images[order[k * batch_size : (k + 1) * batch_size]])",
        ),
        "split": (
            "def training_loop(images, orders, batch_size, step):\n    losses = []\n"
            "    for order in orders:\n        for batch in images[order].split(batch_size):\n"
            "            if len(batch) == batch_size:\n                losses.append(step(batch))\n"
            "    return losses",
        ),
        "DataLoader": (
            "from torch.utils.data import DataLoader, TensorDataset",
            "def training_loop(images, orders, batch_size, step):\n"
            "    for order in orders:\n"
            "        loader = DataLoader(TensorDataset(images), batch_size, drop_last=True,"
            " sampler=order.tolist())\n"
            "        for (batch,) in loader:\n            yield step(batch)",
        ),
        "unfold": (
            "def training_loop(images, orders, batch_size, step):\n"
            "    places = orders.unfold(1, batch_size, batch_size).flatten(0, 1)\n"
            "    return torch.stack([step(images[some]) for some in places])",
        ),
        "reshaped": (
            "def training_loop(images, orders, batch_size, step):\n"
            "    fit = orders.shape[1] // batch_size * batch_size\n"
            "    return [step(images[some]) for some in orders[:, :fit].reshape(-1, batch_size)]",
        ),
        "numpy": (
            "def training_loop(images, orders, batch_size, step):\n    losses = np.zeros(0)\n"
            "    for order in orders.numpy():\n"
            "        for k in range(0, order.size - order.size % batch_size, batch_size):\n"
            "            loss = step(images[order[k : k + batch_size]])\n"
            "            losses = np.append(losses, float(loss))\n    return losses",
        ),
        "iterator of places": (
            "def training_loop(images, orders, batch_size, step):\n    for order in orders:\n"
            "        places = [iter(order.tolist())] * batch_size\n"
            "        yield from (step(images[list(some)]) for some in zip(*places))",
        ),
        "recursion": (
            "def training_loop(images, orders, batch_size, step):\n"
            "    def epoch(order):\n        if len(order) < batch_size:\n            return []\n"
            "        loss = step(images[order[:batch_size]]).item()\n"
            "        return [loss] + epoch(order[batch_size:])\n"
            "    return sum(map(epoch, orders), [])",
        ),
        "while": (
            "def training_loop(images, orders, batch_size, step):\n    losses, e = [], 0\n"
            "    while e < len(orders):\n        start = 0\n"
            "        while start + batch_size <= len(images):\n"
            "            some = orders[e][start : start + batch_size]\n"
            "            losses.append(step(torch.index_select(images, 0, some)))\n"
            "            start += batch_size\n        e += 1\n    return tuple(losses)",
        ),
    },
    "06.steps": {
        "range": ("def steps(T):\n    return range(T, 0, -1)",),
        "reversed": ("def steps(T):\n    return reversed(range(1, T + 1))",),
        "sorted": ("def steps(T):\n    return sorted(range(1, T + 1), reverse=True)",),
        "yields": ("def steps(T):\n    while T:\n        yield T\n        T -= 1",),
        "numpy": ("def steps(T):\n    return np.arange(1, T + 1)[::-1]",),
        "floats": ("def steps(T):\n    return torch.linspace(T, 1, T)",),
        "whole floats": ("def steps(T):\n    return [float(t) for t in range(T, 0, -1)]",),
        "0-d tensors": ("def steps(T):\n    return [torch.tensor(t) for t in range(T, 0, -1)]",),
        "tuple": ("def steps(T):\n    return tuple(T - k for k in range(T))",),
        "flip": ("def steps(T):\n    return torch.arange(1, T + 1).flip(0)",),
    },
    "07.ema_update": {
        "lerp": ("def ema_update(average, value, decay):\n    return value.lerp(average, decay)",),
        "own copy": (
            "def ema_update(average, value, decay):\n    average = average.clone()\n"
            "    average.mul_(decay).add_(value, alpha=1 - decay)\n    return average",
        ),
    },
    "08.gaussian_score": {
        "autograd": (
            "def gaussian_score(x, mean, var):\n    x = x.detach().requires_grad_(True)\n"
            "    log_p = -((x - mean) ** 2) / (2 * var)\n    log_p.sum().backward()\n"
            "    return x.grad",
        ),
        "torch.func": (
            "log_p = lambda x, mean, var: -((x - mean) ** 2) / (2 * var)",
            "gaussian_score = torch.vmap(torch.func.grad(log_p))",
        ),
    },
}


@dataclass(frozen=True)
class Answer:
    """A right answer in some style.

    Args:
        exercise: its name.
        kind: of the style: "result", "definition", "by hand", "right.py".
        style: its name.
        cells: the cells, without the one that checks it.
    """

    exercise: str
    kind: str
    style: str
    cells: tuple[str, ...]

    @property
    def function(self):
        return self.exercise[3:]


def arguments(typed):
    return ", ".join(part.split(":")[0].strip() for part in typed.split(", "))


def in_result_styles(exercise, typed, right):
    """The formula in each style of result."""
    name = exercise[3:]
    if name in PAIRS:
        for style, how in ARRAYS.items():
            if style == "list of tensors of one number":
                continue  # of a pair it is a column, which is another shape
            yield style, f"form = lambda x: {how}\n    a, b = {right}\n    return form(a), form(b)"
        for style, how in COUPLES.items():
            yield f"a pair as {style}", f"a, b = {right}\n    return {how}"
        return
    for style, how in (NUMBER if name in NUMBERS else ARRAYS).items():
        yield style, f"x = {right}\n    return {how}"


def put_together():
    """The answers that call functions which they are handed, in all styles."""
    made = []
    for exercise, (args, body) in PUT_TOGETHER.items():
        name = exercise[3:]
        work = f"def work_of({args}):\n{body}"
        results = NUMBER if name == "train_step" else ARRAYS
        for style, how in results.items():
            cell = f"def {name}({args}):\n    x = work_of({args})\n    return {how}"
            made.append(Answer(exercise, "result", style, (IMPORTS + HELPERS, work, cell)))
        parts = {"name": name, "args": args, "typed": args, "quoted": args}
        parts["right"] = f"work_of({args})"
        for style, cells in DEFINITIONS.items():
            if style.startswith(UNFIT) or (
                name == "train_step" and style.startswith(WITHOUT_GRADIENTS)
            ):
                continue
            filled = [cell.format(**parts) for cell in cells]
            made.append(Answer(exercise, "definition", style, (IMPORTS, work, *filled)))
        for style, cells in BY_HAND[exercise].items():
            made.append(Answer(exercise, "by hand", style, (IMPORTS, *cells)))
        source = inspect.getsource(RIGHT[name])
        made.append(Answer(exercise, "right.py", "right.py", (IMPORTS, source)))
    return made


def answers():
    """All right answers in all styles."""
    made = put_together()
    for exercise, (typed, right) in FORMULAS.items():
        name = exercise[3:]
        args = arguments(typed)
        for style, body in in_result_styles(exercise, typed, right):
            cell = f"def {name}({args}):\n    {body}"
            made.append(Answer(exercise, "result", style, (IMPORTS + HELPERS, cell)))
        parts = {"name": name, "args": args, "typed": typed, "right": right}
        parts["quoted"] = ", ".join(f"{one}: 'Tensor'" for one in args.split(", "))
        for style, cells in DEFINITIONS.items():
            if style.startswith("scripted") and exercise in UNSCRIPTED:
                continue
            filled = [cell.format(**parts) for cell in cells]
            made.append(Answer(exercise, "definition", style, (IMPORTS, *filled)))
        for style, cells in BY_HAND.get(exercise, {}).items():
            made.append(Answer(exercise, "by hand", style, (IMPORTS, *cells)))
        source = inspect.getsource(RIGHT[name])
        made.append(Answer(exercise, "right.py", "right.py", (IMPORTS, source)))
    return made
