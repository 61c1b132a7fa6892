"""The project's description on package indexes; everything else is in pyproject.toml.

The links of README.md to files of the repository lead nowhere there, so they become the names of the files.
"""

import re
from pathlib import Path

from setuptools import setup

README = Path(__file__).with_name("README.md").read_text(encoding="utf-8")

setup(
    long_description=re.sub(r"\[([^][]*)\]\((?!\w+:)[^)]*\)", r"\1", README),
    long_description_content_type="text/markdown",
)
