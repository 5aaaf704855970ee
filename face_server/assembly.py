"""Puts the parts together from a Config. The only module that knows all of them; it decides nothing.

The heavy imports (TensorFlow, OpenCV) happen inside the functions, so that `--help` and the clients cost nothing.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias
from urllib.parse import urlsplit

from face_server.access import read_secret, read_token
from face_server.calibration import Calibration, find_calibration
from face_server.client import Client
from face_server.config import Config
from face_server.decision import Decision, is_match, make_decision
from face_server.errors import ConfigError
from face_server.listening import is_loopback
from face_server.models import verified_files, verify
from face_server.observing import NOBODY, Observer

#: Shows a build that is being waited for, by what tells its phase and the share that is done.
Shown: TypeAlias = Callable[[Callable[[], tuple[str, float] | None]], AbstractContextManager[None]]

if TYPE_CHECKING:
    from face_server.gallery.gallery import Gallery
    from face_server.gallery.store.sealing import StoreKey
    from face_server.liveness.texture import PassiveNetwork
    from face_server.presence import Presence
    from face_server.service import Service
    from face_server.types import FloatArray
    from face_server.vision.alignment import Aligner
    from face_server.vision.centring import Centre
    from face_server.vision.embedding import Embedder
    from face_server.vision.pipeline import FacePipeline
    from face_server.wire.replies import RebuildReply

#: The tensors between which a FaceNet graph is run; the same in all of the 2018 checkpoints.
FACENET_INPUT, FACENET_OUTPUT = "input", "embeddings"

#: The [embedding] model that is no FaceNet: it has an alignment of its own, and [alignment] is not for it.
MOBILEFACENET = "mobilefacenet"

#: The optional model that judges single images for liveness, and its file.
PASSIVE_MODEL, PASSIVE_FILE = "fr-liveness", "fr-liveness.onnx"


def assemble_pipeline(config: Config, observer: Observer = NOBODY) -> FacePipeline:
    """Detector, aligner and embedder on verified weights. Raises ModelFileError, ConfigError."""
    from face_server.vision.detection import MtcnnDetector
    from face_server.vision.pipeline import FacePipeline
    from face_server.vision.runtime import load_mtcnn

    networks = load_mtcnn(*verified_files(config.models.path, config.detection.model))
    return FacePipeline(
        MtcnnDetector(networks, config.detection),
        assemble_aligner(config),
        assemble_embedder(config),
        config.imaging,
        config.quality,
        config.detection,
        keep_crops=config.gallery.keep_crops,
        observer=observer,
    )


def assemble_aligner(config: Config) -> Aligner:
    """The alignment that the embedding network was trained on: [alignment], or a network's own. Raises ConfigError."""
    from face_server.vision.alignment import ARCFACE_112, Aligner

    return Aligner(ARCFACE_112 if config.embedding.model == MOBILEFACENET else config.alignment)


def assemble_embedder(config: Config) -> Embedder:
    """The embedding network on verified weights, with its centre if it has one. Raises ModelFileError, ConfigError."""
    from face_server.vision.embedding import NetworkEmbedder
    from face_server.vision.runtime import load_frozen_graph, load_tflite

    path, sha256 = embedding_weights(config)
    if config.embedding.model == MOBILEFACENET:
        network = load_tflite(path)
    else:
        network = load_frozen_graph(path, FACENET_INPUT, config.alignment.image_size, FACENET_OUTPUT)
    return NetworkEmbedder(network, sha256, *_alignment_and_centre(config, sha256))


def expected_fingerprint(config: Config) -> str:
    """The fingerprint that templates will have; no network is loaded. Raises ModelFileError, ConfigError."""
    from face_server.vision.embedding import fingerprint_of

    _, sha256 = embedding_weights(config)
    return fingerprint_of(sha256, *_alignment_and_centre(config, sha256))


def _alignment_and_centre(config: Config, sha256: str) -> tuple[Mapping[str, Any], Centre | None]:
    from face_server.vision.centring import find_centre
    from face_server.vision.embedding import fingerprint_of

    alignment = assemble_aligner(config).describe()
    if not config.embedding.centre:
        return alignment, None
    return alignment, find_centre(config.models.path / "centres", fingerprint_of(sha256, alignment))


def embedding_weights(config: Config) -> tuple[Path, str]:
    """The verified file of [embedding] model and its sha256: of the manifest, or the operator's own .pb."""
    from face_server.models import sha256_of

    model, sha256 = config.embedding.model, config.embedding.sha256
    if not model.endswith(".pb"):
        (path,) = verified_files(config.models.path, model)
        return path, sha256_of(path)
    if not sha256:
        raise ConfigError(
            f"[embedding] model = {model} is a file: state its [embedding] sha256 too (sha256sum {model})"
        )
    root = config.source.parent if config.source else Path()
    verify(root / model, sha256)
    return root / model, sha256.lower()


def assemble_gallery(
    config: Config, fingerprint: str, dimension: int, observer: Observer = NOBODY, *, background: bool = True
) -> Gallery:
    """The gallery of [gallery] backend. background: whether one in LMDB builds its index by itself.

    Raises ConfigError, ModelMismatch, StoreLocked, StoreDamaged, KeyMismatch, and GalleryUnavailable for Milvus.
    """
    if config.gallery.backend == "milvus":
        return _assemble_milvus(config, fingerprint, dimension, observer)
    from face_server.gallery import GalleryOptions, LocalGallery

    return LocalGallery(
        GalleryOptions(
            store_path=config.gallery.path,
            index_path=config.index.path,
            fingerprint=fingerprint,
            dimension=dimension,
            trees=config.index.trees,
            neighbours=config.index.neighbours,
            kind=config.index.kind,  # type: ignore[arg-type]  # one of its choices
            recall=config.index.recall,
            search_k_max=config.index.search_k_max,
            trees_max=config.index.trees_max,
            overlay_max=config.index.overlay_max,
            background=background,
            max_templates_per_subject=config.gallery.max_templates_per_subject,
            max_map_bytes=config.gallery.max_map_bytes,
            key=assemble_key(config),
            memory_only_index=config.gallery.encryption_key_file is not None,
        ),
        observer,
    )


def _assemble_milvus(config: Config, fingerprint: str, dimension: int, observer: Observer) -> Gallery:
    require_milvus(config)
    from face_server.gallery.milvus.milvus_gallery import MilvusGallery
    from face_server.gallery.milvus.server import MilvusOptions

    gallery = config.gallery
    return MilvusGallery(
        MilvusOptions(
            uri=milvus_uri(config),
            fingerprint=fingerprint,
            dimension=dimension,
            max_templates_per_subject=gallery.max_templates_per_subject,
            token=read_secret(gallery.milvus_token_file) if gallery.milvus_token_file else "",
            ca=gallery.milvus_ca,
            collection=gallery.milvus_collection,
            index="hnsw" if gallery.milvus_index == "hnsw" else "flat",
            timeout_s=gallery.milvus_timeout_s,
        ),
        observer,
    )


def milvus_uri(config: Config) -> str:
    """Of the server, or the absolute path of the Milvus Lite."""
    uri = config.gallery.milvus_uri
    root = config.source.parent.resolve() if config.source else Path()
    return uri if _is_server(uri) else str(root / uri)


def _is_server(uri: str) -> bool:
    return uri.startswith(("http://", "https://"))


def require_milvus(config: Config) -> None:
    """Raises ConfigError where [gallery] asks of Milvus what it cannot, or must not, do."""
    gallery = config.gallery
    if gallery.encryption_key_file is not None:
        raise ConfigError(
            "[gallery] encryption_key_file is for backend = lmdb: Milvus searches the vectors themselves and must have "
            "them readable. Encrypt the disks below Milvus instead, and leave this option empty."
        )
    if not re.fullmatch("[A-Za-z_][A-Za-z0-9_]{0,99}", gallery.milvus_collection):
        raise ConfigError("[gallery] milvus_collection has 1 to 100 letters, digits and _, and begins with no digit")
    if not _is_server(gallery.milvus_uri):
        if not gallery.milvus_uri.endswith(".db"):
            raise ConfigError(
                f"[gallery] milvus_uri = {gallery.milvus_uri} is neither https://host:port nor a path ending in .db"
            )
        return
    parts = urlsplit(gallery.milvus_uri)
    if parts.username or parts.password:
        raise ConfigError("[gallery] milvus_uri holds a password: put it into the file of milvus_token_file")
    if parts.scheme == "http" and not is_loopback(parts.hostname or ""):
        raise ConfigError(
            f"[gallery] milvus_uri = {gallery.milvus_uri} would send templates and token over the network in the "
            "clear: use https, or a tunnel that ends on this machine"
        )


def require_lmdb(config: Config, command: str) -> None:
    """Raises ConfigError for a command that works on the files of a gallery, where Milvus keeps it."""
    if config.gallery.backend != "lmdb":
        raise ConfigError(
            f"`face-server {command}` works on the files of a gallery in LMDB; this one is in Milvus ([gallery] "
            "backend), which has tools of its own for that: see docs/scale.md"
        )


def assemble_key(config: Config) -> StoreKey | None:
    """The key that the gallery is sealed with, if one is configured. Raises ConfigError for a file that is none."""
    from face_server.gallery.store.sealing import StoreKey

    path = config.gallery.encryption_key_file
    return None if path is None else StoreKey.read(path)


def assemble_calibration(config: Config, fingerprint: str) -> Calibration | None:
    """The curves of this fingerprint: those measured on the own gallery, else those shipped, else None.

    Raises ConfigError for a damaged file.
    """
    return find_calibration((config.decision.calibration_path, config.models.path / "calibration"), fingerprint)


def assemble_service(config: Config, pipeline: FacePipeline, gallery: Gallery, observer: Observer = NOBODY) -> Service:
    """The use-cases over these parts. Raises ConfigError when the stated error rates cannot be supported."""
    from face_server.legacy_images import read_below
    from face_server.service import Service

    decision = make_decision(config.decision, assemble_calibration(config, pipeline.fingerprint))

    root, max_bytes = config.server.legacy_image_root, config.server.max_image_bytes
    return Service(
        pipeline,
        gallery,
        decision,
        config.embedding.model,
        assemble_presence(config, pipeline, decision),
        read_legacy_image=lambda name: read_below(root, name, max_bytes),
        legacy_candidates=config.index.neighbours,
        observer=observer,
    )


def assemble_presence(config: Config, pipeline: FacePipeline, decision: Decision) -> Presence:
    """What judges who is there. The passive network is loaded where it is there, and must be where it is asked for.

    Raises ModelFileError.
    """
    from face_server.liveness.challenge import Mode
    from face_server.presence import Presence

    asked = [Mode.named(name) for name in (config.liveness.identify, config.liveness.verify, config.liveness.enrol)]
    passive = assemble_passive(config, needed=any(Mode.PASSIVE in mode for mode in asked))
    return Presence(pipeline, config.liveness, passive, same_person(decision), config.server.queue_timeout_s)


def assemble_passive(config: Config, needed: bool = False) -> PassiveNetwork | None:
    """The network that judges single images, None where it was not fetched and is not needed. Raises ModelFileError."""
    from face_server.liveness.texture import PassiveNetwork

    if not needed and not (config.models.path / PASSIVE_FILE).exists():
        return None
    (path,) = verified_files(config.models.path, PASSIVE_MODEL)
    return PassiveNetwork(path)


def same_person(decision: Decision) -> Callable[[FloatArray, FloatArray], bool]:
    """Whether two unit vectors are of one person: what captures of one enrolment must be."""

    def same(one: FloatArray, two: FloatArray) -> bool:
        return is_match(float(one @ two), decision.same_person_threshold(1))

    return same


def assemble_client(config: Config, timeout_s: float = 60.0) -> Client:
    """A client of the configured daemon, with the operator's token. Raises ConfigError as `read_token`, Client."""
    server = config.server
    return Client(
        server.host,
        server.port,
        unix_socket=server.unix_socket,
        token=read_token(config.access.operator_token_file),
        timeout_s=timeout_s,
        tls=server.tls_cert is not None,
        tls_ca=server.tls_ca,
        tls_name=server.tls_name,
    )


def rebuild_offline(config: Config, shown: Shown) -> RebuildReply:
    """Build the index without a daemon. Raises StoreLocked while one runs.

    `shown` is entered while it runs, and given what tells the phase and the share that is done.
    """
    from face_server.wire.replies import RebuildReply

    embedder = assemble_embedder(config)
    with assemble_gallery(config, embedder.fingerprint, embedder.dimension) as gallery:

        def told() -> tuple[str, float] | None:
            progress = gallery.index_status().progress
            return None if progress is None else (progress.phase, progress.done)

        with shown(told):
            result = gallery.rebuild()
        return RebuildReply(result.subjects, result.seconds)
