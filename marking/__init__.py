"""An engine that marks notebooks of exercises. It knows no course: a bank of questions is handed to
it.
"""
