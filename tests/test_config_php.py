"""config.ini has two readers, Python's and PHP's: they take the same values from a file, or both refuse it."""

from __future__ import annotations

import dataclasses
import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from daemons import ROOT
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from face_server.config import load_config
from face_server.errors import ConfigError

SECTIONS = ("web", "database", "server", "access", "gallery", "liveness")

#: Reads the names of files from its input, one a line, and answers each with a line of JSON.
READER = f"""
require {str(ROOT / "face_web" / "src" / "autoload.php")!r};
while (is_string($path = fgets(STDIN))) {{
    try {{
        $told = FaceWeb\\OptionTable::load()->values(rtrim($path, "\\n"));
    }} catch (FaceWeb\\ConfigError $error) {{
        $told = ['refused' => mb_scrub($error->getMessage())];
    }}
    echo json_encode($told, JSON_THROW_ON_ERROR), "\\n";
}}
"""

TRICKY = {
    "nothing": "",
    "comments and blank lines": "; a = b\n\n;[web]\n[web]\n;\nport = 81\n\t\n",
    "Windows lines": "[web]\r\nport = 81\r\nsite_name = a b\r\n",
    "no last line end": "[web]\nport = 81",
    "blanks around": "[web]  \nport\t=  81 \t\nsite_name =\t a  b \n",
    "no blanks": "[web]\nport=81\nsite_name=a=b==c\n",
    "characters that PHP's other scanner would read": (
        "[web]\nsite_name = ${HOME} {a} |&~!()^ [b] $c @ % %(port)s %% \\n \\ ? , : / * < >\n"
    ),
    "a backslash at the end": "[web]\nsite_name = a\\\nport = 81\n",
    "words of PHP": "[web]\nsite_name = yes\nbase_url = null\nhost = PHP_VERSION\n",
    "numbers as text": "[web]\nsite_name = 007\nhost = 0x1A\nbase_url = 1e3\n",
    "letters": "[web]\nsite_name = Zoë 漢字 😀\n",
    "empty values": "[server]\nunix_socket =\n[web]\ntrusted_proxies =\n[database]\npassword_file =\n",
    "leading zeros and large numbers": (
        "[web]\nport = 0081\ndaemon_timeout_s = 007.50\n[server]\nmax_buffered_bytes = 1099511627776\n"
    ),
    "paths": (
        "[web]\nsession_path = ./a//b/../c/\naudit_key_file = /x/./y\n"
        "[database]\npath = 0\n[access]\nweb_token_file = .\n"
    ),
    "sections of the daemon alone": "[lmdb]\nlmdb_path = var/g\n[web]\nport = 81\n[quality]\nenrol_min_face_px = 80\n",
    "negative": "[web]\nport = -1\n",
    "given twice": "[web]\nport = 81\nport = 82\n",
    "section twice": "[web]\n[database]\n[web]\n",
    "no section": "port = 81\n",
    "unknown section": "[wep]\n",
    "unknown option": "[web]\nprot = 81\n",
    "a quote": '[web]\nsite_name = "a"\n',
    "an apostrophe": "[web]\nsite_name = Anna's\n",
    "a comment behind a value": "[web]\nport = 81 ; the port\n",
    "a hash": "# a\n[web]\nport = 81\n",
    "a colon": "[web]\nport: 81\n",
    "an option without a value": "[web]\nport\n",
    "a value of several lines": "[web]\nsite_name = a\n b\n",
    "capitals": "[WEB]\nport = 81\n",
    "a list": "[web]\nport[] = 81\n",
    "a dot": "[web]\na.b = 81\n",
    "an open section": "[web\nport = 81\n",
    "a word as a name": "[web]\nno = 81\n",
    "a byte order mark": "\ufeff[web]\nport = 81\n",
    "a NUL": "[web]\nsite_name = a\0b\n",
    "a vertical tab": "[web]\nsite_name = a\x0bb\n",
    "a line separator": "[web]\nsite_name = a\u2028b\n",
    "a no-break space": "[web]\nport =\xa081\n",
    "a number that is none": "[web]\ndaemon_timeout_s = inf\n",
    "digits that are not ASCII": "[web]\nport = ٨١\n",
    "a boolean of another kind": "[web]\nupload_accepted = 1\n",
    "out of range": "[web]\ndaemon_timeout_s = 120.5\n",
    "no choice": "[web]\nlogin_mode = Face\n",
}


class PhpReader:
    """One PHP process for many files."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            ["php", "-r", READER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, encoding="utf-8"
        )

    def read(self, path: Path) -> dict[str, Any]:
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.write(f"{path}\n")
        self._process.stdin.flush()
        told: dict[str, Any] = json.loads(self._process.stdout.readline())
        return told

    def close(self) -> None:
        with self._process:
            assert self._process.stdin is not None
            self._process.stdin.close()


@pytest.fixture(scope="module")
def php():  # type: ignore[no-untyped-def]
    if shutil.which("php") is None:
        pytest.skip("needs php: scripts/setup installs it")
    reader = PhpReader()
    yield reader
    reader.close()


def read_by_python(path: Path) -> dict[str, Any]:
    """The sections that the site reads, or `refused`."""
    try:
        config = load_config(path)
    except ConfigError as error:
        return {"refused": str(error)}
    sections = {name: dataclasses.asdict(getattr(config, name)) for name in SECTIONS}
    told: dict[str, Any] = json.loads(json.dumps(sections, default=str))
    return told


def assert_read_alike(php: PhpReader, path: Path) -> dict[str, Any]:
    ours, theirs = read_by_python(path), php.read(path)
    if "refused" in ours or "refused" in theirs:
        assert set(ours) == set(theirs) == {"refused"}, (ours, theirs)
        assert all(str(path) in told["refused"] for told in (ours, theirs))
    else:
        # The site has no use for it, and does not know its original name.
        theirs["gallery"]["path"] = ours["gallery"]["path"]
        assert ours == theirs
    return ours


def test_both_read_the_repository_s_file_alike(php: PhpReader) -> None:
    assert assert_read_alike(php, ROOT / "config.ini")["server"]["port"] == 9999


@pytest.mark.parametrize("name", TRICKY)
def test_both_read_a_tricky_file_alike_or_both_refuse_it(php: PhpReader, tmp_path: Path, name: str) -> None:
    path = tmp_path / "config.ini"
    path.write_bytes(TRICKY[name].encode())
    told = assert_read_alike(php, path)
    assert ("refused" in told) == (list(TRICKY).index(name) >= list(TRICKY).index("negative")), told


def test_both_refuse_what_is_not_utf8_and_what_is_not_there(php: PhpReader, tmp_path: Path) -> None:
    path = tmp_path / "config.ini"
    path.write_bytes(b"[web]\nsite_name = \xff\n")
    assert "refused" in assert_read_alike(php, path)
    assert "refused" in assert_read_alike(php, tmp_path / "absent.ini")


CHARACTERS = st.characters(codec="utf-8")


@given(value=st.text(st.sampled_from("ab=[]${}|&~!()\\\t ;#'\"%,\r\x85é") | CHARACTERS, max_size=12))
@example(value="\\")
@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_both_read_any_value_alike_or_both_refuse_it(php: PhpReader, tmp_path: Path, value: str) -> None:
    path = tmp_path / "config.ini"
    path.write_bytes(f"[web]\nsite_name = {value}\nport = 81\n".encode())
    assert_read_alike(php, path)


def test_the_table_of_options_that_php_reads_is_current() -> None:
    done = subprocess.run([ROOT / "scripts" / "web-options"], capture_output=True, text=True, check=True, cwd="/")
    current = (ROOT / "face_web" / "options.json").read_text()
    assert done.stdout == current, "run: ./scripts/web-options > face_web/options.json"
