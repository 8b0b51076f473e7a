"""Caches as guarded commands: what can happen at all, in the language of the rules.

`system` says what a model is, `heap` is a small one with known numbers of states.
`sanitree.checker.explore` searches them.
"""
