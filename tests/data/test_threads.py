"""Work ahead, in order, and only so far ahead."""

import itertools
import os
import threading

import pytest

from kerastl.data.threads import ahead, in_threads


@pytest.mark.parametrize("count", [0, 1, 15, 16, 17, 1000])
@pytest.mark.parametrize("chunk", [1, 16])
def test_every_answer_in_order(count, chunk):
    assert list(ahead(lambda it: it * it, range(count), chunk)) == [it * it for it in range(count)]
    assert list(in_threads(lambda it: -it, range(count), "look", chunk)) == [-it for it in range(count)]


def test_of_an_endless_stream_only_what_is_near_is_drawn():
    drawn = itertools.count()
    stream = ahead(lambda it: it, drawn, chunk=4, least=100)
    assert [next(stream) for _ in range(10)] == list(range(10))
    assert next(drawn) <= 10 + 4 + max(100, 8 * os.cpu_count()) + 4
    stream.close()


def test_what_goes_wrong_comes_up_where_it_is_asked_for_and_the_threads_end():
    before = threading.active_count()
    stream = ahead(lambda it: 1 / (it - 3), itertools.count(), chunk=1)
    assert [next(stream) for _ in range(3)] == [-1 / 3, -1 / 2, -1.0]
    with pytest.raises(ZeroDivisionError):
        next(stream)
    assert threading.active_count() == before


def test_several_at_a_time():
    both = threading.Barrier(2, timeout=10)
    if os.cpu_count() > 1:
        assert len(list(ahead(lambda _: both.wait(), range(2), chunk=1))) == 2
