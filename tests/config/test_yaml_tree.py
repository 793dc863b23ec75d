"""Reading YAML: values, places, and nothing that runs."""

from pathlib import Path

import pytest

from auditor.config.yaml_tree import plain_scalar, read_yaml
from auditor.core.errors import AuditorError, SettingsError


def written(folder: Path, text: str | bytes) -> Path:
    path = folder / "audit.yaml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-5", 1e-5),
        ("1.0e-5", 1e-5),
        ("1E+3", 1000.0),
        (".5", 0.5),
        ("5.", 5.0),
        ("-3", -3),
        ("+7", 7),
        ("12_000", 12000),
        ("0x1F", 31),
        ("0o17", 15),
        ("010", 10),
        (".inf", float("inf")),
        ("-.inf", float("-inf")),
        ("true", True),
        ("False", False),
        ("~", None),
        ("", None),
        ("no", "no"),
        ("on", "on"),
        ("2026-11-20", "2026-11-20"),
        ("12:30:45", "12:30:45"),
        ("e5", "e5"),
        ("1e", "1e"),
        (".", "."),
    ],
)
def test_scalars_follow_the_core_schema(text: str, value: object) -> None:
    found = plain_scalar(text)
    assert found == value
    assert type(found) is type(value)


def test_quoted_numbers_stay_text(tmp_path: Path) -> None:
    assert read_yaml(written(tmp_path, "a: '1'\nb: \"true\"\nc: |\n  5\n")).value == {"a": "1", "b": "true", "c": "5\n"}


def test_places_of_keys_and_items(tmp_path: Path) -> None:
    tree = read_yaml(written(tmp_path, "a:\n  b: 1\n  c: [x, {d: 2}]\n"))
    assert tree.positions == {
        "a": "audit.yaml:1:1",
        "a.b": "audit.yaml:2:3",
        "a.c": "audit.yaml:3:3",
        "a.c.0": "audit.yaml:3:7",
        "a.c.1": "audit.yaml:3:10",
        "a.c.1.d": "audit.yaml:3:11",
    }
    assert tree.where("a.b.missing") == "audit.yaml:2:3"
    assert tree.where("z") == "audit.yaml:1:1"


def test_duplicate_keys_are_named_with_both_places(tmp_path: Path) -> None:
    tree = read_yaml(written(tmp_path, "a: 1\nb: 2\na: 3\n"))
    assert tree.problems == ("audit.yaml:3:1: a: given twice; the first is at 1:1; keep one",)
    assert tree.value == {"a": 1, "b": 2}


def test_python_tags_are_refused_and_not_run(tmp_path: Path) -> None:
    marker = tmp_path / "ran"
    text = f"a: !!python/object/apply:pathlib.Path.touch [!!python/object/apply:pathlib.Path ['{marker}']]\n"
    tree = read_yaml(written(tmp_path, text))
    assert not marker.exists()
    assert tree.problems == (
        "audit.yaml:1:4: a: the tag !!python/object/apply:pathlib.Path.touch is not allowed here; write a plain value",
    )


def test_aliases_that_never_end(tmp_path: Path) -> None:
    bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
        f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]\n" for i in range(1, 9)
    )
    for text in ("a: &a [*a]\n", bomb):
        with pytest.raises(SettingsError, match="aliases repeat without end"):
            read_yaml(written(tmp_path, text))


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("a: 1\n b: 2\n", "audit.yaml:2:3: not YAML: mapping values are not allowed here"),
        ("a: [1, 2\n", "audit.yaml:2:1: not YAML: "),
        ("a:\n\t- b\n", "audit.yaml:2:1: not YAML: found character '\\t' that cannot start any token"),
        ("", "audit.yaml:1:1: the file is empty"),
        ("# only a comment\n", "audit.yaml:1:1: the file is empty"),
        ("a: 1\n---\nb: 2\n", "audit.yaml:2:1: not YAML: but found another document"),
        ("a: \x07\n", "audit.yaml:1:1: not YAML: "),
    ],
)
def test_not_yaml(tmp_path: Path, text: str, sentence: str) -> None:
    with pytest.raises(SettingsError) as caught:
        read_yaml(written(tmp_path, text))
    assert str(caught.value).startswith(sentence)
    assert "\n" not in str(caught.value)


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(AuditorError, match="there is no such file"):
        read_yaml(tmp_path / "none.yaml")
    with pytest.raises(AuditorError, match="is a folder, not a settings file"):
        read_yaml(tmp_path)
    with pytest.raises(AuditorError, match="byte 3 is not UTF-8 text"):
        read_yaml(written(tmp_path, b"a: \xff\n"))


def test_byte_order_mark_and_windows_lines(tmp_path: Path) -> None:
    assert read_yaml(written(tmp_path, b"\xef\xbb\xbfa: 1\r\nb: x\r\n")).value == {"a": 1, "b": "x"}
