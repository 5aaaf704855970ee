"""The gallery: who is enrolled, kept for ever and found at once. Upstairs needs only what is named here."""

from face_server.gallery.gallery import Gallery
from face_server.gallery.index import IndexUnusable
from face_server.gallery.local import GalleryOptions, LocalGallery
from face_server.gallery.results import (
    Added,
    Enrolment,
    Forgetting,
    IndexStatus,
    RebuildResult,
    Removal,
    RewrittenFile,
    StoredTemplate,
    SubjectDetail,
    SubjectEntry,
    SubjectPage,
)
from face_server.gallery.store import TemplateStore

__all__ = [
    "Added",
    "Enrolment",
    "Forgetting",
    "Gallery",
    "GalleryOptions",
    "IndexStatus",
    "IndexUnusable",
    "LocalGallery",
    "RebuildResult",
    "Removal",
    "RewrittenFile",
    "StoredTemplate",
    "SubjectDetail",
    "SubjectEntry",
    "SubjectPage",
    "TemplateStore",
]
