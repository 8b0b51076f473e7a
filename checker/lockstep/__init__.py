"""The page model follows a live cache, call by call: what the cache did must be something that the model can do.

The protocol is searched and proved as a model; this shows that the model is of the code. After each call the state
of the model is brought to what a snapshot shows, by actions that such a call may consist of; where no sequence of
them leads there, model and code have parted: a divergence. See docs/lockstep.md.
"""
