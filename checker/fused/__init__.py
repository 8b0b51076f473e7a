"""The fused backend: one generated Python function that judges a live tree in one pass."""

from sanitree.checker.fused.codegen import IRREGULAR, Fused, compile_checks

__all__ = ["IRREGULAR", "Fused", "compile_checks"]
