"""A shorter start of the command line: what Lightning imports but a run does not use is loaded when it is used."""

import functools
import gc
import importlib
import sys
from collections.abc import Callable, Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

COMPILER = "torch._dynamo"
"""What ``torch.compile`` is made of. Every step of an optimizer asks for it too, to tell a compiler where to stop."""

PUT_OFF = ("scipy", "torchmetrics.utilities.plot", "unittest.mock", COMPILER)
"""Modules, with all below them, of which Lightning and torchmetrics only want names when they are imported.

The plots bring matplotlib with them, and the compiler brings sympy and most of ``torch.distributed``. Lightning asks of
what it is given whether it is a mock.
"""


def settle() -> None:
    """Begin to look for what can be given back, but not among all that has been made so far: it stays."""
    if not gc.isenabled():
        gc.freeze()
        gc.enable()


def import_lightning() -> None:
    """Import Lightning, in half the time; :func:`settle` is to be called when all is there that a command needs.

    Its modules, and those of torchmetrics, hold stand-ins for what was put off, which load the real thing when an
    attribute of it is used. Others get the real thing when they import it: only the compiler's stand-in stays in
    ``sys.modules``, until more is wanted of it than an optimizer wants. Does nothing where Lightning is loaded already.
    """
    if "lightning" in sys.modules or COMPILER in sys.modules:
        return
    finder = StandInFinder()
    sys.meta_path.insert(0, finder)
    gc.disable()
    try:
        importlib.import_module("lightning.pytorch.cli")
    finally:
        finder.importing = False
        for name, module in list(sys.modules.items()):
            if isinstance(module, StandIn) and name != COMPILER:
                del sys.modules[name]
                package, _, part = name.rpartition(".")
                vars(sys.modules.get(package, module)).pop(part, None)


class StandInFinder(MetaPathFinder, Loader):
    """Finds stand-ins for what is put off.

    Attributes:
        importing: Whether Lightning is being imported. Afterwards only what lies below the compiler is found, so that
            it is loaded as a whole, and once.
    """

    importing = True

    def find_spec(self, name: str, path: Sequence[str] | None, target: ModuleType | None = None) -> ModuleSpec | None:
        """A stand-in's, or that of a part of the compiler, or None for what others find."""
        stands = isinstance(sys.modules.get(COMPILER), StandIn)
        if stands and name.startswith(f"{COMPILER}."):
            load(COMPILER)
            return self._spec_of_loaded(name)
        if self.importing and any(name == other or name.startswith(f"{other}.") for other in PUT_OFF):
            return ModuleSpec(name, self, is_package=True)
        return None

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        """What is loaded already, or a stand-in."""
        if spec.loader_state is not None:
            return sys.modules[spec.name]
        return Compiler(self, spec.name) if spec.name == COMPILER else StandIn(self, spec.name)

    def exec_module(self, module: ModuleType) -> None:
        """Nothing; what was loaded already gets its own spec again."""
        if module.__spec__ is not None and module.__spec__.loader_state is not None:
            module.__spec__ = module.__spec__.loader_state

    def _spec_of_loaded(self, name: str) -> ModuleSpec | None:
        """A spec by which a module that was loaded while it was looked for is not loaded again.

        The import system takes the module's own spec then, if it has one, so it is given this one for that time.
        """
        module = sys.modules.get(name)
        if module is None:
            return None
        spec = ModuleSpec(name, self)
        spec.loader_state, module.__spec__ = module.__spec__, spec
        return spec


def load(name: str) -> ModuleType:
    """The real module, in place of its stand-in."""
    if isinstance(sys.modules.get(name), StandIn):
        del sys.modules[name]
    return importlib.import_module(name)


class StandIn(ModuleType):
    """Stands for a module until something of it is used.

    Args:
        finder: Which knows whether Lightning is being imported: then names are given without loading anything.
        name: The module.
    """

    def __init__(self, finder: StandInFinder, name: str) -> None:
        super().__init__(name)
        self._finder = finder

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        if self._finder.importing:
            return Name(self, name)
        return getattr(self._load(), name)

    def _load(self) -> ModuleType:
        return load(self.__name__)

    def _is_loaded(self) -> bool:
        return not isinstance(sys.modules.get(self.__name__), StandIn | None)


class Name:
    """Stands for an attribute of a module: it can be called, be part of an annotation, and be asked for instances.

    Args:
        module: The module's stand-in.
        name: Which attribute.
    """

    def __init__(self, module: StandIn, name: str) -> None:
        self._module, self._name = module, name

    def _real(self) -> Any:
        return getattr(self._module._load(), self._name)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self._real()(*args, **kwargs)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return getattr(self._real(), name)

    def __instancecheck__(self, instance: object) -> bool:
        """Nothing can be an instance of a class whose module has not been loaded."""
        return self._module._is_loaded() and isinstance(instance, self._real())


class Compiler(StandIn):
    """Stands for torch's compiler: what an optimizer uses of it does nothing as long as nothing is compiled."""

    def graph_break(self, *args: object, **kwargs: object) -> None:
        """End the graph that is being made; none is."""

    def disable(self, function: Callable[..., Any], recursive: bool = True, **kwargs: Any) -> Callable[..., Any]:
        """A function that is not to be compiled."""

        @functools.wraps(function)
        def call(*args: Any, **words: Any) -> Any:
            if self._is_loaded():
                return self._load().disable(function, recursive, **kwargs)(*args, **words)
            return function(*args, **words)

        return call
