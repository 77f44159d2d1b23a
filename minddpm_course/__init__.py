"""The course as data and pictures: what its exercises import."""

from marking.notebook import CheckFailed, Tutor
from minddpm_course.course import INSTALL, load_course

__all__ = ["CheckFailed", "ask", "beside", "check", "hint"]

TUTOR = Tutor(load_course, INSTALL)
ask = TUTOR.ask
beside = TUTOR.beside
check = TUTOR.check
hint = TUTOR.hint
