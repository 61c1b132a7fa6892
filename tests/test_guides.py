"""README.md and docs/*.md: their links lead somewhere, and they list every kind of problem that the code reports."""

import argparse
import ast
import itertools
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest

from sodbench.cli import build_parser
from sodbench.errors import ProblemKind, Severity
from sodbench.runners.data import check

ROOT = Path(__file__).resolve().parents[1]
GUIDES = (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))
SOURCES = sorted(
    path
    for folder in ("sodbench", "metrics", "runners", "reports")
    for path in (ROOT / folder).rglob("*.py")
)

# Kinds that are neither written in the call nor assigned in its function, with the values that they can have.
PASSED_ON = {
    ("sodbench/errors.py", "kind"): {"unreadable"},  # the default of ImageError
    ("runners/evaluation/preflight.py", "kinds[path]"): {"unreadable", "unreadable-mask"},
    ("runners/data/check.py", "fault.kind"): set(),  # a problem with a longer detail
    ("sodbench/results/result_file.py", "**problem"): set(),  # read from result.json
    ("runners/prediction/folder.py", "**entry"): set(),  # read from prediction.json
}


# ---------------------------------------------------------------------------------------------------
# Kinds in the code
# ---------------------------------------------------------------------------------------------------


def kinds_in_code() -> tuple[set[str], set[tuple[str, str]]]:
    """The kinds of all problems that the sources create, and the calls that pass one on from elsewhere."""
    kinds: set[str] = set()
    passed_on: set[tuple[str, str]] = set()
    for path in SOURCES:
        tree = ast.parse(path.read_text(encoding="utf-8"))
        for function in ast.walk(tree):
            if not isinstance(function, ast.FunctionDef):
                continue
            for kind in kind_arguments(function):
                found = constants(kind, function)
                kinds |= found
                if not found:
                    passed_on.add((path.relative_to(ROOT).as_posix(), ast.unparse(kind)))
    return kinds, passed_on


def kind_arguments(function: ast.FunctionDef) -> Iterator[ast.expr]:
    """The expression of the kind in every call that creates a problem."""
    for call in ast.walk(function):
        if not isinstance(call, ast.Call) or not isinstance(call.func, ast.Name):
            continue
        keywords = {keyword.arg: keyword.value for keyword in call.keywords}
        if call.func.id == "Problem":
            if call.args:
                yield call.args[0]
            elif "kind" in keywords:
                yield keywords["kind"]
            else:  # Problem(**entry)
                yield ast.Name(f"**{ast.unparse(keywords[None])}")
        elif call.func.id == "ImageError" and (len(call.args) > 2 or "kind" in keywords):
            yield keywords.get("kind") or call.args[2]


def constants(kind: ast.expr, function: ast.FunctionDef) -> set[str]:
    """The texts that an expression can be: its own, or those that the function assigns to the name."""
    if not isinstance(kind, ast.Name):
        return strings(kind)
    texts = set()
    for node in ast.walk(function):
        if not isinstance(node, ast.Assign):
            continue
        for target in node.targets:
            if isinstance(target, ast.Name) and target.id == kind.id:
                texts |= strings(node.value)
            elif isinstance(target, ast.Tuple) and isinstance(node.value, ast.Tuple):
                for name, value in zip(target.elts, node.value.elts, strict=True):
                    if isinstance(name, ast.Name) and name.id == kind.id:
                        texts |= strings(value)
    return texts


def strings(expression: ast.expr) -> set[str]:
    """The kinds that an expression names; of a conditional one, without its condition."""
    if isinstance(expression, ast.IfExp):
        return strings(expression.body) | strings(expression.orelse)
    if isinstance(expression, ast.Constant) and isinstance(expression.value, str):
        return {expression.value}
    if isinstance(expression, ast.Attribute) and ast.unparse(expression.value) == "ProblemKind":
        return {str(ProblemKind[expression.attr])}
    return set()


# ---------------------------------------------------------------------------------------------------
# Kinds in the guides
# ---------------------------------------------------------------------------------------------------


def documented_kinds(page: str, heading: str, first_column: str) -> list[str]:
    """The kinds in the first column of the table with that head, below a heading of a guide."""
    text = (ROOT / "docs" / page).read_text(encoding="utf-8")
    section = re.split(r"^#+ ", text.split(f"# {heading}\n", 1)[1], maxsplit=1, flags=re.MULTILINE)[
        0
    ]
    table = section.split(f"| {first_column} | ", 1)[1].split("\n\n", 1)[0]
    kinds: list[str] = []
    for row in table.splitlines()[2:]:
        names = row.split("|")[1].split(":")[0]
        kinds += re.findall(r"`([a-z0-9-]+)`", names)
    return kinds


EVALUATION = documented_kinds("evaluation.md", "Problems with the files", "kind")
FAULTS = documented_kinds("datasets.md", "What `data check` looks for", "fault")
REMARKS = documented_kinds("datasets.md", "What `data check` looks for", "remark")
MODELS = documented_kinds("models.md", "Problems", "kind")


def test_the_guides_list_every_kind_of_problem_and_no_other():
    kinds, passed_on = kinds_in_code()
    assert passed_on == set(PASSED_ON)  # a new call that passes a kind on: add its values above
    kinds = kinds.union(*PASSED_ON.values())
    documented = {*EVALUATION, *FAULTS, *REMARKS, *MODELS}
    assert sorted(kinds - documented) == []
    assert sorted(documented - kinds) == []


@pytest.mark.parametrize("kinds", (EVALUATION, FAULTS, REMARKS, MODELS))
def test_no_table_of_a_guide_lists_a_kind_twice(kinds):
    assert len(kinds) == len(set(kinds)) > 0


def test_the_kinds_that_only_data_check_reports_are_those_of_its_guide():
    assert tuple(FAULTS) == check.FAULTS


def test_the_guide_calls_exactly_those_kinds_notes_that_lead_to_status_0():
    text = (ROOT / "docs" / "evaluation.md").read_text(encoding="utf-8")
    (row,) = (line for line in text.splitlines() if "| notes:" in line)
    assert row.endswith("exit status 0 |")
    assert set(re.findall(r"`([a-z-]+)`", row.split("|")[1])) == {
        kind for kind in ProblemKind if kind.severity is Severity.NOTE and kind in EVALUATION
    }


# ---------------------------------------------------------------------------------------------------
# Links and help
# ---------------------------------------------------------------------------------------------------


def anchors(page: Path) -> set[str]:
    """The anchors that GitHub gives to the headings of a page."""
    headings = re.findall(r"^#+ (.*)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", GUIDES, ids=lambda page: page.name)
def test_links_of_the_guides_lead_somewhere(page):
    for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text(encoding="utf-8")):
        if target.startswith(("http://", "https://")):
            continue
        name, _, anchor = target.partition("#")
        linked = (page.parent / name).resolve() if name else page
        assert linked.exists(), target
        assert not anchor or anchor in anchors(linked), target


def test_every_option_and_argument_has_a_help_text():
    unexplained: list[str] = []

    def look(parser: argparse.ArgumentParser) -> None:
        for action in parser._actions:
            if isinstance(action, argparse._SubParsersAction):
                for command in action.choices.values():
                    look(command)
            elif not action.help:
                unexplained.append(
                    f"{parser.prog} {'/'.join(action.option_strings) or action.dest}"
                )

    look(build_parser())
    assert unexplained == []


# ---------------------------------------------------------------------------------------------------
# Commands
# ---------------------------------------------------------------------------------------------------


def commands(page: Path) -> Iterator[list[str]]:
    """The words of every command of sodbench in the indented and fenced blocks of a page."""
    text = page.read_text(encoding="utf-8").replace("\\\n", " ")
    # every second part is inside a fence, and begins with its language
    parts = re.split(r"^```", text, flags=re.MULTILINE)
    blocks = [part for part in parts[1::2] if not part.startswith(("python", "toml", "json"))]
    for paragraph in "\n\n".join(parts[::2]).split("\n\n"):
        if all(line.startswith("    ") for line in paragraph.splitlines()):
            blocks.append(paragraph)
    for line in "\n".join(blocks).splitlines():
        command = re.match(r"\s*(?:\$ |- run: |torchrun .* -m |.* && )?(sodbench .*)", line)
        if command and "docker" not in line:
            words = shlex.split(command[1], comments=True)
            yield list(itertools.takewhile(lambda word: word not in ("&&", "|", ">"), words[1:]))


@pytest.mark.parametrize("page", (*GUIDES, ROOT / "CONTRIBUTING.md"), ids=lambda page: page.name)
def test_every_command_of_the_guides_is_one_that_the_command_line_accepts(page, capsys):
    parser = build_parser()
    refused = []
    for words in commands(page):
        # a shell would insert the number of a scheduler's task
        given = [re.sub(r"\$SLURM_\w+", "1", word) for word in words if word != "..."]
        try:
            parser.parse_args(given)
        except SystemExit as end:
            if end.code:
                refused.append((shlex.join(words), capsys.readouterr().err.splitlines()[-1]))
    assert refused == []


def test_the_commands_of_the_guides_are_found():
    count = {page.name: len(list(commands(page))) for page in GUIDES}
    assert count["README.md"] >= 6 and count["reports.md"] >= 12 and count["datasets.md"] >= 6
    assert sum(count.values()) >= 50
