"""Live caches that can be driven: the same operations on the reference cache and on real engines.

`operations` says what can be done and which function of an engine's scheduler does it,
`setup` how a cache is built, `driver` what a driver is; `reference` and `engine` are two.
A `trace` is a sequence of operations in a file.
"""
