"""What is raised: a mistake of the caller's, never a refusal (those are results)."""


class CacheError(ValueError):
    """The cache was configured or called in a way that cannot be meant; the message says what to do."""
