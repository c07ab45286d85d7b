# One image for the UI, the scheduler and single nights. Nothing is downloaded when it runs.
FROM python:3.11-slim AS packages
COPY requirements.lock /tmp/
RUN python -m venv /opt/venv \
    && /opt/venv/bin/pip install --no-cache-dir --disable-pip-version-check --no-deps --require-hashes \
        -r /tmp/requirements.lock

FROM python:3.11-slim
COPY --from=packages /opt/venv /opt/venv
WORKDIR /opt/avila
COPY pyproject.toml README.md LICENSE ./
COPY orchestration orchestration
COPY ml ml
COPY dbt_project dbt_project
COPY data/simulate.py data/
# Whoever runs it has no home; what a library wants to keep there is of no use later.
ENV PATH=/opt/venv/bin:$PATH \
    PYTHONPATH=/opt/avila \
    HOME=/tmp \
    OMP_WAIT_POLICY=passive \
    DAGSTER_DISABLE_TELEMETRY=yes \
    DBT_SEND_ANONYMOUS_USAGE_STATS=false \
    AVILA_DATA_DIR=/data \
    AVILA_UI_HOST=0.0.0.0
RUN python -m compileall -q orchestration ml \
    && useradd --no-create-home --uid 1000 avila \
    && install -d -o avila /data
USER 1000
VOLUME /data
EXPOSE 3000
# Dagster ends its services, and a run that is under way, on this signal.
STOPSIGNAL SIGINT
HEALTHCHECK --interval=60s --timeout=10s --start-period=120s \
    CMD ["python", "-c", "from urllib.request import urlopen; urlopen('http://127.0.0.1:3000/server_info', timeout=5)"]
CMD ["python", "-m", "orchestration.ui"]
