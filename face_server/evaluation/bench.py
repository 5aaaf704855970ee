"""How fast is it? Times every stage, the daemon over its socket, and the original system's chain in the same run.

What one should look at are the ratios: both chains see the same picture, one after the other, in rounds that alternate,
so that whatever else the machine does meets both. Absolute times drift with the machine.
"""

from __future__ import annotations

import argparse
import io
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from face_server.access import read_token
from face_server.assembly import assemble_gallery, assemble_pipeline
from face_server.client import Client
from face_server.config import AlignmentConfig, Config, load_config
from face_server.models import verified_files
from face_server.types import BoundingBox, DetectedFace, RgbImage, Template
from face_server.vision import imaging
from face_server.vision.alignment import Aligner
from face_server.vision.detection import MtcnnDetector
from face_server.vision.pipeline import FacePipeline, Purpose
from face_server.vision.quality import measure
from face_server.wire.framing import FrameDecoder, encode_frame
from face_server.wire.messages import encode_request, parse_request
from face_server.wire.requests import Envelope, Identify, Limits, Refused

Chain = Callable[[], Any]

#: The original's smallest face; both chains are compared at it.
ORIGINAL_MIN_FACE_PX = 20


def main() -> None:
    """Print the whole table."""
    parser = argparse.ArgumentParser(prog="scripts/bench", description=__doc__.splitlines()[0])
    parser.add_argument("--photo", type=Path, default=Path("var/test-photos/obama.jpg"), help="a one-face photograph")
    parser.add_argument("--rounds", type=int, default=30, help="rounds of the stage times")
    parser.add_argument("--requests", type=int, default=2000, help="requests of the memory run")
    options = parser.parse_args()
    jpeg = webcam_picture(options.photo)
    config = load_config(Path("config.ini"))
    stages_and_original(config, jpeg, options.rounds)
    with tempfile.TemporaryDirectory() as directory:
        daemon(config, Path(directory), jpeg, options.requests)


def webcam_picture(photo: Path) -> bytes:
    """A 640x480 JPEG of one person before a grey wall, the face some 120 px wide, as a webcam sees a user."""
    image = imaging.decode(photo.read_bytes(), 100_000_000)
    height = 480
    width = round(image.shape[1] * height / image.shape[0])
    person = cv2.resize(image, (min(width, 640), height), interpolation=cv2.INTER_AREA)
    canvas = np.full((480, 640, 3), 140, np.uint8)
    left = (640 - person.shape[1]) // 2
    canvas[:, left : left + person.shape[1]] = person
    done, encoded = cv2.imencode(".jpg", cv2.cvtColor(canvas, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, 90])
    if not done:
        raise RuntimeError("OpenCV could not write a JPEG")
    return bytes(encoded)


def stages_and_original(config: Config, jpeg: bytes, rounds: int) -> None:
    """Print the time of each stage, and of the whole chain against the original's at the same smallest face."""
    pipeline = assemble_pipeline(config)
    pipeline.warm_up()
    for min_face_px in (config.detection.min_face_px, ORIGINAL_MIN_FACE_PX):
        _print_table(
            f"stages of one 640x480 picture, min_face_px {min_face_px} (ms)",
            _rounds(_stages(config, pipeline, jpeg, min_face_px), rounds),
        )
    chains = {
        f"this daemon's chain, min face {ORIGINAL_MIN_FACE_PX}": _our_chain(pipeline, jpeg),
        f"the original chain, min face {ORIGINAL_MIN_FACE_PX}": _original_chain(config, jpeg),
        f"this daemon's chain, min face {config.detection.min_face_px}": lambda: pipeline.capture(jpeg, Purpose.SEARCH),
    }
    times = _rounds(chains, rounds)
    _print_table("decode, detect, align, embed (ms)", times)
    ours, original, default = (statistics.median(values) for values in times.values())
    print(f"ratio original / ours, both at min face {ORIGINAL_MIN_FACE_PX}: {original / ours:.1f}")
    print(f"ratio original / ours as configured: {original / default:.1f}\n")


def _our_chain(pipeline: FacePipeline, jpeg: bytes) -> Chain:
    detector: MtcnnDetector = pipeline.detector  # type: ignore[assignment]

    def chain() -> Any:
        image = pipeline.decode(jpeg)
        face = detector.detect(image, min_face_px=ORIGINAL_MIN_FACE_PX)[0]
        return pipeline.embed(pipeline.crop(image, face))

    return chain


def _stages(config: Config, pipeline: FacePipeline, jpeg: bytes, min_face_px: int) -> dict[str, Chain]:
    detector: MtcnnDetector = pipeline.detector  # type: ignore[assignment]
    image = pipeline.decode(jpeg)
    view = detector.view(image)
    proposals = detector.propose(view, min_face_px)
    refined = detector.refine(view, proposals)
    face = detector.detect(image, min_face_px=min_face_px)[0]
    crop = pipeline.crop(image, face)
    vector = pipeline.embed(crop)
    stages: dict[str, Chain] = {
        "decode": lambda: pipeline.decode(jpeg),
        "normalise": lambda: detector.view(image),
        f"P-Net ({len(proposals)} proposals)": lambda: detector.propose(view, min_face_px),
        f"R-Net ({len(refined)} left)": lambda: detector.refine(view, proposals),
        "O-Net": lambda: detector.locate(view, refined),
        "align": lambda: pipeline.crop(image, face),
        "quality": lambda: pipeline.assess(image, face, Purpose.SEARCH),
        "embed": lambda: pipeline.embed(crop),
        "wire (encode, frame and parse a request)": lambda: _over_the_wire(config, jpeg),
    }
    return stages | {f"search {size} templates": _search(config, pipeline, vector, size) for size in (1000, 10_000)}


def _over_the_wire(config: Config, jpeg: bytes) -> Envelope | Refused:
    """What both ends do to one request with its picture, without the socket between them."""
    frame = encode_frame(encode_request(Envelope(1, "0" * 64, Identify((jpeg,)))))
    (content,) = FrameDecoder(config.server.max_frame_bytes).feed(frame)
    return parse_request(content, Limits(config.server.max_images, config.server.max_image_bytes))


def _search(config: Config, pipeline: FacePipeline, vector: Any, size: int) -> Chain:
    """A search among `size` random unit vectors, with an index."""
    import atexit
    import shutil
    from dataclasses import replace

    directory = Path(tempfile.mkdtemp())
    atexit.register(shutil.rmtree, directory, ignore_errors=True)
    places = {
        "gallery": replace(config.gallery, path=directory / "gallery"),
        "index": replace(config.index, path=directory / "index"),
    }
    gallery = assemble_gallery(replace(config, **places), pipeline.fingerprint, pipeline.dimension)  # type: ignore[arg-type]
    atexit.register(gallery.close)
    vectors = np.random.default_rng(0).normal(size=(size, pipeline.dimension)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    quality = measure(DetectedFace(BoundingBox(0, 0, 1, 1), ((0, 0), (1, 0), (0.5, 0.5), (0, 1), (1, 1)), 1.0), _GREY)
    for start in range(0, size, 20):
        batch = [
            Template(vectors[i], pipeline.fingerprint, 0.0, f"{i:064x}", quality) for i in range(start, start + 20)
        ]
        gallery.enrol(f"subject-{start}", batch)
    gallery.rebuild()
    return lambda: gallery.identify(vector, 1)


_GREY: RgbImage = np.full((160, 160, 3), 128, np.uint8)


def _original_chain(config: Config, jpeg: bytes) -> Chain:
    """The first generation's way: the `mtcnn` package's own detection, a three-point affine warp, per-image
    prewhitening, and the graph for one picture at a time."""
    from mtcnn import MTCNN

    from face_server.vision.runtime import load_frozen_graph

    (facenet,) = verified_files(config.models.path, "facenet-20180408-102900")
    network = load_frozen_graph(facenet, "input", 160, "embeddings")
    detector, aligner = MTCNN(), Aligner(AlignmentConfig(method="affine3"))

    def chain() -> Any:
        image = cv2.cvtColor(cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)
        found = detector.detect_faces(image, min_face_size=ORIGINAL_MIN_FACE_PX)[0]
        x, y, width, height = (float(value) for value in found["box"])
        points = ("left_eye", "right_eye", "nose", "mouth_left", "mouth_right")
        landmarks = tuple((float(found["keypoints"][p][0]), float(found["keypoints"][p][1])) for p in points)
        crop = aligner.align(image, DetectedFace(BoundingBox(x, y, x + width, y + height), landmarks, 1.0))  # type: ignore[arg-type]
        whitened = (crop - crop.mean()) / max(float(crop.std()), 1 / np.sqrt(crop.size))
        return network(whitened[np.newaxis].astype(np.float32))[0]

    return chain


def _rounds(chains: dict[str, Chain], rounds: int) -> dict[str, list[float]]:
    """Milliseconds of each chain, run in turn; the first two rounds warm up and are not counted."""
    times: dict[str, list[float]] = {name: [] for name in chains}
    for number in range(rounds + 2):
        for name, chain in chains.items():
            started = time.perf_counter()
            chain()
            if number >= 2:
                times[name].append((time.perf_counter() - started) * 1000)
    return times


def daemon(config: Config, directory: Path, jpeg: bytes, requests: int) -> None:
    """Print start-up time, identify at 1 and 8 connections, and memory over many requests, of a real daemon."""
    path = directory / "config.ini"
    path.write_text(f"[server]\nport = 0\n[models]\npath = {config.models.path}\n[log]\nlevel = warning\n")
    started = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, "-m", "face_server", "serve", "--config", str(path)], stdout=subprocess.PIPE, text=True
    )
    stdout: io.TextIOBase = process.stdout  # type: ignore[assignment]
    port = int(stdout.readline().split(" after ")[0].rsplit(":", 1)[1])
    print(f"start-up to ready: {time.perf_counter() - started:.1f} s")
    try:
        token = read_token(directory / "var" / "token.operator")
        with Client(port=port, token=token) as client:
            client.enrol("bench", [jpeg])
            _print_table("over the socket, one connection (ms)", _wire_times(client, jpeg))
        _connections(port, token, jpeg, 8, 200)
        _memory(process.pid, port, token, jpeg, requests)
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait()


def _wire_times(client: Client, jpeg: bytes) -> dict[str, list[float]]:
    return _rounds({"ping (wire alone)": client.ping, "identify": lambda: client.identify(jpeg)}, 100)


def _connections(port: int, token: str, jpeg: bytes, count: int, requests: int) -> None:
    """p50 and p95 of identify with so many connections asking at once, and requests per second."""
    times: list[float] = []

    def ask() -> None:
        with Client(port=port, token=token) as client:
            for _ in range(requests // count):
                started = time.perf_counter()
                client.identify(jpeg)
                times.append((time.perf_counter() - started) * 1000)

    threads = [threading.Thread(target=ask) for _ in range(count)]
    started = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    rate = len(times) / (time.perf_counter() - started)
    _print_table(f"over the socket, {count} connections (ms)", {"identify": times})
    print(f"requests per second at {count} connections: {rate:.1f}\n")


def _memory(pid: int, port: int, token: str, jpeg: bytes, requests: int) -> None:
    """RSS after a tenth of the requests and after all, and the peak."""
    with Client(port=port, token=token) as client:
        for number in range(1, requests + 1):
            client.identify(jpeg)
            if number == requests // 10:
                early = _memory_mib(pid, "VmRSS")
    late = _memory_mib(pid, "VmRSS")
    print(f"RSS after {requests // 10} requests {early:.0f} MiB, after {requests} {late:.0f} MiB: {late / early:.3f}")
    print(f"peak memory {_memory_mib(pid, 'VmHWM'):.0f} MiB")


def _memory_mib(pid: int, name: str) -> float:
    """A figure of /proc/PID/status, MiB."""
    for line in Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1]) / 1024
    raise RuntimeError(f"{name} is not told by this system")


def _print_table(title: str, times: dict[str, list[float]]) -> None:
    print(title)
    for name, values in times.items():
        p95 = sorted(values)[int(len(values) * 0.95)]
        print(f"  {name:42s} p50 {statistics.median(values):8.2f}   p95 {p95:8.2f}")
    print()


if __name__ == "__main__":
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    main()
