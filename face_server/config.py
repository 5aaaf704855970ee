"""Every option of config.ini, declared once: section, name, default, range, help. Knows no room that uses it.

The file is read by Python's configparser and PHP's parse_ini_file; the two dialects differ, so what they would read
differently is refused here (see `_portable_lines`). Config objects are passed down; there is no global.

A new option is one more field of a section below; the README's table and the tests are driven by these declarations.
"""

from __future__ import annotations

import configparser
import dataclasses
import logging
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from face_server.errors import ConfigError
from face_server.types import Point

log = logging.getLogger(__name__)

ENVIRONMENT_VARIABLE = "FACE_LOGIN_CONFIG"


def _option(
    default: Any, text: str, low: float | None = None, high: float | None = None, choices: tuple[str, ...] = ()
) -> Any:
    return field(default=default, metadata={"help": text, "low": low, "high": high, "choices": choices})


@dataclass(frozen=True, slots=True)
class ServerConfig:
    """[server] Where the daemon listens and what a connection may cost."""

    host: str = _option("127.0.0.1", "address to listen on; anything but loopback needs TLS")
    port: int = _option(9999, "TCP port; 0 lets the system choose", 0, 65535)
    unix_socket: Path | None = _option(None, "listen on this Unix socket (mode 0660) instead of TCP")
    tls_cert: Path | None = _option(None, "speak TLS, with this certificate and its chain (PEM); needs `tls_key`")
    tls_key: Path | None = _option(None, "the certificate's key (PEM without a passphrase, mode 0600 or 0640)")
    tls_ca: Path | None = _option(
        None, "for commands and site: the certificate, or who signed it, that alone is trusted; unset is the system's"
    )
    tls_name: str = _option("", "for commands and site: the name in the certificate, where it is not `host`")
    legacy: bool = _option(False, "also speak the first generation's dialect, which has no token; on loopback only")
    legacy_image_root: Path | None = _option(None, "directory below which a legacy `pic` may lie; unset refuses all")
    max_connections: int = _option(
        256, "open connections; one more takes the place of one without a token, else it is answered `busy`", 1, 65536
    )
    # From 0x30000000 a length's first byte may be an ASCII digit, which is how the old dialect is told apart.
    max_frame_bytes: int = _option(32 << 20, "largest frame", 1024, 0x2FFFFFFF)
    max_buffered_bytes: int = _option(256 << 20, "half-received bytes of all connections together", 1 << 20, 1 << 40)
    max_images: int = _option(10, "images in one message", 1, 100)
    max_image_bytes: int = _option(10 << 20, "bytes of one image", 1024, 1 << 30)
    queue_size: int = _option(64, "requests that may wait for the worker; one more is answered `busy`", 1, 65536)
    # Less than [web] daemon_timeout_s, so that the site still hears of it and the worker does nothing for nobody.
    queue_timeout_s: float = _option(
        10.0,
        "what has waited longer for the worker is answered `busy`; less than `daemon_timeout_s` of [web]",
        0.05,
        3600,
    )
    first_byte_timeout_s: float = _option(
        5.0, "a new connection must send something within this; with TLS, shake hands too", 0.05, 3600
    )
    header_timeout_s: float = _option(5.0, "from the first byte of a length to its last", 0.05, 3600)
    body_timeout_s: float = _option(20.0, "from a length to the last byte of its frame", 0.05, 3600)
    write_timeout_s: float = _option(20.0, "a reply must be taken within this", 0.05, 3600)
    idle_timeout_s: float = _option(60.0, "silence between two requests", 0.05, 86400)
    shutdown_timeout_s: float = _option(10.0, "what is in hand at SIGTERM may take this long", 0.05, 3600)


@dataclass(frozen=True, slots=True)
class AccessConfig:
    """[access] Who may ask."""

    web_token_file: Path = _option(Path("var/token.web"), "token of the web site, mode 0600; made at set-up")
    operator_token_file: Path = _option(Path("var/token.operator"), "token of the operator, mode 0600; made at set-up")


@dataclass(frozen=True, slots=True)
class ImagingConfig:
    """[imaging] What a picture may cost, and what is done about a dark one."""

    max_image_pixels: int = _option(40_000_000, "pixels of one image, read from its header", 1, 1 << 30)
    # lfw-dev darkened to a mean of 30: not matched 0.25 instead of 0.37; 18: 0.43 for 0.60. At 45: no difference.
    low_light_luminance: float = _option(
        40.0,
        "a picture of a lower mean grey (of 255) is brightened before faces are looked for; 0 turns it off",
        0,
        255,
    )


@dataclass(frozen=True, slots=True)
class ModelsConfig:
    """[models] Where the networks' files lie."""

    path: Path = _option(Path("models"), "directory of manifest.toml and the files it names")


@dataclass(frozen=True, slots=True)
class DetectionConfig:
    """[detection] Finding faces."""

    model: str = _option("mtcnn", "the detector", choices=("mtcnn",))
    min_face_px: int = _option(40, "smallest face width that is looked for", 12, 4096)
    max_side_px: int = _option(1600, "a larger picture is shrunk to this longest side before the search", 64, 16384)
    scale_factor: float = _option(0.709, "ratio of two levels of the pyramid", 0.3, 0.95)
    pnet_threshold: float = _option(0.6, "least face probability after P-Net", 0, 1)
    rnet_threshold: float = _option(0.7, "least face probability after R-Net", 0, 1)
    onet_threshold: float = _option(0.8, "least face probability after O-Net", 0, 1)


@dataclass(frozen=True, slots=True)
class AlignmentConfig:
    """[alignment] The warp from five landmarks to the embedding network's input."""

    method: str = _option("similarity", "how a face is cropped", choices=("similarity", "affine3", "box"))
    image_size: int = _option(160, "side of the square crop, pixels", 32, 1024)
    stretch: float = _option(1.258, "horizontal stretch after the similarity", 0.5, 2)
    eye_left: Point = _option((54.1, 65.5), "where `similarity` puts the left eye, stretch included")
    eye_right: Point = _option((107.9, 64.5), "where `similarity` puts the right eye")
    nose: Point = _option((81.5, 90.2), "where `similarity` puts the nose")
    mouth_left: Point = _option((58.2, 112.3), "where `similarity` puts the left corner of the mouth")
    mouth_right: Point = _option((106.1, 111.4), "where `similarity` puts the right corner of the mouth")
    affine3_size: int = _option(160, "side in which the `affine3` points are given, pixels", 32, 1024)
    affine3_eye_left: Point = _option((54.1, 65.5), "where `affine3` puts the left eye")
    affine3_eye_right: Point = _option((107.9, 64.5), "where `affine3` puts the right eye")
    affine3_nose: Point = _option((81.5, 90.2), "where `affine3` puts the nose")
    box_margin_px: int = _option(32, "margin of `box`, in pixels of the crop", 0, 512)


@dataclass(frozen=True, slots=True)
class EmbeddingConfig:
    """[embedding] The network that turns a crop into a vector."""

    model: str = _option(
        "facenet-20180408-102900", "or `mobilefacenet`, which brings its own alignment; or the path of a FaceNet .pb"
    )
    sha256: str = _option("", "sha256 of the .pb when `model` is a path")
    centre: bool = _option(True, "take the mean of all faces away from each vector, where models/centres has one")


@dataclass(frozen=True, slots=True)
class QualityConfig:
    """[quality] When a face is not good enough."""

    # What lfw-dev shows for each limit stands in the README, by `python -m face_server.evaluation.quality`.
    enrol_min_face_px: int = _option(80, "least face width to enrol with, pixels", 1, 4096)
    # Faces shrunk to 60, 50, 40, 30, 20 px: FNMR 0.21, 0.21, 0.22, 0.29, 0.52 (whole 0.17).
    search_min_face_px: int = _option(45, "least face width to search with, pixels", 1, 4096)
    # Both below the darkest well-lit skin of lfw-dev (48): a limit of 60 would refuse people for its colour.
    enrol_min_luminance: float = _option(40.0, "least mean grey of a face to enrol with, of 255", 0, 255)
    search_min_luminance: float = _option(15.0, "least mean grey of a face to search with, of 255", 0, 255)
    enrol_max_overexposed: float = _option(0.1, "share of a face that may be burnt out at enrolment", 0, 1)
    search_max_overexposed: float = _option(0.3, "share of a face that may be burnt out in a search", 0, 1)
    enrol_min_sharpness: float = _option(4.0, "least sharpness to enrol with, grey levels squared", 0, 65025)
    search_min_sharpness: float = _option(2.2, "least sharpness to search with, grey levels squared", 0, 65025)
    enrol_max_yaw: float = _option(0.33, "turn to a side to enrol with; 0 straight ahead", 0, 10)
    search_max_yaw: float = _option(0.42, "turn to a side to search with", 0, 10)
    enrol_max_pitch: float = _option(0.28, "raising or lowering of the head to enrol with; 0 straight ahead", 0, 10)
    search_max_pitch: float = _option(0.38, "raising or lowering of the head to search with", 0, 10)
    enrol_max_roll: float = _option(40.0, "tilt of the head to enrol with, degrees", 0, 180)
    search_max_roll: float = _option(50.0, "tilt of the head to search with, degrees", 0, 180)
    enrol_max_cut_off: float = _option(0.1, "share of a face that may lie outside the picture at enrolment", 0, 1)
    search_max_cut_off: float = _option(0.25, "share of a face that may lie outside the picture in a search", 0, 1)
    enrol_second_face: float = _option(0.6, "a second face of this share of the first's width refuses enrolment", 0, 1)
    search_second_face: float = _option(0.8, "a second face of this share of the first's width refuses a search", 0, 1)


@dataclass(frozen=True, slots=True)
class GalleryConfig:
    """[gallery] The truth: who is enrolled, in LMDB or in Milvus."""

    backend: str = _option(
        "lmdb",
        "what keeps it: `lmdb` on this machine, `milvus` for several daemons (docs/scale.md)",
        choices=("lmdb", "milvus"),
    )
    path: Path = _option(Path("var/gallery"), "directory of the store, of `lmdb`")
    max_templates_per_subject: int = _option(20, "templates one subject may have", 1, 1000)
    max_map_bytes: int = _option(16 << 30, "the store grows by itself up to this", 1 << 20, 1 << 44)
    keep_crops: bool = _option(
        False, "keep a small photograph of each enrolled face, from which `face-server migrate` serves another network"
    )
    encryption_key_file: Path | None = _option(
        None,
        "key that templates and crops are sealed with on the disk (`face-server keygen`), mode 0600; unset is plain",
    )
    milvus_uri: str = _option(
        "var/milvus.db",
        "of `milvus`: a server (`https://host:port`, `http` on loopback), or a Milvus Lite's path, ending in `.db`",
    )
    milvus_token_file: Path | None = _option(None, "file with the server's `user:password` or API key, mode 0600")
    milvus_ca: Path | None = _option(
        None, "the server's certificate, or who signed it, where the system trusts neither"
    )
    milvus_collection: str = _option("face_login", "what the names of its two collections begin with")
    milvus_index: str = _option(
        "flat", "`flat` looks at every subject and misses none, `hnsw` at some", choices=("flat", "hnsw")
    )
    milvus_timeout_s: float = _option(5.0, "Milvus must answer one question within this", 0.1, 60)


@dataclass(frozen=True, slots=True)
class IndexConfig:
    """[index] How the nearest are found: by a cache of Annoy's that proposes candidates, or by looking at everybody."""

    path: Path = _option(Path("var/index"), "directory of the index")
    kind: str = _option(
        "auto",
        "`exact`: a search looks at everybody; `annoy`: at whom Annoy proposes; `auto`: what costs less here",
        choices=("auto", "annoy", "exact"),
    )
    recall: float = _option(
        0.999, "share of searches in which Annoy must propose the nearest; each build measures it", 0.5, 0.9999
    )
    trees: int = _option(50, "trees that Annoy grows at first; more find more at the same cost", 1, 1000)
    trees_max: int = _option(
        200, "where these find too little, a build grows twice as many, up to so many; a larger file", 1, 1000
    )
    neighbours: int = _option(100, "candidates Annoy proposes, and most that an old client is answered with", 1, 10000)
    search_k_max: int = _option(
        1_000_000, "most items that Annoy may look at; each build finds how many it needs", 1, 100_000_000
    )
    overlay_max: int = _option(
        1000, "subjects enrolled, changed or removed since the last build that start one (or a tenth of all)", 1, 10**7
    )


@dataclass(frozen=True, slots=True)
class DecisionConfig:
    """[decision] When a score is a match."""

    verify_fmr: float = _option(1e-4, "share of impostors whose claim of an id may succeed", 1e-7, 0.1)
    identify_fpir: float = _option(1e-2, "share of strangers whom a search may take for somebody", 1e-7, 0.5)
    captures_fmr: float = _option(
        1e-2, "share of strangers who may pass as one in the captures of an enrolment", 1e-6, 0.5
    )
    threshold: float | None = _option(None, "a fixed cosine similarity instead of the stated rates", -1, 1)
    distance_threshold: float | None = _option(None, "the same as a Euclidean distance of unit vectors", 0, 2)
    refuse_duplicates: bool = _option(True, "refuse to enrol a face that is enrolled under another id")
    calibration_path: Path = _option(
        Path("var/calibration"), "directory of curves measured on the own gallery, which win over the shipped ones"
    )


#: What may be asked of whoever is before the camera, beside the face itself.
LIVENESS_MODES = ("off", "passive", "active", "both")


@dataclass(frozen=True, slots=True)
class LivenessConfig:
    """[liveness] What tells a living person from a picture of one."""

    identify: str = _option(
        "off",
        "what `identify` needs of the web: `off`; `passive`, a network; `active`, steps to do; `both`",
        choices=LIVENESS_MODES,
    )
    verify: str = _option("off", "the same of `verify`", choices=LIVENESS_MODES)
    enrol: str = _option("off", "the same of `enrol`", choices=LIVENESS_MODES)
    # Of 3 movements out of 5 with a turn among them there are 54 sequences, of 2 there are 14: so often fits a film.
    steps: int = _option(3, "movements that a challenge asks for", 2, 3)
    # The middle one of three counts, so that one that strays changes nothing.
    frames_per_step: int = _option(3, "images of each step, and of looking straight ahead before the first", 3, 4)
    flash: bool = _option(
        False, "a challenge may flash the screen in colours; tried on drawn light only, so not on real people yet"
    )
    # Three steps at the page's pace, a new beginning, and the upload of a slow line; the site's nonce lives as long.
    expires_s: float = _option(60.0, "a challenge is answered within this", 5, 300)
    # Nobody turns the head and holds still in less; the daemon's own clock counts.
    least_step_s: float = _option(0.3, "a person takes at least this for each step", 0, 5)
    # The page gives a step 8 s, on a slow machine some 12, then takes its pictures.
    most_step_s: float = _option(
        15.0, "a step takes no longer than this, from the one before it, the first from the challenge", 1, 300
    )
    # With the hashes that its steps told, each takes some 2 kB.
    max_challenges: int = _option(20_000, "challenges open at a time; one more is answered `busy`", 1, 100_000)
    # About 12 degrees: a nose stands some 0.4 of the distance between the eyes before them; a still one strays by 0.02.
    least_turn: float = _option(0.08, "how far the nose moves to a side in a turn, distances between the eyes", 0, 2)
    least_nod: float = _option(0.06, "how far it moves in looking up or down", 0, 2)
    # The detector's size of a face varies by 5 %.
    least_closer: float = _option(1.1, "how many times as large the face is after coming closer", 1, 5)
    # The cosine of 44 degrees. Rendered sheets are told from heads up to 42, at 50 not all of them.
    least_foreshortening: float = _option(
        0.72, "how narrow (in a nod, how low) the face may become by a step, times its shape before", 0, 1
    )
    # Between two images of a film cut to the steps at most 1.2; a second person beside the first is further.
    max_leap: float = _option(1.5, "how far the face may move between two images, widths of the face", 0, 10)
    # Drawn prints and screens, flat or bent: at most 0.19, but 0.28 for a drawn sheet bent to 63 mm and turned by 40
    # degrees. 27 turns and nods of five filmed men: 0.40 to 0.86.
    least_relief: float = _option(
        0.3, "share of the face that moves otherwise than a sheet, flat or bent, while the head turns", 0, 1
    )
    # As many grey levels of a well-lit face as a phone's screen adds in a lit room; not measured on real people.
    least_flash: float = _option(
        0.03, "how far the skin's colour moves towards a flash's, share of its brightness", 0, 1
    )
    # 99 of 100 photographs of lfw-dev reach it (2,594 of 2,613), and so do nearly all drawn prints.
    least_passive: float = _option(0.002, "least score of the passive network", 0, 1)


@dataclass(frozen=True, slots=True)
class WebConfig:
    """[web] The site in face_web/, which reads this section and the next itself."""

    host: str = _option("127.0.0.1", "address that `./scripts/serve` serves the site on; loopback only")
    port: int = _option(9988, "port of the site", 1, 65535)
    base_url: str = _option("http://127.0.0.1:9988", "the site's address as browsers see it, without a path")
    site_name: str = _option("Face login", "what the pages are headed with")
    login_mode: str = _option(
        "face",
        "`face`: whoever the camera sees (1:N); `email_face`: a claimed email, then the face (1:1); "
        "`face_then_password`: both",
        choices=("face", "email_face", "face_then_password"),
    )
    liveness: str = _option(
        "both",
        "what a login by the camera must show of a living person: `off`; `passive`, a network; `active`, steps to do; "
        "`both`",
        choices=LIVENESS_MODES,
    )
    face_only_accepted: bool = _option(
        False, "a face alone may open an account also where `base_url` is not loopback; read the README first"
    )
    registration: str = _option("open", "who may register", choices=("open", "invite", "closed"))
    upload_accepted: bool = _option(
        False, "a photo file may be sent instead of the camera's, at registration only, and more than once"
    )
    burst_frames: int = _option(3, "camera frames of one capture", 2, 10)
    session_path: Path = _option(Path("var/sessions"), "directory of the sessions")
    session_idle_s: int = _option(900, "a session ends after this long without a request", 60, 86400)
    session_absolute_s: int = _option(28800, "a session ends after this long at the latest", 300, 604800)
    fresh_login_s: int = _option(
        300,
        "an account is changed within this of giving the password, and a login is handed on to other sites",
        30,
        3600,
    )
    trusted_proxies: str = _option(
        "", "addresses or networks (10.0.0.0/8), separated by commas, whose X-Forwarded-For is believed"
    )
    daemon_timeout_s: float = _option(15.0, "the daemon must answer the site within this", 0.5, 120)
    audit_key_file: Path = _option(Path("var/audit.key"), "key of the audit log, mode 0600; made at set-up")
    audit_head_file: Path = _option(Path("var/audit.head"), "length and MAC of the audit log, outside the database")


@dataclass(frozen=True, slots=True)
class DatabaseConfig:
    """[database] Where the site keeps its users."""

    driver: str = _option("sqlite", "the database", choices=("sqlite", "mysql"))
    path: Path = _option(Path("var/users.sqlite"), "file of `sqlite`")
    host: str = _option("127.0.0.1", "server of `mysql` (MySQL or MariaDB)")
    port: int = _option(3306, "its port", 1, 65535)
    name: str = _option("face_login", "its database")
    user: str = _option("face_login", "who logs in there")
    password_file: Path | None = _option(None, "file with the password; unset is no password")


@dataclass(frozen=True, slots=True)
class LogConfig:
    """[log] What is written to standard error."""

    level: str = _option(
        "info", "least severity; SIGUSR1 changes to `debug` and back", choices=("debug", "info", "warning", "error")
    )
    format: str = _option("human", "lines for people, or one JSON object a line", choices=("human", "json"))


@dataclass(frozen=True, slots=True)
class MetricsConfig:
    """[metrics] Where a monitor may ask how the daemon is."""

    listen: str = _option("", "address:port that answers /metrics, /healthz and /readyz over HTTP; unset is off")
    exposed: bool = _option(
        False, "`listen` may be an address that others reach: they learn how many are enrolled and what fails, no names"
    )


@dataclass(frozen=True, slots=True)
class Config:
    """The whole of config.ini; `source` is the file it came from, or None for the defaults."""

    source: Path | None = None
    server: ServerConfig = ServerConfig()
    access: AccessConfig = AccessConfig()
    imaging: ImagingConfig = ImagingConfig()
    models: ModelsConfig = ModelsConfig()
    detection: DetectionConfig = DetectionConfig()
    alignment: AlignmentConfig = AlignmentConfig()
    embedding: EmbeddingConfig = EmbeddingConfig()
    quality: QualityConfig = QualityConfig()
    gallery: GalleryConfig = GalleryConfig()
    index: IndexConfig = IndexConfig()
    decision: DecisionConfig = DecisionConfig()
    liveness: LivenessConfig = LivenessConfig()
    web: WebConfig = WebConfig()
    database: DatabaseConfig = DatabaseConfig()
    log: LogConfig = LogConfig()
    metrics: MetricsConfig = MetricsConfig()


SECTIONS: dict[str, type[Any]] = {
    name: type(getattr(Config(), name)) for name in (f.name for f in dataclasses.fields(Config)) if name != "source"
}

#: Former names, of the original system and of earlier releases. Of an option that is read no more: why.
ALIASES: dict[tuple[str, str], tuple[str, str] | str] = {
    ("annoy", "face_vector"): "the model decides it",
    ("index", "search_k"): "each build of the index measures it",
    ("annoy", "index_path"): ("index", "path"),
    ("annoy", "num_trees"): ("index", "trees"),
    ("annoy", "num_nn_nearst"): ("index", "neighbours"),
    ("lmdb", "lmdb_path"): ("gallery", "path"),
    ("facedetect", "model"): ("embedding", "model"),
    ("mtcnn", "model"): ("detection", "model"),
    ("alignment", "imgsize"): ("alignment", "affine3_size"),
    ("alignment", "left_eye"): ("alignment", "affine3_eye_left"),
    ("alignment", "right_eye"): ("alignment", "affine3_eye_right"),
    ("alignment", "noise"): ("alignment", "affine3_nose"),
}


def load_config(path: Path) -> Config:
    """Read, check and complete config.ini; paths in it are relative to the directory it stands in.

    Raises ConfigError naming section, option and remedy: for a file that cannot be read, an unknown section or option,
    a value out of range, and everything that Python and PHP would read differently.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} cannot be read: {error}") from error
    _portable_lines(text, path)
    parser = configparser.ConfigParser(
        interpolation=None, delimiters=("=",), comment_prefixes=(";",), default_section="\0"
    )
    try:
        parser.read_string(text, source=str(path))
    except configparser.Error as error:
        raise ConfigError(f"{path}: {error}") from error
    values: dict[str, dict[str, Any]] = {name: {} for name in SECTIONS}
    for section, name, raw in _renamed(parser, path):
        if name in values[section]:
            raise ConfigError(f"{path}: [{section}] {name} is given twice, once under its original name")
        values[section][name] = _parse(section, name, raw, path)
    return _rooted(Config(path, **{name: cls(**values[name]) for name, cls in SECTIONS.items()}), path.parent)


def options() -> Iterator[tuple[str, dataclasses.Field[Any]]]:
    """(section, field) of every option, in the order of declaration."""
    for section, cls in SECTIONS.items():
        for declared in dataclasses.fields(cls):
            yield section, declared


_LINE = re.compile(r"\s*(;.*|\[[a-z0-9_]+\]|[a-z][a-z0-9_]*\s*=.*)?\s*")
_PHP_WORDS = {"yes", "no", "on", "off", "none", "null", "true", "false"}


def _portable_lines(text: str, path: Path) -> None:
    """Refuse what configparser and parse_ini_file(..., INI_SCANNER_RAW) read differently."""
    for number, line in enumerate(text.split("\n"), 1):
        name, equals, value = line.partition("=")
        reason = None
        if strange := [char for char in line if not char.isprintable() and char != "\t"]:
            reason = f"remove the invisible {strange[0]!a} (if it is '\\ufeff', save the file as UTF-8 without a BOM)"
        elif line.startswith((" ", "\t")) and line.strip():
            reason = "a line must not begin with a blank (a value has one line)"
        elif not _LINE.fullmatch(line):
            reason = "expected [section], lower_snake_case = value, or a comment that begins with ';'"
        elif equals and not line.startswith(";"):
            if any(char in value for char in ";#\"'"):
                reason = "a value must not hold ; # ' or \" (comments stand on a line of their own)"
            elif name.strip() in _PHP_WORDS:
                reason = f"PHP reads the name {name.strip()!r} as a constant"
        if reason:
            raise ConfigError(f"{path}, line {number}: {reason}")


def _renamed(parser: configparser.ConfigParser, path: Path) -> Iterator[tuple[str, str, str]]:
    for section in parser.sections():
        if section not in SECTIONS and not any(section == old for old, _ in ALIASES):
            raise ConfigError(f"{path}: unknown section [{section}]; there are {', '.join(SECTIONS)}")
        for name, raw in parser.items(section):
            if (section, name) in ALIASES:
                target = ALIASES[section, name]
                if isinstance(target, str):
                    log.warning("%s: [%s] %s is not needed any more, %s", path, section, name, target)
                    continue
                log.warning("%s: [%s] %s is now called [%s] %s", path, section, name, *target)
                yield *target, raw
            elif section in SECTIONS and name in {f.name for f in dataclasses.fields(SECTIONS[section])}:
                yield section, name, raw
            else:
                known = [f.name for f in dataclasses.fields(SECTIONS[section])] if section in SECTIONS else []
                known += [alias for old, alias in ALIASES if old == section and section not in SECTIONS]
                raise ConfigError(f"{path}: unknown option [{section}] {name}; there are {', '.join(known)}")


def _parse(section: str, name: str, raw: str, path: Path) -> Any:
    declared = next(f for f in dataclasses.fields(SECTIONS[section]) if f.name == name)
    where = f"{path}: [{section}] {name} = {raw}"
    try:
        value = _PARSERS[str(declared.type)](raw.strip())
    except ValueError as error:
        raise ConfigError(f"{where}: {error}") from None
    low, high, choices = (declared.metadata[key] for key in ("low", "high", "choices"))
    # `not (low <= value <= high)` also refuses NaN, which compares false with everything.
    if low is not None and value is not None and not low <= value <= high:
        raise ConfigError(f"{where}: must lie between {low} and {high}")
    if choices and value not in choices:
        raise ConfigError(f"{where}: must be one of {', '.join(choices)}")
    return value


def _boolean(raw: str) -> bool:
    if raw not in ("true", "false"):
        raise ValueError("must be true or false")
    return raw == "true"


def _integer(raw: str) -> int:
    if not re.fullmatch(r"-?[0-9]{1,18}", raw):
        raise ValueError("must be a whole number")
    return int(raw)


def _number(raw: str) -> float:
    if not re.fullmatch(r"-?[0-9]{1,18}(\.[0-9]{1,18})?", raw):
        raise ValueError("must be a number such as 0.5")
    return float(raw)


def _point(raw: str) -> Point:
    parts = raw.split(",")
    if len(parts) != 2:
        raise ValueError("must be two numbers, x, y")
    return (_number(parts[0].strip()), _number(parts[1].strip()))


def _path(raw: str) -> Path:
    if not raw:
        raise ValueError("must be a path")
    return Path(raw)


_PARSERS: dict[str, Callable[[str], Any]] = {
    "bool": _boolean,
    "int": _integer,
    "float": _number,
    "str": str,
    "Point": _point,
    "float | None": lambda raw: _number(raw) if raw else None,
    "Path": _path,
    "Path | None": lambda raw: Path(raw) if raw else None,
}


def _rooted(config: Config, root: Path) -> Config:
    """The same config with every path made absolute from the directory of its file."""

    def absolute(section: Any) -> Any:
        paths = {f.name: getattr(section, f.name) for f in dataclasses.fields(section)}
        return dataclasses.replace(section, **{n: root.resolve() / p for n, p in paths.items() if isinstance(p, Path)})

    sections = {name: absolute(getattr(config, name)) for name in SECTIONS}
    return dataclasses.replace(config, **sections)
