"""The text of a machine as code of this processor, by llvmlite, which numba brings along."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from llvmlite import binding as llvm

from sanitree.checker.explore.code import Machine


@dataclass(frozen=True, slots=True)
class Native:
    """Where a machine's functions are in memory; they are as long as this is. See `Machine` for what they do."""

    may: int
    wrong: int
    done: int
    normal: int
    conditions: tuple[int, ...]
    engine: Any


def native(m: Machine) -> Native:
    """Compiles a machine's functions: some 50 microseconds a line.

    None of LLVM's passes is run: there is nothing left to be shared or folded, and their time is not won back.
    """
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    target = llvm.Target.from_default_triple().create_target_machine(
        cpu=llvm.get_host_cpu_name(), features=llvm.get_host_cpu_features().flatten(), opt=2, jit=True
    )
    module = llvm.parse_assembly(m.text)
    module.verify()
    engine = llvm.create_mcjit_compiler(module, target)
    engine.finalize_object()
    at = engine.get_function_address
    conditions = tuple(at(f"condition{i}") for i in range(len(m.conditions)))
    return Native(at("may"), at("wrong"), at("done"), at("normal"), conditions, engine)
