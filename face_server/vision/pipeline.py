"""One picture to one template, or a named refusal: the order of the steps and whose face counts. Knows no gallery.

Each step is public and takes what the one before gave, so that a benchmark can time them one by one:
decode -> choose -> assess -> crop -> embed.
"""

from __future__ import annotations

import hashlib
import time
from dataclasses import dataclass, field
from enum import Enum

import cv2
import numpy as np

from face_server.config import DetectionConfig, ImagingConfig, QualityConfig
from face_server.errors import NoFace
from face_server.observing import NOBODY, Observer, Stage, timed
from face_server.types import BoundingBox, DetectedFace, FloatArray, Quality, RgbImage, Template
from face_server.vision import face_crop, imaging, lighting, quality
from face_server.vision.alignment import Aligner
from face_server.vision.detection import Detector
from face_server.vision.embedding import Embedder
from face_server.vision.quality import Limits

#: MTCNN's networks were trained on faces from this size on; what they see in fewer pixels is mostly no face.
_LEAST_FACE_PX = 20


class Purpose(Enum):
    """What a template is for: an enrolled one serves for years and must be better than a search's, which is retried."""

    ENROL = "enrol"
    SEARCH = "search"


@dataclass(frozen=True, slots=True)
class Detection:
    """All faces of a picture, largest first, and the size of the upright picture in pixels."""

    width: int
    height: int
    faces: tuple[DetectedFace, ...]


@dataclass(frozen=True, slots=True)
class Capture:
    """The template of a picture's one face, and where that face is."""

    template: Template
    face: DetectedFace


@dataclass(frozen=True, slots=True, eq=False)
class Sighting:
    """A picture's one face and its unit vector (dimension,) float32, however it is turned or lit.

    given: the picture as the camera gave it, (height, width, 3) uint8 RGB. sha256: hex, of the bytes that were sent.
    """

    given: RgbImage = field(repr=False)
    face: DetectedFace
    vector: FloatArray = field(repr=False)
    sha256: str


class FacePipeline:
    """From bytes to a template. Holds no state but its parts; one thread at a time unless the networks allow more."""

    def __init__(
        self,
        detector: Detector,
        aligner: Aligner,
        embedder: Embedder,
        imaging: ImagingConfig,
        quality: QualityConfig,
        detection: DetectionConfig,
        *,
        keep_crops: bool = False,
        observer: Observer = NOBODY,
    ) -> None:
        self.detector = detector
        self._aligner = aligner
        self._embedder = embedder
        self._max_pixels = imaging.max_image_pixels
        self._low_light = imaging.low_light_luminance
        self._limits = {purpose: Limits.of(quality, purpose.value) for purpose in Purpose}
        self._keep_crops = keep_crops
        self._observer = observer
        self._second_look_px = max(_LEAST_FACE_PX, detection.min_face_px // 2)

    @property
    def fingerprint(self) -> str:
        """Identifies weights and preprocessing; templates of another fingerprint cannot be compared."""
        return self._embedder.fingerprint

    @property
    def dimension(self) -> int:
        """Length of a template's vector."""
        return self._embedder.dimension

    def detect(self, image_bytes: bytes) -> Detection:
        """Every face of a picture; none is not an error. Raises ImageTooLarge, ImageUnreadable."""
        with timed(self._observer, Stage.DECODE):
            image = self.decode(image_bytes)
        with timed(self._observer, Stage.DETECT):
            faces = self.detector.detect(image)
        return Detection(image.shape[1], image.shape[0], faces)

    def capture(self, image_bytes: bytes, purpose: Purpose) -> Capture:
        """The template of the largest face; for enrolment it bears the face's crop, where crops are kept.

        Raises ImageTooLarge, ImageUnreadable, NoFace, SeveralFaces, FaceTooSmall, CutOff, TooDark, TooBright,
        TurnedAway, Blurred, Internal.
        """
        observer = self._observer
        given, image = self._opened(image_bytes)
        with timed(observer, Stage.DETECT):
            face = self.choose(image, purpose)
        with timed(observer, Stage.ALIGN):
            measured = self.assess(given, face, purpose)
            crop = self.crop(image, face)
        with timed(observer, Stage.EMBED):
            vector = self.embed(crop)
        sha256 = hashlib.sha256(image_bytes).hexdigest()
        return Capture(self._template(vector, sha256, measured, image, face, purpose), face)

    def sight(self, image_bytes: bytes, purpose: Purpose = Purpose.SEARCH) -> Sighting:
        """The one face of a picture, turned away or oddly lit as it may be: a frame of somebody who moves.

        Raises ImageTooLarge, ImageUnreadable, NoFace, SeveralFaces, FaceTooSmall, CutOff, TurnedAway, Internal.
        """
        given, image = self._opened(image_bytes)
        with timed(self._observer, Stage.DETECT):
            face = self.choose(image, purpose)
        with timed(self._observer, Stage.ALIGN):
            crop = self.crop(image, face)
        with timed(self._observer, Stage.EMBED):
            vector = self.embed(crop)
        return Sighting(given, face, vector, hashlib.sha256(image_bytes).hexdigest())

    def capture_of(self, seen: Sighting, purpose: Purpose) -> Capture:
        """The same as `capture` of the picture that was seen, without its networks running again.

        Raises FaceTooSmall, CutOff, TooDark, TooBright, TurnedAway, Blurred.
        """
        measured = self.assess(seen.given, seen.face, purpose)
        image = lighting.brightened(seen.given, self._low_light)
        return Capture(self._template(seen.vector, seen.sha256, measured, image, seen.face, purpose), seen.face)

    def _opened(self, image_bytes: bytes) -> tuple[RgbImage, RgbImage]:
        """The picture as it was given, and brightened if it is dark. Raises ImageTooLarge, ImageUnreadable."""
        with timed(self._observer, Stage.DECODE):
            given = imaging.decode(image_bytes, self._max_pixels)
            return given, lighting.brightened(given, self._low_light)

    def _template(
        self,
        vector: FloatArray,
        sha256: str,
        measured: Quality,
        image: RgbImage,
        face: DetectedFace,
        purpose: Purpose,
    ) -> Template:
        return Template(
            vector=vector,
            fingerprint=self.fingerprint,
            created_s=time.time(),
            image_sha256=sha256,
            quality=measured,
            crop=face_crop.cut(image, face) if self._keep_crops and purpose is Purpose.ENROL else None,
        )

    def decode(self, image_bytes: bytes) -> RgbImage:
        """The upright picture (height, width, 3) uint8, brightened if dark. Raises ImageTooLarge, ImageUnreadable."""
        return lighting.brightened(imaging.decode(image_bytes, self._max_pixels), self._low_light)

    def choose(self, image: RgbImage, purpose: Purpose) -> DetectedFace:
        """The largest face, if it is large enough and no other is nearly as large; smaller ones are passers-by.

        Raises NoFace, SeveralFaces, FaceTooSmall.
        """
        faces = self.detector.detect(image) or self._second_look(image)
        if not faces:
            raise NoFace("No face was found: please look into the camera, in good light, with nothing before the face.")
        # Size first: of two faces far away, both must come closer before it matters that there are two.
        quality.check_size(faces[0], self._limits[purpose].min_face_px)
        quality.check_alone(faces, self._limits[purpose].second_face)
        return faces[0]

    def assess(self, given: RgbImage, face: DetectedFace, purpose: Purpose) -> Quality:
        """Measure a face in the picture as it was given, not brightened, which would hide that the room is dark.

        Raises FaceTooSmall, CutOff, TooDark, TooBright, TurnedAway, Blurred.
        """
        return quality.check(given, face, self._limits[purpose])

    def crop(self, image: RgbImage, face: DetectedFace) -> RgbImage:
        """The aligned crop (size, size, 3) uint8 of a face. Raises TurnedAway, CutOff."""
        return self._aligner.align(image, face)

    def embed(self, crop: RgbImage) -> FloatArray:
        """The unit vector (dimension,) float32 of a crop. Raises Internal."""
        vector: FloatArray = self._embedder.embed(crop[np.newaxis])[0]
        return vector

    def warm_up(self) -> None:
        """Run every step once on a drawn face, so that the first request is as fast as the tenth."""
        image, face = _drawn_face()
        image = self.decode(imaging.encode_png(image))
        self.detector.detect(image)
        self.embed(self.crop(image, face))

    def _second_look(self, image: RgbImage) -> tuple[DetectedFace, ...]:
        # "Come closer" helps a person whose face is too small to be looked for; "no face" would not. All of them count:
        # in a large picture, which is searched shrunk, a face found only now may be large enough, and not be alone.
        return self.detector.detect(image, min_face_px=self._second_look_px)


def _drawn_face() -> tuple[RgbImage, DetectedFace]:
    """A picture of a webcam's size with a face of a few strokes, which MTCNN's three networks take for one."""
    image = np.full((480, 640, 3), 190, np.uint8)
    landmarks = ((285.0, 210.0), (355.0, 210.0), (320.0, 250.0), (295.0, 290.0), (345.0, 290.0))
    cv2.ellipse(image, (320, 240), (75, 100), 0, 0, 360, (222, 172, 145), -1)
    cv2.ellipse(image, (320, 165), (75, 40), 0, 180, 360, (60, 40, 30), -1)
    for x, y in landmarks[:2]:
        cv2.ellipse(image, (int(x), int(y) - 18), (18, 4), 0, 0, 360, (70, 45, 35), -1)
        cv2.ellipse(image, (int(x), int(y)), (14, 7), 0, 0, 360, (245, 240, 235), -1)
        cv2.circle(image, (int(x), int(y)), 6, (40, 30, 25), -1)
    cv2.ellipse(image, (320, 250), (12, 6), 0, 0, 180, (170, 115, 95), -1)
    cv2.ellipse(image, (320, 288), (27, 8), 0, 0, 360, (165, 80, 80), -1)
    image = cv2.GaussianBlur(image, (0, 0), 2)
    return image, DetectedFace(BoundingBox(245, 140, 395, 340), landmarks, 1.0)
