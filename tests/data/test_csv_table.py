"""Users' CSVs as spreadsheets, scripts and hands leave them."""

import pytest

from ser_lightning.data.csv_table import decimal_faults, read_table
from ser_lightning.utils.errors import UserError


def table(tmp_path, content, **columns):
    path = tmp_path / "list.csv"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return read_table(
        path, **({"needed": ("path", "speaker"), "optional": ("age",), "as_written": ("path",)} | columns)
    )


@pytest.mark.parametrize("separator", [",", ";", "\t"])
@pytest.mark.parametrize("newline", ["\n", "\r\n", "\r"])
def test_what_spreadsheets_add_is_passed_over(tmp_path, separator, newline):
    lines = [
        ",,,,",
        "Path, speaker\u00a0,age,,",
        "",
        "a.wav,s 1,30,,",
        ",,,,",
        " , ,,,",
        "b.wav,s\u00a0\u200b1,,,",
        ",,,,",
        "",
    ]
    text = "\ufeff" + newline.join(lines).replace(",", separator)
    assert table(tmp_path, text) == [
        (4, {"path": "a.wav", "speaker": "s 1", "age": "30"}),
        (7, {"path": "b.wav", "speaker": "s 1", "age": ""}),
    ]


def test_what_scripts_write_for_nothing_is_nothing(tmp_path):
    absent = ["nan", "NaN", "NA", "N/A", "n/a", "None", "null", "<NA>", "unknown", "?", "-", ""]
    absent += ["NULL", "#N/A", "\\N", ".", "unk"]
    rows = table(tmp_path, "path,speaker,age\n" + "".join(f"{n}.wav,s,{word}\n" for n, word in enumerate(absent)))
    assert {row["age"] for _, row in rows} == {""}
    rows = table(tmp_path, "path,speaker\na,nan\nb,NaN\nc,Nan\nd,NA\ne,None\n")  # of these, three may be names
    assert [row["speaker"] for _, row in rows] == ["", "", "Nan", "NA", "None"]


def test_columns_and_quotes_as_a_csv_has_them(tmp_path):
    rows = table(tmp_path, ',note,speaker,path,note\n0,x,"Smith, ""J"" ",a  b.wav,y\n1,5" wide,T,c.wav\n')
    assert [row for _, row in rows] == [
        {"speaker": 'Smith, "J"', "path": "a  b.wav"},
        {"speaker": "T", "path": "c.wav"},
    ]


@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_a_blank_may_stand_before_a_quote(tmp_path, separator):
    lines = ['"path"| "speaker"| "age"', '"a.wav"| "Smith| J"| "30" ', 'b.wav| T|  " 31"']
    rows = table(tmp_path, "\n".join(lines).replace("|", separator))
    name = f"Smith{separator} J".replace("\t", "")  # blanks of every kind are one
    assert [[*row.values()] for _, row in rows] == [["a.wav", name, "30"], ["b.wav", "T", "31"]]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (
            "path,speaker\na,s\nb,s,t\n",
            r"\n  line 3: 3 cells, but 2 columns: put a cell that holds a separator in quotes$",
        ),
        ("path,speaker,,\na,Smith, J,\n", r"\n  line 2: 4 cells, but 2 columns"),
        ('path,speaker\na,s\nb,"s\nc,s\nd,"s"\n', r"\n  line 3: a quote is opened and not closed[^\n]*$"),
        ('path,speaker\na,s\nb,"s', r"\n  line 3: a quote is opened and not closed[^\n]*$"),
        ('"path,speaker\na,s\nb,s\n', r"\n  line 1: a quote is opened and not closed[^\n]*$"),
        ('path,speaker\na,"' + "s" * 200_000 + '"\n', r"line 2: field larger than field limit"),
        ("path,speaker,Speaker\na,s,t\n", "has two columns called speaker: rename or remove one"),
        ("path,speaker,age,speaker\u200b,AGE\n", "has two columns called speaker and age"),
        (
            "path,who\na,s\n",
            r"lacks the column speaker: .* path and speaker \(and may have age\); it names path, who",
        ),
        ("", "lacks the columns path and speaker: .*it names nothing"),
        ("path,speaker\na,s\nb,s\0\n", "line 3 holds a NUL byte.*save it as CSV UTF-8"),
        ("path,speaker\n".encode("utf-16"), "it is UTF-16, not UTF-8 text.*save it as CSV UTF-8"),
        ("path,speaker\n".encode("utf-16-le"), "line 1 holds a NUL byte, so it is damaged, or UTF-16"),
        ("path,speaker\na,Müller\n".encode("latin-1"), "not UTF-8 text, as line 2 shows.*save it as CSV UTF-8"),
    ],
)
def test_what_would_be_misread_is_refused_with_its_line(tmp_path, content, said):
    with pytest.raises(UserError, match=said):
        table(tmp_path, content)


def test_what_cannot_be_opened_is_said(tmp_path):
    for path in (tmp_path, tmp_path / "none.csv"):
        with pytest.raises(UserError, match=r"cannot be read \(.*\): give a CSV with the columns id and fold"):
            read_table(path, needed=("id", "fold"))


@pytest.mark.parametrize(
    ("cells", "is_unclear"),
    [
        (("1,234", "950"), True),
        (("3,667", "3"), False),
        (("4,333", "2,000"), False),
        (("1,5", "1,234", "950"), False),
    ],
)
def test_a_comma_parts_decimals_unless_hundreds_stand_beside_what_may_be_thousands(cells, is_unclear):
    assert bool(decimal_faults("f0", list(enumerate(cells)))) is is_unclear
