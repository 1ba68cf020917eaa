"""What the demo counts, it counts the same in one sitting and in several, and in a time that people will watch."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from mageflow_temporal.cli.demo.counting import Tally, most_frequent, pace

LINES = st.lists(st.text(alphabet="abcdefé'- 1\t", max_size=40), max_size=30)


@given(LINES, st.integers(min_value=0, max_value=30))
def test_a_count_that_goes_on_from_a_checkpoint_is_the_count_of_one_sitting(lines: list[str], stop: int) -> None:
    whole, first = Tally(), Tally()
    for line in lines:
        whole.add(line)
    for line in lines[:stop]:
        first.add(line)
    second = Tally.model_validate_json(first.model_dump_json())
    for line in lines[second.lines :]:
        second.add(line)
    assert second == whole


def test_words_are_counted_as_people_count_them() -> None:
    tally = Tally()
    tally.add("Don't PANIC, said the well-known owl: 42 times, or 3rd. Panic’s over.")
    assert tally.words == 11
    assert tally.frequent == {"don't": 1, "panic": 1, "well-known": 1, "times": 1, "panic’s": 1}


def test_equally_frequent_words_come_in_the_order_of_the_alphabet() -> None:
    assert most_frequent([{"wave": 1, "anvil": 2}, {"wave": 1, "bell": 1}], 2) == [("anvil", 2), ("wave", 2)]


@given(st.lists(st.integers(min_value=0, max_value=50_000), max_size=100), st.integers(min_value=1, max_value=3))
def test_neither_all_files_nor_one_of_them_takes_longer_than_people_wait(lines: list[int], at_once: int) -> None:
    rhythm = pace(lines, at_once)
    rests = [-(-number // rhythm.batch) * rhythm.pause for number in lines]
    # The last batch of a file may have fewer lines than its rest is for.
    assert sum(rests) / at_once <= 15.1 + len(lines) * rhythm.pause
    assert max([*rests, 0]) <= 15.1 + rhythm.pause
    assert rhythm.pause <= 0.25
