"""One typed door to the compiler.

Kernels are functions over arrays, written for the compiler: fields of records are attributes.

The compiler keeps machine code on disk and checks only the file a kernel stands in, not the
files of the kernels, record types and flags it uses. So the cache is kept in a folder named
after the contents of all of them: a change in any gives a fresh folder, never stale code.
"""

import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, ParamSpec, TypeVar, cast

import numba

_P = ParamSpec("_P")
_R = TypeVar("_R")

#: An array inside a kernel; record arrays have no useful static type.
Array = Any

_PACKAGE = Path(__file__).parents[1]


def _cache_folder() -> Path:
    digest = hashlib.sha256()
    for layer in ("model", "scheduling", "control"):
        for source in sorted((_PACKAGE / layer).rglob("*.py")):
            text = source.read_bytes()
            if b"@compiled" in text or b"np.dtype" in text or b"IntFlag" in text:
                digest.update(text)
    return _PACKAGE / "__pycache__" / f"kernels-{digest.hexdigest()[:16]}"


#: Where machine code is kept; None where the package's folder may not be written to: then
#: the compiler's own choice, a folder of the user, holds.
CACHE_FOLDER = _cache_folder() if os.access(_PACKAGE, os.W_OK) else None

if CACHE_FOLDER is not None and not os.environ.get("NUMBA_CACHE_DIR"):
    numba.config.CACHE_DIR = str(CACHE_FOLDER)  # type: ignore[attr-defined]  # set at run time

#: Nothing calls kernels from C; without a wrapper for that they compile a sixth faster.
_OPTIONS: Final[dict[str, Any]] = {
    "cache": True,
    "error_model": "numpy",
    "no_cfunc_wrapper": True,
}


def compiled(function: Callable[_P, _R]) -> Callable[_P, _R]:
    """Compile a kernel on first call and keep the machine code on disk.

    Floating point stays strict (no `fastmath`): results must be equal on every run.
    """
    return cast("Callable[_P, _R]", numba.njit(**_OPTIONS)(function))
