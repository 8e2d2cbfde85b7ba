"""What the warm interpreter imports before any program comes, and which files programs may read after that.

Programs import what they like of the standard library. Of installed packages they can use those that were preloaded:
the others may hold what they must not see, such as a benchmark with its solutions.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import importlib
import os
import sys
import sysconfig
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from aflow_verl.sandbox.process.layers import linux

COMMON = (
    "ast", "asyncio", "bisect", "collections", "contextlib", "copy", "csv", "dataclasses", "datetime", "decimal",
    "enum", "fractions", "functools", "hashlib", "heapq", "io", "itertools", "json", "math", "numbers", "operator",
    "pprint", "queue", "random", "re", "statistics", "string", "symtable", "textwrap", "threading", "time", "types",
    "typing", "unicodedata", "uuid",
)  # fmt: skip
"""What small programs import most."""
_PACKAGE_FOLDERS = ("site-packages", "dist-packages")
_NOT_LOADED = ("_test", "_xx", "xx", "_ctypes_test", "_tkinter")
_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
_DATA = ("/usr/share/zoneinfo",)


@dataclass(frozen=True, slots=True)
class Readable:
    """Paths. ``trees`` with ``hidden`` folders in them, and ``packages``, which may lie in those."""

    trees: tuple[str, ...]
    hidden: tuple[str, ...]
    packages: tuple[str, ...]

    def expanded(self) -> Iterator[str]:
        """Without ``hidden``: entries instead of a tree that has hidden ones."""
        for tree in self.trees:
            inside = [path for path in self.hidden if os.path.dirname(path) == tree]
            entries = (os.path.join(tree, name) for name in os.listdir(tree)) if inside else (tree,)
            yield from (path for path in entries if path not in inside)
        yield from self.packages


def preload(names: Iterable[str], path: list[str]) -> Readable:
    """Imports ``names``, found in ``path`` as well, and what of the library needs files that will be out of reach.

    Raises whatever an import of ``names`` raises.
    """
    with contextlib.suppress(AttributeError):  # glibc's alone; each arena reserves address space, which is limited
        linux.libc("mallopt", linux.M_ARENA_MAX, 1)
    library = sysconfig.get_path("stdlib")
    sys.path[:] = [*sys.path, *(entry for entry in path if entry not in sys.path)]
    os.environ.update(dict.fromkeys(_THREADS, "1"))
    for name in (*COMMON, *names):
        importlib.import_module(name)
    _load_extensions()
    os.environ.clear()
    packages = (*_packages_in_use(), *_places(names))
    sys.path[:] = [library, *_library_extensions()]
    sys.dont_write_bytecode = True
    importlib.invalidate_caches()
    gc.collect()
    gc.freeze()
    hidden = (os.path.join(library, name) for name in _PACKAGE_FOLDERS)
    trees = (library, *filter(os.path.exists, (*_library_extensions(), *_DATA)))
    return Readable(trees, tuple(path for path in hidden if os.path.isdir(path)), packages)


def _library_extensions() -> list[str]:
    """Folders of the standard library's compiled modules."""
    return [entry for entry in sys.path if os.path.basename(entry) == "lib-dynload"]


def _load_extensions() -> None:
    """Loads all compiled modules: the shared libraries that they need are out of reach later."""
    for folder in _library_extensions():
        for file in sorted(os.listdir(folder)):
            if not file.startswith(_NOT_LOADED):
                with contextlib.suppress(ImportError):
                    importlib.import_module(file.partition(".")[0])
    ctypes.CFUNCTYPE(None)


def _packages_in_use() -> Iterator[str]:
    """Top-level files and folders of installed packages that loaded modules and mapped libraries come from."""
    loaded = [module for name, module in list(sys.modules.items()) if name.partition(".")[0] != "aflow_verl"]
    files = [getattr(module, "__file__", None) or "" for module in loaded]
    files += [line.split()[-1] for line in Path("/proc/self/maps").read_text().splitlines() if line.endswith(".so")]
    seen = set()
    for file in files:
        parts = Path(file).parts
        depth = max((i for i, part in enumerate(parts) if part in _PACKAGE_FOLDERS), default=None)
        if depth is not None and len(parts) > depth + 1:
            seen.add(str(Path(*parts[: depth + 2])))
    yield from sorted(seen)


def _places(names: Iterable[str]) -> Iterator[str]:
    """Where the packages of ``names`` are, which need not be installed."""
    for name in names:
        module = sys.modules[name.partition(".")[0]]
        yield from getattr(module, "__path__", ()) or filter(None, [getattr(module, "__file__", None)])
