"""Tests of a parabola as students write them: the source of `test`, whether it is right, and words
of what is said of it.
"""

HEAD = "import torch\nX = torch.tensor([1.0, 2.0, -1.0])\nY = torch.tensor([1.5, 6.5, 3.5])\n"
CALL = "function(X, 2.0, -1, 0.5)"  # of a function under test; the right result is Y
NEEDS = "    x = X.clone()\n    assert torch.allclose(function(x, 2.0, -1, 0.5), Y)\n"

RIGHT = {
    "asserts": f"def test(function):\n{NEEDS}    assert torch.equal(x, X)\n",
    "uses the names of the arguments": (
        f"def test(function):\n{NEEDS}"
        "    named = function(c=0.5, x=x, a=2.0, b=-1)\n    assert torch.equal(x, X)\n"
    ),
    "has a helper and a global constant": (
        "def near(a, b):\n    assert (a - b).abs().max() < 1e-4\n"
        f"def test(function):\n    x = X.clone()\n    near({CALL.replace('X', 'x')}, Y)\n"
        "    near(x, X)\n"
    ),
    "asks torch": (
        "def test(function):\n    x = X.clone()\n"
        "    torch.testing.assert_close(function(x, 2.0, -1, 0.5), Y)\n"
        "    torch.testing.assert_close(x, X)\n"
    ),
    "raises an error of its own": (
        "def test(function):\n    x = X.clone()\n"
        "    if not torch.allclose(function(x, 2.0, -1, 0.5), Y) or not torch.equal(x, X):\n"
        "        raise ValueError('this is no parabola')\n"
    ),
    "ends its process": (
        "def test(function):\n    try:\n        x = X.clone()\n"
        "        assert torch.allclose(function(x, 2.0, -1, 0.5), Y) and torch.equal(x, X)\n"
        "    except AssertionError:\n        raise SystemExit\n"
    ),
    "draws at random": (
        "def test(function):\n    x = torch.randn(9)\n    kept = x.clone()\n"
        "    a, b, c = 2.0, 3.0, -1.0\n"
        "    y = function(x, a, b, c)\n    assert torch.equal(x, kept)\n"
        "    assert (y - ((a * x + b) * x + c)).abs().max() < 1e-4\n"
    ),
    "returns True": f"def test(function):\n{NEEDS}    assert torch.equal(x, X)\n    return True\n",
    "is an object": (
        "class Test:\n    def __call__(self, function):\n"
        "        x = X.clone()\n        assert torch.allclose(function(x, 2.0, -1, 0.5), Y)\n"
        "        assert torch.equal(x, X)\ntest = Test()\n"
    ),
    "works in numpy": (
        "import numpy as np\ndef test(function):\n    x = X.numpy().copy()\n"
        "    y = function(torch.from_numpy(x), 2.0, -1, 0.5)\n"
        "    assert np.allclose(np.asarray(y), Y.numpy()) and np.allclose(x, X.numpy())\n"
    ),
    "is a lambda": (
        "def same(x, y, z):\n    assert torch.allclose(x, y) and torch.equal(z, X)\n"
        "def call(function, x):\n    return function(x, 2.0, -1, 0.5)\n"
        "test = lambda function: (lambda x: same(call(function, x), Y, x))(X.clone())\n"
    ),
}
STUBS = {
    "pass": "def test(function):\n    pass  # your answer\n",
    "dots": "def test(function):\n    ...\n",
    "returns dots": "def test(function):\n    return ...\n",
    "raises": "def test(function):\n    raise NotImplementedError\n",
    "accepts everything": "def test(function):\n    assert True\n",
    "is left out": "test = None\n",
}
WRONG = {  # words of what is said
    "assert False": (
        "def test(function):\n    assert False\n",
        "your test refuses a right function, which follows the formula, without having called it:"
        " AssertionError (line 2 of test: assert False).",
    ),
    "accepts too much": (
        f"def test(function):\n    {CALL}\n",
        "you caught 0 of 5; this one lives: c is left out.",
    ),
    "one value alone": (
        "def test(function):\n    y = function(torch.zeros(1), 1.0, 2, 3.0)\n"
        "    assert abs(y[0] - 3) < 1e-4\n",
        "you caught 1 of 5; this one lives: a is left out.",
    ),
    "does not look at the argument": (
        f"def test(function):\n{NEEDS}",
        "you caught 4 of 5; this one lives: x is changed in place.",
    ),
    "compares exactly": (
        "def test(function):\n    x = torch.linspace(0, 1, 20)\n"
        "    assert torch.equal(function(x, 0.3, 0.7, 0.1), 0.3 * x**2 + 0.7 * x + 0.1)\n",
        "your test refuses a right function, which goes through the points: AssertionError"
        " (line 3 of test: assert torch.equal",
    ),
    "a name that does not exist": (
        "def test(function):\n    y = functoin(X, 2.0, -1, 0.5)\n",
        "your test stopped with NameError: name 'functoin' is not defined (line 2 of test: y ="
        " functoin(X, 2.0, -1, 0.5)) before it could judge; the function that it was given is"
        " right, and follows the formula.",
    ),
    "too few arguments": (
        "def test(function):\n    function(X)\n",
        "your test stopped with TypeError: missing a required argument: 'a' (line 2",
    ),
    "an unknown argument": (
        "def test(function):\n    function(X, 2.0, -1, d=0.5)\n",
        "your test stopped with TypeError: missing a required argument: 'c' (line 2",
    ),
    "a list": (
        "def test(function):\n    function([1.0], 2.0, -1, 0.5)\n",
        "your test stopped with TypeError: the function under test takes tensors, arrays and"
        " numbers, got list",
    ),
    "too many numbers": (
        "def test(function):\n    function(torch.zeros(2**21), 2.0, -1, 0.5)\n",
        "your test stopped with ValueError: the function under test takes at most 1,048,576",
    ),
    "too large together": (
        "def test(function):\n    function(torch.zeros(9000, 1), torch.zeros(9000), -1, 0.5)\n",
        "a call of the function under test with shapes (9000, 1) and (9000,) may take too much",
    ),
    "asks for a gradient": (
        "def test(function):\n    x = X.clone().requires_grad_()\n"
        "    function(x, 2.0, -1, 0.5).sum().backward()\n",
        "your test stopped with RuntimeError: element 0 of tensors does not require grad",
    ),
    "shapes that do not fit": (
        "def test(function):\n    function(X, torch.zeros(2), -1, 0.5)\n",
        "your test stopped with RuntimeError: The size of tensor a (2) must match the size of",
    ),
    "raises an error for a right one": (
        "def test(function):\n    function(X.clone(), 2.0, -1, 0.5)\n    raise ValueError('no')\n",
        "your test refuses a right function, which follows the formula: ValueError: no (line 3 of"
        " test: raise ValueError('no')).",
    ),
    "returns what it should assert": (
        f"def test(function):\n    return torch.allclose({CALL.replace('X', 'X.clone()')}, Y)\n",
        "your test returns False, which decides nothing; a test refuses a function by raising an"
        " error, so write assert in place of return.",
    ),
    "returns a truth of NumPy": (
        "import numpy as np\ndef test(function):\n    function(X.clone(), 2.0, -1, 0.5)\n"
        "    return np.bool_(False)\n",
        "your test returns False, which decides nothing",
    ),
    "returns a truth of PyTorch": (
        "def test(function):\n    return (function(X.clone(), 2.0, -1, 0.5) == Y).all()\n",
        "your test returns False, which decides nothing",
    ),
    "returns a tensor": (
        f"def test(function):\n    return {CALL.replace('X', 'X.clone()')} == Y\n",
        "your test returns Tensor, which decides nothing",
    ),
    "is a generator": (
        f"def test(function):\n    yield {CALL}\n",
        "your test returns generator, which decides nothing",
    ),
    "takes no argument": (
        "def test():\n    pass\n",
        "your test stopped with TypeError: test() takes 0 positional arguments but 1 was given"
        " before it could judge",
    ),
    "calls without end": (
        "def test(function):\n    while True:\n        function(X.clone(), 2.0, -1, 0.5)\n",
        "graph.catch_the_bug: a test may call the function at most 200 times.",
    ),
    "calls a wrong one without end": (
        "def test(function):\n    while function(X.clone(), 0.0, 0, 1.0)[0] != 1:\n        pass\n",
        "graph.catch_the_bug: a test may call the function at most 200 times.",
    ),
    "catches whatever is raised": (
        "def test(function):\n    for _ in range(300):\n        try:\n"
        "            function(X.clone(), 0.0, 0, 1.0)\n        except Exception:\n"
        "            pass\n",
        "graph.catch_the_bug: a test may call the function at most 200 times.",
    ),
}
CHEATS = {  # each earns nothing, whatever is said
    "by its name": (
        "import random\ndef test(function):\n    function(X.clone(), 2.0, -1, 0.5)\n"
        "    assert 'in place' not in f'{function} {function.__name__} {function.__qualname__}'\n"
        "    assert function.__module__ == '__main__' and not function.__doc__\n"
    ),
    "by its source": (
        "import inspect\ndef test(function):\n    source = inspect.getsource(function)\n"
        "    assert 'mul_' not in source\n"
    ),
    "by its signature": (
        "import inspect\ndef test(function):\n"
        "    assert str(inspect.signature(function)) == '(x, a, b, c)'\n"
    ),
    "by its attributes": (
        "def test(function):\n    cells = [c.cell_contents for c in function.__closure__]\n"
        "    assert not any('wrong' in str(dir(c)) for c in cells)\n"
    ),
    "the first alone": (
        "seen = []\ndef test(function):\n    seen.append(function)\n    assert len(seen) == 1\n"
    ),
    "the first three": (
        "seen = []\ndef test(function):\n    seen.append(function)\n    assert len(seen) <= 3\n"
    ),
    "every second": (
        "seen = []\ndef test(function):\n    seen.append(1)\n    assert len(seen) % 2\n"
    ),
    "by its place in memory": "def test(function):\n    assert id(function) % 32 < 16\n",
    "by chance": "def test(function):\n    assert torch.rand(()) < 0.5\n",
    "by real chance": (
        "import random\ndef test(function):\n    assert random.SystemRandom().random() < 0.5\n"
    ),
    "by the clock": (
        "import time\ndef test(function):\n    assert time.perf_counter_ns() // 1000 % 2\n"
    ),
    "the last one": (
        "kept = []\ndef test(function):\n    kept.append(function)\n"
        "    for one in kept:\n        one(X.clone(), 2.0, -1, 0.5)\n"
    ),
}
