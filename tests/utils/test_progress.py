"""How far something has come: a bar on a terminal, a few lines elsewhere."""

import io
import logging
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest

from ser_lightning.utils.progress import progress, track


@pytest.fixture
def said(caplog):
    caplog.set_level(logging.INFO, logger="ser_lightning")
    return lambda: [record.message for record in caplog.records]


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.mark.parametrize(
    ("n", "at"), [(0, []), (1, [1]), (3, [1, 2, 3]), (10, [3, 5, 8, 10]), (1000, [250, 500, 750, 1000])]
)
def test_items_are_a_line_at_each_quarter(said, n, at):
    assert list(track(range(n), "reading")) == list(range(n))
    assert said() == [f"reading: {done} of {n}" for done in at]


def test_of_batches_what_is_in_them_is_counted(said):
    batches = [[1, 2, 3], [4, 5, 6], [7]]
    assert list(track(batches, "encoding", size=len)) == batches
    assert said() == ["encoding: 3 of 7", "encoding: 6 of 7", "encoding: 7 of 7"]


def test_bytes_of_parts_count_whatever_order_they_come_in(said):
    with progress("downloading", in_bytes=True) as shown:
        for part, size in (("a", 3_000_000), ("b", None)):
            shown.at(part, 0, of=size)
        shown.at("b", 500_000, of=1_000_000)  # only the server knew
        shown.at("a", 3_000_000, of=5)  # what is known stays
        shown.at("a", 1_000_000)  # begun again
        shown.advance(0, note="1 of 2 files")
        shown.at("a", 3_000_000)
        shown.at("b", 1_000_000)
    assert (shown.done, shown.total) == (4_000_000, 4_000_000)
    assert said() == ["downloading: 3.5 of 4.0 MB", "downloading: 1 of 2 files, 4.0 of 4.0 MB"]


def test_several_threads_lose_nothing(said):
    with progress("counting", 40_000) as shown, ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: [shown.advance() for _ in range(5_000)], range(8)))
    assert shown.done == 40_000
    assert said() == [f"counting: {done} of 40000" for done in (10_000, 20_000, 30_000, 40_000)]


def test_what_does_not_last_leaves_no_lines_but_says_what_it_must(said, capsys):
    with progress("recognising", 2, lasting=False) as shown:
        shown.advance(2)
        shown.say("a[b].wav: \x1b[2Jis empty")
    assert not said()
    assert capsys.readouterr().err.strip() == r"a[b].wav: \x1b[2Jis empty"


def test_a_terminal_gets_a_bar_that_takes_no_text_for_markup(said, monkeypatch):
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    assert list(track(["x"] * 5, "reading [1001]")) == ["x"] * 5
    with progress("loading [red]", in_bytes=True) as shown:
        shown.at("a", 2_000_000, of=2_000_000)
        shown.advance(0, note="1 of 1 files")
    assert "reading [1001]" in terminal.getvalue() and "5/5" in terminal.getvalue()
    assert "loading [red], 1 of 1 files" in terminal.getvalue() and "2.0/2.0 MB" in terminal.getvalue()
    assert not said()
