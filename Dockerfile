# Campana as a container image: `docker build -t campana:local .`, then `docker run campana:local serve`, `api` or `worker`.
#
# Behind a mirror: --build-arg BASE=..., and PIP_INDEX_URL and UV_DEFAULT_INDEX for the packages. docs/many-machines.md says
# how it is run, and what of it has been tried.

ARG BASE=python:3.13-slim

# --- what is run: the packages of the lock, each with its hash, and Campana as a wheel -----------------------------

FROM ${BASE} AS build
ARG PIP_INDEX_URL
ARG UV_DEFAULT_INDEX
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 \
    UV_LINK_MODE=copy \
    UV_NO_CACHE=1 \
    UV_NO_PROGRESS=1 \
    UV_PYTHON_DOWNLOADS=never \
    UV_SYSTEM_CERTS=1
WORKDIR /build

COPY requirements/uv.txt requirements/
RUN python -m venv /tools \
 && /tools/bin/python -m pip install --no-cache-dir --require-hashes -r requirements/uv.txt \
 && python -m venv --without-pip /opt/campana

# The lock has what developing needs as well; it says here only which versions and files, pyproject.toml which packages.
COPY requirements/lock.txt requirements/
COPY pyproject.toml ./
RUN /tools/bin/uv pip install --python /opt/campana/bin/python --compile-bytecode --require-hashes --only-binary :all: \
      --constraint requirements/lock.txt --requirement pyproject.toml

COPY README.md LICENSE ./
COPY src/ src/
RUN /tools/bin/uv build --wheel --require-hashes --build-constraints requirements/lock.txt --out-dir /wheel \
 && /tools/bin/uv pip install --python /opt/campana/bin/python --compile-bytecode --offline --no-deps /wheel/*.whl

# --- the image -------------------------------------------------------------------------------------------------------

FROM ${BASE}
RUN groupadd --system --gid 10001 campana \
 && useradd --system --uid 10001 --gid 10001 --no-create-home --home-dir /var/lib/campana --shell /usr/sbin/nologin campana \
 && install -d -m 0700 -o 10001 -g 10001 /var/lib/campana
COPY --from=build /opt/campana /opt/campana

# The configuration is /etc/campana/campana.toml, or variables; these win over the file.
ENV PATH="/opt/campana/bin:${PATH}" \
    CAMPANA_SERVER__HOST=0.0.0.0 \
    CAMPANA_SERVER__PORT=8080 \
    CAMPANA_SERVER__DATA_DIR=/var/lib/campana \
    CAMPANA_WORKER__LISTEN=0.0.0.0:8080
WORKDIR /var/lib/campana
VOLUME ["/var/lib/campana"]
EXPOSE 8080

# By number, so that an orchestrator can see that it is not root.
USER 10001:10001

# Not urllib: it would ask a proxy that is set for the whole machine.
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s --retries=3 CMD ["python", "-c", "import http.client, sys; door = http.client.HTTPConnection('127.0.0.1', 8080, timeout=4); door.request('GET', '/healthz'); sys.exit(door.getresponse().status != 200)"]

# Campana is the first process: it handles SIGTERM itself, and waits for its own children.
ENTRYPOINT ["campana"]
CMD ["serve"]
