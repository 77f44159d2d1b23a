"""A mistake is named only where it shows."""

from dataclasses import replace

from algebra import ONE, discriminant

from marking.engine import judge
from marking.exercise import Mistake
from marking.outcome import outcome_of


def verdict_on(answer, *mistakes):
    exercise = replace(discriminant, mistakes=mistakes)
    return judge(exercise, lambda args: outcome_of(answer, args), 0)


def wrong_sizes(a, b, c):
    raise RuntimeError("sizes 2 and 3 do not match")


def other_sizes(a, b, c):
    raise IndexError("index 3 is out of range")


def test_an_error_alone_names_no_mistake():
    """Errors about sizes are alike, whatever led to them: numbers tell mistakes apart."""
    mistake = Mistake("of the wrong shape", wrong_sizes, "Your shapes do not fit.", ONE)
    verdict = verdict_on(other_sizes, mistake)
    assert verdict.mistake is None
    assert "IndexError: index 3 is out of range" in verdict.message
    assert "Your shapes do not fit" not in verdict.message


def test_an_error_on_some_inputs_belongs_to_a_mistake_with_numbers_on_others():
    def stumbling(a, b, c):
        return b if len(a) > 1 else wrong_sizes(a, b, c)

    def as_wrong(a, b, c):
        return b if len(a) > 1 else other_sizes(a, b, c)

    mistake = Mistake("b alone", stumbling, "You return b.", ONE)
    assert verdict_on(as_wrong, mistake).mistake == "b alone"


def test_a_mistake_that_no_input_shows_is_not_named():
    """The drawn inputs may all lie where a mistake gives the right numbers."""
    mistake = Mistake("alike here", discriminant.reference, "You have it wrong elsewhere.", ONE)

    def changing_its_input(a, b, c):
        right = discriminant.reference(a, b, c)
        b += 1
        return right

    verdict = verdict_on(changing_its_input, mistake)
    assert verdict.mistake != mistake.name
    assert mistake.why not in verdict.message
    assert "changes its input b in place" in verdict.message
