"""What may have led to a tree that violates rules: a legal tree before it, and one action that went wrong."""
