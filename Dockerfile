# An image that runs `gitcd` as an unprivileged user. It writes to /tmp and to the cache folder only, so it works with
# a read-only root file system when both are mounted:
#
#   docker build -t gitcd .
#   docker run --rm --read-only --tmpfs /tmp --tmpfs /var/cache/gitcd:uid=65532 gitcd version
#
# BASE is any Debian image with Python 3.11 or newer; pin it by digest where the build must be repeatable.
ARG BASE=docker.io/library/python:3.13-slim-bookworm

FROM ${BASE} AS build
WORKDIR /src
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
COPY requirements.lock requirements-run.lock ./
# Only the dependencies of the image itself go to /opt/gitcd; the tools that build the wheel stay behind.
RUN python -m venv /opt/gitcd \
 && /opt/gitcd/bin/pip install --require-hashes -r requirements-run.lock \
 && pip install --require-hashes -r requirements.lock
COPY pyproject.toml README.md CHANGELOG.md LICENSE ./
COPY examples examples
COPY templates templates
COPY gitcd gitcd
RUN python -m build --wheel --no-isolation --outdir /dist \
 && /opt/gitcd/bin/pip install --no-index --no-deps /dist/*.whl \
 && /opt/gitcd/bin/pip uninstall --yes pip

FROM ${BASE}
RUN apt-get update \
 && apt-get install --yes --no-install-recommends ca-certificates git openssh-client \
 && rm -rf /var/lib/apt/lists/* \
 && groupadd --gid 65532 gitcd \
 && useradd --uid 65532 --gid 65532 --no-create-home --home-dir /tmp --shell /usr/sbin/nologin gitcd \
 && install --directory --owner=65532 --group=65532 --mode=0700 /var/cache/gitcd
COPY --from=build /opt/gitcd /opt/gitcd
ENV PATH=/opt/gitcd/bin:$PATH \
    HOME=/tmp \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    GITCD_CACHE_DIR=/var/cache/gitcd
WORKDIR /tmp
USER 65532:65532
ENTRYPOINT ["gitcd"]
