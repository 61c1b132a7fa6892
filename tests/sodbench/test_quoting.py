"""Text from outside is shown, not obeyed: in a terminal, a shell, Python, JSON and Markdown."""

import ast
import io
import itertools
import json
import re
import subprocess
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

import pytest
from hostile import TEXTS, acts_on_terminal

import sodbench
from sodbench.console import Messages, logger, show_messages, track
from sodbench.errors import ImageError, Problem, ProblemsError, SodbenchError, listing
from sodbench.quoting import (
    json_text,
    markdown_text,
    printable,
    printable_lines,
    python_literal,
    shell_command,
)

hostile = pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)


@hostile
def test_printable_text_is_one_line_that_a_terminal_only_shows(text):
    shown = printable(text)
    assert not acts_on_terminal(shown, allowed="")
    assert printable(shown) == shown
    shown.encode("utf-8")


@pytest.mark.parametrize(
    "text", ["plain.png", "été.png", "猫/狗.png", "گربه‌ها", "👩‍🚀", "a\\nb", "", "C:\\x"]
)
def test_harmless_text_is_printed_as_it_is(text):
    assert printable(text) == text


def test_escapes_are_those_of_python():
    assert (
        printable("a\x1b\n\r\t\u202e\udce9\U000e0041") == "a\\x1b\\n\\r\\t\\u202e\\udce9\\U000e0041"
    )


def test_own_line_breaks_stay_and_nothing_else():
    assert printable_lines("a\x1b\tb\nc\r\n") == "a\\x1b\tb\nc\\r\n"


@hostile
def test_an_error_shows_each_of_its_lines_as_one_line(text):
    message = str(SodbenchError(f"{text}: cannot be read", f"  {text}"))
    assert message.count("\n") == 1 and not acts_on_terminal(message)
    assert not acts_on_terminal(str(ImageError(text, text)), allowed="")
    problem = Problem("missing", text, text)
    assert not acts_on_terminal(str(problem), allowed="")
    assert len(listing([problem])) == 2
    assert not any(acts_on_terminal(line, allowed="") for line in listing([problem]))
    whole = str(ProblemsError(text, [problem], text))
    assert whole.count("\n") == 3 and not acts_on_terminal(whole)


@hostile
@pytest.mark.parametrize("write", [logger.info, logger.warning])
def test_a_message_is_one_line(text, write, capsys):
    with show_messages():
        write(f"{text}: ignored")
    printed = capsys.readouterr().err
    assert printed.endswith(": ignored\n") and printed.count("\n") == 1
    assert not acts_on_terminal(printed)


def test_warnings_are_printed_when_quiet_and_notes_are_not(capsys):
    with show_messages(Messages(quiet=True)):
        logger.info("a note")
        logger.warning("a problem")
    assert capsys.readouterr().err == "a problem\n"


def test_messages_without_a_standard_error_are_dropped(monkeypatch):
    monkeypatch.setattr("sys.stderr", None)
    with show_messages():
        logger.warning("nobody reads this")


def test_library_calls_print_nothing():
    """Messages and bars appear only while the command line shows them."""
    with redirect_stdout(io.StringIO()) as out, redirect_stderr(out):
        logger.warning("a problem")
        assert list(track([1, 2], "counting")) == [1, 2]
    assert not out.getvalue()


@hostile
def test_a_shell_gets_back_exactly_the_words(text, tmp_path):
    command = shell_command(["printf", "%s", text])
    if printable(text) != text:
        assert command is None
        return
    done = subprocess.run(["sh", "-c", command], cwd=tmp_path, capture_output=True, check=True)
    assert done.stdout.decode() == text
    assert not list(tmp_path.iterdir())


@hostile
def test_python_gets_back_exactly_the_text(text):
    literal = python_literal(text)
    assert literal.isascii() and literal.isprintable() and ast.literal_eval(literal) == text


@hostile
def test_json_is_ascii_and_exact(text):
    written = json_text({text: text})
    assert written.isascii() and json.loads(written) == {text: text}
    assert not acts_on_terminal(written)


@hostile
def test_markdown_shows_the_text(text):
    shown = markdown_text(text)
    assert not acts_on_terminal(shown, allowed="") and "<" not in shown
    assert "|" not in shown.replace("\\|", "")


def calls_of(name_ends):
    """The calls of functions whose name ends so, in the whole package: (where, call)."""
    package = Path(sodbench.__file__).parent
    files = {file.resolve() for file in package.rglob("*.py")}
    for folder in ("metrics", "runners", "reports"):
        files |= {file.resolve() for file in (package / folder).glob("*.py")}
    assert len(files) > 80
    for file in sorted(files):
        for node in ast.walk(ast.parse(file.read_text("utf-8"))):
            function = getattr(node, "func", None)
            name = getattr(function, "id", "") or getattr(
                getattr(function, "value", None), "id", ""
            )
            if name.endswith(name_ends):
                yield f"{file.name}:{node.lineno}", node


def test_messages_pass_their_lines_separately():
    """A line break within a line comes from quoted content and is shown escaped."""
    found = list(calls_of(("Error", "NotFound", "logger")))
    assert len(found) > 200
    broken = [
        where
        for where, call in found
        for part in ast.walk(call)
        if isinstance(part, ast.Constant) and isinstance(part.value, str) and "\n" in part.value
    ]
    assert not broken


def test_no_message_puts_content_into_a_command():
    """A command in a message is fixed text; what a file says is shown next to it."""
    command = re.compile(r"(sodbench (eval|run|predict|report|train|data|merge)|python -c) [^']*$")
    fixed = {"data_download.py"}  # the registry's names
    embedded = []
    for where, call in calls_of(("Error", "NotFound", "logger")):
        for part in ast.walk(call):
            if not isinstance(part, ast.JoinedStr):
                continue
            for text, value in itertools.pairwise(part.values):
                before = getattr(text, "value", "")
                if isinstance(value, ast.FormattedValue) and isinstance(before, str):
                    embedded += [where] * bool(command.search(before))
    assert not [where for where in embedded if where.partition(":")[0] not in fixed]
