"""A kit for testing what is built on this package: a lakehouse of one's own, what every parser must keep, and faults.

=================== ================================================================
module              what it holds
=================== ================================================================
plugin              the pytest fixtures, found by pytest without being asked for
conformance         what every parser must keep
reference           the pipeline as plain Python, to judge the real one by
s3_faults           a proxy that makes S3 throttle, lose answers and cut bodies
s3_server           a real S3 server on the loopback address
fake_emr_serverless an EMR Serverless that runs its jobs on this machine, and fails as told
fake_glue_jobs      Glue's jobs, likewise
=================== ================================================================
"""

from __future__ import annotations

from airflow_lakehouse.testing.conformance import check_parser

__all__ = ["check_parser"]
