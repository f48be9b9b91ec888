"""Makes the hub's library report the bytes that arrive to us, and show nothing itself."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


def silent_bar(advance: Callable[[int], None]) -> type[Any]:
    """A progress bar for the ``tqdm_class`` of huggingface_hub.

    Args:
        advance: Takes the bytes that have just arrived, less than none where they must be sent
            again; what it raises breaks the download off.
    """
    from huggingface_hub.utils.tqdm import tqdm

    class SilentBar(tqdm):
        def __init__(self, *args: Any, **options: Any) -> None:
            super().__init__(*args, **{**options, "disable": True})  # type: ignore[no-untyped-call]

        def update(self, n: float | None = 1) -> None:
            advance(int(n or 0))

        def update_transfer(self, n: float | None = 1) -> None:
            """Takes bytes that are not yet put together; `update` counts them then."""

        def set_transfer_postfix_str(self, *args: Any, **options: Any) -> None:
            """Shows nothing."""

    return SilentBar
