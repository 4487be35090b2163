"""How Numba compiles a loop that becomes part of others: no further than they need it.

Numba optimizes each function and makes machine code of it before it does the same with those that
call it, where it is inlined and optimized again. Here a loop is only linked into its callers; what
is compiled at last, by ``compiler`` or by a test, is optimized once, in one piece. That takes half
the time. Python cannot call such a loop: ``alone`` compiles one that it can.
"""

from typing import Any

from numba import jit
from numba.core.codegen import JITCodeLibrary, JITCPUCodegen
from numba.core.compiler import CompilerBase, DefaultPassBuilder
from numba.core.compiler_machinery import FunctionPass, register_pass
from numba.core.untyped_passes import IRProcessing


def alone(loop: Any, *, wrapped: bool = True) -> Any:
    """Compile a loop anew, whole; Python can call it if it is wrapped."""
    return jit(**loop.targetoptions | {"no_cpython_wrapper": not wrapped})(loop.py_func)


_OVERRIDDEN = (
    (CompilerBase, "define_pipelines"),
    (FunctionPass, "run_pass"),
    (JITCodeLibrary, "_optimize_functions"),
    (JITCodeLibrary, "_optimize_final_module"),
    (JITCodeLibrary, "_finalize_final_module"),
    (JITCodeLibrary, "_finalized"),
    (JITCodeLibrary, "get_pointer_to_function"),
    (JITCodeLibrary, "codegen"),
    (JITCPUCodegen, "set_env"),
)
"""What is done here in another way than Numba's: if it has gone, Numba would never ask for ours."""

for _owner, _name in _OVERRIDDEN:
    getattr(_owner, _name)


class _Part(JITCodeLibrary):
    """What a loop was compiled to, to be linked into others: not optimized, no machine code."""

    def _optimize_functions(self, module: Any) -> None:
        pass

    def _optimize_final_module(self) -> None:
        pass

    def _finalize_final_module(self) -> None:
        self._finalized = True

    def get_pointer_to_function(self, name: str) -> int:
        """Say of any function that it is not here: there is none to call."""
        return 0

    @property
    def codegen(self) -> "_Part":
        """Stand in for the owner of all machine code where a function's environment is set."""
        return self

    def set_env(self, name: str, env: object) -> None:
        """Set nothing: loops raise no error that needs Python's names."""


@register_pass(mutates_CFG=False, analysis_only=True)
class _AsPart(FunctionPass):
    _name = "as_part"

    def __init__(self) -> None:
        FunctionPass.__init__(self)

    def run_pass(self, state: Any) -> bool:
        """Give what is compiled a library that is a part; it changes no code."""
        state.library = _Part(state.targetctx.codegen(), state.func_id.func_qualname)
        state.library.enable_object_caching()
        return False


class Parts(CompilerBase):
    """Numba's compiler, for loops that become parts of others."""

    def define_pipelines(self) -> list[Any]:
        """Give Numba's own passes, and the one that makes a part."""
        passes = DefaultPassBuilder.define_nopython_pipeline(self.state)
        passes.add_pass_after(_AsPart, IRProcessing)
        passes.finalize()
        return [passes]
