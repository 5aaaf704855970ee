"""Today's daemon and site on the files that former versions left: nobody is lost, and everything works at once."""

from __future__ import annotations

import tarfile
from pathlib import Path

import pytest
from daemons import ROOT, StartDaemon
from e2e.clips import burst
from e2e.people import BARACK, BARACKS, JOE
from websites import php_is_there, start_website

RELEASES = sorted((ROOT / "tests" / "releases").glob("*.tar.xz"))
OF_EVERY_RELEASE = pytest.mark.parametrize("release", RELEASES, ids=lambda path: path.name.removesuffix(".tar.xz"))


def unpack(release: Path, directory: Path) -> None:
    with tarfile.open(release) as archive:
        archive.extractall(directory, filter="data")


@OF_EVERY_RELEASE
def test_a_gallery_of_a_former_version_serves_whom_it_had_and_takes_more(
    release: Path, tmp_path: Path, daemon_in: StartDaemon, sample_photos: Path
) -> None:
    unpack(release, tmp_path)
    for round_ in range(2):  # the second on what the first has made of it
        daemon = daemon_in(tmp_path / "gallery_cli")
        with daemon.client() as client:
            status = client.status()
            assert (status.subjects, status.index.state) == (2 + round_, "ready")
            found = client.identify((sample_photos / "obama3.jpg").read_bytes(), limit=1)
            assert found.id == "obama"
            # The score that the first release gave; vectors that no longer fit would have lost it.
            assert found.score == pytest.approx(0.7772, abs=2e-3)
            assert client.verify(7, (sample_photos / "biden.jpg").read_bytes()).match
            assert client.enrol("more", [(sample_photos / "32bit.png").read_bytes()], force=True).templates == 1
        assert daemon.stop() == 0


@OF_EVERY_RELEASE
@pytest.mark.skipif(not php_is_there(), reason="needs PHP 8.2 with pdo_sqlite and mbstring")
def test_a_site_of_a_former_version_is_migrated_and_lets_its_people_in(
    release: Path, tmp_path: Path, daemon_in: StartDaemon
) -> None:
    unpack(release, tmp_path)
    site = start_website(tmp_path / "site", daemon_in(tmp_path / "gallery_site"))  # runs `console migrate`
    try:
        visitor = site.visitor()
        assert visitor.face(burst(BARACK)).json["ok"]
        assert "Barack" in visitor.get("/account").text
        assert site.visitor().password(BARACKS.email, BARACKS.password).location == "/account"
        assert site.visitor().password("boss@example.org", "an administrators password").location == "/account"
        assert site.visitor().face(burst(JOE)).code == "refused"
        assert site.rows("SELECT email FROM face_user WHERE face_barred <> 0") == [["joe@example.org"]]
        assert site.console("audit:verify").returncode == 0
    finally:
        site.stop()
