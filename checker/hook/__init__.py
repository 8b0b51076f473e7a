"""Checks inside a running engine: what each operation does to the slots, and the whole tree when there is time.

Nothing here imports torch until a cache is watched: see `plugin`.
"""
