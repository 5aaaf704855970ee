"""Every command as an operator runs it: a process of its own, a real daemon, what it prints and its exit status."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from daemons import LIGHT, ROOT, Daemon, StartDaemon, start_daemon

from face_server import __version__
from face_server.cli import run
from face_server.errors import BY_CODE, OperatorError
from face_server.wire.framing import encode_frame
from face_server.wire.messages import encode_error

OBAMA, BIDEN = "Barack Obama", "Joe Biden"


@pytest.fixture(scope="module")
def own_daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    """A daemon of this module, since who is identified depends on all who are enrolled."""
    running = start_daemon(tmp_path_factory.mktemp("cli"), "[decision]\nrefuse_duplicates = false")
    yield running
    running.kill()


@pytest.fixture
def daemon(own_daemon: Daemon, sample_photos: Path) -> Daemon:
    """The daemon with two enrolled men, one template each, whatever the test before did."""
    wanted = {
        subject: (sample_photos / name).read_bytes() for subject, name in ((OBAMA, "obama.jpg"), (BIDEN, "biden.jpg"))
    }
    with own_daemon.client() as client:
        stored = {
            one.id: [two.image_sha256 for two in client.subject(one.id).templates] for one in client.all_subjects()
        }
        client.remove_all([subject for subject in stored if subject not in wanted] or ["nobody"])
        for subject, photo in wanted.items():
            if stored.get(subject) != [hashlib.sha256(photo).hexdigest()]:
                client.enrol(subject, [photo], replace=True)
    return own_daemon


def face_server(*arguments: str | Path, **options: Any) -> subprocess.CompletedProcess[str]:
    """Run `face-server` against nothing in particular."""
    command = [sys.executable, "-m", "face_server", *arguments]
    # Buffered output, as an operator's is: what cannot be written may show only at the end.
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    options = {"capture_output": True, "text": True, "timeout": 60, "check": False, "env": environment, **options}
    return subprocess.run(command, **options)


def told(done: subprocess.CompletedProcess[str]) -> Any:
    """The one JSON object of a command with --json."""
    (line,) = done.stdout.splitlines()
    return json.loads(line)


# --- identify, verify, compare --------------------------------------------------------------------------------------


def test_identify_tells_who_it_is_with_candidates_and_threshold(daemon: Daemon, sample_photos: Path) -> None:
    done = daemon.command("identify", sample_photos / "obama2.jpg")
    assert (done.returncode, done.stderr) == (0, "")
    first, best, second, threshold = done.stdout.splitlines()
    assert first == OBAMA
    assert (
        best.split(maxsplit=1)[1] == f"{OBAMA} (1 enrolled)" and second.split(maxsplit=1)[1] == f"{BIDEN} (1 enrolled)"
    )
    limit, words = threshold.split(maxsplit=1)
    assert float(best.split()[0]) > float(limit) > float(second.split()[0])
    assert words == "(threshold for the first)"


def test_identify_of_a_stranger_has_status_1_and_names_nobody(daemon: Daemon, sample_photos: Path) -> None:
    assert daemon.command("remove", BIDEN).returncode == 0
    done = daemon.command("identify", sample_photos / "biden.jpg")
    assert (done.returncode, done.stderr) == (1, "")
    assert done.stdout.splitlines()[0] == "no match"


def test_identify_as_json_with_a_limit(daemon: Daemon, sample_photos: Path) -> None:
    done = daemon.command("identify", "--json", "--limit", "1", sample_photos / "obama2.jpg")
    reply = told(done)
    assert (done.returncode, reply["ok"], reply["match"], reply["id"]) == (0, True, True, OBAMA)
    assert [candidate["subject"] for candidate in reply["candidates"]] == [OBAMA]


def test_verify_tells_match_and_no_match(daemon: Daemon, sample_photos: Path) -> None:
    same = daemon.command("verify", OBAMA, sample_photos / "obama2.jpg")
    assert same.returncode == 0 and same.stdout.startswith("match: score 0.")
    assert "threshold 0.5675" in same.stdout
    other = daemon.command("verify", BIDEN, sample_photos / "obama2.jpg")
    assert other.returncode == 1 and other.stdout.startswith("no match: score ")


def test_verify_as_json(daemon: Daemon, sample_photos: Path) -> None:
    done = daemon.command("verify", BIDEN, sample_photos / "obama2.jpg", "--json")
    reply = told(done)
    assert (done.returncode, reply["ok"], reply["match"], reply["threshold"]) == (1, True, False, 0.5675)
    assert reply["score"] < 0.6


def test_compare_tells_whether_it_is_one_person(daemon: Daemon, sample_photos: Path) -> None:
    same = daemon.command("compare", sample_photos / "obama.jpg", sample_photos / "obama3.jpg")
    assert same.returncode == 0 and same.stdout.startswith("one person: score 0.")
    other = daemon.command("compare", sample_photos / "obama.jpg", sample_photos / "biden.jpg", "--json")
    reply = told(other)
    assert (other.returncode, reply["match"]) == (1, False)
    assert reply["distance"] ** 2 == pytest.approx(2 - 2 * reply["score"], abs=1e-3)


# --- enrol, subjects, remove ----------------------------------------------------------------------------------------


def test_enrol_adds_templates_and_says_which_were_there(daemon: Daemon, sample_photos: Path) -> None:
    done = daemon.command("enrol", OBAMA, sample_photos / "obama.jpg", sample_photos / "obama2.jpg")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "1 subject: 1 enrolled, 1 there already\n"
    listed = daemon.command("subjects", OBAMA)
    assert listed.returncode == 0 and len(listed.stdout.splitlines()) == 2


def test_enrol_refuses_another_mans_photograph_unless_it_is_forced(daemon: Daemon, sample_photos: Path) -> None:
    photo = sample_photos / "obama2.jpg"
    done = daemon.command("enrol", BIDEN, photo)
    assert done.returncode == 2
    refusal, summary, reason = done.stdout.splitlines()
    assert refusal.startswith(f"{BIDEN}  {photo}  refused, not_the_subject: the face of this image does not match ")
    assert (summary, reason) == ("1 subject: 0 enrolled, 1 refused", "      1  not_the_subject")
    assert daemon.command("enrol", BIDEN, photo, "--force").returncode == 0
    assert len(daemon.command("subjects", BIDEN).stdout.splitlines()) == 2


def test_enrol_may_replace_all_templates(daemon: Daemon, sample_photos: Path) -> None:
    assert daemon.command("enrol", OBAMA, sample_photos / "obama2.jpg").returncode == 0
    assert daemon.command("enrol", OBAMA, sample_photos / "obama3.jpg", "--replace").returncode == 0
    assert len(daemon.command("subjects", OBAMA).stdout.splitlines()) == 1


def test_enrol_as_json_tells_of_each_photograph(daemon: Daemon, sample_photos: Path, tmp_path: Path) -> None:
    (tmp_path / "cat.jpg").write_bytes(b"no picture")
    photos = [sample_photos / "obama2.jpg", tmp_path / "cat.jpg", tmp_path / "absent.jpg"]
    done = daemon.command("enrol", "--json", OBAMA, *photos)
    report = told(done)
    assert done.returncode == 2
    assert {key: report[key] for key in ("ok", "enrolled", "duplicates", "refused")} == {
        "ok": False,
        "enrolled": 1,
        "duplicates": 0,
        "refused": 2,
    }
    assert {photo["path"]: photo.get("code", "") for photo in report["photos"]} == dict(
        zip(map(str, photos), ("", "image_unreadable", "image_unreadable"), strict=True)
    )


@pytest.fixture
def people(tmp_path: Path, sample_photos: Path) -> Path:
    """A folder laid out as person/photo.jpg, with what such folders also hold."""
    folder = tmp_path / "people"
    for person, photos in {"Zoë": ("obama.jpg", "obama2.jpg"), "joe": ("biden.jpg",)}.items():
        (folder / person).mkdir(parents=True)
        for photo in photos:
            shutil.copy(sample_photos / photo, folder / person)
    (folder / "joe" / "notes.txt").write_text("not a photograph")
    (folder / "readme.txt").write_text("not a person")
    (folder / "nobody").mkdir()
    return folder


def test_enrol_of_a_folder_ends_in_a_summary(daemon: Daemon, people: Path, sample_photos: Path) -> None:
    done = daemon.command("enrol", "--folder", people)
    assert (done.returncode, done.stdout, done.stderr) == (0, "2 subjects: 3 enrolled\n", "")
    rows = [line.split(maxsplit=1) for line in daemon.command("subjects").stdout.splitlines()]
    assert {name: int(count) for count, name in rows} == {OBAMA: 1, BIDEN: 1, "Zoë": 2, "joe": 1}
    again = daemon.command("enrol", "--folder", people)
    assert (again.returncode, again.stdout) == (0, "2 subjects: 0 enrolled, 3 there already\n")


def test_enrol_of_a_folder_goes_on_past_refusals_and_counts_their_reasons(daemon: Daemon, people: Path) -> None:
    (people / "joe" / "broken.png").write_bytes(b"\x89PNG broken")
    (people / "Zoë" / "empty.jpg").touch()
    (people / "control\tcharacter").mkdir()
    shutil.copy(people / "joe" / "biden.jpg", people / "control\tcharacter")
    done = daemon.command("enrol", people, "--folder")
    assert done.returncode == 2
    *refusals, summary, first, second = done.stdout.split("\n")[:-1]
    assert len(refusals) == 3 and all("refused, " in line for line in refusals), done.stdout
    assert summary == "3 subjects: 3 enrolled, 3 refused"
    assert [first.split(), second.split()] == [["2", "image_unreadable"], ["1", "malformed"]]


def test_names_that_are_no_utf8_are_told_and_stop_nothing(daemon: Daemon, people: Path) -> None:
    """Folders from an old Windows machine."""
    latin1 = os.fsencode(people) + b"/M\xfcller"
    Path(os.fsdecode(latin1)).mkdir()
    for folder in (latin1, os.fsencode(people / "joe")):
        Path(os.fsdecode(folder + b"/\xfc.jpg")).write_bytes(b"no picture")
    done = daemon.command("enrol", "--folder", people)
    assert done.returncode == 2 and "Traceback" not in done.stderr
    assert "3 subjects: 3 enrolled, 2 refused" in done.stdout
    assert "M\\udcfcller" in done.stdout and "joe/\\udcfc.jpg" in done.stdout
    refused = [
        photo for photo in told(daemon.command("enrol", "--json", "--folder", people))["photos"] if "code" in photo
    ]
    assert [photo["code"] for photo in refused] == ["malformed", "image_unreadable"]


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["enrol", "somebody"], "name at least one photograph"),
        (["enrol", "--folder", "empty"], "empty holds no person/photo"),
        (["enrol", "--folder", "absent"], "absent holds no person/photo"),
        (["enrol", "--folder", "empty", "photo.jpg"], "--folder takes one folder and no photographs"),
    ],
)
def test_enrol_with_nothing_to_enrol_says_what_is_missing(
    daemon: Daemon, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], reason: str
) -> None:
    (tmp_path / "empty" / "somebody").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    done = daemon.command(*arguments)
    assert done.returncode == 2 and reason in done.stderr and done.stdout == ""


def test_subjects_lists_who_is_enrolled_and_the_templates_of_one(daemon: Daemon) -> None:
    assert sorted(daemon.command("subjects").stdout.splitlines()) == [f"   1  {OBAMA}", f"   1  {BIDEN}"]
    every = told(daemon.command("subjects", "--json"))
    assert every["ok"] and {(row["id"], row["templates"]) for row in every["subjects"]} == {(OBAMA, 1), (BIDEN, 1)}
    one = told(daemon.command("subjects", OBAMA, "--json"))
    assert one["id"] == OBAMA and len(one["templates"]) == 1
    (line,) = daemon.command("subjects", OBAMA).stdout.splitlines()
    assert one["templates"][0]["image_sha256"][:16] in line and " px " in line


def test_remove_forgets_subjects_and_names_the_unknown(daemon: Daemon, sample_photos: Path) -> None:
    done = daemon.command("remove", BIDEN, "nobody")
    assert done.returncode == 2
    assert done.stdout.splitlines() == [f"removed {BIDEN}", "unknown nobody", "1 templates removed"]
    again = daemon.command("remove", OBAMA, "--json")
    reply = told(again)
    assert (again.returncode, reply["removed"], reply["unknown"], reply["templates"]) == (0, [OBAMA], [], 1)
    assert daemon.command("subjects").stdout == ""
    assert daemon.command("verify", OBAMA, sample_photos / "obama.jpg").returncode == 2


# --- status, rebuild ------------------------------------------------------------------------------------------------


def rows_of(page: str) -> dict[str, str]:
    """The rows of a status page by their label."""
    return {line[:16].strip(): line[16:] for line in page.splitlines() if line.startswith("  ") and line[:16].strip()}


def test_status_shows_gallery_index_model_and_thresholds(daemon: Daemon) -> None:
    done = daemon.command("status")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines()[0] == f"face-login {__version__}  healthy"
    rows = rows_of(done.stdout)
    assert rows["enrolled"] == "2 subjects, 2 templates"
    assert rows["waiting"] == "0 of 64"
    assert rows["connections"].endswith(" of 256")
    assert rows["network"] == "facenet-20180408-102900, 512-D"
    assert rows["measured on"].startswith("2,717 photographs of 1,383 people")
    assert [rows[counts].split() for counts in ("1 + 1", "3 + 1", "3 + 3")] == [
        ["0.5675", "0.5675"],
        ["0.5897", "0.5897"],
        ["0.6228", "0.6228"],
    ]
    reply = told(daemon.command("status", "--json"))
    assert (reply["subjects"], reply["templates"], reply["dimension"]) == (2, 2, 512)
    assert reply["fingerprint"][:16] == rows["fingerprint"]
    assert [(one["enrolled"], one["probes"]) for one in reply["decision"]["thresholds"]] == [(1, 1), (3, 1), (3, 3)]
    assert reply["store"]["used_bytes"] <= reply["store"]["limit_bytes"] and reply["load"]["queue_size"] == 64


def test_ready_has_status_0(daemon: Daemon) -> None:
    done = daemon.command("ready")
    assert (done.returncode, done.stdout, done.stderr) == (0, "ready\n", "")
    assert told(daemon.command("ready", "--json"))["ready"] is True


def test_rebuild_builds_the_index_and_empties_the_overlay(daemon: Daemon, sample_photos: Path) -> None:
    assert daemon.command("enrol", OBAMA, sample_photos / "obama3.jpg").returncode == 0
    done = daemon.command("rebuild")
    assert done.returncode == 0 and done.stdout.startswith("2 subjects indexed in ")
    # So few are looked at one by one, which is as good, and the index says so.
    assert rows_of(daemon.command("status").stdout)["index"].startswith("exact: a search looks at everybody")
    reply = told(daemon.command("rebuild", "--json"))
    assert (reply["ok"], reply["subjects"]) == (True, 2) and reply["seconds"] >= 0
    assert told(daemon.command("status", "--json"))["index"]["overlay"] == 0


def test_rebuild_offline_is_refused_while_a_daemon_runs_and_works_after_it_stopped(
    tmp_path: Path, daemon_in: StartDaemon, sample_photos: Path
) -> None:
    daemon = daemon_in(tmp_path / "offline", f"{LIGHT}[index]\nkind = annoy\n")
    assert daemon.command("enrol", OBAMA, sample_photos / "obama.jpg").returncode == 0
    refused = daemon.command("rebuild", "--offline")
    assert refused.returncode == 2 and refused.stdout == ""
    assert str(daemon.config.gallery.path) in refused.stderr
    assert daemon.stop() == 0
    done = daemon.command("rebuild", "--offline", "--json")
    assert done.returncode == 0
    assert {key: told(done)[key] for key in ("ok", "subjects")} == {"ok": True, "subjects": 1}
    assert list(daemon.config.index.path.iterdir())
    stopped = daemon.command("status")
    assert stopped.returncode == 3 and "cannot be reached" in stopped.stderr


# --- detect ---------------------------------------------------------------------------------------------------------


def pixels(path: Path) -> Any:
    from face_server.vision.imaging import decode

    return decode(path.read_bytes(), 100_000_000)


def test_detect_lists_faces_with_boxes(daemon: Daemon, sample_photos: Path) -> None:
    done = daemon.command("detect", sample_photos / "obama.jpg")
    (line,) = done.stdout.splitlines()
    x1, y1, x2, y2 = map(float, line.split()[:4])
    assert done.returncode == 0 and x1 < x2 and y1 < y2
    assert line.split()[4] == "confidence" and 0.8 < float(line.split()[5]) <= 1
    reply = told(daemon.command("detect", "--json", sample_photos / "obama.jpg"))
    height, width, _ = pixels(sample_photos / "obama.jpg").shape
    assert (reply["width"], reply["height"]) == (width, height)
    assert [round(side) for side in reply["faces"][0]["box"]] == [x1, y1, x2, y2]


def test_detect_draws_box_and_name_and_leaves_the_photograph_alone(
    daemon: Daemon, sample_photos: Path, tmp_path: Path
) -> None:
    photo, drawn = sample_photos / "obama2.jpg", tmp_path / "out.png"
    before = photo.read_bytes()
    done = daemon.command("detect", photo, "--draw", drawn)
    assert done.returncode == 0 and photo.read_bytes() == before
    assert drawn.read_bytes().startswith(b"\x89PNG")
    picture, original = pixels(drawn), pixels(photo)
    assert picture.shape == original.shape
    changed = (picture != original).any(axis=2)
    x1, y1, x2, y2 = map(int, done.stdout.split()[:4])
    middle = changed[(y1 + y2) // 2]
    assert middle[x1 - 2 : x1 + 3].any() and middle[x2 - 2 : x2 + 3].any()
    # Above the box stands the name; a stranger's "?" is much narrower.
    name = changed[:y1].any(axis=0).sum()
    assert daemon.command("remove", OBAMA).returncode == 0
    assert daemon.command("detect", photo, "--draw", drawn).returncode == 0
    assert name > 3 * (pixels(drawn) != original).any(axis=2)[:y1].any(axis=0).sum() > 0


def test_detect_without_a_face_has_status_1_and_still_draws(daemon: Daemon, tmp_path: Path) -> None:
    import numpy as np

    from face_server.vision.imaging import encode_png

    grey = tmp_path / "grey.png"
    grey.write_bytes(encode_png(np.full((200, 300, 3), 128, np.uint8)))
    done = daemon.command("detect", grey, "--draw", tmp_path / "out.png")
    assert (done.returncode, done.stdout) == (1, "no face\n")
    assert (pixels(tmp_path / "out.png") == 128).all()


def test_detect_says_where_it_could_not_draw(daemon: Daemon, sample_photos: Path, tmp_path: Path) -> None:
    done = daemon.command("detect", sample_photos / "obama.jpg", "--draw", tmp_path / "absent" / "out.png")
    assert done.returncode == 2 and "out.png cannot be written: No such file" in done.stderr


# --- refusals and exit status ---------------------------------------------------------------------------------------


def test_a_refusal_has_status_2_and_tells_code_and_sentence(daemon: Daemon, tmp_path: Path) -> None:
    (tmp_path / "cat.jpg").write_bytes(b"no picture")
    done = daemon.command("identify", tmp_path / "cat.jpg")
    assert done.returncode == 2 and done.stdout == ""
    assert done.stderr.startswith("face-server: image_unreadable: ")
    reply = told(daemon.command("identify", "--json", tmp_path / "cat.jpg"))
    assert reply["ok"] is False
    assert (reply["error"]["code"], reply["error"]["act"]) == ("image_unreadable", "person")
    assert reply["error"]["message"]


def test_an_unknown_subject_is_a_refusal(daemon: Daemon, sample_photos: Path) -> None:
    for arguments in (["verify", "nobody", sample_photos / "obama.jpg"], ["subjects", "nobody"]):
        done = daemon.command(*arguments)
        assert done.returncode == 2 and "unknown_subject: " in done.stderr


def test_a_photograph_that_is_not_there_is_named(daemon: Daemon, tmp_path: Path) -> None:
    for command in (["identify"], ["verify", OBAMA], ["detect"]):
        done = daemon.command(*command, tmp_path / "absent.jpg")
        assert done.returncode == 2 and "absent.jpg cannot be read: No such file or directory" in done.stderr


@pytest.mark.parametrize(
    "arguments",
    [[], ["recognise"], ["identify"], ["identify", "a.jpg", "--limit", "many"], ["compare", "a.jpg"], ["remove"]],
)
def test_wrong_usage_has_status_2_and_shows_the_usage(arguments: list[str]) -> None:
    done = face_server(*arguments)
    assert done.returncode == 2 and done.stderr.startswith("usage: face-server")


def test_a_limit_that_makes_no_sense_is_refused(daemon: Daemon, sample_photos: Path) -> None:
    for limit in ("0", "-1", "99999999"):
        done = daemon.command("identify", sample_photos / "obama.jpg", f"--limit={limit}")
        assert done.returncode == 2 and "malformed: " in done.stderr


def test_an_id_that_is_no_utf8_is_wrong_usage() -> None:
    done = face_server("remove", os.fsdecode(b"M\xfcller"))
    assert done.returncode == 2 and "'M\\udcfcller' is no UTF-8 text" in done.stderr


COMMANDS = (
    "serve enrol identify verify compare remove subjects status ready doctor calibrate migrate rebuild detect "
    "backup restore export import check forget keygen rekey evaluate"
)


def test_help_lists_every_command_and_the_exit_statuses() -> None:
    done = face_server("--help")
    assert (done.returncode, done.stderr) == (0, "")
    listed = [line.split()[0] for line in done.stdout.splitlines() if line.startswith("    ") and line[4] != " "]
    assert listed == COMMANDS.split()
    assert "0 match or success, 1 no match, 2 usage or refusal, 3 daemon unreachable or busy, 4 bug" in " ".join(
        done.stdout.split()
    )


def test_the_installed_command_is_the_same_program() -> None:
    installed = subprocess.run(
        [Path(sys.executable).with_name("face-server"), "--version"], capture_output=True, text=True, check=True
    )
    assert installed.stdout == face_server("--version").stdout
    assert installed.stdout.startswith("face-server ")


def test_an_uncaught_error_has_status_4_and_a_traceback(daemon: Daemon) -> None:
    """A full disk under the output is an error that nobody expected."""
    path = daemon.config_path.with_name("client.ini")
    daemon.command("status")
    with Path("/dev/full").open("w") as full:
        done = face_server("status", "--config", path, capture_output=False, stdout=full, stderr=subprocess.PIPE)
    assert done.returncode == 4 and "Traceback" in done.stderr and "No space left" in done.stderr


def test_a_verdict_that_could_not_be_told_is_not_a_success(daemon: Daemon, sample_photos: Path) -> None:
    path = daemon.config_path.with_name("client.ini")
    daemon.command("status")
    reader, writer = os.pipe()
    os.close(reader)
    try:
        arguments = ["identify", sample_photos / "obama2.jpg", "--config", path]
        done = face_server(*arguments, capture_output=False, stdout=writer, stderr=subprocess.PIPE)
    finally:
        os.close(writer)
    assert (done.returncode, done.stderr) == (141, "")


# --- configuration and reaching the daemon --------------------------------------------------------------------------


@pytest.fixture
def nobody(tmp_path: Path) -> Iterator[Callable[[str], tuple[Path, int]]]:
    """Makes a config.ini of a daemon that does not run, at a port that nobody else takes meanwhile."""
    held = []

    def write(name: str) -> tuple[Path, int]:
        closed = socket.socket()
        closed.bind(("127.0.0.1", 0))
        held.append(closed)
        port = closed.getsockname()[1]
        (tmp_path / name / "var").mkdir(parents=True)
        path = tmp_path / name / "config.ini"
        path.write_text(f"[server]\nport = {port}\n")
        token = tmp_path / name / "var" / "token.operator"
        token.write_text("0" * 64)
        token.chmod(0o600)
        return path, port

    yield write
    for closed in held:
        closed.close()


Nobody = Callable[[str], tuple[Path, int]]


@pytest.mark.parametrize("command", ["status", "ready"])
def test_an_unreachable_daemon_has_status_3_and_its_address(nobody: Nobody, command: str) -> None:
    path, port = nobody("a")
    done = face_server(command, "--config", path)
    assert done.returncode == 3 and done.stdout == ""
    assert f"the daemon at 127.0.0.1:{port} cannot be reached" in done.stderr


def test_the_option_goes_before_the_environment_and_that_before_the_working_directory(nobody: Nobody) -> None:
    (given, given_port), (set_, set_port), (here, here_port) = nobody("given"), nobody("set"), nobody("here")
    environment = {name: value for name, value in os.environ.items() if name != "FACE_LOGIN_CONFIG"}
    with_variable = {**environment, "FACE_LOGIN_CONFIG": str(set_)}
    first = face_server("status", "--config", given, env=with_variable, cwd=here.parent)
    second = face_server("status", env=with_variable, cwd=here.parent)
    third = face_server("status", env=environment, cwd=here.parent)
    for done, port in ((first, given_port), (second, set_port), (third, here_port)):
        assert f":{port} cannot be reached" in done.stderr


@pytest.mark.parametrize("text", [None, "[sever]\nport = 1\n", "[server]\nport = many\n"])
@pytest.mark.parametrize("command", ["serve", "status"])
def test_a_wrong_configuration_has_status_2_and_names_the_file(tmp_path: Path, text: str | None, command: str) -> None:
    path = tmp_path / "config.ini"
    if text is not None:
        path.write_text(text)
    done = face_server(command, "--config", path)
    assert done.returncode == 2 and done.stdout == ""
    assert done.stderr.startswith(f"face-server: {path}")


@pytest.mark.parametrize("mode", [0o644, 0o604, 0o666])
def test_a_token_that_everyone_can_read_has_status_2_and_the_remedy(nobody: Nobody, mode: int) -> None:
    path, _ = nobody("a")
    token = path.parent / "var" / "token.operator"
    token.chmod(mode)
    done = face_server("status", "--config", path)
    assert done.returncode == 2
    assert f"chmod 600 {token}" in done.stderr


def test_a_token_that_is_not_there_is_named(nobody: Nobody) -> None:
    path, _ = nobody("a")
    (path.parent / "var" / "token.operator").unlink()
    done = face_server("status", "--config", path)
    assert done.returncode == 2 and "token.operator cannot be read" in done.stderr


def test_a_wrong_token_is_refused(nobody: Nobody, own_daemon: Daemon) -> None:
    path, _ = nobody("a")
    path.write_text(f"[server]\nport = {own_daemon.port}\n")
    done = face_server("status", "--config", path)
    assert done.returncode == 2 and done.stderr.startswith("face-server: unauthorised: ")


def test_serve_without_its_models_has_status_2_and_the_remedy(tmp_path: Path) -> None:
    path = tmp_path / "config.ini"
    path.write_text("[server]\nport = 0\n[models]\npath = models\n")
    (tmp_path / "models").mkdir()
    shutil.copy(ROOT / "models" / "manifest.toml", tmp_path / "models")
    done = face_server("serve", "--config", path)
    assert done.returncode == 2 and "mtcnn-pnet.lz4 is missing: run ./scripts/setup" in done.stderr


@pytest.mark.parametrize("code", [code for code, cls in BY_CODE.items() if issubclass(cls, OperatorError)])
def test_only_a_busy_or_stopping_daemon_counts_as_unreachable(
    nobody: Nobody, capsys: pytest.CaptureFixture[str], code: str
) -> None:
    """A stub answers: a real daemon cannot be made to fail in each of these ways."""
    path, _ = nobody("a")
    with socket.create_server(("127.0.0.1", 0)) as listener:
        path.write_text(f"[server]\nport = {listener.getsockname()[1]}\n")

        def answer() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.recv(65536)
                connection.sendall(encode_frame(encode_error(1, BY_CODE[code]("as it is told"))))

        stub = threading.Thread(target=answer)
        stub.start()
        status = run(["status", "--config", str(path)])
        stub.join()
    assert status == (3 if code in ("busy", "shutting_down") else 2)
    assert capsys.readouterr().err == f"face-server: {code}: as it is told\n"
