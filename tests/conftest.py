"""Settings of the whole suite: property tests are deterministic and have no time limit each."""

from hypothesis import settings

settings.register_profile("suite", deadline=None, derandomize=True, max_examples=50)
settings.load_profile("suite")
