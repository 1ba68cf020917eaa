"""The visibility query that finds signatures."""

from __future__ import annotations

import pytest

from mageflow_temporal import Status
from mageflow_temporal.listing import query_of


@pytest.mark.parametrize("status", Status)
def test_a_plain_word_is_as_good_as_a_status(status: Status) -> None:
    def query(given: str) -> str:
        return query_of("", status=given, name=None, kind=None, older_than=None)

    assert query(status.value) == query(status)


def test_a_word_that_is_no_status_is_refused() -> None:
    with pytest.raises(ValueError, match="paused"):
        query_of("", status="paused", name=None, kind=None, older_than=None)
