"""What an answer may return or be, and should not: expressions, on which no part of the marking may
fall over. They are evaluated in the test and in a sandboxed notebook.
"""

SETUP = '''
import array, collections, dataclasses, decimal, enum, fractions, functools, io, itertools
import sys, types
import numpy as np
import torch
from torch import nn

class Raising:
    """Raises whatever is asked of it."""
    def __init__(self, error=ValueError): self.error = error
    def raising(self, *args, **options): raise self.error("no")
    __len__ = __iter__ = __array__ = __float__ = __eq__ = __repr__ = __str__ = raising
    __getitem__ = __index__ = __int__ = __bool__ = __hash__ = raising

class Unsayable(Exception):
    """An error that cannot say what it is."""
    def __str__(self): raise ValueError("no")
    __repr__ = __str__

class Fatal(BaseException): pass

def only(**methods):
    """An object with these methods alone."""
    return type("Only", (), {f"__{name}__": method for name, method in methods.items()})()

def raises(error):
    raise error

class LyingClass:
    @property
    def __class__(self): return torch.Tensor

class Equal:
    def __eq__(self, other): return True
    def __hash__(self): return 0
    def __getattr__(self, name): return Equal()

class Own(torch.Tensor): pass

class Zero(torch.Tensor):
    @classmethod
    def __torch_function__(cls, function, kinds, args=(), options=None): return torch.zeros(1)

class Breaking(torch.Tensor):
    @classmethod
    def __torch_function__(cls, function, kinds, args=(), options=None): raise Unsayable

class LongList(list):
    def __len__(self): return 10**12

class ShortList(list):
    def __len__(self): return -1

class Colour(enum.Enum):
    RED = 1

@dataclasses.dataclass
class Pair:
    first: float = 0.5
    second: float = 0.5

def recursive():
    inner = []
    inner.append(inner)
    return inner

def recursive_pair():
    inner = [torch.ones(1)]
    inner.append(inner)
    return inner

def nested(depth):
    inner = 0.5
    for _ in range(depth): inner = [inner]
    return inner

def raising_later():
    yield 0.5
    raise Unsayable

def exiting():
    yield 0.5
    raise SystemExit

def endless():
    while True: yield 0.5

def endless_rows():
    while True: yield [0.5, 0.5]

def endless_inside():
    yield endless()

async def later(): return 0.5

def object_array():
    inner = np.empty(2, dtype=object)
    inner[0], inner[1] = inner, None
    return inner
'''

RESULTS = (
    # nothing, truth, text
    *(
        "None",
        "...",
        "NotImplemented",
        "True",
        "[True, False]",
        "np.bool_(1)",
        "torch.tensor(True)",
    ),
    *("''", "'text'", "'0.5'", "b'bytes'", "bytearray(b'b')", "['a', 'b']", "np.array(['a'])"),
    *("np.array([b'a'])", "np.str_('a')", "memoryview(b'abc')", "'\\ud800'", "'x' * 10**6"),
    # numbers
    *("0", "0.5", "1j", "[1j]", "np.complex64(1)", "torch.tensor([1j])", "10**400", "[10**400]"),
    *("-10**400", "2**63", "np.uint64(2**64 - 1)", "[2**64, 0.5]", "float('nan')", "float('inf')"),
    *("[float('nan')] * 3", "np.longdouble(1) / 3", "np.float64('-inf')", "1e308", "-1e308"),
    *("decimal.Decimal('NaN')", "decimal.Decimal('sNaN')", "decimal.Decimal('1e999')"),
    *("fractions.Fraction(1, 3)", "[fractions.Fraction(10**400, 3)]", "Colour.RED", "Colour"),
    # empty
    *("[]", "()", "[[]]", "[[], []]", "((), ())", "torch.empty(0)", "torch.empty(3, 0)", "{}"),
    *("np.empty(0)", "np.empty((0, 3))", "iter([])", "range(0)", "[torch.empty(0)]", "set()"),
    # collections
    *(
        "{'a': 0.5}",
        "{0.5}",
        "frozenset([1])",
        "{0: 1}.keys()",
        "{0: 1}.items()",
        "{0: 1}.values()",
    ),
    *("collections.Counter('aa')", "collections.OrderedDict(a=1)", "collections.deque([0.5])"),
    *("types.SimpleNamespace(a=1)", "Pair()", "[Pair()]", "zip([1], [2])", "enumerate([0.5])"),
    *(
        "[1, [2, 3]]",
        "[[1], [2, 3]]",
        "[[1, 2], 3]",
        "[[[1]], [[2], [3]]]",
        "[0.5, None]",
        "[None]",
    ),
    *("[torch.ones(2), torch.ones(3)]", "[torch.ones(1), 2.0]", "[np.ones(2), None]", "[...]"),
    *("[[torch.ones(2)], torch.ones(2)]", "(torch.ones(2), 'a')", "(torch.ones(2), {})", "[{}]"),
    *("nested(7)", "nested(9)", "nested(40)", "nested(900)", "recursive()", "recursive_pair()"),
    *("LongList([0.5])", "ShortList([0.5])", "map(len, [1])", "(1 / 0 for _ in [1])"),
    *("raising_later()", "exiting()", "endless()", "endless_rows()", "endless_inside()"),
    *("itertools.count()", "itertools.repeat(torch.ones(1))", "itertools.cycle([[1, 2], [3, 4]])"),
    *(
        "iter([iter([1]), iter([])])",
        "iter(int, 1)",
        "io.StringIO('a')",
        "sys.stdout",
        "range(10**9)",
    ),
    # arrays
    *("np.zeros(10**8, np.int8)", "torch.zeros(1).expand(10**12)", "np.broadcast_to(0.5, 10**9)"),
    *("[0.5] * 3_000_000", "[[0.5] * 2000] * 2000", "[torch.zeros(1000)] * 3000", "[[]] * 70_000"),
    *(
        "torch.zeros([1] * 30)",
        "np.zeros([1] * 9)",
        "np.zeros([1] * 30)",
        "np.zeros(3, 'datetime64[s]')",
    ),
    *("np.zeros(3, 'timedelta64[s]')", "np.zeros(3, [('a', float)])", "np.zeros(3, object)"),
    *("np.array(None)", "np.array({})", "np.array([None, 1.0])", "object_array()", "np.float16(1)"),
    *("np.array(np.ones(2), dtype='>f8')", "np.ones(3, np.float16)", "np.array(0.5, dtype=object)"),
    *(
        "np.ma.masked",
        "np.ma.masked_array([1.0], [True])",
        "np.matrix([[1.0]])",
        "array.array('u', 'a')",
    ),
    *("np.empty((2, 2), object)", "np.rec.array([(1, 2.0)])", "np.lib.stride_tricks.as_strided"),
    # tensors
    *("torch.ones(3, dtype=torch.float16)", "torch.ones(3).bfloat16()", "torch.ones(3).half()"),
    *(
        "torch.ones(3).to(torch.float8_e4m3fn)",
        "[torch.ones(()).half()]",
        "torch.empty(3, device='meta')",
    ),
    *(
        "torch.empty(10**12, device='meta')",
        "torch.eye(3).to_sparse()",
        "torch.eye(3).to_sparse_csr()",
    ),
    *("torch.quantize_per_tensor(torch.ones(3), 0.1, 0, torch.qint8)", "torch.ones(3).bool()"),
    *(
        "torch.nested.nested_tensor([torch.ones(2), torch.ones(3)])",
        "torch.ones(3).to(torch.uint16)",
    ),
    *("torch.sparse_coo_tensor(size=(10**6, 10**6))", "torch.ones(3, requires_grad=True).exp()"),
    *("torch.ones(2, 3).mT", "torch.ones(3).as_subclass(Own)", "torch.ones(3).as_subclass(Zero)"),
    *("torch.ones(3).as_subclass(Breaking)", "nn.Parameter(torch.ones(3))", "torch.Size([3])"),
    *("torch.zeros(3, dtype=torch.complex64).conj()", "torch.float32", "torch.device('cpu')"),
    *(
        "torch.Generator()",
        "torch.ones(3).storage",
        "torch.ones(3).untyped_storage()",
        "nn.UninitializedParameter()",
    ),
    *(
        "torch.max(torch.ones(2, 3), 1)",
        "torch.ones(3).max",
        "torch.ones(2, 0, 3)",
        "torch.ones(3).to_mkldnn()",
    ),
    # objects
    *(
        "object()",
        "type",
        "int",
        "torch.Tensor",
        "list",
        "torch",
        "len",
        "lambda: 1",
        "print",
        "Raising",
    ),
    *("nn.Linear(2, 2)", "nn.ModuleList([nn.Identity()])", "nn.Sequential()", "later()", "later"),
    *(
        "ValueError('returned')",
        "Unsayable()",
        "Raising()",
        "[Raising()]",
        "(Raising(), Raising())",
    ),
    *("Raising(Unsayable)", "Raising(Fatal)", "Raising(SystemExit)", "Raising(RecursionError)"),
    *(
        "Equal()",
        "[Equal()]",
        "LyingClass()",
        "[LyingClass()]",
        "Fatal()",
        "slice(1)",
        "property()",
    ),
    *("only(len=lambda s: 10**12, getitem=lambda s, i: 0.5)", "only(iter=lambda s: 3)"),
    *("only(len=lambda s: -1, iter=lambda s: iter([1]))", "only(float=lambda s: 'a')"),
    *("only(array=lambda s, *a, **o: 'a')", "only(array=lambda s, *a, **o: None)"),
    *("only(array=lambda s, *a, **o: np.array(['a']))", "only(iter=lambda s: endless())"),
    *(
        "only(iter=lambda s: iter(s), next=lambda s: 0.5)",
        "only(iter=lambda s: s, next=lambda s: s)",
    ),
    *(
        "only(float=lambda s: float('nan'))",
        "only(float=lambda s: 10**400)",
        "only(index=lambda s: 3)",
    ),
    *("only(eq=lambda s, o: raises(Fatal))", "only(getattr=lambda s, n: raises(Unsayable()))"),
    *("only(array_interface=3)", "only(dlpack=lambda s: 3)", "only(array_struct=3)"),
    # errors in the call
    *(
        "1 / 0",
        "raises(Unsayable)",
        "raises(Fatal)",
        "raises(SystemExit)",
        "raises(SystemExit(Raising()))",
    ),
    *(
        "raises(GeneratorExit)",
        "raises(StopIteration)",
        "raises(MemoryError)",
        "raises(OSError(2, 'no'))",
    ),
    *("raises(RecursionError)", "raises(ValueError('x' * 10**6))", "raises(ValueError('\\ud800'))"),
    *(
        "raises(UnicodeDecodeError('utf8', b'', 0, 1, ''))",
        "raises(ExceptionGroup('a', [ValueError()]))",
    ),
    *(
        "raises(ValueError(Raising()))",
        "raises(KeyError(Unsayable()))",
        "(lambda f: f(f))(lambda f: f(f))",
    ),
    *(
        "__import__('nothing')",
        "undefined",
        "sys.exit(3)",
        "exec('def f(:')",
        "torch.ones(2) @ torch.ones(3)",
    ),
    *(
        "np.linalg.inv(np.zeros((2, 2)))",
        "raises(type('E' * 10**4, (Exception,), {}))",
        "exec('raise')",
    ),
)
# in place of the function itself
NO_FUNCTIONS = (
    *("3", "'text'", "[1]", "torch.ones(3)", "{}", "Raising()", "Equal()", "nn.Module()", "later"),
    *("type", "int", "object", "Raising", "Own", "nn.Linear", "nn.Linear(2, 3)", "print", "Colour"),
    *("lambda: 1", "lambda a: a", "only(call=3)", "only(call=lambda s, *a: raises(Fatal))", "exit"),
    *(
        "Pair",
        "Unsayable",
        "staticmethod(3)",
        "functools.partial(raises, Fatal)",
        "torch.nn.functional",
    ),
)
