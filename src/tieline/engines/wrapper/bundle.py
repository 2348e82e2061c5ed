"""Programs for machines where nothing of Tieline is installed: several modules as one file."""

import ast
import threading
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Final

from tieline.engines.wrapper import files, pulse, slots, tree, wrapper

_OURS: Final = "tieline."
#: Lets Python 3.9 pass over annotations that only later versions understand.
_LAZY_ANNOTATIONS: Final = "from __future__ import annotations\n"
#: Python 3.11's parser fails now and then when threads use it at the same time.
_PARSING: Final = threading.Lock()


def bundle(*modules: ModuleType) -> str:
    """Give the source of one program, made of modules that import one another.

    They come in the order given; their imports of one another are left out.
    """
    with _PARSING:
        return _LAZY_ANNOTATIONS + "".join(_without_ours(module) for module in modules)


def wrapper_source() -> str:
    """Give the source of the wrapper as one program."""
    return bundle(files, tree, slots, pulse, wrapper)


@cache
def _without_ours(module: ModuleType) -> str:
    source = Path(str(module.__file__)).read_text(encoding="utf-8")
    lines = source.splitlines(keepends=True)
    for node in ast.parse(source).body:
        if isinstance(node, ast.ImportFrom) and str(node.module).startswith(_OURS):
            for number in range(node.lineno - 1, node.end_lineno or node.lineno):
                lines[number] = ""
    return "".join(lines)
