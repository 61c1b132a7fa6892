"""Defaults of options from a file: ``sodbench.toml``, or the table ``[tool.sodbench]`` of ``pyproject.toml``.

A key is the long name of an option without its dashes. At the top it holds for every command that has the option; in a
table named after a command (``[eval]``, ``[data.check]``) for that command only. The command line always wins.

The file is looked for in the working folder and, within a repository, in the folders above it up to the repository's
root. ``SODBENCH_CONFIG`` names another file; empty, it turns files off.
"""

import argparse
import difflib
import os
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sodbench.cli.options import DATA_VARIABLE
from sodbench.cli.values import describe_choice
from sodbench.errors import SodbenchError

if TYPE_CHECKING:
    from sodbench.cli.parser import Command

CONFIG_VARIABLE = "SODBENCH_CONFIG"
FILE_NAME = "sodbench.toml"
# options that belong to one call
_NOT_CONFIGURABLE = {"help", "version"}


@dataclass(frozen=True)
class Setting:
    """The default of one option of one command.

    Attributes
    ----------
    action : argparse.Action
        The option.
    given : object
        The value in the file.
    file : Path
        Where it is from.
    """

    action: argparse.Action
    given: Any
    file: Path

    @property
    def option(self) -> str:
        """The option's long name, ``--data-root``."""
        return _long_name(self.action)

    @property
    def destination(self) -> str:
        """The attribute of the parsed arguments that it sets."""
        return getattr(self.action, "default_destination", self.action.dest)

    @property
    def value(self) -> Any:
        """The value as the option's parser returns it.

        Raises
        ------
        ValueError
            If the option does not take it; the message names the file.
        """
        try:
            return self._convert()
        except (argparse.ArgumentTypeError, ValueError) as error:
            raise ValueError(f"{self.file}: {self.option[2:]}: {error}") from error

    @property
    def words(self) -> list[str]:
        """What would be written on the command line instead."""
        if self.action.nargs == 0:
            return [self.option if self.value else f"--no-{self.option[2:]}"]
        return [
            self.option,
            *map(str, self.value if isinstance(self.value, list) else [self.value]),
        ]

    def _convert(self) -> Any:
        action, given = self.action, self.given
        if isinstance(action, argparse.BooleanOptionalAction) and isinstance(given, bool):
            return given
        if action.nargs == 0:
            if given is not True:
                raise ValueError(f"{given!r} is neither true nor false")
            return action.const
        if given in ("", []):
            raise ValueError("is empty; leave it out")
        several = action.nargs in ("+", "*") or isinstance(action, argparse._AppendAction)
        if several:
            return [
                self._convert_one(one) for one in (given if isinstance(given, list) else [given])
            ]
        return self._convert_one(given)

    def _convert_one(self, given: Any) -> Any:
        if isinstance(given, bool) or not isinstance(given, str | int | float):
            raise argparse.ArgumentTypeError(f"{given!r} is not a value of this option")
        text = str(given)
        convert = self.action.type
        if getattr(convert, "__name__", "") == "path":
            text = str(self.file.parent / text)
        value = convert(text) if callable(convert) else text
        if self.action.choices is not None and value not in self.action.choices:
            raise ValueError(describe_choice(value, self.action.choices))
        return value


def _long_name(action: argparse.Action) -> str:
    return next(option for option in action.option_strings if option.startswith("--"))


def find_configuration() -> Path | None:
    """Return the configuration file that holds here, or None.

    Returns
    -------
    Path or None

    Raises
    ------
    SodbenchError
        If ``SODBENCH_CONFIG`` names no file.
    """
    variable = os.environ.get(CONFIG_VARIABLE)
    if variable is not None:
        if variable and not Path(variable).is_file():
            raise SodbenchError(f"{CONFIG_VARIABLE}={variable}: no such file")
        return Path(variable).absolute() if variable else None
    try:
        here = Path.cwd()
    except OSError:
        # the working folder was removed
        return None
    folders = [here, *here.parents]
    roots = [i for i, folder in enumerate(folders) if (folder / ".git").exists()]
    for folder in folders[: roots[0] + 1 if roots else 1]:
        if (folder / FILE_NAME).is_file():
            return folder / FILE_NAME
        project = folder / "pyproject.toml"
        if project.is_file() and b"[tool.sodbench" in project.read_bytes():
            return project
    return None


def read_configuration(file: Path) -> dict[str, Any]:
    """Read the tables of a configuration file.

    Parameters
    ----------
    file : Path

    Returns
    -------
    dict

    Raises
    ------
    SodbenchError
        If it cannot be read or is no TOML.
    """
    # few have such a file
    from sodbench.toml import read_toml

    tables = read_toml(file)
    if file.name == "pyproject.toml":
        # the words may be in a comment, too
        for key in ("tool", "sodbench"):
            tables = tables.get(key, {})
            if not isinstance(tables, dict):
                raise SodbenchError(f"{file}: {key} is not a table; write [tool.sodbench]")
    return tables


def apply_defaults(commands: Mapping[str, "Command"], file: Path) -> None:
    """Give every command the settings of the configuration file.

    Parameters
    ----------
    commands : mapping of str to Command
        Every command by its words, such as ``data check``.
    file : Path

    Raises
    ------
    SodbenchError
        If the file cannot be read, or names options or commands that do not exist.
    """
    known = {option for command in commands.values() for option in _options(command)}
    tables = {" ".join(words[:n]) for name in commands for words in [name.split()] for n in (1, 2)}
    values: dict[str, dict[str, Any]] = {}
    for table, key, value in _values_by_table(read_configuration(file), tables):
        if not table and key not in known:
            raise _unknown(file, table, key, known | tables)
        values.setdefault(table, {})[key] = value
    _refuse_foreign_keys(file, values, commands)
    for name, command in commands.items():
        own: dict[str, Any] = {}
        # the command's own table wins over its parent's, and that over the top
        for table in ("", name.split()[0], name):
            own |= values.get(table, {})
        command.settings = [
            Setting(action, own[key], file)
            for key, action in _options(command).items()
            # false is what a flag is without being given, if no option turns it off
            if key in own
            and (own[key] is not False or isinstance(action, argparse.BooleanOptionalAction))
            # the variable wins over the file
            if key != "data-root" or not os.environ.get(DATA_VARIABLE)
        ]


def _values_by_table(
    tables: Mapping[str, Any], commands: set[str]
) -> Iterator[tuple[str, str, Any]]:
    """Every value of the file with its table (a command, or empty at the top) and its key."""

    def walk(table: str, content: Mapping[str, Any]) -> Iterator[tuple[str, str, Any]]:
        for key, value in content.items():
            inner = f"{table} {key}".strip()
            if isinstance(value, dict) and inner in commands:
                yield from walk(inner, value)
            else:
                yield table, key.replace("_", "-"), value

    yield from walk("", tables)


def _options(command: "Command") -> dict[str, argparse.Action]:
    """The options of a command that can have a default in a file, by their long name."""
    return {
        _long_name(action)[2:]: action
        for action in command._actions
        if action.option_strings and action.dest not in _NOT_CONFIGURABLE
    }


def _refuse_foreign_keys(
    file: Path, values: Mapping[str, Mapping[str, Any]], commands: Mapping[str, "Command"]
) -> None:
    """Refuse an option in the table of a command that does not have it."""
    for table, content in values.items():
        members = [
            c for name, c in commands.items() if f"{name} ".startswith(f"{table} ") or not table
        ]
        known = {option for command in members for option in _options(command)}
        inner = {name.rpartition(" ")[2] for name in commands if name.startswith(f"{table} ")}
        for key in content:
            if key not in known:
                raise _unknown(file, table, key, known | inner)


def _unknown(file: Path, table: str, key: str, known: set[str]) -> SodbenchError:
    where = f" in [{table.replace(' ', '.')}]" if table else ""
    if not table and key in known:
        return SodbenchError(f"{file}: {key} is a command; write its options below [{key}]")
    near = difflib.get_close_matches(key, known, 1)
    hint = f", did you mean {near[0]}?" if near else ""
    return SodbenchError(f"{file}: no option or command is called {key}{where}{hint}")


def describe_settings(settings: list[Setting]) -> str:
    """Return one line that names the file and its settings.

    Parameters
    ----------
    settings : list of Setting
        Of one command.

    Returns
    -------
    str
    """
    words = [word for setting in settings for word in setting.words]
    return f"defaults from {settings[0].file}: {shlex.join(words)}"
