"""TensorFlow's notices are set aside, and come back when the start fails."""

import os

import pytest

from kerastl.startup import start_tensorflow, stderr_set_aside


def test_what_is_set_aside_is_not_seen(capfd):
    with stderr_set_aside():
        os.write(2, b"noise")
    os.write(2, b"after")
    assert capfd.readouterr().err == "after"


def test_what_was_set_aside_is_shown_when_the_start_fails(capfd):
    with pytest.raises(ImportError), stderr_set_aside():
        os.write(2, b"the reason")
        raise ImportError
    assert capfd.readouterr().err == "the reason"


def test_the_devices_are_named():
    assert start_tensorflow().startswith("on ")
