"""Strings that a file's author can choose, and that must never reach a terminal, shell or page as they are."""

import unicodedata

TEXTS = {
    "colour": "\x1b[31mred\x1b[0m",
    "title": "\x1b]0;title\x07",
    "clear": "a\x1b[2Jb",
    "bell": "a\x07b",
    "carriage return": "map.png\rsodbench: all is well",
    "line": "map.png\nsodbench: error: forged line",
    "nul": "a\0b",
    "delete": "a\x7fb",
    "c1": "a\x9b31mb",
    "reordered": "gpj.\u202egnp",
    "isolate": "a\u2066b\u2069",
    "separator": "a\u2028b\u2029c",
    "substitution": "$(touch pwned)",
    "backticks": "`touch pwned`",
    "semicolon": "a; touch pwned; #",
    "single quote": "a'; touch pwned; '",
    "double quote": 'a"; touch pwned; "',
    "brackets": "x']; import os; os.system('touch pwned'); ['",
    "script": "</script><script>alert(1)</script>",
    "pipe": "a|b|c",
    "latex": r"\input{secret}",
    "percent": "100%_#&{}^~",
    "surrogate": "\udce9t\udce9",
    "long": "x" * 300,
    "dash": "-rf",
    "space": " a  b ",
    "braces": "{0}{name}%s",
}
"""By what they try."""


def as_file_name(text: str, longest: int = 200) -> str | None:
    """The text as the name of a file on Linux, or None where it cannot be one."""
    if "\0" in text or "/" in text:
        text = text.replace("/", "").replace("\0", "")
    return text[:longest] or None


def acts_on_terminal(text: str, allowed: str = "\n") -> str:
    """The characters of a text that a terminal obeys instead of showing, as a repr; empty if there are none."""
    characters = [
        c
        for c in text
        if c not in allowed
        and c not in "\u200c\u200d"
        and unicodedata.category(c) in ("Cc", "Cf", "Cs", "Zl", "Zp")
    ]
    return repr("".join(characters)) if characters else ""
