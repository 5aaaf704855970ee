"""The page's JavaScript: its own tests by node, and what the vendored face finder must be.

Every module is also read for what the page's policy forbids: HTML made of text, text that is run, other addresses.
"""

from __future__ import annotations

import base64
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from daemons import ROOT

from face_server.models import load_manifest, sha256_of

WEB = ROOT / "face_web"
PUBLIC = WEB / "public"
MODULES = sorted(PUBLIC.glob("*.js"))


def test_the_javascript_tests_pass_in_node() -> None:
    node = shutil.which("node")
    if node is None:
        pytest.skip("node is not on the path, so the JavaScript tests were not run (apt-get install nodejs)")
    tests = sorted((WEB / "tests" / "js").glob("*.test.js"))
    done = subprocess.run([node, "--test", *tests], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert int(re.findall(r"^\S+ tests (\d+)$", done.stdout, re.MULTILINE)[0]) >= 30


def test_the_page_states_the_hashes_of_the_manifest() -> None:
    stated = dict(re.findall(r"'([\w.-]+)': 'sha256-([\w+/=]+)'", (PUBLIC / "face_finder.js").read_text()))
    files = [file for file in load_manifest(WEB / "vendor.toml") if not file.path.endswith("LICENSE")]
    assert stated == {Path(file.path).name: base64.b64encode(bytes.fromhex(file.sha256)).decode() for file in files}


def test_what_was_vendored_is_what_the_manifest_says() -> None:
    files = load_manifest(WEB / "vendor.toml")
    if not (PUBLIC / "vendor").exists():
        pytest.skip("face_web/public/vendor is not fetched: the page asks the daemon then")
    assert [sha256_of(PUBLIC / "vendor" / file.path) for file in files] == [file.sha256 for file in files]


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.name)
def test_a_module_builds_no_html_runs_no_text_and_names_no_other_address(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    forbidden = (
        r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function|https?://|\bon[a-z]+ ?= ?['\"]"
    )
    assert not re.search(forbidden, text)
    imported = re.findall(r"from '([^']+)'", text)
    assert all((PUBLIC / name).is_file() and name.startswith("./") for name in imported)


def test_the_style_sheet_loads_nothing() -> None:
    assert not re.search(r"@import|url\(|https?:", (PUBLIC / "style.css").read_text(encoding="utf-8"))


def test_every_text_that_a_module_says_is_in_every_language() -> None:
    """A text that is missing would show its key. Keys put together at run time are those of the advice."""
    said = {key for path in MODULES for key in re.findall(r"'(camera\.[a-z_.]+)'", path.read_text(encoding="utf-8"))}
    guidance = (PUBLIC / "guidance.js").read_text(encoding="utf-8")
    advice = set(
        re.findall(
            r"'((?:move|turn)_[a-z]+|nobody|several|closer|back|upright|\w+_light|still|blurred|good)'", guidance
        )
    )
    said |= {f"camera.advice.{name}" for name in advice}
    challenge = (PUBLIC / "challenge.js").read_text(encoding="utf-8")
    hints = set(re.findall(r"'(\w+)'", " ".join(re.findall(r"hint: ([^}]*)", challenge)))) - {"yaw"}
    said |= {f"camera.liveness.hint.{name}" for name in hints}
    steps = re.findall(r"KNOWN_STEPS = \[([^]]+)\]", (PUBLIC / "answers.js").read_text(encoding="utf-8"))[0]
    said |= {f"camera.liveness.step.{name}" for name in re.findall(r"'(\w+)'", steps)}
    assert len(said) > 60
    for language in ("en", "zh"):
        path = WEB / "lang" / f"{language}.php"
        if not path.exists():
            pytest.skip(f"{path} is not there yet")
        known = set(re.findall(r"'(camera\.[a-z_.]+)' *=>", path.read_text(encoding="utf-8")))
        assert said - known == set(), language
