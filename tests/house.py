"""How the source measures up to the limits of CONTRIBUTING.md; ``python tests/house.py`` prints it.

The numbers come from the syntax tree and the tokens of every file of the package, so that a limit is a fact and not an
impression: lines, longest functions, parameters, comments, docstrings with sections, names that are defined twice.
"""

import ast
import io
import re
import sys
import tokenize
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
FOLDERS = ("sodbench", "metrics", "runners", "reports")
SECTIONS = re.compile(
    r"^ *(Parameters|Returns|Yields|Raises|Attributes|Other Parameters)\n *-{3,}", re.MULTILINE
)
LONGEST_FUNCTION = 60
MOST_PARAMETERS = 8
# Names that several modules define with one meaning: the contract of a command (sodbench/cli/__init__.py), of a renderer
# (reports/document.py) and of a lazy package, a program's entry, a module's logger, and a generic function's type
_COMMAND_NAMES = frozenset({"add_parser", "run"})
SHARED_NAMES = _COMMAND_NAMES | {
    "T",
    "_MODULE_OF",
    "format_document",
    "format_table",
    "logger",
    "main",
}

Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True)
class Definition:
    """A function, method or class, where it is defined, and whether that is within a function."""

    path: Path
    name: str
    node: Function | ast.ClassDef
    is_nested: bool = False

    @property
    def lines(self) -> int:
        """Number of lines, without decorators."""
        return (self.node.end_lineno or 0) - self.node.lineno + 1

    def __str__(self) -> str:
        return f"{self.path.relative_to(ROOT)}:{self.node.lineno} {self.name}"


def source_files() -> list[Path]:
    """Every Python file of the package."""
    files = {p.resolve() for folder in FOLDERS for p in (ROOT / folder).rglob("*.py")}
    return sorted(files)


def definitions(path: Path, tree: ast.Module) -> Iterator[Definition]:
    """All functions, methods and classes of a file; the names of methods are qualified."""

    def visit(node: ast.AST, prefix: str, is_nested: bool) -> Iterator[Definition]:
        for child in child_statements(node):
            if isinstance(child, Function | ast.ClassDef):
                yield Definition(path, prefix + child.name, child, is_nested)
                inside = is_nested or isinstance(child, Function)
                yield from visit(child, f"{prefix}{child.name}.", inside)
            else:
                yield from visit(child, prefix, is_nested)

    yield from visit(tree, "", False)


def child_statements(node: ast.AST) -> Iterator[ast.AST]:
    """The statements, handlers and cases directly within a node; expressions, which hold none, are not entered."""
    for field in ("body", "handlers", "orelse", "finalbody", "cases"):
        children = getattr(node, field, ())
        if isinstance(children, list):
            yield from children


def is_kernel_or_parser(definition: Definition) -> bool:
    """Whether a function may be long: a compiled kernel, or the declaration of a command's options."""
    decorators = " ".join(ast.unparse(d) for d in definition.node.decorator_list)
    # The code generator that an intrinsic returns is a kernel, too.
    is_kernel = re.search(r"compiled|njit|intrinsic|overload", decorators)
    is_kernel = is_kernel or definition.name.endswith(".generate")
    return bool(is_kernel) or definition.name.startswith(("add_parser", "add_"))


def parameters(function: Function) -> list[str]:
    """The names of a function's parameters, without self and cls."""
    every = function.args
    names = [a.arg for a in (*every.posonlyargs, *every.args, *every.kwonlyargs)]
    names += [a.arg for a in (every.vararg, every.kwarg) if a]
    return [name for name in names if name not in ("self", "cls")]


def is_public(definition: Definition) -> bool:
    """Whether no part of the name is private; functions within functions are private."""
    parts = definition.name.split(".")
    return not any(part.startswith("_") for part in parts)


def needs_sections(definition: Definition) -> bool:
    """Whether a docstring of this definition has something to describe beyond its first line."""
    node = definition.node
    if definition.name in _COMMAND_NAMES:
        return False
    if isinstance(node, ast.ClassDef):
        return any(isinstance(item, ast.AnnAssign) for item in node.body)
    if any("overload" in ast.unparse(d) for d in node.decorator_list):
        return False
    is_property = any(
        ast.unparse(d) in ("property", "cached_property") for d in node.decorator_list
    )
    return bool(parameters(node)) and not is_property


@dataclass(frozen=True)
class House:
    """The measures of the whole source.

    Attributes
    ----------
    lines, comment_lines : int
        All lines of all files, and those that hold nothing but a comment.
    code_lines : int
        Lines without blank ones, comments and docstrings.
    functions : int
    long_functions, wide_functions : list of Definition
        Above the limits of lines and parameters.
    with_sections, to_describe : list of Definition
        Public definitions with arguments or fields: those whose docstring has numpydoc sections, and all.
    twice : dict
        Top-level names that two or more modules define, with the modules.
    """

    lines: int
    comment_lines: int
    code_lines: int
    functions: int
    long_functions: list[Definition]
    wide_functions: list[Definition]
    with_sections: list[Definition]
    to_describe: list[Definition]
    twice: dict[str, list[str]]


def count_comment_lines(text: str) -> int:
    """Lines that hold a comment and nothing else."""
    tokens = tokenize.generate_tokens(io.StringIO(text).readline)
    return sum(
        token.type == tokenize.COMMENT and token.line.strip().startswith("#") for token in tokens
    )


def count_code_lines(text: str, tree: ast.Module) -> int:
    """Lines of code: no blank line, comment or docstring."""
    docstrings: set[int] = set()
    nodes: list[ast.AST] = [tree]
    while nodes:
        node = nodes.pop()
        nodes += child_statements(node)
        if (
            isinstance(node, ast.Expr)
            and isinstance(node.value, ast.Constant)
            and isinstance(node.value.value, str)
        ):
            docstrings |= set(range(node.lineno, (node.end_lineno or node.lineno) + 1))
    lines = text.splitlines()
    return sum(
        1
        for number, line in enumerate(lines, 1)
        if line.strip() and not line.strip().startswith("#") and number not in docstrings
    )


def top_level_names(tree: ast.Module) -> Iterator[str]:
    """Functions, classes and constants that a module defines at its top level."""
    for node in tree.body:
        if isinstance(node, Function | ast.ClassDef):
            yield node.name
        elif isinstance(node, ast.Assign):
            yield from (t.id for t in node.targets if isinstance(t, ast.Name))
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            yield node.target.id


def measure() -> House:
    """Measure every file of the package."""
    lines = comments = code = functions = 0
    long_functions: list[Definition] = []
    wide_functions: list[Definition] = []
    with_sections: list[Definition] = []
    to_describe: list[Definition] = []
    modules: dict[str, list[str]] = defaultdict(list)
    for path in source_files():
        text = path.read_text(encoding="utf-8")
        tree = ast.parse(text)
        lines += len(text.splitlines())
        comments += count_comment_lines(text)
        code += count_code_lines(text, tree)
        for name in set(top_level_names(tree)):
            if not name.startswith("__") and name not in SHARED_NAMES:
                modules[name].append(str(path.relative_to(ROOT)))
        for definition in definitions(path, tree):
            node = definition.node
            if isinstance(node, Function):
                functions += 1
                if definition.lines > LONGEST_FUNCTION and not is_kernel_or_parser(definition):
                    long_functions.append(definition)
                if len(parameters(node)) > MOST_PARAMETERS and not is_kernel_or_parser(definition):
                    wide_functions.append(definition)
            if is_public(definition) and not definition.is_nested and needs_sections(definition):
                to_describe.append(definition)
                if SECTIONS.search(ast.get_docstring(node) or ""):
                    with_sections.append(definition)
    twice = {name: files for name, files in sorted(modules.items()) if len(files) > 1}
    return House(
        lines,
        comments,
        code,
        functions,
        long_functions,
        wide_functions,
        with_sections,
        to_describe,
        twice,
    )


def main() -> None:
    """Print the measures."""
    house = measure()
    print(
        f"{len(source_files())} files, {house.lines} lines ({house.code_lines} of code), {house.functions} functions"
    )
    print(f"comments: {100 * house.comment_lines / house.lines:.1f} % of the lines")
    share = len(house.with_sections) / max(1, len(house.to_describe))
    print(
        f"docstrings with sections: {len(house.with_sections)} of {len(house.to_describe)} ({100 * share:.0f} %)"
    )
    for title, items in (
        (f"longer than {LONGEST_FUNCTION} lines", house.long_functions),
        (f"more than {MOST_PARAMETERS} parameters", house.wide_functions),
    ):
        print(f"{title}: {len(items)}", *(f"  {item}" for item in items), sep="\n")
    print(f"top-level names defined twice: {len(house.twice)}")
    for name, files in house.twice.items():
        print(f"  {name}: {', '.join(files)}")
    if "--sections" in sys.argv:
        described = {id(d.node) for d in house.with_sections}
        print(
            "without sections:",
            *(f"  {d}" for d in house.to_describe if id(d.node) not in described),
            sep="\n",
        )


if __name__ == "__main__":
    main()
