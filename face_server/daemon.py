"""`face-server serve`: start-up, signals and the end of the daemon's process. Knows the parts only as assembled."""

from __future__ import annotations

import logging
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from face_server.access import Access, ensure_token
from face_server.assembly import assemble_gallery, assemble_pipeline, assemble_service
from face_server.config import Config, MetricsConfig
from face_server.health import Health
from face_server.observing import NOBODY, Observer
from face_server.server import FaceServer, serve_until_signalled
from face_server.vision.runtime import release_unused_memory
from face_server.wire.requests import Level

if TYPE_CHECKING:
    from collections.abc import Callable

log = logging.getLogger(__name__)


def serve(config: Config, announce: Callable[[str], None]) -> None:
    """Load the networks once, answer until SIGTERM or SIGINT, finish what is in hand.

    `announce` gets one line when the daemon is ready: after the networks ran once, so that the first request is as
    fast as the tenth. Raises StartupError, ModelMismatch.
    """
    started = time.monotonic()
    # Until the server takes the signals over, a Ctrl-C or SIGTERM ends the start-up.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    signal.signal(signal.SIGUSR1, signal.SIG_IGN)
    web = config.server.unix_socket is not None
    access = Access(
        ensure_token(config.access.web_token_file),
        ensure_token(config.access.operator_token_file),
        # On a Unix socket the file's mode has let in whoever comes; the operator still shows a token.
        without_token=Level.WEB if web else None,
    )
    with _watched(config.metrics) as (observer, watch):
        log.info("loading %s and %s ...", config.detection.model, config.embedding.model)
        pipeline = assemble_pipeline(config, observer)
        pipeline.warm_up()
        release_unused_memory()
        with assemble_gallery(config, pipeline.fingerprint, pipeline.dimension, observer) as gallery:
            service = assemble_service(config, pipeline, gallery, observer)

            def ready(address: str, server: FaceServer) -> None:
                watch(server)
                log.info("%d subjects, %d templates", gallery.subject_count(), gallery.template_count())
                announce(f"face-server: ready on {address} after {time.monotonic() - started:.1f} s")

            serve_until_signalled(service, access, config.server, ready, observer)
    log.info("stopped")


@contextmanager
def _watched(config: MetricsConfig) -> Iterator[tuple[Observer, Callable[[FaceServer], None]]]:
    """Who is told what happens, and what to call with the server once it serves; monitors are answered meanwhile."""
    if not config.listen:
        yield NOBODY, lambda server: None
        return
    # Its tenth of a second is only for those who watch.
    from face_server.metrics import CONTENT_TYPE, Metrics
    from face_server.probes import Probes

    health, metrics = Health(), Metrics()

    def watch(server: FaceServer) -> None:
        health.serving(server)
        metrics.watch(server, health)

    with Probes(config, health, metrics.text, CONTENT_TYPE):
        yield metrics, watch
