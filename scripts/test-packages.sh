#!/usr/bin/env bash
# Installs the programs that tests need beside Python: the judges of voice (Debian's SIPp, baresip, flite and
# pocketsphinx) and a PostgreSQL server, of which each run of tests starts a private one in a folder of its own.
# Only root can; without them those tests are skipped and say so. It never fails: the other tests need none of it.
# PgBouncer is only unpacked into .tools, since its package would start a service.
set -euo pipefail

say() { printf 'test packages: %s\n' "$*" >&2; }

# The program or file (or pattern of files) that proves a package to be there, and the package.
WANTED=(
  "sipp sip-tester"
  "baresip baresip-core"
  "flite flite"
  "pocketsphinx_continuous pocketsphinx"
  "/usr/share/pocketsphinx/model/en-us/en-us/mdef pocketsphinx-en-us"
  "/usr/lib/postgresql/*/bin/initdb postgresql"
)

missing() {
  local proof package
  for pair in "${WANTED[@]}"; do
    read -r proof package <<<"$pair"
    command -v "$proof" >/dev/null || compgen -G "$proof" >/dev/null || printf '%s ' "$package"
  done
}

# Debian's package starts a server for the whole machine when it is installed, which no test wants. Where its settings
# are there already, they are somebody's and stay as they are.
without_a_cluster() {
  local settings=/etc/postgresql-common/createcluster.conf
  [ ! -e "$settings" ] || return 0
  apt-get "${quick[@]}" install -y -qq --no-install-recommends postgresql-common >/dev/null 2>&1 || return 0
  sed -ri 's/^#?create_main_cluster .*/create_main_cluster = false/' "$settings"
}

read -ra packages <<<"$(missing)"
if [ "${#packages[@]}" = 0 ]; then
  say "sipp, baresip, flite, pocketsphinx and PostgreSQL are there."
elif [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
  say "the tests that need ${packages[*]} will be skipped: installing them takes root and apt-get."
else
  say "installing ${packages[*]} ..."
  quick=(-o Acquire::Retries=1 -o Acquire::http::Timeout=30 -o Acquire::https::Timeout=30)
  export DEBIAN_FRONTEND=noninteractive
  apt-get "${quick[@]}" update -qq >/dev/null 2>&1 || true
  # One at a time: where a system lacks one of them, the others are still of use.
  for package in "${packages[@]}"; do
    [ "$package" != postgresql ] || without_a_cluster
    apt-get "${quick[@]}" install -y -qq --no-install-recommends "$package" >/dev/null 2>&1 ||
      say "$package cannot be installed here: the tests that need it will be skipped."
  done
fi

unpack_pgbouncer() {
  .venv/bin/python - <<'PYTHON'
from benchmarks.debian import NotThere, program

try:
    program("pgbouncer", "pgbouncer", fetch=True)
except NotThere as error:
    raise SystemExit(str(error))
PYTHON
}

if command -v apt-get >/dev/null && [ "$(id -u)" = 0 ]; then
  unpack_pgbouncer || say "the tests that need PgBouncer will be skipped."
fi
