from datetime import UTC, datetime
from html.parser import HTMLParser

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from jobs.display import markdown, number, plain, rounded, written
from jobs.secret import Secret

HOSTILE = [
    "![x](https://evil.example/a.png)", "[click](javascript:alert(1))", "<img src=x onerror=alert(1)>", "<script>",
    "https://evil.example", "www.evil.example", "a@b.org",
    "`code`", "``", "a`b``c", "| a | b |", "\\| <b>", "\\\\|<b>x",
    "# big", "- item", "1. item", "> quote", "***", "~~~", "&lt;b&gt;", "[x]: https://evil", "_em_ **strong**", "$x$",
    "a\n\n# b", "\x1b[31mred\x1b[0m", "\u202egnp.exe", "\x07\x00\x9b31m", "\r\nforged", "[/x]", "[bold]x", ":smile:",
]  # fmt: skip
MARKS = st.text(st.sampled_from("ab `*_[]()!<>|\\~#-=+.:/@&$wht1\n\x1b\u202e"), max_size=30)
PARSER = MarkdownIt("gfm-like", {"linkify": False, "html": True})


class Tags(HTMLParser):
    """The tags and the texts of cells."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.cells: list[str] = []

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.tags.append(tag)
        if tag == "td":
            self.cells.append("")

    def handle_data(self, data: str) -> None:
        if self.cells:
            self.cells[-1] += data


@given(st.one_of(MARKS, st.text()), st.one_of(MARKS, st.text()))
@example("\\|", "<b>x</b>")
@example("`", "`<b>x</b>`")
def test_no_text_is_more_than_text_in_a_table(one: str, two: str) -> None:
    read = Tags()
    read.feed(PARSER.render(f"| a | b |\n|---|---|\n| {markdown(one)} | {markdown(two)} |\n"))
    assert set(read.tags) <= {"table", "thead", "tbody", "tr", "th", "td", "code"} and len(read.cells) == 2
    assert "".join(read.cells[0].split()) == "".join(plain(one).split()).replace("\n", "")


@pytest.mark.parametrize("text", HOSTILE)
def test_no_hostile_text_is_more_than_text_in_a_list(text: str) -> None:
    read = Tags()
    read.feed(PARSER.render(f"Reasons:\n\n- {markdown(text)}\n"))
    assert set(read.tags) <= {"p", "ul", "li", "code"}


@pytest.mark.parametrize("text", ["https://evil.example", "www.evil.example", "see http://x.y/z now", "a@b.org"])
def test_what_github_makes_links_of_is_code(text: str) -> None:
    assert markdown(text) == f"`{text}`"


def test_usual_text_stays_as_it_is() -> None:
    for text in [
        "tx_amount",
        "fraud.customer_windows",
        "-5",
        "0.776 > 0.51, better by 3 %",
        "2026-05-01 12:30 (UTC)",
        "Größe",
    ]:
        assert markdown(text) == plain(text) == text


@given(st.text())
def test_nothing_controls_a_terminal(text: str) -> None:
    shown = plain(text)
    assert all(letter.isprintable() or letter in "\n\t\u200c\u200d" or letter.isspace() for letter in shown)
    assert not set("\x1b\x9b\r\x08\x07\u202e\u2066\u2028\x85") & set(shown)
    shown.encode()


def test_both_hide_secrets() -> None:
    Secret("hush hush")
    assert plain("a hush hush") == markdown("a hush hush".upper()).lower().replace("`", "") == "a ***"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1504628, "1,504,628"), (-1504628, "-1,504,628"), (1234567.0, "1,234,567"), (0, "0"), (3, "3"),
        (0.5, "0.5"), (1234.56789, "1,234.568"), (1234.00001, "1,234"), (2.5e-6, "2.5e-06"), (float("nan"), "nan"),
        (True, "yes"), (False, "no"), (None, "none"), ("17", "17"),
        (datetime(2026, 5, 1, 14, 2, tzinfo=UTC), "2026-05-01 14:02:00"),
    ],
)  # fmt: skip
def test_values_are_written_as_people_write_them(value: object, text: str) -> None:
    assert written(value) == text


@pytest.mark.parametrize(
    ("name", "value", "text"),
    [
        ("size_bytes", 3211264, "3.2 MB"), ("bytes", 999, "999 bytes"), ("peak_bytes", 1.25e9, "1.2 GB"),
        ("seconds", 250.3, "4 m 10 s"), ("cpu_seconds", 0.4213, "0.421 s"), ("seconds", 59.96, "1 m"),
        ("seconds", 3600, "1 h"), ("seconds", 7_500, "2 h 5 m"), ("age in seconds", 273_600, "3 d 4 h"),
        ("share of rows", 0.1284, "12.8 %"), ("label_maturity", 1.0, "100 %"), ("share", 0.00012, "0.012 %"),
        ("model_version", 1234, "1234"), ("transaction_id", 1504628, "1504628"), ("shared", 0.5, "0.5"),
        ("is_identical", 1504628, "1,504,628"),
    ],
)  # fmt: skip
def test_the_name_of_a_field_says_in_which_unit_its_numbers_are(name: str, value: float, text: str) -> None:
    assert written(value, name) == text


@given(st.floats(0, 1e9), st.floats(0, 1e9))
def test_a_longer_span_never_reads_as_a_shorter_one(one: float, two: float) -> None:
    units = {"d": 86_400.0, "h": 3_600.0, "m": 60.0, "s": 1.0}

    def read(text: str) -> float:
        words = text.replace(",", "").split()
        return sum(float(count) * units[unit] for count, unit in zip(words[::2], words[1::2], strict=True))

    short, long = sorted((one, two))
    assert read(written(short, "seconds")) <= read(written(long, "seconds"))
    assert read(written(long, "seconds")) == pytest.approx(long, rel=0.05, abs=0.5)


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_a_rounded_number_is_the_one_that_is_written(value: float) -> None:
    assert number(rounded(value)) == number(value)
