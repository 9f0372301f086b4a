# Slipway's own image, for a cluster: `docker build -t REGISTRY/slipway:VERSION .`. In it runs `slipway serve --dispatch`.
ARG BASE=python:3.13-slim
ARG BUILDER=${BASE}

FROM ${BUILDER} AS build
WORKDIR /build
COPY requirements.txt .
# The building machine's own pip settings, if it has any, are a secret: they are in no layer and no history.
RUN --mount=type=secret,id=pip.conf,target=/etc/pip.conf \
    python3 -m pip install --no-cache-dir --no-compile --root-user-action=ignore \
      --require-hashes --only-binary=:all: --target=/app --requirement=requirements.txt \
 && rm -rf /app/bin
COPY adapters /app/adapters
COPY components /app/components
COPY delivery /app/delivery
COPY policies /app/policies
# Bytecode is made here, since the root file system is read-only later.
RUN python3 -m compileall -q --invalidation-mode=unchecked-hash /app \
 && chmod -R u=rwX,go=rX /app

FROM ${BASE}
LABEL org.opencontainers.image.title="slipway" \
      org.opencontainers.image.description="Answers alerts on releases, beside Alertmanager" \
      org.opencontainers.image.licenses="Apache-2.0"
ENV PYTHONPATH=/app PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1
COPY --from=build /app /app
WORKDIR /app
USER 65532:65532
EXPOSE 9095
ENTRYPOINT ["python3", "-m", "delivery"]
CMD ["serve", "--help"]
