"""Work begun ahead: its result, its failure, and what becomes of it when nobody takes it."""

from __future__ import annotations

import threading
import time

import pytest

from rtseg.errors import EngineError
from rtseg.pipeline.ahead import Ahead


def running():
    return [thread.name for thread in threading.enumerate() if thread.name == "rtseg-test"]


def test_it_runs_beside_its_caller_and_gives_its_result():
    begun, go_on = threading.Event(), threading.Event()

    def work():
        begun.set()
        assert go_on.wait(5)
        return threading.current_thread().name

    with Ahead(work, name="test") as ahead:
        assert begun.wait(5)  # before anybody asked for the result
        go_on.set()
        assert ahead.result() == "rtseg-test"
    assert not running()


def test_its_failure_is_raised_where_the_result_is_wanted():
    def work():
        raise EngineError("engine: got nothing; expected one. Build it.")

    with Ahead(work, name="test") as ahead, pytest.raises(EngineError, match="got nothing"):
        ahead.result()
    assert not running()


def test_a_result_that_nobody_takes_is_released_and_the_other_failure_is_told():
    released = []

    def work():
        time.sleep(0.05)
        return "engine"

    with pytest.raises(ValueError, match="elsewhere"), Ahead(work, name="test", unwanted=released.append):
        raise ValueError("elsewhere")
    assert released == ["engine"]
    assert not running()


def test_a_result_that_was_taken_is_not_released():
    released = []
    with Ahead(lambda: "engine", name="test", unwanted=released.append) as ahead:
        assert ahead.result() == "engine"
    assert released == []
