"""The parts of build_diagnosis.py: trainings, then pictures by subject, and the page itself."""
