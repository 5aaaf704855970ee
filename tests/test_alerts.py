"""Alert rules and dashboard: promtool understands both, each alert fires when it should, the words lead somewhere."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from daemons import ROOT

ALERTS = (ROOT / "deploy" / "alerts.yml").read_text(encoding="utf-8")
DASHBOARD: dict[str, Any] = json.loads((ROOT / "deploy" / "grafana-dashboard.json").read_text(encoding="utf-8"))
OPERATIONS = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
RULES = {text.split("\n", 1)[0]: text for text in re.split(r"^ +- alert: ", ALERTS, flags=re.MULTILINE)[1:]}
EXPRESSIONS = {
    f"{panel['title']} {target['refId']}": target["expr"]
    for panel in DASHBOARD["panels"]
    for target in panel["targets"]
}


@pytest.fixture(scope="module")
def promtool() -> str:
    """The program; scripts/test brings it where Debian's packages can be had."""
    found = shutil.which("promtool", path=f"{ROOT / 'var' / 'tools'}:{os.environ['PATH']}")
    if found is None:
        pytest.skip("needs promtool: ./scripts/promtool brings it")
    return found


def run(*command: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)


def test_promtool_understands_every_rule(promtool: str) -> None:
    done = run(promtool, "check", "rules", ROOT / "deploy" / "alerts.yml")
    assert done.returncode == 0 and "5 rules found" in done.stdout, done.stdout + done.stderr


def test_each_alert_fires_when_it_should_and_not_else(promtool: str) -> None:
    done = run(promtool, "test", "rules", ROOT / "tests" / "alerts_test.yml")
    assert done.returncode == 0, done.stdout + done.stderr
    tried = set(re.findall(r'alertname="(\w+)"', (ROOT / "tests" / "alerts_test.yml").read_text()))
    assert tried == set(RULES)


@pytest.mark.parametrize(
    ("right", "wrong"),
    [("face_login_ready == 0", "face_login_ready == 2"), ("> 0.01 *", "> 0.9 *"), ("[10m]))) > 2.5", "[10m]))) > 9")],
    ids=["not ready", "refusing", "slow"],
)
def test_a_rule_that_is_wrong_would_be_seen(promtool: str, tmp_path: Path, right: str, wrong: str) -> None:
    assert right in ALERTS
    for folder in ("deploy", "tests"):
        (tmp_path / folder).mkdir()
    (tmp_path / "deploy" / "alerts.yml").write_text(ALERTS.replace(right, wrong))
    shutil.copy(ROOT / "tests" / "alerts_test.yml", tmp_path / "tests")
    assert run(promtool, "test", "rules", tmp_path / "tests" / "alerts_test.yml").returncode == 1


def test_promtool_understands_every_query_of_the_dashboard(promtool: str, tmp_path: Path) -> None:
    rules = [
        {"record": f"panel:{number}", "expr": expression.replace("$__rate_interval", "5m").replace("$instance", ".*")}
        for number, expression in enumerate(EXPRESSIONS.values())
    ]
    path = tmp_path / "queries.yml"
    path.write_text(json.dumps({"groups": [{"name": "dashboard", "rules": rules}]}))  # JSON is YAML too
    done = run(promtool, "check", "rules", path)
    assert done.returncode == 0 and f"{len(rules)} rules found" in done.stdout, done.stdout + done.stderr


@pytest.mark.parametrize("name", RULES)
def test_an_alert_says_what_is_wrong_and_where_the_remedy_stands(name: str) -> None:
    rule = RULES[name]
    assert re.search(r"^ +summary: \S.{20,}", rule, re.MULTILINE)
    assert re.search(r"^ +severity: (critical|warning)$", rule, re.MULTILINE)
    description = " ".join(rule.split("description: >-", 1)[1].split())
    assert description.endswith(f'docs/operations.md, "{name}".')
    assert f"\n### {name}\n" in OPERATIONS.split("## When an alert fires", 1)[1]


def test_every_panel_that_is_spoken_of_exists() -> None:
    panels = {panel["title"] for panel in DASHBOARD["panels"]}
    spoken = set(re.findall(r'panels?\s+"(\w+)"', ALERTS + OPERATIONS))
    assert spoken and spoken <= panels


def test_panels_have_names_of_their_own_and_do_not_overlap() -> None:
    panels = DASHBOARD["panels"]
    assert len({panel["title"] for panel in panels}) == len({panel["id"] for panel in panels}) == len(panels)
    taken: set[tuple[int, int]] = set()
    for panel in panels:
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not taken & cells and place["x"] + place["w"] <= 24, panel["title"]
        assert panel["description"] and all(target["expr"] for target in panel["targets"])
        taken |= cells


@pytest.mark.parametrize("expression", EXPRESSIONS.values(), ids=EXPRESSIONS)
def test_every_query_of_the_dashboard_is_of_the_chosen_daemons(expression: str) -> None:
    labels = re.findall(r"(?:face_login|process)_[a-z_]+(\{[^}]*\}|)", expression)
    assert labels and all('instance=~"$instance"' in one for one in labels)
