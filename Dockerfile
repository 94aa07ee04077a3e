# Two images come out of this file:
#   docker build -t headgate .                          everything: headgate run, status page, rollouts
#   docker build -t headgate:sidecar --target sidecar . the data plane alone: headgate proxy
# BASE needs Python >= 3.11 with venv and headers, and apt. Pin it by digest where that matters to you.
ARG BASE=python:3.11-slim

FROM ${BASE} AS build
# The wheel is platform-dependent where a C compiler is there; only this stage has one.
# hadolint ignore=DL3008
RUN apt-get update \
 && apt-get install --yes --no-install-recommends gcc libc6-dev \
 && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY requirements/ requirements/
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_ROOT_USER_ACTION=ignore
RUN python3 -m venv /opt/build \
 && /opt/build/bin/pip install --require-hashes -r requirements/build.txt \
 && python3 -m venv --without-pip /opt/sidecar \
 && /opt/build/bin/pip --python /opt/sidecar/bin/python install --require-hashes -r requirements/sidecar.txt \
 && python3 -m venv --without-pip /opt/headgate \
 && /opt/build/bin/pip --python /opt/headgate/bin/python install --require-hashes -r requirements/run.txt
COPY . .
RUN /opt/build/bin/pip wheel --no-deps --no-build-isolation --wheel-dir /wheels . \
 && /opt/build/bin/pip --python /opt/sidecar/bin/python install --no-deps /wheels/*.whl \
 && /opt/build/bin/pip --python /opt/headgate/bin/python install --no-deps /wheels/*.whl

FROM ${BASE} AS base
LABEL org.opencontainers.image.title="Headgate" \
      org.opencontainers.image.description="A reverse proxy for model servers that splits, counts, judges and rolls back" \
      org.opencontainers.image.licenses="Apache-2.0"
# A number, so that runAsNonRoot can be checked without looking into the image.
RUN groupadd --gid 10001 headgate \
 && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /var/lib/headgate --shell /usr/sbin/nologin headgate \
 && install -d -o 10001 -g 10001 -m 0750 /var/lib/headgate \
 && install -d -m 0755 /etc/headgate
# The file system may be read-only: the only place written to is the state directory, which the configuration
# names (state: {directory: /var/lib/headgate}).
ENV PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1 HEADGATE_ADMIN=http://127.0.0.1:9901
USER 10001:10001
WORKDIR /var/lib/headgate
VOLUME /var/lib/headgate
EXPOSE 8080
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s --retries=3 CMD ["headgate", "status", "--ready"]
ENTRYPOINT ["headgate"]

FROM base AS sidecar
COPY --from=build /opt/sidecar /opt/sidecar
ENV PATH=/opt/sidecar/bin:$PATH
CMD ["proxy", "/etc/headgate/headgate.yaml"]

FROM base AS headgate
COPY --from=build /opt/headgate /opt/headgate
ENV PATH=/opt/headgate/bin:$PATH
CMD ["run", "/etc/headgate/headgate.yaml"]
