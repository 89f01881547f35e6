"""Object code, emitted and loaded: the only module that imports llvmlite, which Numba brings."""

from __future__ import annotations

from typing import Any

import llvmlite
from llvmlite import binding as llvm

__all__ = ["emit", "load", "processor"]

llvm.initialize_native_target()
llvm.initialize_native_asmprinter()

# What the machine code of a kernel may call: functions of the C library, which every process has
ALLOWED = {"pow", "powf", "fmod", "fmodf", "sqrt", "sqrtf", "memset", "memcpy", "memmove"}


def processor() -> tuple[str, ...]:
    """What the code is made for and by: processor, its features, llvmlite and LLVM."""
    versions = ".".join(map(str, llvm.llvm_version_info))
    return llvm.get_host_cpu_name(), llvm.get_host_cpu_features().flatten(), llvmlite.__version__, versions


def _target(**options: Any) -> Any:
    return llvm.Target.from_default_triple().create_target_machine(
        cpu=llvm.get_host_cpu_name(), features=llvm.get_host_cpu_features().flatten(), opt=3, **options
    )


def emit(text: str) -> bytes:
    """The object code of a module of LLVM's language, which was optimised before.

    Raises:
        NotImplementedError: it needs a function that a process without Numba does not have.
    """
    module = llvm.parse_assembly(text)
    needed = {f.name for f in module.functions if f.is_declaration and not f.name.startswith("llvm.")}
    if needed - ALLOWED:
        raise NotImplementedError(f"a kernel must not call {', '.join(sorted(needed - ALLOWED))}")
    code: bytes = _target(reloc="pic", codemodel="default").emit_object(module)
    return code


def load(symbol: str, code: bytes) -> tuple[Any, int]:
    """An engine that holds the code, and the address of the entry."""
    engine = llvm.create_mcjit_compiler(llvm.parse_assembly(""), _target())
    engine.add_object_file(llvm.ObjectFileRef.from_data(code))
    engine.finalize_object()
    address = engine.get_function_address(symbol)
    if not address:
        raise RuntimeError(f"the compiled kernel has no entry {symbol}")
    return engine, address
