"""Real engines on a CPU: get one, build its cache, drive it.

`store` and `deps` get what is needed, `shims` makes a fetched engine importable on a
machine without a GPU, `build` makes a live cache from an `EngineConfig`, `copies` holds
its copies in flight, `drive` calls it as the engine's scheduler does, `serving` lives a
request's life in it, `content` knows which bytes belong in which slot, `workload` makes
seeded work, and `process` runs each engine in a process of its own. Nothing of an
engine is imported until `shims.activate`.
"""
