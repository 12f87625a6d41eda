#!/usr/bin/env bash
# Installs the programs by which the tests of voice are judged: Debian's SIPp, baresip, flite and pocketsphinx.
# Only root can; without them those tests are skipped and say so. It never fails: the other tests need none of it.
set -euo pipefail

say() { printf 'test packages: %s\n' "$*" >&2; }

# The program or file that proves a package to be there, and the package.
WANTED=(
  "sipp sip-tester"
  "baresip baresip-core"
  "flite flite"
  "pocketsphinx_continuous pocketsphinx"
  "/usr/share/pocketsphinx/model/en-us/en-us/mdef pocketsphinx-en-us"
)

missing() {
  local proof package
  for pair in "${WANTED[@]}"; do
    read -r proof package <<<"$pair"
    command -v "$proof" >/dev/null || [ -e "$proof" ] || printf '%s ' "$package"
  done
}

read -ra packages <<<"$(missing)"
if [ "${#packages[@]}" = 0 ]; then
  say "all judges of voice are there: sipp, baresip, flite, pocketsphinx."
elif [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
  say "the tests that need ${packages[*]} will be skipped: installing them takes root and apt-get."
else
  say "installing ${packages[*]} ..."
  quick=(-o Acquire::Retries=1 -o Acquire::http::Timeout=30 -o Acquire::https::Timeout=30)
  export DEBIAN_FRONTEND=noninteractive
  apt-get "${quick[@]}" update -qq >/dev/null 2>&1 || true
  # One at a time: where a system lacks one of them, the others are still of use.
  for package in "${packages[@]}"; do
    apt-get "${quick[@]}" install -y -qq --no-install-recommends "$package" >/dev/null 2>&1 ||
      say "$package cannot be installed here: the tests that need it will be skipped."
  done
fi
