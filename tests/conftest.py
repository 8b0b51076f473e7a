"""Here so that pytest puts this folder on the path, and tests can import `strategies`."""

from hypothesis import settings

# A shared machine is slow now and then, and that is no failure.
settings.register_profile("sanitree", deadline=None)
settings.load_profile("sanitree")
