#!/usr/bin/env bash
# Sets up .venv in the checkout and the system packages trivet needs.
# With --for-tests (--for-peers, --for-engines): instead the programs that only the tests (`make bench-peers`,
# `make test-engines`) drive.
# Never enables or starts a service.
set -euo pipefail
cd "$(dirname "$0")/.."

missing_packages() {
  for name in "$@"; do
    dpkg-query -W -f='${Status}' "$name" 2>/dev/null | grep -q 'install ok installed' || echo "$name"
  done
}

# What starts with the machine: links of systemd and of the run levels.
started_at_boot() {
  find /etc/systemd/system -path '*.wants/*' -type l 2>/dev/null || true
  find /etc/rc[2-5].d -name 'S*' 2>/dev/null || true
}

install_system_packages() {
  local missing root=() before link
  mapfile -t missing < <(missing_packages "$@")
  [ "${#missing[@]}" -eq 0 ] && return 0
  [ "$(id -u)" -eq 0 ] || root=(sudo -n)
  if ! command -v apt-get >/dev/null || { [ "$(id -u)" -ne 0 ] && ! sudo -n true 2>/dev/null; }; then
    echo "trivet needs these system packages, and this account may not install them: ${missing[*]}" >&2
    echo "Install them (for example: sudo apt-get install ${missing[*]}) and run the command again." >&2
    exit 1
  fi
  echo "Installing system packages: ${missing[*]}"
  # policy-rc.d answers 101 = "do not start services"; it is put away again whatever happens.
  local policy=/usr/sbin/policy-rc.d placed=
  if [ ! -e $policy ]; then
    printf '#!/bin/sh\nexit 101\n' | "${root[@]}" tee $policy >/dev/null
    "${root[@]}" chmod 755 $policy
    placed=yes
    trap '"${root[@]}" rm -f '$policy EXIT
  fi
  before=$(started_at_boot)
  "${root[@]}" apt-get update -qq
  DEBIAN_FRONTEND=noninteractive "${root[@]}" apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
  # Packages of services enable themselves; what was not enabled before is not enabled now.
  comm -13 <(sort <<<"$before") <(started_at_boot | sort) | while read -r link; do
    case $link in
      /etc/rc*) "${root[@]}" update-rc.d "${link##*/S??}" disable ;;
      *) "${root[@]}" rm -f "$link" ;;
    esac
  done
  [ -z "$placed" ] || { "${root[@]}" rm -f $policy; trap - EXIT; }
}

case ${1:-} in
  --for-tests) lists=(scripts/test-packages.txt) ;;
  --for-peers) lists=(scripts/test-packages.txt scripts/peer-packages.txt) ;;
  --for-engines) lists=(scripts/engine-packages.txt) ;;
  *) lists=() ;;
esac
if [ "${#lists[@]}" -gt 0 ]; then
  mapfile -t packages < <(grep -hv '^#' "${lists[@]}")
  install_system_packages "${packages[@]}"
  exit 0
fi

install_system_packages fuse3 libfuse3-dev pkg-config gcc python3-dev python3-venv

is_new_enough() { "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; }

# The system's own Python is built with optimisation, which those that people build beside it often are not, and
# python3-dev is of its version. PYTHON=/path/to/python3 takes another one.
if [ ! -x .venv/bin/python ]; then
  python=${PYTHON:-/usr/bin/python3}
  [ -n "${PYTHON:-}" ] || is_new_enough $python || python=python3
  is_new_enough "$python" ||
    { echo "trivet needs Python 3.11 or newer; $python here is $("$python" --version 2>&1)" >&2; exit 1; }
  echo "Making the virtual environment .venv with $python"
  "$python" -m venv .venv
fi
echo "Installing trivet and its pinned packages into .venv"
.venv/bin/python -m pip install --quiet --disable-pip-version-check \
  --constraint constraints.txt --editable '.[mount,gateway,upstream,engines,hosts,insight,dev]'
touch .venv/.installed
# Nobody waits for this (some fifteen seconds); cut short, it is made up for when a large log is read.
nice -n 19 .venv/bin/python scripts/compile_kernels.py </dev/null >/dev/null 2>&1 &
