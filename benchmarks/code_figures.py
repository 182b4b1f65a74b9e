"""Figures of the code itself: how large its parts are, how dense its lines, how much of it is
described.

`python benchmarks/code_figures.py` reads the working tree; `--commit REVISION` reads another one.
Migrations and tests are left out.
"""

from __future__ import annotations

import argparse
import ast
import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

PACKAGES = ["config", "people", "modelops", "labeling", "workers"]
LONG_LINE = 100  # characters
LONG_TEMPLATE_LINE = 160
LONG_FUNCTION = 40  # lines
FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument(
        "--commit", help="a revision of this repository; without it, the working tree"
    )
    parser.add_argument("--json", type=Path, help="write the figures to this file, too")
    options = parser.parse_args()
    figures = measured(dict(sources(options.commit)))
    for name, value in figures.items():
        print(f"{name:44} {value}")
    if options.json:
        options.json.write_text(json.dumps(figures, indent=2) + "\n")


def sources(commit: str | None) -> Iterator[tuple[str, str]]:
    """Path and text of each source file and template of the product."""
    listing = ["git", "ls-tree", "-r", "--name-only", commit] if commit else ["git", "ls-files"]
    for path in output(*listing).splitlines():
        top = path.split("/")[0]
        code = top in PACKAGES and path.endswith(".py") and "/migrations/" not in path
        template = top == "templates" and path.endswith(".html")
        if code or template:
            yield (
                path,
                output("git", "show", f"{commit}:{path}") if commit else Path(path).read_text(),
            )


def output(*command: str) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def measured(texts: dict[str, str]) -> dict[str, float | int | str]:
    templates = [text for path, text in texts.items() if path.endswith(".html")]
    code = {path: text for path, text in texts.items() if path.endswith(".py")}
    trees = {path: ast.parse(text) for path, text in code.items()}
    modules = {module_name(path) for path in code}

    figures: dict[str, float | int | str] = {}
    for package in PACKAGES:
        inside = {path: tree for path, tree in trees.items() if path.startswith(package + "/")}
        flat = [
            path for path in inside if path.count("/") == 1 and not path.endswith("__init__.py")
        ]
        imports = sum(len(imported_modules(tree, modules, package)) for tree in inside.values())
        figures[f"{package}: modules, flat, imports inside"] = (
            f"{len(inside)}, {len(flat)}, {imports}"
        )

    lines = [line for text in code.values() for line in text.splitlines()]
    template_lines = [line for text in templates for line in text.splitlines()]
    functions = [
        node for tree in trees.values() for node in ast.walk(tree) if isinstance(node, FUNCTIONS)
    ]
    public = [node for tree in trees.values() for node in public_definitions(tree)]
    nodes = sum(1 for tree in trees.values() for _ in ast.walk(tree))
    lines_of_code = sum(code_lines(text) for text in code.values())

    figures["lines of code"] = lines_of_code
    figures["syntax nodes a line of code"] = round(nodes / lines_of_code, 2)
    figures[f"lines over {LONG_LINE} characters, %"] = share(lines, LONG_LINE)
    figures[f"template lines over {LONG_TEMPLATE_LINE}, %"] = share(
        template_lines, LONG_TEMPLATE_LINE
    )
    figures["longest template line"] = max(map(len, template_lines))
    figures[f"functions over {LONG_FUNCTION} lines"] = sum(
        node.end_lineno - node.lineno >= LONG_FUNCTION for node in functions
    )
    described = sum(ast.get_docstring(node) is not None for node in public)
    figures["public names with a docstring, %"] = round(100 * described / len(public), 1)
    return figures


def module_name(path: str) -> str:
    return path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")


def imported_modules(tree: ast.Module, modules: set[str], package: str) -> set[str]:
    """The modules of `package` that a module imports, anywhere in it."""
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module:
            parts = {f"{node.module}.{alias.name}" for alias in node.names}
            names |= (parts & modules) or {node.module}
        elif isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
    return {name for name in names & modules if name.split(".")[0] == package}


def public_definitions(tree: ast.Module) -> Iterator[ast.AST]:
    """Public functions and classes of a module, and the public methods of its classes."""
    for node in tree.body:
        if not isinstance(node, (*FUNCTIONS, ast.ClassDef)) or node.name.startswith("_"):
            continue
        yield node
        if isinstance(node, ast.ClassDef):
            yield from (
                part
                for part in node.body
                if isinstance(part, FUNCTIONS) and not part.name.startswith("_")
            )


def code_lines(text: str) -> int:
    """Lines that are neither blank nor only a comment."""
    return sum(
        bool(line.strip()) and not line.strip().startswith("#") for line in text.splitlines()
    )


def share(lines: list[str], limit: int) -> float:
    """Percentage of lines that are longer than `limit` characters."""
    return round(100 * sum(len(line) > limit for line in lines) / len(lines), 2)


if __name__ == "__main__":
    main()
