from datetime import datetime, timedelta, timezone
from email.utils import format_datetime

import pytest

from convert.publishing.patience import Patience, retry_after


def test_waits_grow_up_to_the_longest():
    naps = []
    patience = Patience(attempts=6, first_wait=1, longest_wait=5, sleep=naps.append)
    assert [patience.wait(failures) for failures in range(1, 7)] == [True] * 5 + [False]
    assert naps == [1, 2, 4, 5, 5]


def test_a_server_is_given_what_it_asks_unless_that_is_too_long():
    naps = []
    patience = Patience(longest_wait=60, sleep=naps.append)
    assert patience.wait(1, 42.0)
    assert not patience.wait(1, 61.0)
    assert naps == [42.0]


@pytest.mark.parametrize(
    ("value", "seconds"), [("7", 7.0), (" 0 ", 0.0), (None, None), ("soon", None), ("-1", None)]
)
def test_seconds(value, seconds):
    assert retry_after(value) == seconds


def test_a_date():
    later = format_datetime(datetime.now(timezone.utc) + timedelta(seconds=30), usegmt=True)
    assert 25 < retry_after(later) <= 30
    assert retry_after("Wed, 21 Oct 2015 07:28:00 GMT") == 0
