"""The course as data and pictures: what its exercises import."""

from marking.notebook import CheckFailed, Tutor
from minddpm_course.course import INSTALL, load_course
from minddpm_course.milestones import milestone

__all__ = ["CheckFailed", "ask", "beside", "check", "hint", "milestone"]

TUTOR = Tutor(load_course, INSTALL)
ask = TUTOR.ask
beside = TUTOR.beside
check = TUTOR.check
hint = TUTOR.hint
