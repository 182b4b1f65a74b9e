"""A process of its own does the work, and ends where it takes too much."""

import multiprocessing
import os
import signal
import sys

import pytest

from people import limited
from people.limited import LimitReached, Limits, TooMuchSent

linux = pytest.mark.skipif(sys.platform != "linux", reason="no limits on this system")
WIDE = Limits(memory=2**30, seconds=60)


def counted(count, width=1):
    for number in range(count):
        yield [number] * width


def in_process():
    yield os.getpid()


def failing():
    yield 1
    raise FileNotFoundError(2, "No such file", "gone.jsonl")


def greedy():
    yield 1
    yield len(bytearray(2**30))


def busy():
    yield 1
    while True:
        pass


def aborted():
    yield 1
    os.kill(os.getpid(), signal.SIGABRT)
    yield 2


def test_items_come_in_order_from_another_process():
    assert list(limited.items(WIDE, counted, 2_000, 100)) == [[n] * 100 for n in range(2_000)]
    assert list(limited.items(WIDE, in_process)) != [os.getpid()]
    assert not multiprocessing.active_children()


def test_who_wants_no_further_items_leaves_no_process():
    items = limited.items(WIDE, counted, 10**9)
    assert next(items) == [0]
    items.close()

    assert not multiprocessing.active_children()


def test_what_the_function_raises_is_raised_here():
    items = limited.items(WIDE, failing)
    assert next(items) == 1
    with pytest.raises(FileNotFoundError) as caught:
        next(items)

    assert caught.value.filename == "gone.jsonl"


@linux
def test_too_much_memory_ends_it():
    limits = Limits(memory=200 * 2**20, seconds=60)

    with pytest.raises(LimitReached, match="^it takes more than 200 MB of memory$"):
        list(limited.items(limits, greedy))
    assert list(limited.items(Limits(2**32, 60), greedy)) == [1, 2**30]


@linux
def test_too_much_time_ends_it():
    with pytest.raises(LimitReached, match="^it takes more than 0 seconds of a processor$"):
        list(limited.items(Limits(2**30, 0), busy))


def test_a_process_that_dies_is_no_end():
    with pytest.raises(LimitReached, match="SIGABRT"):
        list(limited.items(WIDE, aborted))


def test_no_more_is_sent_than_may_be():
    sent, items = [], limited.items(Limits(2**30, 60, sent=2**20), counted, 100, 50_000)
    with pytest.raises(TooMuchSent, match="more than 1 MB"):
        sent.extend(item[0] for item in items)

    assert sent == list(range(len(sent)))
    assert 5 < len(sent) < 11  # 50,000 numbers take two or three bytes each
    assert len(list(limited.items(Limits(2**30, 60, sent=1), counted, 1, 10**6))) == 1
