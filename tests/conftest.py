"""Here so that pytest puts this folder on the path, and tests can import `strategies`."""

import torch
from hypothesis import settings

# A shared machine is slow now and then, and that is no failure.
settings.register_profile("sanitree", deadline=None)
settings.load_profile("sanitree")

# Caches of tests are small: threads that wait for each other cost more than they bring.
torch.set_num_threads(1)
