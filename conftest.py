"""What nbval compares in notebooks, and which tests are slow."""

from pathlib import Path

import pytest

# what starts kernels, a browser, many sandboxes or several interpreters, or samples at length
SLOW = (
    "notebooks",
    "solutions",
    "tests/browser",
    "tests/course/test_assemble.py",
    "tests/course/test_bank.py::test_wrong_answers_that_are_in_no_bank_fail_without_a_name_of_the_bank",
    "tests/course/test_capstone.py",
    "tests/course/test_cheats.py::test_no_answer_of_the_course_can_be_had",
    "tests/course/test_checks.py::test_a_check_without_matplotlib_says_what_to_install",
    "tests/course/test_checks.py::test_in_ipython_a_wrong_answer_is_a_card_a_picture_and_one_line",
    "tests/course/test_exercises.py::test_solutions_earn_everything_and_stubs_nothing",
    "tests/course/test_explanations.py::test_half_the_variance_is_said_of_a_gaussian_alone",
    "tests/course/test_grading.py::test_a_class_is_graded",
    "tests/course/test_grading.py::test_without_the_extra_a_command_says_what_to_install",
    "tests/course/test_guidance_claims.py::test_a_network_that_lost_no_labels_has_no_answer_without_one",
    "tests/course/test_joined_loop.py",
    "tests/course/test_milestones.py::test_functions_of_any_form_are_drawn",
    "tests/course/test_naming.py::test_most_slips_are_understood_and_nothing_untrue_is_said_of_a_part",
    "tests/course/test_naming.py::test_there_are_at_least_five_slips_and_all_are_wrong_and_in_no_bank",
    "tests/course/test_nbgrader.py",
    "tests/course/test_odd_results.py::test_an_odd_result_is_wrong_in_words",
    "tests/course/test_output.py::test_a_pipe_is_sent_utf_8",
    "tests/course/test_output.py::test_every_command_prints_utf_8",
    "tests/course/test_results.py::test_the_bound_of_50_steps_is_measured_again",
    "tests/course/test_styles.py::test_each_style_passes_in_a_notebook",
    "tests/course/test_styles.py::test_each_style_passes_in_the_grader",
    "tests/course/test_styles.py::test_every_answer_passes_in_a_notebook",
    "tests/course/test_styles.py::test_every_answer_passes_in_the_grader",
    "tests/library/test_command_line.py::test_ctrl_c_keeps_the_step_that_was_reached",
    "tests/library/test_command_line.py::test_a_compiled_network_trains_the_same",
    "tests/library/test_ddim.py::test_all_thousand_steps_equal_diffusers",
    "tests/library/test_ddim.py::test_eta_1_is_ancestral_sampling_on_the_shorter_schedule",
    "tests/library/test_ddim.py::test_few_steps_follow_the_flow_that_many_steps_show_down_and_up",
    "tests/library/test_ddim.py::test_inversion_with_repeats_is_the_inverse",
    "tests/library/test_ddim.py::test_times_are_the_trailing_ones_of_diffusers",
    "tests/library/test_distributed.py::test_a_batch_that_cannot_be_shared_is_refused_in_the_words_of_the_caller",
    "tests/library/test_distributed.py::test_a_process_that_dies_ends_the_job_and_another_number_goes_on",
    "tests/library/test_distributed.py::test_any_loss_and_weights_without_a_gradient_are_shared_too",
    "tests/library/test_distributed.py::test_ctrl_c_keeps_the_step_that_all_have_taken",
    "tests/library/test_distributed.py::test_two_processes_train_what_one_does",
    "tests/library/test_killed.py::test_a_run_that_is_killed_at_each_point_of_a_write_goes_on_to_the_bit",
    "tests/library/test_killed.py::test_a_run_that_is_killed_at_random_moments_goes_on_to_the_bit",
    "tests/library/test_sampler.py::test_all_thousand_steps_of_an_ideal_model_equal_diffusers",
    "tests/library/test_sampler.py::test_trajectory_of_a_network_equals_diffusers",
    "tests/marking/test_bare.py",
    "tests/marking/test_cells.py",
    "tests/marking/test_commands.py::test_ctrl_c_ends_it_at_once_and_loses_nothing",
    "tests/marking/test_commands.py::test_grade_writes_a_report_and_resumes",
    "tests/marking/test_commands.py::test_grade_reads_names_of_groups_before_it_runs_anything",
    "tests/marking/test_disturbed.py::test_no_mark_changes_in_the_grader",
    "tests/marking/test_disturbed.py::test_no_mark_of_a_solution_changes",
    "tests/marking/test_fuzz.py",
    "tests/marking/test_grader.py",
    "tests/marking/test_groups.py::test_identifiers_are_the_same_in_another_process",
    "tests/marking/test_handed_in.py::test_a_class_of_everything_is_graded",
    "tests/marking/test_handed_in.py::test_a_notebook_under_another_name_is_of_the_lesson_of_the_class",
    "tests/marking/test_handed_in.py::test_attempts_are_never_added_up",
    "tests/marking/test_hints_in_notebooks.py::test_an_offer_is_made_only_where_there_is_a_hint",
    "tests/marking/test_hints_in_notebooks.py::test_in_a_notebook_a_wrong_function_is_offered_a_hint_once",
    "tests/marking/test_hostile.py::test_a_filter_that_is_gone_is_noticed",
    "tests/marking/test_hostile.py::test_a_network_that_is_shared_is_noticed",
    "tests/marking/test_hostile.py::test_files_that_can_be_written_are_noticed",
    "tests/marking/test_hostile.py::test_no_hostile_submission_earns_or_harms_anything",
    "tests/marking/test_hostile.py::test_no_submission_can_see_the_corpus",
    "tests/marking/test_hostile.py::test_one_of_several_that_are_tried_together_is_named",
    "tests/marking/test_hunting.py::test_a_cheat_earns_nothing_in_the_grader",
    "tests/marking/test_hunting.py::test_the_grader_says_what_a_notebook_says",
    "tests/marking/test_hunting_wire.py::test_an_attack_earns_nothing_and_costs_nobody_else",
    "tests/marking/test_jupyter.py",
    "tests/marking/test_judging.py::test_what_torch_compiles_is_called_as_it_is_written",
    "tests/marking/test_one_rule.py",
    "tests/marking/test_rehearsal.py",
    "tests/marking/test_replay.py",
    "tests/marking/test_report_on_a_phone.py",
    "tests/marking/test_stored.py::test_check_says_so_too",
    "tests/marking/test_stored.py::test_the_grader_remarks_on_a_tick_that_it_cannot_confirm",
    "tests/marking/test_tutor.py::test_in_ipython_a_wrong_answer_is_drawn_beside_the_target",
    "tests/marking/test_tutor.py::test_in_ipython_the_message_is_a_card_and_the_traceback_one_line",
    "tests/marking/test_tutor.py::test_what_a_course_lacks_is_said_in_one_line",
    "tests/marking/test_under_load.py::test_killed_at_any_moment_and_resumed_nothing_is_lost_or_doubled",
    "tests/marking/test_under_load.py::test_memory_hardly_grows_with_the_class",
    "tests/marking/test_under_load.py::test_the_same_seed_gives_the_same_grades_however_it_is_given",
    "tests/marking/test_under_load.py::test_two_graders_on_one_folder_do_not_double_a_class",
    "tests/marking/test_walls.py",
    "tests/marking/test_wire.py::test_no_message_makes_the_grader_take_much_memory",
    "tests/notebooks/test_seeded_mistakes.py",
    "tests/notebooks/test_sixty_lines.py::test_a_wrong_method_fails",
    "tests/notebooks/test_sixty_lines.py::test_the_right_method_passes",
    "tests/project/test_book.py",
    "tests/project/test_mutants.py::test_the_unit_tests_notice_nearly_all_mutants_of_a_sample",
    "tests/project/test_packaging.py::test_the_project_is_whole_in_its_sdist",
    "tests/project/test_scaling_page.py::test_seeds_are_farmed_out_as_the_page_says",
    "tests/project/test_static.py",
)


def pytest_addoption(parser):
    parser.addoption(
        "--screenshots",
        metavar="FOLDER",
        type=Path,
        help="run lessons that train in the browser, too, and store a picture of each lesson",
    )
    parser.addoption(
        "--thorough", action="store_true", help="try all of what is tried in part otherwise"
    )


def pytest_collectstart(collector):
    """A figure's pixels differ between machines, its caption does not."""
    if hasattr(collector, "skip_compare"):  # one of nbval's notebooks
        collector.skip_compare += ("text/html", "image/png")


def pytest_make_parametrize_id(val):
    """The bytes of a file are no name: they can hold the time, which differs between workers."""
    return f"{len(val)} bytes" if isinstance(val, bytes) else None


def pytest_ignore_collect(collection_path, config):
    """Notebooks are not even read where no slow test is wanted."""
    unwanted = config.option.markexpr == "not slow" and collection_path.suffix == ".ipynb"
    return unwanted or None


def pytest_collection_modifyitems(config, items):
    for item in items:
        if item.nodeid.startswith(SLOW):
            item.add_marker(pytest.mark.slow)
    if not config.option.thorough:
        thorough = [item for item in items if item.get_closest_marker("thorough")]
        items[:] = [item for item in items if item not in thorough]
        config.hook.pytest_deselected(items=thorough)
