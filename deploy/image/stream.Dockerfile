# The image of `evergreen stream run`; from the root of a checkout:
# docker build -f deploy/image/stream.Dockerfile -t evergreen-stream:0.1.0 .
# It writes to /var/lib/evergreen and /tmp only, so it runs with --read-only --tmpfs /tmp and a volume.
FROM python:3.11-slim-bookworm@sha256:a36c24f9cbdf4fd0f52d67f0823eeac19c2028c637cecc392d97f980d4fec56b AS build
COPY . /checkout
RUN sh /checkout/deploy/image/install.sh /checkout /opt/evergreen requirements.lock && mkdir -p /home-of-evergreen/home

FROM python:3.11-slim-bookworm@sha256:a36c24f9cbdf4fd0f52d67f0823eeac19c2028c637cecc392d97f980d4fec56b
COPY --from=build /opt/evergreen /opt/evergreen
COPY feature_repo /opt/evergreen/feature_repo
COPY dbt_project /opt/evergreen/dbt_project
COPY --from=build --chown=10001:10001 /home-of-evergreen /var/lib/evergreen
ENV PATH=/opt/evergreen/bin:/usr/local/bin:/usr/bin:/bin \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    HOME=/var/lib/evergreen \
    EVERGREEN_FEATURE_REPO=/opt/evergreen/feature_repo \
    EVERGREEN_DBT_PROJECT=/opt/evergreen/dbt_project \
    EVERGREEN_HOME=/var/lib/evergreen/home
WORKDIR /var/lib/evergreen
VOLUME /var/lib/evergreen
USER 10001:10001
STOPSIGNAL SIGTERM
ENTRYPOINT ["evergreen"]
CMD ["stream", "run"]
