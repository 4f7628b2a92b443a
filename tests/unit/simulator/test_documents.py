"""YAML of other people: what is refused, and that the rest is read as kubectl reads it."""

import pytest

from simulator.documents import DEEPEST, MOST, documents
from simulator.tables import FileError


def problems(text: str) -> list[str]:
    with pytest.raises(FileError) as wrong:
        documents(text, "r.yaml")
    return list(wrong.value.problems)


def nested(levels: int) -> str:
    return "[" * levels + "]" * levels


def test_documents_are_read_one_after_the_other_with_what_is_referred_to_and_merged() -> None:
    text = "a: &a {x: 1, y: 2}\nb: {<<: *a, x: 3}\n---\n- no\n---\n"
    assert documents(text, "r.yaml") == [{"a": {"x": 1, "y": 2}, "b": {"x": 3, "y": 2}}, [False], None]


def test_a_date_without_quotes_is_the_text_that_it_is() -> None:
    assert documents("a: 2026-11-26\nb: 2026-13-45", "r.yaml") == [{"a": "2026-11-26", "b": "2026-13-45"}]


def test_a_key_that_stands_twice_is_told_with_both_lines() -> None:
    text = "metadata:\n  name: a\n  name: b\nspec: {}\n'spec': {}\nmore: [{x: 1, x: 2}]\n"
    assert sorted(problems(text)) == [
        "r.yaml: line 3: name stands here twice, first in line 2: leave one out",
        "r.yaml: line 5: spec stands here twice, first in line 4: leave one out",
        "r.yaml: line 6: x stands here twice, first in line 6: leave one out",
    ]


def test_keys_that_only_look_the_same_are_two() -> None:
    assert documents("{1: a, '1': b}", "r.yaml") == [{1: "a", "1": "b"}]


@pytest.mark.parametrize("levels", [DEEPEST + 1, 3000, 300_000])
def test_what_nests_too_deep_is_refused_with_its_line(levels: int) -> None:
    assert problems(f"a: 1\nb: {nested(levels)}") == [
        "r.yaml: line 2: nests deeper than 100 levels: nothing in a release does"
    ]
    assert documents(nested(DEEPEST).replace("[]", "[1]"), "r.yaml")


@pytest.mark.parametrize(
    "text",
    [
        "a: &a [*a]",
        "\n".join(["a0: &a0 [1]", *(f"a{n}: &a{n} [*a{n - 1}]" for n in range(1, DEEPEST))]),
        "\n".join(["a0: &a0 [1]", *(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 9))]),
    ],
    ids=["of itself", "a long chain", "many times many"],
)
def test_references_that_make_too_much_are_refused(text: str) -> None:
    assert "its references make too much of it: write out what you mean" in problems(text)[0]


def test_a_document_of_more_values_than_anything_has_is_refused() -> None:
    assert "make too much of it" in problems(f"[{'0,' * MOST}0]")[0]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a: [", "r.yaml: is no YAML: while parsing a flow node"),
        ("a: !!python/object:os.system {}", "r.yaml: is no YAML: could not determine a constructor"),
        ("{[a]: 1}", "r.yaml: is no YAML: while constructing a mapping"),
        ("a: !!set {x}", "r.yaml: holds what JSON cannot: Object of type set"),
        ("a: .nan", "r.yaml: holds what JSON cannot: Out of range float values"),
        ("a: !!int much", "r.yaml: holds what JSON cannot: invalid literal for int()"),
        (f"a: {'9' * 5000}", "r.yaml: holds what JSON cannot: Exceeds the limit"),
    ],
)
def test_what_no_release_can_hold_is_told_as_wrong_input(text: str, said: str) -> None:
    (problem,) = problems(text)
    assert problem.startswith(said)
