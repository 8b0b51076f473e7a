"""Here so that pytest puts this folder on the path, and tests can import `strategies`."""
