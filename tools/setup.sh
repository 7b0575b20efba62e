#!/usr/bin/env bash
# Makes .venv: this package, what it needs, the jars, and the environment dbt runs in.
# With uv where it is installed, with venv and pip where it is not. Does nothing where nothing changed.
set -euo pipefail
cd "$(dirname "$0")/.."

fail() { echo "setup: $1" >&2; exit 1; }

find_python() {
  local candidate
  for candidate in ${PYTHON:-python3.12 python3.13 python3.11 python3}; do
    if command -v "$candidate" >/dev/null 2>&1 &&
      "$candidate" -c 'import sys, venv, ensurepip; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null; then
      command -v "$candidate"
      return
    fi
  done
  fail "needs Python 3.11, 3.12 or 3.13 with venv (Debian: apt-get install python3.11 python3.11-venv; macOS: brew install python@3.12), or set PYTHON to one"
}

check_java() {
  local java="java" release
  [ -n "${JAVA_HOME:-}" ] && [ -x "$JAVA_HOME/bin/java" ] && java="$JAVA_HOME/bin/java"
  release=$("$java" -version 2>&1 | sed -n 's/.*version "\([0-9]*\).*/\1/p' | head -n 1) || true
  case "$release" in
    17 | 21) ;;
    *) fail "needs Java 17 or 21, found ${release:-none} (Debian: apt-get install openjdk-17-jre-headless; macOS: brew install openjdk@17), or set JAVA_HOME to one" ;;
  esac
}

step() { # step "what" command...: one line with the seconds; the output only when it fails
  local what=$1 started=$SECONDS log
  shift
  log=$(mktemp)
  if ! "$@" >"$log" 2>&1; then
    tail -n 30 "$log" >&2
    rm -f "$log"
    fail "$what failed (see above); mend it and run the command again, it goes on from there"
  fi
  rm -f "$log"
  echo "setup: $what ($((SECONDS - started)) s)"
}

python=$(find_python)
check_java
wanted=$(cat pyproject.toml constraints/local.txt tools/setup.sh airflow_lakehouse/dbt/requirements.lock airflow_lakehouse/spark/jars.py | cksum)$("$python" --version)$PWD
stamp=.venv/.setup-complete
if [ -f "$stamp" ] && [ "$(cat "$stamp")" = "$wanted" ]; then
  exit 0
fi

make_environment() {
  # A set-up that was killed may have left half an environment; both tools rebuild it in place.
  if command -v uv >/dev/null 2>&1; then
    uv venv --quiet --allow-existing --python "$python" .venv
  else
    "$python" -m venv --upgrade-deps .venv 2>/dev/null || "$python" -m venv --clear --upgrade-deps .venv
  fi
}

install_packages() {
  if command -v uv >/dev/null 2>&1; then
    uv pip install --quiet --python .venv/bin/python --constraint constraints/local.txt --editable '.[local,ocr,cosmos,aws]' --group dev
  else
    .venv/bin/python -m pip install --quiet --constraint constraints/local.txt --editable '.[local,ocr,cosmos,aws]' --group dev
  fi
}

rm -f "$stamp"
step "python environment" make_environment
step "packages" install_packages
step "jars of the Spark engine" .venv/bin/lakehouse fetch-jars
step "environment of dbt" .venv/bin/lakehouse dbt-env
printf '%s' "$wanted" >"$stamp"
