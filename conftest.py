"""What nbval compares in notebooks, and which tests are slow."""

import pytest

# what starts kernels, a browser, many sandboxes or several interpreters, or samples at length
SLOW = (
    "notebooks",
    "solutions",
    "tests/browser",
    "tests/course/test_assemble.py",
    "tests/course/test_cheats.py::test_no_answer_of_the_course_can_be_had",
    "tests/course/test_exercises.py::test_solutions_earn_everything_and_stubs_nothing",
    "tests/course/test_nbgrader.py",
    "tests/course/test_results.py::test_the_bound_of_50_steps_is_measured_again",
    "tests/course/test_styles.py::test_each_style_passes_in_the_grader",
    "tests/course/test_styles.py::test_every_answer_passes_in_a_notebook",
    "tests/course/test_styles.py::test_every_answer_passes_in_the_grader",
    "tests/library/test_command_line.py::test_ctrl_c_keeps_the_step_that_was_reached",
    "tests/library/test_ddim.py::test_all_thousand_steps_equal_diffusers",
    "tests/library/test_ddim.py::test_eta_1_is_ancestral_sampling_on_the_shorter_schedule",
    "tests/library/test_ddim.py::test_few_steps_follow_the_flow_that_many_steps_show_down_and_up",
    "tests/library/test_ddim.py::test_inversion_with_repeats_is_the_inverse",
    "tests/library/test_ddim.py::test_times_are_the_trailing_ones_of_diffusers",
    "tests/library/test_sampler.py::test_all_thousand_steps_of_an_ideal_model_equal_diffusers",
    "tests/library/test_sampler.py::test_trajectory_of_a_network_equals_diffusers",
    "tests/marking/test_cells.py::test_an_answer_that_is_older_than_its_cell_earns_nothing",
    "tests/marking/test_cells.py::test_an_answer_that_its_cell_defines_passes",
    "tests/marking/test_cells.py::test_an_import_from_the_future_holds_for_the_cells_that_follow",
    "tests/marking/test_commands.py::test_grade_reads_names_of_groups_before_it_runs_anything",
    "tests/marking/test_fuzz.py::test_any_nesting_is_judged_in_words_and_fits_through_the_wire",
    "tests/marking/test_fuzz.py::test_whatever_is_returned_in_a_sandbox_costs_that_answer_alone",
    "tests/marking/test_grader.py",
    "tests/marking/test_groups.py::test_identifiers_are_the_same_in_another_process",
    "tests/marking/test_hostile.py::test_no_hostile_notebook_earns_what_it_has_not_solved",
    "tests/notebooks/test_seeded_mistakes.py",
    "tests/project/test_packaging.py::test_the_project_is_whole_in_its_sdist",
    "tests/project/test_static.py",
)


def pytest_collectstart(collector):
    """A figure's pixels differ between machines, its caption does not."""
    if hasattr(collector, "skip_compare"):  # one of nbval's notebooks
        collector.skip_compare += ("text/html",)


def pytest_ignore_collect(collection_path, config):
    """Notebooks are not even read where no slow test is wanted."""
    unwanted = config.option.markexpr == "not slow" and collection_path.suffix == ".ipynb"
    return unwanted or None


def pytest_collection_modifyitems(items):
    for item in items:
        if item.nodeid.startswith(SLOW):
            item.add_marker(pytest.mark.slow)
