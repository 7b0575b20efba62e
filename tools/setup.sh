#!/usr/bin/env bash
# Makes .venv: this package, what it needs, the jars, and the environment dbt runs in.
# With uv where it is installed, with venv and pip where it is not. Does nothing where nothing changed.
set -euo pipefail
cd "$(dirname "$0")/.."

fail() { echo "setup: $1" >&2; exit 1; }

# A version manager's shim is found on the PATH and still does nothing, and an old uv knows no groups: only one that
# answers and knows them is used.
[[ "$(uv pip install --help 2>/dev/null)" == *--group* ]] && has_uv=yes || has_uv=""

find_python() {
  local candidate candidates=(python3.12 python3.13 python3.11 python3) modules="venv, ensurepip" seen="" found
  [ -z "${PYTHON:-}" ] || candidates=("$PYTHON")
  # Debian's python3 comes without ensurepip; uv does not need it.
  [ -n "$has_uv" ] && modules="sys"
  for candidate in "${candidates[@]}"; do
    command -v "$candidate" >/dev/null 2>&1 || { [ -z "${PYTHON:-}" ] || seen="no $PYTHON"; continue; }
    # The answer is read, not the exit code: what is named may be no Python at all.
    if [ "$("$candidate" -c "import sys, $modules; print((3, 11) <= sys.version_info[:2] <= (3, 13))" 2>&1)" = True ]; then
      command -v "$candidate"
      return
    fi
    found=$("$candidate" -c 'import platform; print("Python", platform.python_version())' 2>/dev/null) || true
    seen="${seen:+$seen, }${found:-no Python at $candidate}"
  done
  fail "needs Python 3.11, 3.12 or 3.13 with venv, found ${seen:-none}; install one (Debian: apt-get install python3 python3-venv; macOS: brew install python@3.12) or set PYTHON to one"
}

java_release() { # java_release COMMAND: 17 for 17.0.15, 8 for 1.8.0; nothing where it does not run
  "$1" -version 2>&1 | sed -nE 's/.*version "(1\.)?([0-9]+).*/\2/p' | head -n 1
}

check_java() {
  local candidate release seen=""
  for candidate in ${JAVA_HOME:+"$JAVA_HOME/bin/java"} java; do
    release=$(java_release "$candidate") || true
    case "$release" in 17 | 21) return ;; esac
    [ -z "$release" ] || seen="${seen:+$seen and }Java $release"
  done
  fail "needs Java 17 or 21, found ${seen:-none}; install one (Debian: apt-get install openjdk-17-jre-headless; macOS: brew install openjdk@17) or set JAVA_HOME to one"
}

step() { # step "what" command...: one line with the seconds; the output only when it fails
  local what=$1 started=$SECONDS log
  shift
  log=$(mktemp)
  # Said before it starts: a minute without a word looks like a hang.
  printf 'setup: %s ... ' "$what"
  if ! "$@" >"$log" 2>&1; then
    echo "failed"
    tail -n 30 "$log" >&2
    rm -f "$log"
    fail "$what failed (see above); mend it and run the command again, it goes on from there"
  fi
  rm -f "$log"
  echo "$((SECONDS - started)) s"
}

usable() { # whether .venv may be added to: of the wanted Python, made in this folder, no installation killed in it
  [ ! -e "$unfinished" ] && [ "$(.venv/bin/python --version 2>/dev/null)" = "$("$python" --version)" ] &&
    grep -qF -e "$PWD/.venv" -e "$(pwd -P)/.venv" .venv/bin/activate
}

make_environment() {
  # A killed installation leaves packages that look installed and lack files, a moved one commands that start nothing;
  # pip and uv notice neither.
  usable || rm -rf .venv
  if [ -n "$has_uv" ]; then
    uv venv --quiet --allow-existing --python "$python" .venv
  else
    "$python" -m venv --upgrade-deps .venv
  fi
}

install_packages() {
  local status=0 what=(--quiet --constraint constraints/local.txt --editable '.[local,ocr,cosmos,aws]' --group dev)
  touch "$unfinished"
  if [ -n "$has_uv" ]; then
    # pip compiles what it installs, uv only when told to: left to the first run of each command, it costs seconds each.
    uv pip install --compile-bytecode --python .venv/bin/python "${what[@]}" || status=$?
  else
    .venv/bin/python -m pip install "${what[@]}" || status=$?
  fi
  # Kept by a kill alone: who fails in good order leaves nothing half done.
  rm -f "$unfinished"
  return "$status"
}

python=$(find_python)
check_java
inputs=(pyproject.toml constraints/local.txt tools/setup.sh airflow_lakehouse/dbt/requirements.lock airflow_lakehouse/spark/engine/jars.py)
# The folder too: an environment does not work where it was moved to.
wanted="$(cat "${inputs[@]}" | cksum) $("$python" --version) $PWD"
stamp=.venv/.setup-complete unfinished=.venv/.setup-unfinished
if [ -x .venv/bin/lakehouse ] && [ -f "$stamp" ] && [ "$(cat "$stamp")" = "$wanted" ]; then
  exit 0
fi

rm -f "$stamp"
step "python environment" make_environment
step "packages (a few minutes the first time)" install_packages
step "jars of the Spark engine" .venv/bin/lakehouse fetch-jars
step "environment of dbt" .venv/bin/lakehouse dbt-env
printf '%s' "$wanted" >"$stamp"
