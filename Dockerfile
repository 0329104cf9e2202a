# An image that runs `gitcd` as an unprivileged user, on a read-only root file system. docs/image.md says how.
#
#   docker build -t gitcd .
#   docker run --rm --read-only --tmpfs /tmp --tmpfs /var/cache/gitcd gitcd version
#
# BASE is any Debian image that has Python 3.11 or newer with its venv module; GO builds kustomize and stays behind. Both
# digests are those of the index for all platforms that Docker Hub had under the tag in the autumn of 2026, as many other
# projects' Dockerfiles pin it too. To renew one: `docker buildx imagetools inspect NAME:TAG`.
ARG BASE=docker.io/library/python:3.13.15-slim-bookworm@sha256:2325bb286ec344af3e5898cc224b5844e2707ac6e26b1632516fd3edc84a5e26
ARG GO=docker.io/library/golang:1.26.8-bookworm@sha256:a688600ca24f8a4d3ca77f95b0dd40704a9fc787c826660eb7ba0b641b8b175d

FROM ${GO} AS kustomize
ARG KUSTOMIZE=v5.8.1
# Go holds every module against its public checksum database.
RUN GOBIN=/out GOTOOLCHAIN=local CGO_ENABLED=0 go install -trimpath -ldflags=-s \
    sigs.k8s.io/kustomize/kustomize/v5@${KUSTOMIZE}

FROM ${BASE} AS build
WORKDIR /src
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
COPY requirements.lock requirements-run.lock ./
# Only what gitcd needs to run goes to /opt/gitcd; what builds and tests it goes to /opt/tools.
RUN python3 -m venv /opt/gitcd && /opt/gitcd/bin/pip install --require-hashes -r requirements-run.lock
RUN python3 -m venv /opt/tools && /opt/tools/bin/pip install --require-hashes -r requirements.lock
COPY CHANGELOG.md LICENSE README.md pyproject.toml ./
COPY examples examples
COPY templates templates
COPY gitcd gitcd
RUN /opt/tools/bin/python -m build --wheel --no-isolation --outdir /dist \
 && /opt/gitcd/bin/pip install --no-index --no-deps /dist/*.whl \
 && /opt/gitcd/bin/pip uninstall --yes pip

FROM ${BASE} AS system
RUN apt-get update \
 && apt-get install --yes --no-install-recommends ca-certificates git gpg gpg-agent openssh-client \
 && rm -rf /var/lib/apt/lists/* \
 && groupadd --gid 65532 gitcd \
 && useradd --uid 65532 --gid 65532 --no-create-home --home-dir /tmp --shell /usr/sbin/nologin gitcd \
 && install --directory --owner=65532 --group=65532 --mode=0700 /var/cache/gitcd
COPY --from=kustomize /out/kustomize /usr/local/bin/kustomize
ENV HOME=/tmp \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    GITCD_CACHE_DIR=/var/cache/gitcd
WORKDIR /tmp

# The test suite: `docker build --target test`.
FROM system AS test
RUN apt-get update \
 && apt-get install --yes --no-install-recommends make \
 && rm -rf /var/lib/apt/lists/*
COPY --from=build /opt/tools /opt/tools
COPY --chown=65532:65532 . /src
WORKDIR /src
ENV PATH=/opt/tools/bin:$PATH
RUN pip install --no-index --no-deps --no-build-isolation --disable-pip-version-check --editable . \
 && chown 65532:65532 /src
USER 65532:65532
CMD ["python", "-m", "pytest", "-n", "auto"]

# gitcd with the local stand-in for ECR: `docker build --target demo`.
FROM system AS demo
COPY --from=build /opt/tools /opt/tools
COPY --from=build /dist /dist
ENV PATH=/opt/tools/bin:$PATH
RUN pip install --no-index --no-deps --disable-pip-version-check /dist/*.whl
USER 65532:65532
ENTRYPOINT ["gitcd"]
CMD ["demo"]

FROM system
COPY --from=build /opt/gitcd /opt/gitcd
ENV PATH=/opt/gitcd/bin:$PATH
USER 65532:65532
ENTRYPOINT ["gitcd"]
