"""The bank: every question of the course by its name. To add one, declare it in its lesson's
module.
"""

from marking.exercise import Question, Stretch
from minddpm_course.bank import (
    lesson_01_schedule,
    lesson_02_noising,
    lesson_03_posterior,
    lesson_04_loss,
    lesson_05_unet,
    lesson_06_sampler,
    lesson_07_training,
    lesson_08_score,
    lesson_09_ddim,
    lesson_10_guidance,
    lesson_11_targets,
)

MODULES = (
    lesson_01_schedule,
    lesson_02_noising,
    lesson_03_posterior,
    lesson_04_loss,
    lesson_05_unet,
    lesson_06_sampler,
    lesson_07_training,
    lesson_08_score,
    lesson_09_ddim,
    lesson_10_guidance,
    lesson_11_targets,
)
BANK: dict[str, Question] = {
    question.name: question for module in MODULES for question in module.QUESTIONS
}
STRETCHES: dict[str, Stretch] = {module.STRETCH.name: module.STRETCH for module in MODULES}
