# The package, its workflow and bedtools.
#   docker build --tag genocontrast .
#   With --build-arg TORCH_INDEX=https://... torch comes from that index (CPU wheels).
#   docker run --rm --volume "$PWD":/data --user "$(id -u):$(id -g)" genocontrast \
#     snakemake --snakefile /opt/genocontrast/workflow/Snakefile --cores 2 --configfile my.yaml
FROM python:3.12-slim AS build
ARG TORCH_INDEX=
# Some versions of pybedtools and pysam come as source.
# Debian keeps no old versions: a pin would break the build at the next update.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends g++ make zlib1g-dev libbz2-dev liblzma-dev libcurl4-openssl-dev \
    && rm -rf /var/lib/apt/lists/*
RUN python -m venv /opt/venv
ENV PATH=/opt/venv/bin:$PATH
WORKDIR /build
COPY constraints.txt ./
# A layer of its own: torch changes less often than we do.
RUN grep '^torch==' constraints.txt > torch.txt \
    && pip install --no-cache-dir ${TORCH_INDEX:+--index-url "$TORCH_INDEX"} --requirement torch.txt
COPY pyproject.toml MANIFEST.in README.md LICENSE NOTICE ./
COPY genocontrast ./genocontrast
RUN pip install --no-cache-dir --constraint constraints.txt '.[workflow,report]'

FROM python:3.12-slim
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends bedtools libgomp1 \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --create-home --uid 1000 genocontrast \
    && chmod 1777 /home/genocontrast
COPY --from=build /opt/venv /opt/venv
COPY workflow /opt/genocontrast/workflow
COPY config /opt/genocontrast/config
COPY LICENSE NOTICE /opt/genocontrast/
# Any user id may run it: caches go to a home that all may write to.
ENV PATH=/opt/venv/bin:$PATH HOME=/home/genocontrast
USER 1000
WORKDIR /data
CMD ["genocontrast", "--help"]
