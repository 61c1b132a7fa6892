"""CSV files of users: what a spreadsheet saves is read, and what would lose a value is refused."""

import pytest

from sodbench.csv_table import read_csv_table
from sodbench.errors import SodbenchError


def read(tmp_path, content: bytes):
    file = tmp_path / "a.csv"
    file.write_bytes(content)
    return read_csv_table(file)


@pytest.mark.parametrize(
    "content",
    [
        b"name,value\nx,1\n",
        b"\xef\xbb\xbfname,value\r\n\r\nx,1\r\n",
        b"name,value\rx,1",
        b"name, value,,\nx,1,,\n",
        b",name,value\n0,x,1\n",
        b'"name","value"\n"x","1"\n',
    ],
    ids=["plain", "byte order mark", "old Mac", "empty columns", "index", "quotes"],
)
def test_what_programs_save_is_the_same_table(tmp_path, content):
    table = read(tmp_path, content)
    assert table.columns == ("name", "value")
    assert [dict(row) for row in table.rows.values()] == [{"name": "x", "value": "1"}]


def test_lines_are_numbered_and_short_ones_filled(tmp_path):
    table = read(tmp_path, b'name,note\n\na,"two\nlines"\nb\n')
    assert table.rows == {4: {"name": "a", "note": "two\nlines"}, 5: {"name": "b", "note": ""}}
    assert read(tmp_path, b"").columns == ()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"name,value\nx,0,928\n", "line 2 has more values than the 2 columns"),
        (b"name;value\nx;0,928\n", "separated by semicolons"),
        (b"name\tvalue\nx\t1\n", "separated by tabs"),
        (b"name,value,value\nx,1,2\n", "has the column value twice"),
        (b"name,value\n\xff,1\n", "cannot be read as CSV in UTF-8"),
    ],
)
def test_what_would_lose_a_value_is_refused(tmp_path, content, message):
    with pytest.raises(SodbenchError, match=message):
        read(tmp_path, content)


def test_a_missing_file_and_a_folder_are_named(tmp_path):
    for path, reason in ((tmp_path / "none.csv", "No such file"), (tmp_path, "Is a directory")):
        with pytest.raises(SodbenchError, match=f"{path.name}: cannot be read .{reason}"):
            read_csv_table(path)
