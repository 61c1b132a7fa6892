"""The limits of CONTRIBUTING.md hold for the source; see house.py, whose numbers these are."""

import ast

import pytest
from house import Definition, House, count_code_lines, count_comment_lines, measure, parameters


@pytest.fixture(scope="module")
def house() -> House:
    return measure()


def listed(definitions: list[Definition]) -> list[str]:
    return [str(definition) for definition in definitions]


def test_functions_fit_on_a_screen(house):
    assert listed(house.long_functions) == []


def test_functions_take_at_most_eight_arguments(house):
    assert listed(house.wide_functions) == []


def test_one_name_means_one_thing(house):
    assert house.twice == {}


def test_public_docstrings_have_sections(house):
    assert len(house.with_sections) >= 0.9 * len(house.to_describe)


def test_the_numbers_are_counted_as_described():
    text = '"""Doc."""\n\n# why\nx = 1  # trailing\n\ndef f(self, a, *b, c=1, **d):\n    """Do."""\n    return a\n'
    tree = ast.parse(text)
    assert count_comment_lines(text) == 1
    assert count_code_lines(text, tree) == 3
    assert parameters(tree.body[-1]) == ["a", "c", "b", "d"]
