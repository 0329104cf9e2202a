#!/usr/bin/env bash
# Run one command of `gitcd ecr-tags`. All inputs are read from the environment, most of them by gitcd itself.
set -euo pipefail

gitcd=${GITCD_CI_GITCD:-gitcd}
command=${GITCD_CI_COMMAND:-}

fail() {
  echo "::error::$1" >&2
  exit 2
}

# A flag without a value has no variable, so it is added here; `yes` and the like are no answer.
is_true() {
  case $2 in
    true) ;;
    false | '') return 1 ;;
    *) fail "the input $1 is either true or false" ;;
  esac
}

arguments=()
case $command in
  get | list) ;;
  add | remove) if is_true dry-run "${GITCD_CI_DRY_RUN:-}"; then arguments+=(--dry-run); fi ;;
  *) fail 'the input command is get, list, add or remove' ;;
esac
if [ "$command" = remove ] && is_true delete-untagged "${GITCD_CI_DELETE_UNTAGGED:-}"; then
  arguments+=(--delete-untagged)
fi

# From here to the end the runner heeds nothing that is printed, and nothing in the result can end the output early.
mark=$(od -An -N16 -tx1 /dev/urandom | tr -d ' \n')
result=$(mktemp)
trap 'rm -f -- "$result"' EXIT
echo "::stop-commands::$mark"
code=0
"$gitcd" ecr-tags "$command" ${arguments[@]+"${arguments[@]}"} > "$result" || code=$?
cat -- "$result"
echo "::$mark::"
{
  echo "result<<$mark"
  cat -- "$result"
  printf '\n%s\n' "$mark"
} >> "$GITHUB_OUTPUT"
exit "$code"
