"""How long to go on with a server that is busy, away, or asks to wait."""

from __future__ import annotations

import email.utils
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timezone


@dataclass(frozen=True)
class Patience:
    """When to try again, and when to give up.

    Args:
        attempts: Tries of one step, at most.
        first_wait: Seconds before the second try; each later wait is twice as long.
        longest_wait: Seconds of a wait, at most; a server that asks for more is given up.
        sleep: Waits so many seconds.
    """

    attempts: int = 5
    first_wait: float = 1.0
    longest_wait: float = 60.0
    sleep: Callable[[float], None] = time.sleep

    def wait(self, failures: int, asked: float | None = None) -> bool:
        """Wait before the next try.

        Args:
            failures: Tries of this step that have failed.
            asked: Seconds that the server asks for.

        Returns:
            Whether there is a next try.
        """
        if failures >= self.attempts:
            return False
        seconds = min(self.longest_wait, self.first_wait * 2 ** (failures - 1))
        if asked is not None:
            if asked > self.longest_wait:
                return False
            seconds = asked
        self.sleep(seconds)
        return True


def retry_after(value: str | None) -> float | None:
    """Seconds that a ``Retry-After`` asks for (RFC 9110, 10.2.3); None if it is not one."""
    if value is None:
        return None
    if value.strip().isdigit():
        return float(value)
    try:
        moment = email.utils.parsedate_to_datetime(value)
    except (TypeError, ValueError):
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=timezone.utc)
    return max(0.0, (moment - datetime.now(timezone.utc)).total_seconds())
