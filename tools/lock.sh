#!/usr/bin/env bash
# Resolves every dependency for Python 3.11 to 3.13, without index addresses: constraints/local.txt for .venv and the
# image, and the environment dbt runs in. Versions that still fit stay; --upgrade takes newer ones.
set -euo pipefail
cd "$(dirname "$0")/.."
lock() { # lock OUTPUT argument...: the file that holds the versions is also where uv reads which ones to keep
  uv pip compile --universal --python-version 3.11 --no-header --no-annotate --no-emit-index-url --no-emit-find-links \
    --quiet --output-file "$@"
}
lock constraints/local.txt pyproject.toml --group dev --group container --extra local --extra ocr --extra cosmos \
  --extra aws --no-emit-package airflow-lakehouse "$@"
# dbt-core 1.12 downloads at install time, which closed networks forbid; pyspark-client is Spark without a JVM, and no
# newer than the engine it speaks to.
lock airflow_lakehouse/dbt/requirements.lock - "$@" <<'REQUIREMENTS'
dbt-core>=1.11,<1.12
dbt-spark>=1.11,<1.12
pyspark-client>=4.1,<4.2
REQUIREMENTS
