"""`face-server doctor`: what is really wrong is found, named and has a remedy; what is right is left alone."""

from __future__ import annotations

import json
import os
import re
import resource
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

import lmdb
import numpy as np
import pytest
from certificates import Authority
from daemons import ROOT, Daemon
from websites import php_is_there

import face_server.doctor
from face_server.assembly import expected_fingerprint
from face_server.checks.findings import Examined, Finding, Level, examine
from face_server.checks.machine import permissions
from face_server.config import load_config
from face_server.doctor import CHECKS, diagnose
from face_server.gallery import GalleryOptions, LocalGallery, TemplateStore
from face_server.gallery.store.sealing import StoreKey
from face_server.types import Quality, Template

PATIENCE_S = 120.0
NOW_S = 1_795_000_000.0
AS_ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to give files to others")

Found = dict[str, list[Finding]]


@dataclass
class Place:
    """A directory with a config.ini, whose port nobody listens on."""

    path: Path
    port: int

    @property
    def config(self) -> Path:
        return self.path / "config.ini"

    def write(self, settings: str = "") -> None:
        server = f"[server]\nport = {self.port}\n" if "[server]" not in settings else ""
        models = f"[models]\npath = {ROOT / 'models'}\n" if "[models]" not in settings else ""
        self.config.write_text(f"{server}{models}{settings}\n")

    def found(self, settings: str | None = None) -> Found:
        """What the doctor finds, by check."""
        if settings is not None:
            self.write(settings)
        found: Found = {}
        for name, finding in diagnose(self.config):
            found.setdefault(name, []).append(finding)
        return found

    def findings(self, check: str, settings: str | None = None) -> list[Finding]:
        """What one check finds, which is quicker."""
        if settings is not None:
            self.write(settings)
        return list(CHECKS[check](examine(load_config(self.config))))

    def command(self, *arguments: str, **options: object) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "face_server", "doctor", "--config", str(self.config), *arguments]
        return subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_S, check=False, **options)  # type: ignore[call-overload,no-any-return]

    def options(self) -> GalleryOptions:
        config = load_config(self.config)
        return GalleryOptions(
            store_path=config.gallery.path,
            index_path=config.index.path,
            fingerprint=expected_fingerprint(config),
            dimension=512,
            max_templates_per_subject=20,
            max_map_bytes=config.gallery.max_map_bytes,
            trees=10,
            neighbours=10,
            overlay_max=1000,
            kind="annoy",
            recall=0.9,
            background=False,
        )

    def enrol(self, subjects: int, created_s: float = NOW_S, built: bool = True) -> None:
        """Strangers with made-up vectors, and an index if asked for."""
        with LocalGallery(self.options()) as gallery:
            for number in range(subjects):
                gallery.enrol(number, [template(number, self.options().fingerprint, created_s)])
            if built:
                gallery.rebuild()


def template(number: int, fingerprint: str, created_s: float = NOW_S) -> Template:
    vector = np.random.default_rng(number).standard_normal(512).astype(np.float32)
    quality = Quality(100.0, 1.0, 50.0, 120.0, 0.0, 0.0, 0.0)
    return Template(vector / np.linalg.norm(vector), fingerprint, created_s, f"{number:064x}", quality)


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    with socket.socket() as held:  # bound and not listening: nobody else gets this port meanwhile
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        held.bind(("127.0.0.1", 0))
        made = Place(tmp_path, held.getsockname()[1])
        made.write()
        yield made


def levels(findings: list[Finding]) -> set[str]:
    return {finding.level.value for finding in findings}


def only(findings: list[Finding], level: str) -> Finding:
    """The one finding of this level."""
    (finding,) = [one for one in findings if one.level.value == level]
    return finding


# --- what is well ---------------------------------------------------------------------------------------------------


def test_a_fresh_place_is_well_but_for_the_daemon_that_does_not_run(place: Place) -> None:
    found = place.found()
    assert list(found) == ["config", *CHECKS]
    bad = {name: findings for name, findings in found.items() if levels(findings) != {"ok"}}
    assert list(bad) == ["daemon"] and levels(bad["daemon"]) == {"warning"}
    assert only(bad["daemon"], "warning").remedy == "where it should run: face-server serve"


def test_a_gallery_that_is_well_is_told_as_such(place: Place) -> None:
    place.enrol(5)
    found = place.found()
    assert only(found["store"], "ok").text == "5 subjects, 5 templates: every record has its checksum"
    assert only(found["index"], "ok").text == "fits the gallery and finds what it holds: 5 subjects"
    assert only(found["clock"], "ok").text.endswith("after the newest template was made")


def test_a_running_daemon_is_well_and_is_asked(daemon: Daemon) -> None:
    path = daemon.config_path.with_name("doctor.ini")
    path.write_text(daemon.config_path.read_text().replace("port = 0", f"port = {daemon.port}"))
    done = Place(path.parent, daemon.port)
    found: Found = {}
    for name, finding in diagnose(path):
        found.setdefault(name, []).append(finding)
    assert {name: findings for name, findings in found.items() if levels(findings) != {"ok"}} == {}
    assert only(found["ports"], "ok").text == f"our daemon answers on 127.0.0.1:{daemon.port}"
    assert "the daemon may open" in found["limits"][0].text
    assert done.port == daemon.port


def test_nothing_is_changed(place: Place) -> None:
    place.enrol(3)

    def tree() -> dict[str, tuple[int, int, int]]:
        # LMDB's own lock file notes who reads.
        paths = [path for path in place.path.rglob("*") if path.name != "lock.mdb"]
        stats = {str(path): path.lstat() for path in paths}
        return {name: (stat.st_mtime_ns, stat.st_size, stat.st_mode) for name, stat in stats.items()}

    before = tree()
    done = place.command()
    assert done.returncode == 0, done.stdout
    assert tree() == before


def test_a_place_without_anything_is_left_without_anything(place: Place) -> None:
    assert place.command().returncode == 0
    assert [path.name for path in place.path.iterdir()] == ["config.ini"]


# --- how it is told -------------------------------------------------------------------------------------------------


def test_warnings_have_status_0_and_problems_2(place: Place) -> None:
    fine = place.command()
    assert (fine.returncode, fine.stderr) == (0, "")
    assert fine.stdout.splitlines()[-1] == "1 to look at"
    place.write("[metrics]\nlisten = nowhere\n")
    bad = place.command()
    assert (bad.returncode, bad.stderr) == (2, "")
    assert bad.stdout.splitlines()[-1] == "1 to mend, 1 to look at"
    assert re.search(r"^problem .*no address:port such as", bad.stdout, re.MULTILINE)


def test_json_has_every_finding(place: Place) -> None:
    done = place.command("--json")
    (line,) = done.stdout.splitlines()
    told = json.loads(line)
    assert done.returncode == 0 and told["ok"] is True
    assert [*dict.fromkeys(one["check"] for one in told["checks"])] == ["config", *CHECKS]
    assert all(one.keys() == {"check", "level", "text", "remedy"} for one in told["checks"])
    place.write("[metrics]\nlisten = nowhere\n")
    bad = json.loads(place.command("--json").stdout)
    assert bad["ok"] is False and [one["check"] for one in bad["checks"] if one["level"] == "problem"] == ["ports"]


def test_a_check_that_fails_hides_no_other(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(seen: Examined) -> Iterator[Finding]:
        raise RuntimeError("nobody foresaw this")

    monkeypatch.setitem(face_server.doctor.CHECKS, "store", broken)
    found = place.found()
    assert "nobody foresaw this" in only(found["store"], "problem").text
    assert list(found) == ["config", *CHECKS]


# --- config ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", ["[gallery]\nsize = 1\n", "[server]\nport = 0x10\n", "[metric]\n", "path\n"])
def test_a_configuration_that_is_wrong_is_all_that_is_told(place: Place, text: str) -> None:
    place.config.write_text(text)
    found = place.found()
    assert list(found) == ["config"] and "config.ini" in only(found["config"], "problem").text
    assert place.command().returncode == 2


def test_a_configuration_that_is_not_there_is_named(place: Place) -> None:
    place.config.unlink()
    assert "config.ini cannot be read" in only(place.found()["config"], "problem").text


def test_an_original_name_is_a_warning_with_the_new_one(place: Place) -> None:
    finding = only(place.found("[annoy]\nnum_trees = 10\n")["config"], "warning")
    assert "[annoy] num_trees is now called [index] trees" in finding.text


# --- weights --------------------------------------------------------------------------------------------------------


@pytest.fixture
def models(tmp_path: Path) -> Path:
    """The models' directory, to be spoilt: its files are links."""
    shutil.copytree(ROOT / "models", tmp_path / "models", copy_function=os.symlink)
    return tmp_path / "models"


def spoil(path: Path, at: float = 0.5) -> None:
    """Change one bit of a file, or of a copy where it is a link."""
    content = bytearray(path.read_bytes())
    content[int(len(content) * at)] ^= 1
    path.unlink()
    path.write_bytes(content)


@pytest.mark.parametrize(
    ("name", "kind"), [("facenet-20180408-102900.pb", "embedding"), ("mtcnn-rnet.lz4", "detection")], ids=str
)
def test_a_model_file_that_is_damaged_or_gone_is_named(place: Place, models: Path, name: str, kind: str) -> None:
    spoil(models / name)
    finding = only(place.findings("weights", "[models]\npath = models\n"), "problem")
    assert finding.text.startswith(f"{kind}: {models / name} has sha256 ") and "fetch it again" in finding.text
    (models / name).unlink()
    assert f"{models / name} is missing: run ./scripts/setup" in only(place.findings("weights"), "problem").text


def test_a_network_that_is_gone_is_named_where_the_site_asks_for_it(place: Place, models: Path) -> None:
    (models / "fr-liveness.onnx").unlink(missing_ok=True)
    settings = "[models]\npath = models\n"
    finding = only(place.findings("weights", settings), "problem")
    assert finding.text.startswith("liveness: ") and "`active` needs none" in finding.remedy
    for mode in ("off", "active"):
        assert levels(place.findings("weights", f"{settings}[web]\nliveness = {mode}\n")) == {"ok"}


def test_a_sealed_gallery_needs_its_key_and_the_finding_says_what_to_do(place: Place, tmp_path: Path) -> None:
    key = StoreKey.make(tmp_path / "elsewhere" / "key")
    place.write()
    with LocalGallery(replace(place.options(), key=key, kind="exact")) as gallery:
        gallery.enrol("ada", [template(1, place.options().fingerprint)])
    (finding,) = place.findings("store")
    assert finding.level is Level.PROBLEM and "encryption_key_file" in finding.text and key.key_id in finding.text
    other = StoreKey.make(tmp_path / "elsewhere" / "other")
    (finding,) = place.findings("store", f"[gallery]\nencryption_key_file = {other.path}\n")
    assert finding.level is Level.PROBLEM and other.key_id in finding.text
    right = f"[gallery]\nencryption_key_file = {key.path}\n"
    assert [one.level for one in place.findings("store", right)] == [Level.OK]
    key.path.chmod(0o640)
    (finding,) = place.findings("store", right)
    assert finding.level is Level.PROBLEM and "chmod 600" in finding.text


def test_a_key_beside_its_gallery_is_a_warning(place: Place) -> None:
    place.write()
    key = StoreKey.make(place.options().store_path.parent / "key")
    with LocalGallery(replace(place.options(), key=key, kind="exact")) as gallery:
        gallery.enrol("ada", [template(1, place.options().fingerprint)])
    _, finding = place.findings("store", f"[gallery]\nencryption_key_file = {key.path}\n")
    assert finding.level is Level.WARNING and "a copy of that" in finding.text


def test_a_centre_that_is_damaged_is_named(place: Place, models: Path) -> None:
    (centre,) = (models / "centres").iterdir()
    spoil(centre, 0.01)
    assert "centre" in only(place.findings("weights", "[models]\npath = models\n"), "problem").text


def test_a_manifest_that_is_gone_is_named(place: Place, models: Path) -> None:
    (models / "manifest.toml").unlink()
    found = place.findings("weights", "[models]\npath = models\n")
    assert levels(found) == {"problem"} and "manifest.toml" in found[0].text


# --- store ----------------------------------------------------------------------------------------------------------


def data_of(place: Place) -> Path:
    return place.options().store_path / "data.mdb"


def test_a_record_that_was_changed_is_found_by_its_checksum(place: Place) -> None:
    place.enrol(3)
    vector = template(1, "").vector.tobytes()
    content = data_of(place).read_bytes()
    assert vector in content
    data_of(place).write_bytes(content.replace(vector, vector[:-1] + bytes([vector[-1] ^ 1])))
    finding = only(place.findings("store"), "problem")
    assert "is damaged: its checksum does not fit" in finding.text and "face-server restore" in finding.remedy


def test_a_store_that_was_cut_short_is_found_before_it_is_read(place: Place) -> None:
    place.enrol(10)
    os.truncate(data_of(place), 4 * 4096)
    assert "its data file has been cut short" in only(place.findings("store"), "problem").text


@pytest.mark.parametrize("start", [0, 2], ids=["from its head", "from its first pages of data"])
def test_a_store_of_noise_is_a_problem_and_no_crash(place: Place, start: int) -> None:
    place.enrol(10)
    content = bytearray(data_of(place).read_bytes())
    content[start * 4096 :] = np.random.default_rng(1).bytes(len(content) - start * 4096)
    data_of(place).write_bytes(content)
    finding = only(place.findings("store"), "problem")
    assert str(place.options().store_path) in finding.text or "damaged" in finding.text


def test_a_store_of_another_model_is_a_problem(place: Place) -> None:
    options = place.options()
    with TemplateStore(
        options.store_path,
        fingerprint="other",
        dimension=512,
        max_templates_per_subject=5,
        max_map_bytes=options.max_map_bytes,
    ) as store:
        store.enrol("anna", [template(1, "other")])
    finding = only(place.findings("store"), "problem")
    assert "of another model or alignment (other)" in finding.text and "face-server migrate" in finding.remedy


def test_a_store_of_a_later_schema_is_a_problem(place: Place) -> None:
    place.enrol(1)
    with lmdb.open(str(data_of(place).parent), max_dbs=3) as env:
        meta = env.open_db(b"meta")
        with env.begin(write=True) as txn:
            txn.put(b"schema", b"99", db=meta)
    assert "has schema 99; this program reads schema 1" in only(place.findings("store"), "problem").text


def test_a_store_that_somebody_holds_who_does_not_answer_is_a_problem(place: Place) -> None:
    place.enrol(2)
    with LocalGallery(place.options()):
        finding = only(place.findings("store"), "problem")
        assert f"is held by process {os.getpid()}, and no daemon answers" in finding.text
    assert levels(place.findings("store")) == {"ok"}


def test_the_store_s_lock_is_not_kept_and_says_who_had_it(place: Place) -> None:
    place.enrol(2)
    lock = data_of(place).with_name("process.lock")
    before = lock.read_bytes()
    place.findings("store")
    assert lock.read_bytes() == before
    with LocalGallery(place.options()):
        pass


def test_a_store_near_its_limit_is_a_warning(place: Place) -> None:
    place.write("[gallery]\nmax_map_bytes = 1048576\n")
    options = replace(place.options(), max_templates_per_subject=100)
    with LocalGallery(options) as gallery:
        store = gallery._store
        limit = store.usage().limit_bytes
        number = 0
        while store.usage().used_bytes < 0.8 * limit:
            store.enrol(number, [template(number * 100 + n, options.fingerprint) for n in range(100)])
            number += 1
    finding = only(place.findings("store"), "warning")
    assert "that enrolments may use" in finding.text and "raise [gallery] max_map_bytes" in finding.remedy


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 12 MiB."""
    path = tmp_path / "disk"
    path.mkdir()
    if subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=12m", "none", path], capture_output=True, check=False
    ).returncode:
        pytest.skip("needs the right to mount a file system in memory")
    yield path
    subprocess.run(["umount", path], check=True)


def test_a_disk_that_is_full_is_a_problem(place: Place, small_disk: Path) -> None:
    place.write("[gallery]\npath = disk/gallery\n")
    place.enrol(2)
    assert "MiB left" in only(place.findings("store"), "warning").text
    (small_disk / "ballast").write_bytes(bytes(10 << 20))
    finding = only(place.findings("store"), "problem")
    assert f"the disk of {small_disk / 'gallery'} has " in finding.text and "make room" in finding.remedy


# --- index ----------------------------------------------------------------------------------------------------------


def test_an_index_that_is_damaged_or_of_another_gallery_or_gone_is_a_warning(place: Place) -> None:
    place.enrol(5)
    index = place.options().index_path
    kept = {path: path.read_bytes() for path in index.iterdir()}
    spoil(next(index.glob("*.annoy")))
    assert "is not what its manifest describes" in only(place.findings("index"), "warning").text
    shutil.rmtree(place.options().store_path)
    for path in index.iterdir():
        path.unlink()
    place.enrol(5, built=False)
    for settings in ("", "[index]\nkind = exact\n"):
        assert only(place.findings("index", settings), "ok").text == "none is needed: a search looks at everybody"
    assert only(place.findings("index", "[index]\nkind = annoy\n"), "warning").text == "there is none"
    for path, content in kept.items():
        path.write_bytes(content)
    finding = only(place.findings("index"), "warning")
    assert "belongs to another gallery" in finding.text and "nothing is lost" in finding.remedy
    assert {path: path.read_bytes() for path in index.iterdir()} == kept


# --- clock, calibration ---------------------------------------------------------------------------------------------


def test_a_clock_that_is_before_the_newest_template_is_a_problem(place: Place) -> None:
    place.enrol(2, created_s=4_000_000_000.0)
    finding = only(place.findings("clock"), "problem")
    assert "before the newest template was made" in finding.text and "timedatectl" in finding.remedy


def test_a_network_without_a_calibration_is_a_problem(place: Place) -> None:
    finding = only(place.findings("calibration", "[alignment]\nstretch = 1.3\n"), "problem")
    assert "there is no calibration for this model and alignment" in finding.text


def test_a_threshold_set_by_hand_is_a_warning_that_tells_its_cost(place: Place) -> None:
    finding = only(place.findings("calibration", "[decision]\nthreshold = 0.5\n"), "warning")
    assert "is a match whatever the counts" in finding.text and "FMR" in finding.text


def test_a_gallery_too_large_for_the_stated_rate_is_a_problem_for_searches(place: Place) -> None:
    place.enrol(12, built=False)
    strict = "[decision]\nidentify_fpir = 0.00001\n"
    finding = only(place.findings("calibration", strict), "problem")
    assert "searches among 12 subjects are refused" in finding.text and "login_mode = email_face" in finding.remedy
    claimed = place.findings("calibration", f"{strict}[web]\nlogin_mode = email_face\n")
    assert "are refused" in only(claimed, "warning").text


@pytest.mark.parametrize(
    ("fpir", "words"), [("0.0001", "searches are refused beyond"), ("0.0003", "first image alone")]
)
def test_a_gallery_that_comes_near_to_what_the_rate_allows_is_a_warning(place: Place, fpir: str, words: str) -> None:
    place.enrol(12, built=False)
    found = place.findings("calibration", f"[decision]\nidentify_fpir = {fpir}\n")
    assert words in only(found, "warning").text


# --- limits ---------------------------------------------------------------------------------------------------------


def test_too_few_descriptors_are_a_problem(place: Place) -> None:
    def few() -> None:
        resource.setrlimit(resource.RLIMIT_NOFILE, (200, 200))

    done = place.command("--json", preexec_fn=few)
    told = {one["check"]: one for one in json.loads(done.stdout)["checks"] if one["level"] == "problem"}
    assert list(told) == ["limits"] and done.returncode == 2
    assert "may open 200 files" in told["limits"]["text"] and "LimitNOFILE=576" in told["limits"]["remedy"]


def test_more_memory_than_there_is_is_a_problem(place: Place) -> None:
    finding = only(place.findings("limits", "[server]\nmax_buffered_bytes = 1099511627776\n"), "problem")
    assert "the daemon may come to 1.0 TiB" in finding.text and "max_buffered_bytes" in finding.remedy


# --- permissions ----------------------------------------------------------------------------------------------------


def secret(path: Path, content: str = "a" * 64, mode: int = 0o600) -> Path:
    path.parent.mkdir(exist_ok=True)
    path.write_text(content)
    path.chmod(mode)
    return path


@pytest.mark.parametrize("name", ["token.web", "token.operator", "audit.key", "users.sqlite"])
def test_a_secret_that_others_can_read_is_a_problem(place: Place, name: str) -> None:
    path = secret(place.path / "var" / name, mode=0o644)
    finding = only(place.findings("permissions"), "problem")
    assert f"{path} has mode 0644" in finding.text and f"chmod 600 {path}" in finding.text + finding.remedy


def test_a_token_that_is_too_short_or_serves_for_both_is_a_problem(place: Place) -> None:
    for name in ("token.web", "token.operator"):
        secret(place.path / "var" / name)
    assert "hold the same token" in only(place.findings("permissions"), "problem").text
    secret(place.path / "var" / "token.web", "short")
    assert "is shorter than" in only(place.findings("permissions"), "problem").text


@pytest.mark.parametrize("name", ["gallery", "index", "sessions"])
def test_a_directory_that_others_can_enter_is_a_problem(place: Place, name: str) -> None:
    path = place.path / "var" / name
    path.mkdir(parents=True)
    path.chmod(0o750)
    finding = only(place.findings("permissions"), "problem")
    assert f"{path} has mode 0750" in finding.text and finding.remedy == f"chmod 700 {path}"


def test_a_directory_whose_content_others_can_replace_is_a_problem(place: Place) -> None:
    var = place.path / "var"
    var.mkdir()
    var.chmod(0o757)
    assert f"{var} has mode 0757" in only(place.findings("permissions"), "problem").text
    var.chmod(0o775)
    assert f"{var} has mode 0775" in only(place.findings("permissions"), "warning").text
    var.chmod(0o1777)
    assert levels(place.findings("permissions")) == {"warning"}


@AS_ROOT
def test_files_of_two_users_are_a_problem(place: Place) -> None:
    place.enrol(1)
    os.chown(place.options().index_path, 12345, -1)
    finding = only(place.findings("permissions"), "problem")
    assert f"{place.options().index_path} belongs to user 12345" in finding.text and "chown -R root" in finding.remedy


@AS_ROOT
def test_somebody_else_than_the_daemons_user_is_told_to_be_that_one(place: Place) -> None:
    with tempfile.TemporaryDirectory() as open_to_others:
        Path(open_to_others).chmod(0o711)
        there = Place(Path(open_to_others), place.port)
        there.write()
        there.enrol(1)
        seen = examine(load_config(there.config))
        os.seteuid(12345)
        try:
            finding = only(list(permissions(seen)), "warning")
        finally:
            os.seteuid(0)
    assert finding.remedy == "run this as that user (sudo -u root face-server doctor)"


# --- ports ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def listen() -> Iterator[Callable[[object, int], socket.socket]]:
    """Listens, as other programs do that say nothing."""
    with ExitStack() as held:

        def start(address: object, family: int = socket.AF_INET) -> socket.socket:
            other = held.enter_context(socket.socket(family, socket.SOCK_STREAM))
            other.bind(address)  # type: ignore[arg-type]
            other.listen()
            return other

        yield start


def test_a_port_that_another_program_has_is_a_problem(
    place: Place, listen: Callable[..., socket.socket], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("face_server.checks.findings.ANSWER_S", 0.5)
    secret(place.path / "var" / "token.operator")
    port = listen(("127.0.0.1", 0)).getsockname()[1]
    finding = only(place.findings("ports", f"[server]\nport = {port}\n"), "problem")
    assert f"127.0.0.1:{port} cannot be listened on" in finding.text and "another program" in finding.text
    assert finding.remedy == "name another port"


def test_an_address_that_others_reach_is_a_problem(place: Place) -> None:
    assert "is not a loopback address" in only(place.findings("ports", "[server]\nhost = 0.0.0.0\n"), "problem").text


def test_a_daemon_that_does_not_take_our_token_is_a_problem(place: Place, daemon: Daemon) -> None:
    secret(place.path / "var" / "token.operator", "b" * 64)
    finding = only(place.findings("ports", f"[server]\nport = {daemon.port}\n"), "problem")
    assert f"the daemon on 127.0.0.1:{daemon.port} answers unauthorised" in finding.text


def test_a_unix_socket_that_cannot_be_made_is_a_problem(place: Place, listen: Callable[..., socket.socket]) -> None:
    secret(place.path / "var" / "token.operator")
    long = "x" * 100
    assert "more than 107 bytes" in only(place.findings("ports", f"[server]\nunix_socket = {long}\n"), "problem").text
    (place.path / "a").touch()
    assert "it is no socket" in only(place.findings("ports", "[server]\nunix_socket = a\n"), "problem").text


def test_a_unix_socket_that_another_program_has_is_a_problem_and_a_stale_one_is_not(
    place: Place, listen: Callable[..., socket.socket], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("face_server.checks.findings.ANSWER_S", 0.5)
    secret(place.path / "var" / "token.operator")
    monkeypatch.chdir(place.path)  # the path of a socket is short
    other = listen("b", socket.AF_UNIX)
    finding = only(place.findings("ports", "[server]\nunix_socket = b\n"), "problem")
    assert f"another program listens on {place.path / 'b'}" in finding.text
    other.close()
    assert levels(place.findings("ports")) == {"ok"}


def test_the_monitor_s_address_is_checked_too(place: Place, listen: Callable[..., socket.socket]) -> None:
    port = listen(("127.0.0.1", 0)).getsockname()[1]
    found = place.findings("ports", f"[metrics]\nlisten = 127.0.0.1:{port}\n")
    assert "another program listens there" in only(found, "problem").text
    found = place.findings("ports", "[metrics]\nlisten = 0.0.0.0:9464\n")
    assert "[metrics] exposed = true" in only(found, "problem").text


# --- TLS ------------------------------------------------------------------------------------------------------------


def test_a_certificate_that_clients_would_refuse_is_a_problem_and_one_that_soon_ends_a_warning(
    place: Place, authority: Authority
) -> None:
    expired = authority.issue("doctor_expired", days=-1)
    finding = only(place.findings("tls", f"[server]\n{expired.lines}"), "problem")
    assert f"tls_cert = {expired.cert}" in finding.text and "renew it" in finding.text
    assert levels(place.findings("tls", f"[server]\n{authority.here.lines}")) == {"warning"}  # two days are few
    lasting = authority.issue("doctor_lasting", days=90)
    assert levels(place.findings("tls", f"[server]\n{lasting.lines}tls_ca = {authority.cert}\n")) == {"ok"}


def test_a_key_that_others_can_read_or_that_is_another_ones_is_a_problem(place: Place, authority: Authority) -> None:
    one, other = (authority.issue(f"doctor_{name}", days=90) for name in ("one", "other"))
    mixed = f"[server]\ntls_cert = {one.cert}\ntls_key = {other.key}\n"
    assert "is not the key of the certificate" in only(place.findings("tls", mixed), "problem").text
    one.key.chmod(0o644)
    assert f"chmod 600 {one.key}" in only(place.findings("tls", f"[server]\n{one.lines}"), "problem").text
    assert "cannot be read" in only(place.findings("tls", "[server]\ntls_ca = absent.pem\n"), "problem").text


# --- site -----------------------------------------------------------------------------------------------------------


@pytest.mark.skipif(not php_is_there(), reason="needs PHP 8.2 with pdo_sqlite and mbstring")
def test_what_the_site_does_not_take_is_a_problem_and_what_it_warns_of_a_warning(place: Place) -> None:
    finding = only(place.findings("site", "[web]\nbase_url = http://login.example.org/path\n"), "problem")
    assert "the site does not take the configuration: " in finding.text and "base_url" in finding.text
    warned = place.findings("site", "[web]\nbase_url = http://login.example.org\nlogin_mode = email_face\n")
    assert levels(warned) == {"warning"}


def test_without_php_the_site_is_not_looked_at(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(place.path))
    assert "not looked at" in only(place.findings("site"), "ok").text
