"""A flat or bent sheet before a pinhole camera: print and screen are both one. Owns the geometry, no picture's origin.

Sheet coordinates (s, t) are millimetres along the surface from the middle of the face, s to the right, t down. The
camera stands at the origin, looks along z, and sees x to the right, y down. Each pixel's ray is met with the surface.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from liveness.attacks.attempt import EYES_MM, HEIGHT_PX, WIDTH_PX
from liveness.attacks.performing import Pose

from face_server.types import FloatArray, RgbImage

#: Of a webcam that sees 60 degrees.
FOCAL_PX = WIDTH_PX / 2 / np.tan(np.radians(30))
#: Light from above, left and the camera's side; the share of it that comes from everywhere.
_LIGHT = np.array([-0.35, -0.5, -0.79])
_AMBIENT = 0.6


@dataclass(frozen=True, slots=True)
class Texture:
    """What is on a sheet: RGB pixels, how many of them a millimetre has, and the pixel that s = t = 0 stands for."""

    image: RgbImage
    pixels_per_mm: float
    middle: tuple[float, float]


@dataclass(frozen=True, slots=True)
class Seen:
    """What the camera sees of a sheet: the (height, width) maps s and t in mm, brightness, and where the sheet is."""

    s: FloatArray
    t: FloatArray
    shade: FloatArray
    there: FloatArray

    def sampled(self, texture: Texture) -> FloatArray:
        """The texture's colours (height, width, 3) float32, 0..255; its edge goes on where it ends."""
        x = self.s * np.float32(texture.pixels_per_mm) + np.float32(texture.middle[0])
        y = self.t * np.float32(texture.pixels_per_mm) + np.float32(texture.middle[1])
        sampled: FloatArray = cv2.remap(texture.image, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        return sampled.astype(np.float32)


def rotation(pose: Pose) -> np.ndarray:
    """3x3, sheet to camera: roll, then pitch, then yaw."""
    yaw, pitch, roll = np.radians([pose.yaw, pose.pitch, pose.roll])
    # Yaw to the right: what is nearest the camera, the middle of a bulge, moves to +x.
    about_y = np.array([[np.cos(yaw), 0, -np.sin(yaw)], [0, 1, 0], [np.sin(yaw), 0, np.cos(yaw)]])
    about_x = np.array([[1, 0, 0], [0, np.cos(pitch), -np.sin(pitch)], [0, np.sin(pitch), np.cos(pitch)]])
    about_z = np.array([[np.cos(roll), -np.sin(roll), 0], [np.sin(roll), np.cos(roll), 0], [0, 0, 1]])
    return about_y @ about_x @ about_z


def seen(
    pose: Pose, eyes_px: float, size_mm: tuple[float, float], corner_mm: tuple[float, float], bend: float = 0.0,
    upright: bool = True, pivot_mm: float = 0.0, at_px: tuple[float, float] = (0.0, 0.0),
) -> Seen:  # fmt: skip
    """How the camera sees a sheet.

    eyes_px: distance of the pictured eyes, 63 mm apart, when nearer is 1. size_mm: width, height. corner_mm: (s, t) of
    its upper left corner. bend: 1 / radius in 1/mm, positive bulges towards the camera; upright: about a vertical axis.
    pivot_mm: how far behind the sheet it is turned about, 0 where it is held in the hand. at_px: where the middle is.
    """
    turned = rotation(pose)
    depth = FOCAL_PX * EYES_MM / eyes_px / pose.nearer
    place = np.array([at_px[0] * depth / FOCAL_PX + pose.right_mm, at_px[1] * depth / FOCAL_PX + pose.down_mm, depth])
    place += np.array([0, 0, pivot_mm]) - turned @ np.array([0, 0, pivot_mm])
    # Every second pixel is enough: the maps are smooth, and the edge is drawn on the full ones.
    columns, rows = np.meshgrid(
        np.arange(0.5, WIDTH_PX, 2) - WIDTH_PX / 2, np.arange(0.5, HEIGHT_PX, 2) - HEIGHT_PX / 2
    )
    rays = np.stack([columns, rows, np.full_like(columns, FOCAL_PX)], axis=-1) / FOCAL_PX
    origin, rays = -turned.T @ place, rays @ turned
    first, second = (0, 1) if upright else (1, 0)
    along = _plane(origin, rays) if abs(bend) < 1e-6 else _cylinder(origin, rays, first, bend)
    met = origin + along[..., None] * rays
    curved = met[..., first] if abs(bend) < 1e-6 else np.arctan2(met[..., first] * bend, 1 - bend * met[..., 2]) / bend
    s, t = (curved, met[..., second]) if upright else (met[..., second], curved)
    normal = np.zeros_like(met)
    normal[..., first], normal[..., 2] = np.sin(curved * bend), -np.cos(curved * bend)
    lit = np.clip((normal @ turned.T) @ _LIGHT, 0, None) / 0.79
    s, t, shade = (_full(part) for part in (s, t, _AMBIENT + (1 - _AMBIENT) * lit))
    there = _inside(s, corner_mm[0], size_mm[0]) * _inside(t, corner_mm[1], size_mm[1])
    return Seen(s, t, shade, there)


def _plane(origin: np.ndarray, rays: np.ndarray) -> np.ndarray:
    with np.errstate(divide="ignore", invalid="ignore"):
        return -origin[2] / rays[..., 2]


def _cylinder(origin: np.ndarray, rays: np.ndarray, first: int, bend: float) -> np.ndarray:
    """Where rays meet the cylinder first^2 + (z - r)^2 = r^2, r = 1 / bend; the sheet is the side about z = 0."""
    radius = 1 / bend
    x, z, dx, dz = origin[first], origin[2] - radius, rays[..., first], rays[..., 2]
    a, b, c = dx**2 + dz**2, x * dx + z * dz, x**2 + z**2 - radius**2
    with np.errstate(invalid="ignore"):
        root = np.sqrt(b**2 - a * c)
    return (-b - np.sign(bend) * root) / a


def _full(part: np.ndarray) -> FloatArray:
    """All pixels of what was computed for every second; rays that miss the surface meet it nowhere near."""
    missed = np.nan_to_num(part, nan=1e4).astype(np.float32)
    full: FloatArray = cv2.resize(missed, (WIDTH_PX, HEIGHT_PX), interpolation=cv2.INTER_LINEAR)
    return full


def _inside(value: np.ndarray, start: float, length: float) -> np.ndarray:
    """1 within, 0 without, an edge of about a pixel between."""
    return np.clip(np.minimum(value - start, start + length - value) / 0.7 + 0.5, 0, 1)


def laid_over(background: RgbImage, layer: FloatArray, there: FloatArray) -> RgbImage:
    """The layer (height, width, 3), 0..255, over a background where it is there (0..1)."""
    mixed = background + (layer - background) * there[..., None]
    return np.clip(mixed, 0, 255).astype(np.uint8)
