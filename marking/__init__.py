"""An engine that marks notebooks of exercises. It knows no course: a `Course` is handed to it."""
