"""The text of a machine as code of this processor, by llvmlite, which numba brings along."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from llvmlite import binding as llvm

from sanitree.checker.explore.code import Machine

_LONG = 4000
"""A text of so many lines is worth only the passes that matter most: all of them take seconds, and gain a tenth."""


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
    """Compiles a machine's functions: some 100 microseconds an operation."""
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    target = llvm.Target.from_default_triple().create_target_machine(
        cpu=llvm.get_host_cpu_name(), features=llvm.get_host_cpu_features().flatten(), opt=2, jit=True
    )
    module = llvm.parse_assembly(m.text)
    module.verify()
    _optimize(module, target, thorough=m.text.count("\n") < _LONG)
    engine = llvm.create_mcjit_compiler(module, target)
    engine.finalize_object()
    at = engine.get_function_address
    conditions = tuple(at(f"condition{i}") for i in range(len(m.conditions)))
    return Native(at("may"), at("wrong"), at("done"), at("normal"), conditions, engine)


def _optimize(module: Any, target: Any, thorough: bool) -> None:
    passes = llvm.create_pass_builder(target, llvm.create_pipeline_tuning_options(speed_level=2))
    if thorough:
        passes.getModulePassManager().run(module, passes)
        return
    few = llvm.create_new_function_pass_manager()
    few.add_sroa_pass()
    few.add_instruction_combine_pass()
    few.add_simplify_cfg_pass()
    for function in module.functions:
        if not function.is_declaration:
            few.run(function, passes)
