"""The gallery: who is enrolled, kept for ever and found at once. Upstairs needs only what is named here."""

from face_server.gallery.gallery import Gallery
from face_server.gallery.index.manifest import IndexUnusable
from face_server.gallery.local import LocalGallery
from face_server.gallery.options import GalleryOptions
from face_server.gallery.results import (
    Added,
    BuildProgress,
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
from face_server.gallery.store.template_store import TemplateStore

__all__ = [
    "Added",
    "BuildProgress",
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
