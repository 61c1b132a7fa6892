"""The parser of the command line: argparse with short usage lines, suggestions, and arguments that options leave alone."""

import argparse
import difflib
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NoReturn

from sodbench.cli.defaults import Setting
from sodbench.cli.values import describe_choice, path
from sodbench.quoting import printable

# Options of earlier versions, and what they are called now; one became two.
RENAMED = {
    "--best-by": "--monitor",
    "--list": "--pairs --items",
    "--no-wf": "--no-weighted-f",
    "--pictures": "--images",
    "--skip-bad": "--skip-invalid",
    "--trust-folders": "--allow-swapped",
    "--workers": "--jobs",
    "--worst": "--show-worst",
    "--worst-by": "--sort-by",
}

_NEGATIVE_NUMBER = re.compile(r"-\.?\d")


class _HelpFormatter(argparse.HelpFormatter):
    """Wrap paragraphs, keep indented lines (examples), and show only what must be given in the usage line."""

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        blocks: list[str] = []
        for line in text.splitlines():
            is_separate = not line or line.startswith(" ")
            if is_separate or not blocks or not blocks[-1] or blocks[-1].startswith(" "):
                blocks.append(line)
            else:
                blocks[-1] += f" {line}"
        return "\n".join(
            line
            if line.startswith(" ")
            else super(_HelpFormatter, self)._fill_text(line, width, indent)
            for line in blocks
        )

    def add_usage(
        self,
        usage: str | None,
        actions: Iterable[argparse.Action],
        groups: Iterable[argparse._MutuallyExclusiveGroup],
        prefix: str | None = None,
    ) -> None:
        """Add the usage line; the options that may be left out are one word of it."""
        actions = list(actions)
        words = ["%(prog)s"]
        if any(action.option_strings and not action.required for action in actions):
            words.append("[options]")
        required = (a for a in actions if a.option_strings and a.required)
        words += [f"{action.option_strings[0]} {self._name(action)}" for action in required]
        words += [self._argument(action) for action in actions if not action.option_strings]
        super().add_usage(" ".join(words).replace("%(prog)s", self._prog), [], groups, prefix)

    @staticmethod
    def _name(action: argparse.Action) -> str:
        name = action.metavar or action.dest.upper()
        return name if isinstance(name, str) else " ".join(name)

    def _argument(self, action: argparse.Action) -> str:
        name = self._name(action)
        forms = {
            "?": f"[{name}]",
            "*": f"[{name} ...]",
            "+": f"{name} [{name} ...]",
            argparse.PARSER: f"{name} ...",
        }
        return forms.get(str(action.nargs), name)


class Parser(argparse.ArgumentParser):
    """A parser whose messages show quoted arguments escaped and suggest what was probably meant.

    Parameters
    ----------
    **options
        For `argparse.ArgumentParser`.
    """

    def __init__(self, **options: Any):
        super().__init__(**{"formatter_class": _HelpFormatter, **options})
        # what was given, for suggestions
        self._words: list[str] = []

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> tuple[Any, list[str]]:
        """Parse as argparse does, and remember the words."""
        if args is not None:
            self._words = list(args)
        return super().parse_known_args(args, namespace)

    def error(self, message: str) -> NoReturn:
        """Print the usage and the message, and exit with status 2."""
        hints = self._suggest_options() if message.startswith(_MISSES_OPTION) else []
        hint = f" ({'; '.join(hints)})" if hints else ""
        super().error(printable(message + hint))

    def _suggest_options(self) -> list[str]:
        """What the unknown options among the words are called."""
        own = [option for option in self._option_string_actions if option.startswith("--")]
        hints = []
        for word in self._words:
            option = word.partition("=")[0]
            if not option.startswith("--") or any(name.startswith(option) for name in own):
                continue
            if names := [name for name in RENAMED.get(option, "").split() if name in own]:
                hints.append(f"{option} is called {' or '.join(names)} now")
            elif near := difflib.get_close_matches(option, own, 1):
                hints.append(f"did you mean {near[0]}?")
        return hints

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        if action.choices is not None and value not in action.choices:
            raise argparse.ArgumentError(action, describe_choice(value, action.choices))


# messages that an option which argparse does not know can lead to
_MISSES_OPTION = ("unrecognized arguments", "the following arguments are required")


class Command(Parser):
    """The parser of one command (and of its own commands), which takes the options of all commands.

    Parameters
    ----------
    **options
        For `argparse.ArgumentParser`.

    Attributes
    ----------
    settings : list of Setting
        Defaults of options from the environment and the configuration file; see `sodbench.cli.defaults`.
    """

    def __init__(self, **options: Any):
        super().__init__(**options)
        self.settings: list[Setting] = []
        # not given here: the program's value stays
        add_message_options(self, default=argparse.SUPPRESS)

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> tuple[Any, list[str]]:
        """Parse, and refuse here what is not known; argparse lets the program refuse it with the program's usage."""
        configured = {}
        for setting in self.settings:
            try:
                configured[setting.destination] = setting.value
            except ValueError as error:
                self.error(str(error))
            setting.action.required = False
        self.set_defaults(**configured)
        words = self._arguments_first(list(args or ()))
        known, others = super().parse_known_args(words, namespace)
        known.settings = [
            setting
            for setting in self.settings
            if getattr(known, setting.destination, None) is configured[setting.destination]
        ]
        if others:
            self.error(f"unrecognized arguments: {' '.join(others)}")
        return known, others

    def _arguments_first(self, words: list[str]) -> list[str]:
        """Move the positional arguments before the options.

        Otherwise ``--metrics mae PREDS GT`` takes all three words, and ``PREDS --protocol all GT`` has only PREDS. Where
        no argument is given elsewhere, the last words of an option that takes several are the arguments if there are
        files of these names. Words in any other form are left to argparse.
        """
        positionals = [a for a in self._actions if not a.option_strings]
        if "--" in words or any(isinstance(a, argparse._SubParsersAction) for a in positionals):
            return words
        arguments: list[str] = []
        options: list[list[str]] = []
        several: list[str] | None = None
        for group in _groups(words):
            if not _is_option(group[0]):
                arguments += group
                continue
            action = self._find_option(group[0])
            if action is None:
                return words
            most = 0 if "=" in group[0] else _most_values(action)
            options.append(group[: 1 + most])
            arguments += group[1 + most :]
            if isinstance(action.nargs, str) and most > 1:
                several = options[-1]
        missing = len(positionals) - len(arguments)
        if several and 0 < missing < len(several) - 1 and Path(several[-missing]).exists():
            arguments += several[-missing:]
            del several[-missing:]
        return [*arguments, *(word for group in options for word in group)]

    def _find_option(self, word: str) -> argparse.Action | None:
        name = word.partition("=")[0]
        known = self._option_string_actions
        if name in known:
            return known[name]
        matches = {known[o] for o in known if name.startswith("--") and o.startswith(name)}
        return matches.pop() if len(matches) == 1 else None


def _is_option(word: str) -> bool:
    return len(word) > 1 and word[0] == "-" and not _NEGATIVE_NUMBER.match(word)


def _groups(words: Sequence[str]) -> Iterator[list[str]]:
    """Split words before every option."""
    group: list[str] = []
    for word in words:
        if group and _is_option(word):
            yield group
            group = []
        group.append(word)
    if group:
        yield group


def _most_values(action: argparse.Action) -> int:
    match action.nargs:
        case None | "?":
            return 1
        case int(number):
            return number
        case _:
            return 1_000_000


# the options of all commands that take no value
MESSAGE_FLAGS = ("-q", "--quiet", "-v", "--verbose")


def add_message_options(parser: argparse.ArgumentParser, default: Any) -> None:
    """Add the options that choose which messages are printed and kept.

    Parameters
    ----------
    parser : argparse.ArgumentParser
        Where the options are added.
    default : object
        What they are if not given: a false value, or ``argparse.SUPPRESS``.
    """
    group = parser.add_argument_group("messages")
    group.add_argument(
        "-q",
        "--quiet",
        action="store_true",
        default=default,
        help="print no progress bars and no notes; problems and errors are still printed",
    )
    group.add_argument(
        "-v",
        "--verbose",
        action="store_true",
        default=default,
        help="print more: versions, settings, durations, and where an internal error happened",
    )
    group.add_argument(
        "--log-file",
        type=path,
        metavar="FILE",
        default=default,
        help="also append all messages to FILE, with times",
    )
