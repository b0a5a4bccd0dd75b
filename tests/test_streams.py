"""Every text can be written to the standard streams, whatever they are; a closed one is no file of ours."""

import os
import subprocess
import sys

import pytest

from kerastl.streams import takes_unicode

SAY = "import sys; from kerastl.streams import prepare_streams; prepare_streams(); print('猫 é'); print('猫', file=sys.stderr)"


@pytest.mark.parametrize(
    ("encoding", "out"),
    [
        ("cp1252", b"\\u732b \xe9\n"),
        ("ascii", b"\\u732b \\xe9\n"),
        ("utf-8", "猫 é\n".encode()),
        ("latin-1:strict", b"\\u732b \xe9\n"),
    ],
)
def test_a_letter_that_the_encoding_lacks_is_an_escape(encoding, out):
    done = subprocess.run(
        [sys.executable, "-c", SAY], env={**os.environ, "PYTHONIOENCODING": encoding}, capture_output=True
    )
    assert done.returncode == 0 and done.stdout == out


@pytest.mark.parametrize("closed", [">&-", "2>&-", ">&- 2>&-", "<&- >&- 2>&-"])
def test_the_number_of_a_closed_stream_is_given_to_no_file(closed, tmp_path):
    code = SAY + f"; file = open({str(tmp_path / 'mine')!r}, 'w'); assert file.fileno() > 2; file.write('mine')"
    done = subprocess.run(["bash", "-c", f'"{sys.executable}" -c "$0" {closed}', code])
    assert done.returncode == 0 and (tmp_path / "mine").read_text() == "mine"


@pytest.mark.parametrize(
    ("encoding", "does"), [("utf-8", True), ("UTF8", True), ("utf-16", True), ("cp1252", False), (None, True)]
)
def test_takes_unicode(encoding, does):
    assert takes_unicode(type("stream", (), {"encoding": encoding})) is does
