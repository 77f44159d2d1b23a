"""Whether what is said of a wrong answer is true, found out without the code that says it: the
formula that is shown is worked out as Python, and a relation is tried as it reads, on other inputs.
"""

import math
import re

import numpy as np
import torch

from marking.diagnosis import diagnose, expected, problem_of
from marking.exercise import Inputs
from marking.outcome import copied, in_the_form_of, outcome_of

SEEDS = (1, 2)
CALL = re.compile(r"\b([a-z]\w*)\(")  # a function, which an argument may share its name with


def calls(exercise, function, seed):
    """The cases of a seed, what a function gives on each, and once more on the first, in the form
    in which the engine judges it.
    """
    cases = list(exercise.cases(Inputs(seed)))
    outcomes = []
    for case in [*cases, cases[0]]:
        outcome = outcome_of(function, [copied(arg) for arg in case.args])
        formed = in_the_form_of(expected(exercise, case), outcome, exercise.tolerance)
        outcomes.append(formed)
    return cases, outcomes[:-1], outcomes[-1]


def diagnosis_of(exercise, function, seed=0):
    return diagnose(exercise, *calls(exercise, function, seed))


def fails(exercise, function, seed):
    """Whether an answer is wrong in some case."""
    cases, outcomes, _ = calls(exercise, function, seed)
    return any(
        problem_of(exercise, expected(exercise, case), outcome)
        for case, outcome in zip(cases, outcomes)
    )


class Left:
    """An array whose shape is matched from the left."""

    def __init__(self, values):
        self.values = np.asarray(values, dtype=float)

    def apply(self, operation, other, swapped=False):
        a, b = self.values, np.asarray(number_of(other), dtype=float)
        axes = max(a.ndim, b.ndim)
        a, b = (x.reshape(x.shape + (1,) * (axes - x.ndim)) for x in (a, b))
        return type(self)(operation(b, a) if swapped else operation(a, b))

    def __getitem__(self, index):
        if isinstance(index, slice):
            return type(self)(self.values[: int(number_of(index.stop))])
        return type(self)(self.values[np.asarray(number_of(index)).astype(int)])

    def __neg__(self):
        return type(self)(-self.values)

    def __float__(self):
        return float(self.values)

    __int__ = __index__ = lambda self: int(self.values)


class Right(Left):
    """An array whose shape is matched from the right."""

    def apply(self, operation, other, swapped=False):
        a, b = self.values, np.asarray(number_of(other), dtype=float)
        return type(self)(operation(b, a) if swapped else operation(a, b))


for name, operation in (
    *(("add", np.add), ("sub", np.subtract), ("mul", np.multiply)),
    *(("truediv", np.divide), ("pow", np.power), ("lt", np.less), ("le", np.less_equal)),
    *(("gt", np.greater), ("ge", np.greater_equal), ("eq", np.equal)),
):
    for prefix in ("", "r"):
        setattr(
            Left,
            f"__{prefix}{name}__",
            lambda a, b, o=operation, s=bool(prefix): a.apply(o, b, s),
        )


def number_of(value):
    return value.values if isinstance(value, Left) else value


def functions(kind):
    """What the names of functions in a formula mean, as the documentation of NumPy has it."""

    def entries(function):
        return lambda *parts: kind(function(*map(number_of, parts)))

    def cat(a, b, axis):
        return np.concatenate([a, b], int(axis))

    def alternate(a, b, axis):
        joined = np.concatenate([a, b], int(axis))
        order = np.arange(joined.shape[int(axis)]).reshape(2, -1).T.ravel()
        return np.take(joined, order, int(axis))

    def rows(function):
        return lambda x: np.array([function(one) for one in x])

    return {
        **{
            one: entries(getattr(np, one))
            for one in (
                "sqrt log log2 log10 exp sin cos abs clip radians prod sum mean max min"
            ).split()
        },
        "median": entries(lambda x: np.quantile(x, 0.5, method="lower")),
        "cumprod": entries(lambda x: np.cumprod(x, 0)),
        "cumsum": entries(lambda x: np.cumsum(x, 0)),
        "flip": entries(lambda x: x[::-1]),
        "arange": entries(lambda *ends: np.arange(*map(float, ends))),
        "outer": entries(np.multiply.outer),
        "cat": entries(cat),
        "alternate": entries(alternate),
        "stack": entries(lambda a, b, axis: np.stack([a, b], int(axis))),
        "mean_of_rows": entries(lambda x: x.mean(0)),
        "sum_of_rows": entries(lambda x: x.sum(0)),
        "mean_within_rows": entries(rows(np.mean)),
        "sum_within_rows": entries(rows(np.sum)),
        "column": entries(lambda x: x[:, :1]),
        "first_true": entries(lambda x: np.flatnonzero(x)[0]),
    }


def shown_texts(edited):
    """The answer's formula as it is shown: its results, and its other symbols, as texts."""
    from marking.formula import written

    results = [written(term) for term in edited.right]
    where = {name: written(term) for name, term in edited.where.items()}
    for right, yours in edited.beside():
        label = re.match(r"result (\d+): ", right)
        if label:
            results[int(label[1]) - 1] = yours.removeprefix(label[0])
        elif right == results[0] and " = " not in right:
            results[0] = yours
        else:
            name, _, text = yours.partition(" = ")
            where[name] = text
    return results, where


def meaning_of(text, known):
    """A formula, worked out as Python."""
    return eval(CALL.sub(r"of_\1(", text), known)


def worked_out(edited, arguments, args):
    """The shown formula's results for some arguments; None where it cannot be worked out."""
    kind = Right if edited.setting.from_the_right else Left
    known = {f"of_{name}": meaning for name, meaning in functions(kind).items()}
    known["pi"] = math.pi
    for name, arg in zip(arguments, args):
        known[name] = kind(arg.double().numpy() if isinstance(arg, torch.Tensor) else arg)
    results, where = shown_texts(edited)
    with np.errstate(all="ignore"):
        for name, text in where.items():
            try:
                known[name] = meaning_of(text, known)
            except (ValueError, IndexError, TypeError, NameError):
                known.pop(name, None)
        try:
            return [
                np.asarray(number_of(eval(CALL.sub(r"of_\1(", text), known))) for text in results
            ]
        except (ValueError, IndexError, TypeError, NameError):
            return None


def far(own, value, tolerance):
    """Whether two arrays differ by more than the exercise allows, with some room."""
    if value.ndim and own.shape == value.shape + (1,) * (own.ndim - value.ndim):
        own = own.reshape(value.shape)
    if own.shape != value.shape:
        return True
    size = max(float(np.abs(own[np.isfinite(own)]).max(initial=0)), 0.05)
    return not np.allclose(own, value, rtol=0, atol=2 * tolerance * size, equal_nan=True)


RELATIONS = {
    r"is the right one with the opposite sign": lambda x: -x,
    r"is the square root of the right one": np.sqrt,
    r"is the square of the right one": lambda x: x * x,
    r"is the right one upside down, 1 divided by it": lambda x: 1 / x,
    r"is 1 minus the right one": lambda x: 1 - x,
    r"is the right one in reverse order": lambda x: x[::-1],
    r"is the mean of the right one": lambda x: np.mean(x),
    r"is the sum of the right one": lambda x: np.sum(x),
    r"is right": lambda x: x,
}


def untrue(exercise, function, diagnosis):
    """What is untrue of what is said, in words; empty if nothing is."""
    found = []
    edited = diagnosis.edited
    if edited is not None:
        found += sentences_untrue(edited)
    for seed in SEEDS:
        cases, outcomes, again = calls(exercise, function, seed)
        if edited is not None:
            for case, own in zip(cases, outcomes):
                shown = worked_out(edited, exercise.arguments, case.args)
                if own.value is None or shown is None:
                    finite = shown is not None and all(np.isfinite(one).all() for one in shown)
                    if (own.value is None) != (shown is None) and (own.value is not None or finite):
                        found.append(f"seed {seed}, {case.description}: an error on one side only")
                    continue
                value = own.value
                if len(value) == 1 and len(shown) > 1 and len(value[0]) == len(shown):
                    value = tuple(value[0])
                if len(value) != len(shown) or any(
                    far(a.astype(float), b, exercise.tolerance) for a, b in zip(value, shown)
                ):
                    found.append(f"seed {seed}, {case.description}: the shown formula differs")
        elif not diagnosis.explanation and "different results" not in diagnosis.mistake:
            other = diagnose(exercise, cases, outcomes, again)
            if other is None or other.mistake != diagnosis.mistake:
                said = other.mistake if other else "nothing"
                found.append(f"seed {seed} says {said!r}, not {diagnosis.mistake!r}")
            for pattern, change in RELATIONS.items():
                if diagnosis.mistake == f"the result {pattern}":
                    for case, own in zip(cases, outcomes):
                        want = expected(exercise, case).value[0]
                        if far(own.value[0].astype(float), np.asarray(change(want)), 1e-3):
                            found.append(f"seed {seed}: {diagnosis.mistake!r} does not hold")
    return found


def sentences_untrue(edited):
    """The sentences that say of the right formula what it does not hold."""
    from marking.formula import written

    texts = [written(term) for term in (*edited.right, *edited.where.values())]
    wrong = []
    for edit in edited.edits:
        said = re.search(r"where the formula has (.+)$", edit.said)
        if said:
            words = re.sub(r"(, everywhere|, above .+)?(, in \w+)?$", "", said[1])
            words = words.removesuffix(" itself")
            if not any(words in text for text in texts):
                wrong.append(f"{edit.said!r}: no {words!r} in {texts}")
    return wrong
