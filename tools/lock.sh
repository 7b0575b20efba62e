#!/usr/bin/env bash
# Resolves every dependency for Python 3.11 to 3.13 into constraints/local.txt, without index addresses.
set -euo pipefail
cd "$(dirname "$0")/.."
uv pip compile pyproject.toml --group dev --group container --extra local --extra ocr --extra cosmos --extra aws \
  --universal --python-version 3.11 --no-header --no-annotate --no-emit-index-url --no-emit-find-links \
  --no-emit-package airflow-lakehouse --quiet --output-file constraints/local.txt
