"""Several ranks of one server, each with a cache of its own: what they ask of each other, and who carries it."""
