"""How long the machines run: `--hypothesis-profile=thorough` tries many more courses, other ones each time."""

from hypothesis import settings

settings.register_profile("thorough", derandomize=False)
