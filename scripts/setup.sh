#!/usr/bin/env bash
# Installs Campana into .venv from the lock file: only python3 (3.11 or later) has to be there.
set -euo pipefail
cd "$(dirname "$0")/.."

say() { printf 'setup: %s\n' "$*" >&2; }

python=""
for candidate in python3 python3.13 python3.12 python3.11; do
  if command -v "$candidate" >/dev/null &&
    "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
    python=$(command -v "$candidate")
    break
  fi
done
[ -n "$python" ] || { say "Campana needs python3, version 3.11 or later, and found none."; exit 1; }

# A bare Debian has python3 without ensurepip, so that `python3 -m venv` fails there.
install_venv_module() {
  if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    say "installing Debian's python3-venv ..."
    apt-get update -qq
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends python3-venv >/dev/null
  else
    say "this python3 has no venv module. Install it (Debian, Ubuntu: sudo apt install python3-venv) or uv, and try again."
    exit 1
  fi
}

# The uv of requirements/uv.txt; where that cannot be installed, one that is there already.
if [ ! -x .tools/bin/uv ]; then
  if ! "$python" -c 'import ensurepip, venv' 2>/dev/null && command -v uv >/dev/null; then
    say "using $(command -v uv), since this python3 has no venv module."
    mkdir -p .tools/bin
    ln -sf "$(command -v uv)" .tools/bin/uv
  else
    "$python" -c 'import ensurepip, venv' 2>/dev/null || install_venv_module
    say "installing uv ..."
    "$python" -m venv .tools
    .tools/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/uv.txt
  fi
fi

# uv trusts the certificates of the system, as pip and the browser do, and takes the python that was found.
export UV_NO_PROGRESS=1 UV_SYSTEM_CERTS=1 UV_PYTHON_DOWNLOADS=never
if ! .venv/bin/python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
  rm -rf .venv
  .tools/bin/uv venv --quiet --python "$python" .venv
fi
say "installing the packages of requirements/lock.txt ..."
.tools/bin/uv pip sync --quiet --compile-bytecode --require-hashes --python .venv/bin/python requirements/lock.txt
.tools/bin/uv pip install --quiet --python .venv/bin/python --no-deps --no-build-isolation --editable .
say ".venv/bin/campana is ready."
