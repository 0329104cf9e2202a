#!/usr/bin/env bash
# Run `gitcd diff --ci`. All inputs are read from the environment by gitcd itself.
set -euo pipefail

gitcd=${GITCD_CI_GITCD:-gitcd}

# From here to the end the runner heeds nothing that is printed: the patch holds what others have written.
mark=$(od -An -N16 -tx1 /dev/urandom | tr -d ' \n')
echo "::stop-commands::$mark"
code=0
"$gitcd" diff --ci || code=$?
echo "::$mark::"
exit "$code"
