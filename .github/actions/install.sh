#!/usr/bin/env bash
# Make a virtual environment with what gitcd needs, and a command in it that runs gitcd from this checkout.
#
# The arguments name the distributions of the lock that are needed; without any it is all of them.
# Python runs isolated (-I) throughout: the job's folder, which other people may have written, is on no search path.
set -euo pipefail

here=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd -P)
root=$(cd -- "$here/../.." && pwd -P)
lock=$root/requirements-run.lock
python=${GITCD_CI_PYTHON:-python3}

if ! "$python" -I -c 'import sys; sys.exit(sys.version_info < (3, 11))'; then
  echo "::error::gitcd needs Python 3.11 or newer; set one up before, or name it in the input python" >&2
  exit 2
fi

mark=$(printf '%s\n' "$@" | cat -- "$lock" - \
  | "$python" -I -c 'import hashlib, sys; print(hashlib.sha256(sys.stdin.buffer.read()).hexdigest()[:16])')
venv=$RUNNER_TEMP/gitcd-$mark
if [ ! -e "$venv/ready" ]; then
  "$python" -I -m venv --clear "$venv"
  # The hash of each file is checked, and pip refuses what is not listed.
  awk -v needed="$*" '
    BEGIN {
      all = !split(needed, list, " ")
      for (each in list) names[list[each]]
    }
    /^[A-Za-z0-9]/ { split($1, part, "=="); wanted = (part[1] in names) }
    all || wanted
  ' "$lock" > "$venv/requirements.txt"
  "$venv/bin/python" -I -m pip install --quiet --disable-pip-version-check --no-input --require-hashes \
    --only-binary :all: --requirement "$venv/requirements.txt"
  packages=$("$venv/bin/python" -I -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
  printf '%s\n' "$root" > "$packages/gitcd.pth"
  printf '#!/bin/sh\nexec "${0%%/*}/python" -I -m gitcd "$@"\n' > "$venv/bin/gitcd"
  chmod +x "$venv/bin/gitcd"
  touch "$venv/ready"
fi
echo "gitcd=$venv/bin/gitcd" >> "$GITHUB_OUTPUT"
