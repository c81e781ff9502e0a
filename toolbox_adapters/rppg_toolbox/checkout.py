"""A checkout of the rPPG-Toolbox: whether it is one, and what its `main.py` dispatches to.

Nothing is imported from it here; `main.py` is only parsed.
"""

from __future__ import annotations

import ast
import subprocess
from dataclasses import dataclass
from pathlib import Path

from streamnet_plugin.errors import ConfigError

TESTED_AT = "d807b01 (2025-09-01)"
TRAIN, TEST, UNSUPERVISED = "train_and_test", "test", "unsupervised_method_inference"
PARTS = ("main.py", "config.py", "dataset", "evaluation", "neural_methods", "unsupervised_methods")


@dataclass(frozen=True)
class Checkout:
    """The parsed launcher script of a toolbox.

    Attributes:
        root: the checkout's folder.
        definitions: `main.py` without its main block.
        main_block: the statements under `if __name__ == "__main__"`.
        models, methods: names that `main.py` itself dispatches on.
    """

    root: Path
    definitions: ast.Module
    main_block: ast.Module
    models: frozenset[str]
    methods: frozenset[str]

    @property
    def commit(self) -> str:
        """The git commit, "unknown" outside a repository."""
        done = subprocess.run(
            ["git", "-C", str(self.root), "rev-parse", "HEAD"], capture_output=True, text=True
        )
        return done.stdout.strip() if done.returncode == 0 else "unknown"


def open_checkout(path: str | Path) -> Checkout:
    """Parse the `main.py` of a checkout.

    Raises:
        ConfigError: no toolbox there, or one whose `main.py` is built otherwise; says which
            function was looked for, and at which commit it is known to be there.
    """
    root = Path(path).expanduser().resolve()
    lacking = [name for name in PARTS if not (root / name).exists()]
    if lacking:
        raise ConfigError(
            f"this is no rPPG-Toolbox checkout: it lacks {', '.join(lacking)}",
            path=root,
            remedy="give the folder of github.com/ubicomplab/rPPG-Toolbox that holds main.py "
            "(--path, or $RPPG_TOOLBOX).",
        )
    script = root / "main.py"
    try:
        tree = ast.parse(script.read_text(encoding="utf-8"), filename=str(script))
    except (SyntaxError, UnicodeDecodeError) as error:
        raise ConfigError(f"this is not valid Python: {error}", path=script) from error
    functions = {node.name: node for node in tree.body if isinstance(node, ast.FunctionDef)}
    for name in (TRAIN, TEST, UNSUPERVISED):
        if name not in functions:
            raise ConfigError(
                f"main.py has no function {name}(config, data_loader), where models and methods "
                "are chosen by name",
                path=script,
                remedy=f"use a toolbox that has it; it is known to work at {TESTED_AT}.",
            )
    blocks = [node for node in tree.body if _is_main_block(node)]
    if len(blocks) != 1 or not isinstance(blocks[0], ast.If):
        raise ConfigError(
            'main.py has no single block `if __name__ == "__main__"`, where the data loaders '
            "are built",
            path=script,
            remedy=f"use a toolbox that has it; it is known to work at {TESTED_AT}.",
        )
    if not any(_calls_data_loader(node) for node in ast.walk(tree)):
        raise ConfigError(
            "main.py has no call DataLoader(...) by that name, in the place of which ours is put",
            path=script,
            remedy=f"use a toolbox that has it; it is known to work at {TESTED_AT}.",
        )
    rest = [node for node in tree.body if node is not blocks[0]]
    return Checkout(
        root=root,
        definitions=ast.Module(rest, type_ignores=[]),
        main_block=ast.Module(blocks[0].body, type_ignores=[]),
        models=_compared_names(functions[TRAIN]) | _compared_names(functions[TEST]),
        methods=_compared_names(functions[UNSUPERVISED]),
    )


def _is_main_block(node: ast.stmt) -> bool:
    return (
        isinstance(node, ast.If)
        and isinstance(node.test, ast.Compare)
        and isinstance(node.test.left, ast.Name)
        and node.test.left.id == "__name__"
    )


def _calls_data_loader(node: ast.AST) -> bool:
    return (
        isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id == "DataLoader"
    )


def _compared_names(function: ast.FunctionDef) -> frozenset[str]:
    """The string literals that a function compares something with."""
    return frozenset(
        side.value
        for node in ast.walk(function)
        if isinstance(node, ast.Compare)
        for side in node.comparators
        if isinstance(side, ast.Constant) and isinstance(side.value, str)
    )
