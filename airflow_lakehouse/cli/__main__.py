"""``python -m airflow_lakehouse.cli``."""

from __future__ import annotations

import sys

from airflow_lakehouse.cli import main

sys.exit(main())
