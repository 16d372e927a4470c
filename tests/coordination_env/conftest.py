"""Settings for the property tests of this folder."""

from hypothesis import settings

# The default deadline of 200 ms an example measures the machine's load, not the code.
settings.register_profile("no_deadline", deadline=None)
settings.load_profile("no_deadline")
