"""The bank: every question of the course by its name. To add one, declare it in its lesson's module."""

from minddpm.classroom.bank import (
    lesson_01_levels,
    lesson_01_schedule,
    lesson_02_noising,
    lesson_02_recovering,
    lesson_03_posterior,
    lesson_03_product,
    lesson_04_kl,
    lesson_04_noise,
    lesson_05_unet,
    lesson_06_sampler,
    lesson_07_training,
    lesson_08_langevin,
    lesson_08_score,
    lesson_09_ddim,
    lesson_10_guidance,
    stretch,
)
from minddpm.classroom.exercise import Question, Stretch

MODULES = (
    lesson_01_schedule,
    lesson_01_levels,
    lesson_02_noising,
    lesson_02_recovering,
    lesson_03_posterior,
    lesson_03_product,
    lesson_04_kl,
    lesson_04_noise,
    lesson_05_unet,
    lesson_06_sampler,
    lesson_07_training,
    lesson_08_score,
    lesson_08_langevin,
    lesson_09_ddim,
    lesson_10_guidance,
)
BANK: dict[str, Question] = {question.name: question for module in MODULES for question in module.QUESTIONS}
STRETCHES: dict[str, Stretch] = {question.name: question for question in stretch.STRETCHES}
