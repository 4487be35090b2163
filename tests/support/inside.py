"""What ``fxpnn.kernels.build`` uses of the inside of Numba and llvmlite, and how to take it away.

Numba needs these names itself. So they are not deleted but guarded: the modules of
``fxpnn.kernels.build`` do not find one, or find a function that raises; anybody else does.
"""

import sys
from collections.abc import Callable
from importlib import import_module
from types import ModuleType
from typing import Any, NoReturn

from llvmlite import binding, ir
from numba import njit, types
from numba.core.bytecode import FunctionIdentity
from numba.core.compiler import CompilerBase, Flags
from numba.core.registry import cpu_target

BUILD = "fxpnn.kernels.build"


PRIVATE = {
    "numba.core.registry.cpu_target": "the processor that Numba compiles for",
    "numba.core.registry.cpu_target.target_context": "how functions are called",
    "context.codegen": "modules of code, and the processor",
    "context.call_conv": "how a loop is called, and how it fails",
    "context.call_conv.call_function": "the call of a loop by what Python calls",
    "context.call_conv.return_user_exc": "a loop that finds no room",
    "context.declare_function": "the loop that is called, as its caller sees it",
    "context.make_array": "arrays as code for LLVM has them",
    "context.get_abi_sizeof": "the size of an array's item",
    "context.get_data_type": "the size of an array's item",
    "context.get_dummy_value": "the result of a function that has none",
    "array.data": "where an array's words lie",
    "array._getvalue": "an array as a value of the code",
    "literal.literal_value": "the lanes and rows that vector code is written for",
    "numba.core.cgutils.unpack_tuple": "tuples of arguments in code for LLVM",
    "numba.core.cgutils.pack_array": "vector code with several results",
    "numba.core.cgutils.get_or_insert_function": "calls of malloc, free and LLVM's functions",
    "numba.core.cgutils.alloca_once_value": "variables of vector code",
    "numba.core.cgutils.for_range": "loops of vector code that may end early",
    "numba.core.cgutils.for_range_slice": "loops of vector code with a first index and a stride",
    "numba.core.cgutils.memset": "arrays of zeros",
    "numba.core.cgutils.is_null": "the test whether there was room for an array",
    "numba.core.typing.npydecl.parse_dtype": "the dtype that a loop asks an array of",
    "numba.np.arrayobj.populate_array": "arrays over memory whose references nobody counts",
    "dispatcher.targetoptions": "the options of a loop that is compiled anew, whole",
    "dispatcher.compile": "the compilation of a loop for its arguments",
    "dispatcher.overloads": "what it was compiled to",
    "compiled.library": "the object file that is kept",
    "compiled.fndesc": "the loop that is called, as its caller sees it",
    "description.restype": "how many results a loop has",
    "numba.core.codegen.JITCodeLibrary": "parts that are optimized once",
    "numba.core.codegen.JITCodeLibrary._optimize_functions": "parts that are optimized once",
    "numba.core.codegen.JITCodeLibrary._optimize_final_module": "parts that are optimized once",
    "numba.core.codegen.JITCodeLibrary._finalize_final_module": "parts without machine code",
    "numba.core.codegen.JITCodeLibrary._finalized": "parts without machine code",
    "numba.core.codegen.JITCodeLibrary.get_pointer_to_function": "parts without machine code",
    "numba.core.codegen.JITCodeLibrary.codegen": "parts whose environment is not set",
    "numba.core.codegen.JITCodeLibrary._get_compiled_object": "the object file that is kept",
    "numba.core.codegen.JITCodeLibrary.enable_object_caching": "the object file that is kept",
    "numba.core.codegen.JITCPUCodegen": "parts whose environment is not set",
    "numba.core.codegen.JITCPUCodegen.set_env": "parts whose environment is not set",
    "numba.core.codegen.JITCPUCodegen._create_empty_module": "the module of what calls a loop",
    "numba.core.codegen.JITCPUCodegen.magic_tuple": "the name and features of the processor",
    "numba.core.compiler.CompilerBase": "the passes that make a part",
    "numba.core.compiler.CompilerBase.define_pipelines": "the passes that make a part",
    "numba.core.compiler.DefaultPassBuilder": "Numba's own passes",
    "numba.core.compiler.DefaultPassBuilder.define_nopython_pipeline": "Numba's own passes",
    "numba.core.compiler_machinery.PassManager.add_pass_after": "where a part is made",
    "numba.core.compiler_machinery.PassManager.finalize": "the end of the list of passes",
    "numba.core.compiler_machinery.FunctionPass": "a pass that is not Numba's",
    "numba.core.compiler_machinery.FunctionPass.run_pass": "a pass that is not Numba's",
    "numba.core.compiler_machinery.register_pass": "a pass that is not Numba's",
    "numba.core.untyped_passes.IRProcessing": "the pass behind which a part is made",
    "state.targetctx": "the owner of a part",
    "state.func_id": "the name of a part",
    "identity.func_qualname": "the name of a part",
    "numba.core.compiler_lock.global_compiler_lock": "forks that wait for the compiler",
    "numba.core.compiler_lock.global_compiler_lock.acquire": "forks that wait for the compiler",
    "numba.core.compiler_lock.global_compiler_lock.release": "forks that wait for the compiler",
    "llvmlite.binding.create_mcjit_compiler": "linking an object file into the process",
    "llvmlite.binding.ObjectFileRef": "linking an object file into the process",
    "llvmlite.binding.ObjectFileRef.from_data": "linking an object file into the process",
    "linker.add_object_file": "linking an object file into the process",
    "linker.finalize_object": "linking an object file into the process",
    "linker.get_function_address": "what Python calls of what was linked",
}
"""What is used, and for what: names in modules and classes, or attributes of ``objects``."""

OPTIONS = {
    "_nrt": "loops that count no references",
    "pipeline_class": "the passes that make a part",
    "no_cpython_wrapper": "loops that Python does not call",
    "no_cfunc_wrapper": "loops that C does not call",
}
"""Options of Numba's decorators that no page of its documentation names, and what they are for."""


def objects() -> dict[str, Any]:
    """Make one of each kind of object whose attributes are no attributes of its class."""

    def half(x: int) -> int:
        return x // 2

    dispatcher = njit(half)
    dispatcher.compile((types.int64,))
    made = dispatcher.overloads[types.int64,]
    typing, target = cpu_target.typing_context, cpu_target.target_context
    module = binding.parse_assembly("")
    machine = binding.Target.from_default_triple().create_target_machine()
    builder = ir.IRBuilder(
        ir.Function(ir.Module(), ir.FunctionType(ir.VoidType(), ()), "f").append_basic_block()
    )
    return {
        "dispatcher": dispatcher,
        "compiled": made,
        "description": made.fndesc,
        "context": target,
        "array": target.make_array(types.Array(types.int16, 1, "C"))(target, builder),
        "state": CompilerBase(typing, target, None, (), None, Flags(), {}).state,
        "identity": FunctionIdentity.from_function(half),
        "linker": binding.create_mcjit_compiler(module, machine),
        "literal": types.literal(1),
    }


def found(path: str, made: dict[str, Any]) -> Any:
    """Return what a path leads to, which begins with a module or with one of ``made``."""
    head, *rest = path.split(".")
    value = made[head] if head in made else import_module(head)
    for part in rest:
        head = f"{head}.{part}"
        if isinstance(value, ModuleType) and not hasattr(value, part):
            import_module(head)
        value = getattr(value, part)
    return value


class Guard:
    """An attribute that fxpnn does not find, or finds changed; anybody else finds it as it was."""

    def __init__(self, owner: type, name: str, change: Callable[[Any], Any] | None) -> None:
        self.name, self.change = name, change
        self.before: Any = next((vars(c)[name] for c in owner.__mro__ if name in vars(c)), None)

    def __get__(self, instance: Any, owner: type) -> Any:
        found = self._found(instance, owner)
        if not sys._getframe(1).f_globals.get("__name__", "").startswith(BUILD):
            return found
        if self.change is None:
            raise AttributeError(f"{owner.__name__} has no {self.name} any more")
        return self.change(found)

    def __set__(self, instance: Any, value: Any) -> None:
        if hasattr(self.before, "__set__"):
            self.before.__set__(instance, value)
        else:
            vars(instance)[self.name] = value

    def _found(self, instance: Any, owner: type) -> Any:
        if self.name in getattr(instance, "__dict__", {}):
            return vars(instance)[self.name]
        if hasattr(type(self.before), "__get__"):
            return self.before.__get__(instance, owner)
        if self.before is None:  # an attribute that is made when it is asked for
            ask: Any = owner
            return ask.__getattr__(instance, self.name)
        return self.before


def hide(path: str, change: Callable[[Any], Any] | None = None) -> None:
    """Hide a name from fxpnn, or let it find what ``change`` makes of it."""
    head, _, name = path.rpartition(".")
    owner = found(head, objects())
    if isinstance(owner, ModuleType):
        guard = Guard(ModuleType, name, change)
        owner.__class__ = type("Changed", (type(owner),), {name: guard})
    else:
        owner = owner if isinstance(owner, type) else type(owner)
        setattr(owner, name, Guard(owner, name, change))


def failing(_: Any) -> Callable[..., NoReturn]:
    """Make of a function one that fails, as where it takes other arguments than it did."""

    def fail(*_: object, **__: object) -> NoReturn:
        raise TypeError("it takes other arguments than it did")

    return fail


def without(option: str) -> Callable[[Any], Any]:
    """Make of a decorator one that lacks an option."""

    def change(decorator: Any) -> Any:
        def decorate(*arguments: Any, **options: Any) -> Any:
            if option in options:
                raise KeyError(f"Unrecognized options: {option}")
            return decorator(*arguments, **options)

        return decorate

    return change
