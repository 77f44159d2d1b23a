"""The matrix: what passes, what fails, and under which name, for every exercise of the bank."""

import ast
import inspect
import re

import pytest
from right import __dict__ as RIGHT
from truth import calls, fails
from wrong import WRONG

from marking.diagnosis import explain, known_mistake
from marking.engine import judge
from marking.exercise import ALLOWED, Choice, Exercise, HandNumber, Stretch
from marking.outcome import outcome_of, same
from marking.sandbox import wire
from minddpm_course.bank import BANK, STRETCHES
from minddpm_course.pictures import compared

EXERCISES = [question for question in BANK.values() if isinstance(question, Exercise)]
HAND_NUMBERS = [question for question in BANK.values() if isinstance(question, HandNumber)]
CHOICES = [question for question in BANK.values() if isinstance(question, Choice)]
SEEDS = range(5)
# written with operations that a mutation does not change, or only where no input can tell
EQUIVALENT = {
    ("posterior_coefficients", "Constant"),  # nan_to_num's 1.0 stands at t = 1 alone
}


def name_of(question):
    return question.name


def of_exercise(pairs):
    return [
        pytest.param(*pair, id=f"{pair[0].name}-{getattr(pair[1], 'name', place)}")
        for place, pair in enumerate(pairs)
    ]


def verdict_on(exercise, function, seed=0):
    return judge(exercise, lambda args: outcome_of(function, args), seed)


@pytest.mark.parametrize("exercise", EXERCISES, ids=name_of)
def test_right_answers_pass(exercise):
    written_otherwise = RIGHT[exercise.name[3:]]
    for seed in SEEDS:
        for answer in (exercise.reference, written_otherwise):
            verdict = verdict_on(exercise, answer, seed)
            assert verdict.passed, (seed, verdict.message)
            assert verdict.mistake is None


@pytest.mark.parametrize("exercise", EXERCISES, ids=name_of)
@pytest.mark.parametrize("nothing", [None, ...])
def test_a_stub_fails_with_its_own_message(exercise, nothing):
    def unwritten(*args):
        raise NotImplementedError

    for stub in (unwritten, lambda *args: nothing):
        verdict = verdict_on(exercise, stub)
        assert not verdict.passed
        assert verdict.mistake is None
        assert "not written yet" in verdict.message
        assert exercise.returns in verdict.message


@pytest.mark.parametrize(
    ("exercise", "mistake"), of_exercise((e, m) for e in EXERCISES for m in e.mistakes)
)
def test_every_known_mistake_fails_and_is_named_as_itself(exercise, mistake):
    for seed in SEEDS:
        verdict = verdict_on(exercise, mistake.wrong, seed)
        assert not verdict.passed
        assert verdict.mistake == mistake.name
    explained = explain(exercise, mistake)
    assert explained in verdict.message
    assert "{" not in explained


@pytest.mark.parametrize("exercise", EXERCISES, ids=name_of)
def test_there_are_at_least_three_mistakes_and_their_examples_show_them(exercise):
    assert len(exercise.mistakes) >= 3
    assert len({mistake.name for mistake in exercise.mistakes}) == len(exercise.mistakes)
    for mistake in exercise.mistakes:
        right, wrong = (
            outcome_of(function, mistake.example)
            for function in (exercise.reference, mistake.wrong)
        )
        assert right.value is not None
        assert not same(right, wrong, 1e-3), mistake.name


@pytest.mark.parametrize(
    ("exercise", "answer"), of_exercise((e, w) for e in EXERCISES for w in WRONG[e.name])
)
def test_wrong_answers_that_are_in_no_bank_fail_without_a_name_of_the_bank(exercise, answer):
    """What is said of them instead is held to be true in test_naming.py."""
    for seed in SEEDS:
        assert fails(exercise, answer, seed)
        cases, outcomes, _ = calls(exercise, answer, seed)
        assert known_mistake(exercise, cases, outcomes) is None
    verdict = verdict_on(exercise, answer)
    assert not verdict.passed
    assert verdict.mistake not in {mistake.name for mistake in exercise.mistakes}


def mutations(function):
    """The function's source with one thing changed, again and again: an operator, a constant, a
    comparison.
    """
    swaps = {
        ast.Add: ast.Sub,
        ast.Sub: ast.Add,
        ast.Mult: ast.Div,
        ast.Div: ast.Mult,
        ast.Pow: ast.Mult,
        ast.Lt: ast.LtE,
        ast.Eq: ast.NotEq,
    }
    source = inspect.getsource(function)
    places = len(list(ast.walk(ast.parse(source))))
    for place in range(places):
        tree = ast.parse(source)
        node = list(ast.walk(tree))[place]
        if isinstance(node, ast.BinOp) and type(node.op) in swaps:
            node.op = swaps[type(node.op)]()
        elif isinstance(node, ast.Compare) and type(node.ops[0]) in swaps:
            node.ops[0] = swaps[type(node.ops[0])]()
        elif isinstance(node, ast.Constant) and type(node.value) in (int, float):
            node.value += 1
        else:
            continue
        if (function.__name__, type(node).__name__) in EQUIVALENT:
            continue
        yield ast.unparse(tree)


@pytest.mark.parametrize("exercise", EXERCISES, ids=name_of)
def test_a_mutation_of_a_right_answer_is_caught(exercise):
    function = RIGHT[exercise.name[3:]]
    for source in mutations(function):
        scope = dict(inspect.getmodule(function).__dict__)
        exec(source, scope)
        assert fails(exercise, scope[function.__name__], 0), source


@pytest.mark.parametrize("exercise", EXERCISES, ids=name_of)
def test_inputs_are_fresh_and_repeat_with_the_seed(exercise):
    def drawn(seed):
        seen = []
        judge(
            exercise,
            lambda args: (seen.append(args), outcome_of(exercise.reference, args))[1],
            seed,
        )
        packed = [wire.pack(args) for args in seen]
        return [(values, [array.tolist() for array in arrays]) for values, arrays in packed]

    assert drawn(1) == drawn(1)
    assert drawn(1) != drawn(2)


@pytest.mark.parametrize("question", HAND_NUMBERS, ids=name_of)
def test_numbers_by_hand(question):
    assert len(question.mistakes) >= 4
    for student in ("Ada Lovelace", "Emmy Noether", "李 Wei", "x"):
        values = question.values_for(student)
        assert values == question.values_for(f"  {student.upper()} ")
        text = question.question.format(**values)
        assert "{" not in text
        assert judge(
            question, round(question.answer(**values), question.decimals), 0, student
        ).passed
        for name, wrong, why in question.mistakes:
            verdict = judge(question, round(wrong(**values), 3), 0, student)
            assert not verdict.passed
            assert verdict.mistake == name
            assert why in verdict.message
        assert judge(question, 1.2345e6, 0, student).mistake is None
        assert "not answered yet" in judge(question, None, 0, student).message
        assert "expected a number" in judge(question, "many", 0, student).message


@pytest.mark.parametrize("question", HAND_NUMBERS, ids=name_of)
def test_an_explanation_of_a_number_says_how_one_comes_to_it_and_what_to_do(question):
    for name, _, why in question.mistakes:
        assert len(re.split(r"[.:;] ", why)) >= 2, name


@pytest.mark.parametrize("question", HAND_NUMBERS, ids=name_of)
def test_no_reply_to_a_wrong_number_gives_the_right_one_away(question):
    for student in map(str, range(50)):
        values = question.values_for(student)
        right = question.answer(**values)
        if question.bounds is not None:
            low, high = question.bounds.low(**values), question.bounds.high(**values)
            assert low + 4 * ALLOWED < right < high - 4 * ALLOWED
        for number in (-3.3 * right - 7, right + 0.05, right * 1.6, right * 37, right + 1e6):
            reply = judge(question, number, 0, student).message.partition("\n\n")[2]
            if question.bounds is not None:
                reply = reply.replace(question.bounds.why, "")  # its numbers are not the student's
            given = map(float, re.findall(r"-?\d+(?:\.\d+)?", reply))
            assert all(abs(one - right) > ALLOWED for one in given), reply


@pytest.mark.parametrize("question", CHOICES, ids=name_of)
def test_predictions(question):
    assert set(question.replies) == set(question.options)
    for letter, text in question.options.items():
        verdict = judge(question, letter.lower(), 0)
        assert verdict.passed == (letter == question.right)
        assert question.replies[letter] in verdict.message
        if not verdict.passed:
            assert verdict.mistake == f"{letter}: {text}"
    assert "expected one of" in judge(question, "Z", 0).message
    assert "not answered yet" in judge(question, "", 0).message


@pytest.mark.parametrize("question", STRETCHES.values(), ids=name_of)
def test_stretch_targets_can_be_drawn(question):
    outcome = outcome_of(question.target, question.picture.args)
    assert outcome.value is not None, outcome.error


@pytest.mark.parametrize(
    "question", [*STRETCHES.values(), *(e for e in EXERCISES if e.picture)], ids=name_of
)
def test_a_picture_shows_the_target_and_every_mistake_that_gives_numbers(question):
    right = question.target if isinstance(question, Stretch) else question.reference
    mistakes = () if isinstance(question, Stretch) else question.mistakes
    target = outcome_of(right, question.picture.args)
    for wrong in (right, *(mistake.wrong for mistake in mistakes)):
        yours = outcome_of(wrong, question.picture.args)
        figure, said = compared(question.picture.how, yours, target)
        top = figure.axes[0]
        nothing = [top.get_title(), *(text.get_text() for text in top.texts)]
        assert any("nothing to draw" in text for text in nothing) == (yours.value is None)
        assert ("Your answer is" in said) == (yours.value is not None)


def test_every_lesson_has_its_questions():
    for lesson in ("01", "02", "03", "04", "05", "06", "07", "08", "09", "10", "11"):
        names = [name.partition(".")[2] for name in BANK if name.startswith(lesson)]
        assert {"by_hand", "predict"} <= set(names)
        assert len(names) >= 4
        assert f"{lesson}.stretch" in STRETCHES
