"""What a CSV file of sites comes to."""

import csv
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloud.fleet.errors import SpecError
from cloud.fleet.imports import COLUMNS, CONTACT_COLUMNS, Difference, Import, compare, decode, read
from cloud.fleet.site import Contact, SiteKind, SiteSpec

HANGZHOU = SiteSpec(time_zone="Asia/Shanghai", display_name="杭州", uplink_mbps=100)


def judged(text: str, **existing: SiteSpec) -> Import:
    return compare(read(text), existing)


def told(text: str, **existing: SiteSpec) -> list[str]:
    return [str(problem) for problem in judged(text, **existing).problems]


def test_a_row_makes_a_site_and_columns_may_stand_in_any_order() -> None:
    found = judged("timeZone,uplinkMbps,name,kind\nAsia/Shanghai,200,hangzhou,Depot\n")
    assert [*found.problems, *found.change, *found.leave] == []
    assert [(wish.line, wish.name, wish.after) for wish in found.create] == [
        (2, "hangzhou", SiteSpec(time_zone="Asia/Shanghai", uplink_mbps=200, kind=SiteKind.DEPOT))
    ]


def test_a_new_site_is_told_by_the_fields_it_has() -> None:
    (wish,) = judged("name,timeZone\nhangzhou,Asia/Shanghai\n").create
    assert wish.differences == (
        Difference("timeZone", None, "Asia/Shanghai"),
        Difference("kind", None, "TransferCentre"),
    )


def test_a_change_tells_each_field_before_and_after() -> None:
    found = judged("name,uplinkMbps,region\nhangzhou,200,east\n", hangzhou=HANGZHOU)
    (wish,) = found.change
    assert wish.differences == (Difference("region", "", "east"), Difference("uplinkMbps", 100, 200))
    assert wish.after.display_name == "杭州"


def test_an_empty_cell_empties_its_field_and_a_missing_column_leaves_it() -> None:
    (wish,) = judged("name,uplinkMbps\nhangzhou,\n", hangzhou=HANGZHOU).change
    assert wish.differences == (Difference("uplinkMbps", 100, None),)


def test_a_row_that_changes_nothing_is_left() -> None:
    found = judged("name,displayName\nhangzhou, 杭州 \n", hangzhou=HANGZHOU)
    assert [wish.name for wish in found.leave] == ["hangzhou"]
    assert found.create == found.change == ()


def test_people_are_numbered_columns_and_who_has_no_value_is_left_out() -> None:
    (wish,) = judged(
        "name,timeZone,contactName2,contactPhone2,contactName,contactRole,contactName3\n"
        "hangzhou,Asia/Shanghai,韩梅,+86 2,李雷,technician,\n"
    ).create
    assert wish.after.contacts == (Contact(name="李雷", role="technician"), Contact(name="韩梅", phone="+86 2"))


def test_every_problem_is_told_at_once_with_its_line() -> None:
    text = (
        "name,timeZone,kind,uplinkMbps,contactPhone\n"
        "hangzhou,Asia/Shanghai,,,\n"
        "\n"
        'Bad Name,Asia/Beijing,Hub,"fast\nvery",1\n'
        "hangzhou,,Depot,0,\n"
        "short\n"
        ",Asia/Shanghai,,,\n"
        "a,Asia/Shanghai,,,,,\n"
    )
    problems = told(text)
    expected = (
        ("line 4: name 'Bad Name'", "write lower-case"),
        ("line 4: timeZone 'Asia/Beijing'", "no such time zone; write an IANA time zone"),
        ("line 4: kind 'Hub'", "write one of TransferCentre, Campus, Depot"),
        ("line 4: uplinkMbps 'fast\\nvery'", "write a whole number of Mbit/s"),
        ("line 4: contact 1: name", "is missing; add it"),
        ("line 6: name 'hangzhou'", "line 2 has it already; keep one of the two"),
        ("line 6: timeZone ''", "write an IANA time zone"),
        ("line 6: uplinkMbps '0'", "write a whole number"),
        ("line 7: 1 values for 5 columns", "add the missing commas"),
        ("line 8: name ''", "at least 1 character"),
        ("line 9: 7 values for 5 columns", "put quotation marks around values with commas"),
    )
    assert len(problems) == len(expected)
    for problem, (thing, advice) in zip(problems, expected, strict=True):
        assert problem.startswith(thing)
        assert advice in problem


@pytest.mark.parametrize(
    ("text", "objection"),
    [
        ("", "line 1: column 'name' is missing"),
        ("name\n", "line 1: no site follows the header"),
        ("name;timeZone\na;b\n", "columns must be separated by commas"),
        ("name\ttimeZone\n", "columns must be separated by commas"),
        ("name,name\na,b\n", "column 'name' appears twice; remove one"),
        ("name,zone\na,b\n", "column 'zone' is not known; remove it or use one of name, displayName"),
        ("name,contactName0\na,b\n", "column 'contactName0' is not known"),
        ('name,"time\n', "line 1: from here on the file cannot be read"),
        ('name,timeZone\na,UTC\nb,"c"d\n', "line 3: from here on the file cannot be read"),
        ("name,timeZone\ra,UTC\r", "check the quotation marks and line ends"),
        ("name,displayName\na,b\n", "line 2: timeZone is missing; write an IANA time zone"),
    ],
)
def test_a_file_that_is_no_list_of_sites_is_told_what_it_lacks(text: str, objection: str) -> None:
    problems = told(text)
    assert any(objection in problem for problem in problems), problems


def test_a_wrong_column_hides_nothing_of_what_is_wrong_below_it() -> None:
    text = "name,timezone,kind,contactNam,contactPhone\na,UTC,Hub,Li,1\nA,UTC,,,x\na,UTC,Depot,,\nb\n"
    found = judged(text)
    assert [str(problem)[:40] for problem in found.problems] == [
        "line 1: column 'timezone' is not known; ",
        "line 1: column 'contactNam' is not known",
        "line 2: kind 'Hub': write one of Transfe",
        "line 3: name 'A': write lower-case lette",
        "line 3: contact 1: phone 'x': write digi",
        "line 4: name 'a': line 2 has it already;",
        "line 5: 1 values for 5 columns; add the ",
    ]
    assert (found.create, found.change, found.leave) == ((), (), ())


def test_without_a_column_of_names_the_other_cells_are_judged() -> None:
    assert told("timeZone,uplinkMbps\nUTC,fast\nMars/Base,1\n") == [
        "line 1: column 'name' is missing; add it: the name of the EdgeSite",
        "line 2: uplinkMbps 'fast': write a whole number of Mbit/s from 1 to 1000000, or leave it empty",
        "line 3: timeZone 'Mars/Base': there is no such time zone; write an IANA time zone, for example Asia/Shanghai",
    ]


@pytest.mark.parametrize("evil", ["\x1b[2J", "\x9b31m", "a\x7f", "two\nlines", "a\tb"])
def test_control_characters_are_refused_with_line_and_column(evil: str) -> None:
    columns = ["displayName", "region", "contactName", "contactRole", "contactEmail"]
    rows = ["a,UTC," + ",".join(f'"x{evil if number == bad else ""}y"' for number in range(5)) for bad in range(5)]
    for column, row in zip(columns, rows, strict=True):
        (problem,) = told(f"name,timeZone,{','.join(columns)}\n{row}\n")
        named = column.removeprefix("contact").lower() if "contact" in column else column
        assert problem.startswith("line 2: ")
        assert f"{named} {'x' + evil + 'y'!r}: write one line without control characters" in problem


def test_a_zone_that_is_none_at_all_is_told_once() -> None:
    (problem,) = told("name,timeZone\na,Beijing time\n")
    assert problem.startswith("line 2: timeZone 'Beijing time': there is no such time zone; write an IANA time zone")


def test_a_value_of_any_length_makes_a_message_of_a_few_words() -> None:
    (problem,) = told(f"name,timeZone,displayName\na,UTC,{'长' * 5000}\n")
    assert "at most 128 characters" in problem
    assert len(problem) < 200


@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"], ids=["plain", "with a byte order mark"])
def test_utf_8_is_read_with_and_without_its_mark(mark: bytes) -> None:
    assert decode(mark + b"name,displayName\n") == "name,displayName\n"


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        (
            "name\n杭州,转运\n".encode("gb18030"),
            "line 2: not UTF-8: it looks like GB18030; `iconv -f GB18030 -t UTF-8`",
        ),
        ("name\n".encode("utf-16"), "line 1: not UTF-8: it looks like UTF-16"),
        (b"name\n\xff\xff\xff", "line 2: not UTF-8; save the file as CSV UTF-8"),
    ],
)
def test_another_encoding_is_named_with_the_way_out(raw: bytes, words: str) -> None:
    with pytest.raises(SpecError) as refusal:
        decode(raw)
    assert words in str(refusal.value)


@given(st.text(), st.text())
def test_no_text_breaks_the_reader(header: str, rest: str) -> None:
    for text in (f"{header}\n{rest}", f"name,timeZone\n{rest}"):
        found = judged(text)
        assert found.problems or found.create


words = st.text(st.characters(exclude_categories=("C", "Z")), min_size=1, max_size=20)
people = st.lists(
    st.builds(Contact, name=words, role=words | st.just(""), phone=st.from_regex(r"[0-9+]{0,9}", fullmatch=True)),
    max_size=3,
)
sites = st.fixed_dictionaries(
    {
        "displayName": words | st.just(""),
        "timeZone": st.sampled_from(["Asia/Shanghai", "Asia/Urumqi", "UTC"]),
        "region": words | st.just(""),
        "kind": st.sampled_from(SiteKind),
        "uplinkMbps": st.none() | st.integers(1, 1_000_000),
        "contacts": people,
    }
).map(SiteSpec.model_validate)


def as_csv(named: dict[str, SiteSpec]) -> str:
    people_columns = [f"{column}{number or ''}" for number in ("", 2, 3) for column in CONTACT_COLUMNS]
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow([*COLUMNS, *people_columns])
    for name, spec in named.items():
        given_ = spec.dump()
        contacts = [contact[field] for contact in given_["contacts"] for field in CONTACT_COLUMNS.values()]
        contacts += [""] * (len(people_columns) - len(contacts))
        writer.writerow([name, *(given_.get(column, "") for column in COLUMNS[1:]), *contacts])
    return out.getvalue()


@given(
    st.dictionaries(st.sampled_from(["a", "b", "c"]), sites, min_size=1),
    st.dictionaries(st.sampled_from(["b", "c", "d"]), sites),
)
def test_after_an_import_the_sites_are_as_the_file_says_and_a_second_one_changes_nothing(
    wanted: dict[str, SiteSpec], existing: dict[str, SiteSpec]
) -> None:
    found = judged(as_csv(wanted), **existing)
    assert found.problems == ()
    after = existing | {wish.name: wish.after for wish in (*found.create, *found.change)}
    assert after == existing | wanted
    assert {wish.name for wish in found.create} == wanted.keys() - existing.keys()
    assert len(judged(as_csv(wanted), **after).leave) == len(wanted)
