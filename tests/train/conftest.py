"""One thread for the small networks of these tests: on a busy machine more threads wait for each other."""

from __future__ import annotations

from collections.abc import Iterator

import pytest


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Run each test with one torch thread and restore the setting."""
    torch = pytest.importorskip("torch", reason="training needs the extra `train`")
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
