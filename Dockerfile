# syntax=docker/dockerfile:1
# BASE is named by its digest, so that the same source makes the same image:
#   docker build --build-arg BASE=docker.io/library/python:3.13-slim@sha256:… -t gyrostat .
ARG BASE

FROM ${BASE} AS build
ARG BASE
RUN case "$BASE" in *@sha256:*) ;; *) echo "BASE must be pinned: image@sha256:digest, not '$BASE'" >&2; exit 1 ;; esac
WORKDIR /src
COPY Makefile pyproject.toml uv.lock README.md LICENSE ./
RUN python3 -m venv .uv && .uv/bin/python -m pip install -q --disable-pip-version-check "$(sed -n "s/.*'\(uv==[0-9.]*\)'.*/\1/p" Makefile)"
# what others made changes less often than what we make
RUN UV_PROJECT_ENVIRONMENT=/opt/gyrostat .uv/bin/uv sync -q --locked --no-dev --no-install-project --compile-bytecode --python "$(command -v python3)"
COPY telemetry telemetry
COPY actions actions
COPY policies policies
COPY audit audit
COPY controller controller
RUN UV_PROJECT_ENVIRONMENT=/opt/gyrostat .uv/bin/uv sync -q --locked --no-dev --no-editable --compile-bytecode --python "$(command -v python3)"

FROM ${BASE}
COPY --from=build /opt/gyrostat /opt/gyrostat
ENV PATH=/opt/gyrostat/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1
# the user whom the chart runs it as; nothing in the image belongs to it, and the root file system is read-only there
USER 65532:65532
WORKDIR /tmp
ENTRYPOINT ["/opt/gyrostat/bin/auto"]
CMD ["loop"]
