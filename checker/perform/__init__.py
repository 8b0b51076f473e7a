"""Runs of the page model, done by live caches: lockstep the other way round. See docs/lockstep.md."""
