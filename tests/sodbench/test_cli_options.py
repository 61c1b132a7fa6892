"""Every option of every command is read by its command, and passed in some test."""

import argparse
import ast
from functools import cache
from pathlib import Path

import pytest

from sodbench.cli import COMMANDS, build_parser

ROOT = Path(__file__).resolve().parents[2]
# argparse's own, and the defaults that a command sets
NOT_READ_BY_COMMANDS = {"help", "version", "run", "resumed"}
# read by the command line itself, for every command
NOT_READ_BY_COMMANDS |= {"quiet", "verbose", "log_file", "exit_zero"}


def commands(parser=None, name=""):
    """The parser of every command by its name, such as ``data check``."""
    parser = parser or build_parser()
    groups = [a for a in parser._actions if isinstance(a, argparse._SubParsersAction)]
    if not groups:
        yield name, parser
    for group in groups:
        for word, child in group.choices.items():
            yield from commands(child, f"{name} {word}".strip())


OPTIONS = [
    pytest.param(name, action, id=f"{name} {(action.option_strings or [action.dest])[-1]}")
    for name, parser in commands()
    for action in parser._actions
    if action.dest not in NOT_READ_BY_COMMANDS
]


@cache
def attributes_read(command):
    """The names that a command's module and the shared options take from their arguments."""
    modules = [f"{command}.py", "options.py", "network_options.py", "conditions.py"]
    trees = [ast.parse((ROOT / "sodbench/cli" / name).read_text("utf-8")) for name in modules]
    return {
        node.attr
        for tree in trees
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and ast.unparse(node.value) == "arguments"
    } | {"shard"}  # read by getattr, because run has no shards


@cache
def words_of_tests():
    """The words of command lines in each test module; ``--option=value`` counts as ``--option``."""
    words = []
    for path in (ROOT / "tests").rglob("test_*.py"):
        if path == Path(__file__).resolve():
            continue
        texts = {
            word.partition("=")[0]
            for node in ast.walk(ast.parse(path.read_text("utf-8")))
            if isinstance(node, ast.Constant) and isinstance(node.value, str)
            for word in node.value.split()
        }
        words.append(texts)
    return words


def test_there_are_options():
    assert {name.split()[0] for name, _ in commands()} == set(COMMANDS)
    assert len(OPTIONS) > 120


@pytest.mark.parametrize(("command", "action"), OPTIONS)
def test_every_option_is_read_by_its_command(command, action):
    assert action.dest in attributes_read(command.split()[0])


@pytest.mark.parametrize(("command", "action"), [o for o in OPTIONS if o.values[1].option_strings])
def test_every_option_is_passed_in_some_test(command, action):
    """In a test module that names the command, too."""
    wanted = {command.split()[-1]}
    assert any(
        wanted <= words and set(action.option_strings) & words for words in words_of_tests()
    ), f"no test passes {action.option_strings[-1]} to sodbench {command}"


@pytest.mark.parametrize(("command", "action"), OPTIONS)
def test_every_option_is_explained(command, action):
    """As a phrase, without a full stop."""
    assert action.help and not action.help.endswith(".")
