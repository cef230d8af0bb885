# `interslice upsample` and `interslice bids` with the finished models, by the steps of README.md:
#   docker build -t interslice .
#   docker run --rm -v "$PWD":/data -w /data interslice upsample scan.nii.gz -o fine.nii.gz
FROM python:3.11-slim
WORKDIR /opt/interslice
COPY pyproject.toml README.md LICENSE ./
COPY src ./src
RUN pip install --no-cache-dir '.[model]'
WORKDIR /data
ENTRYPOINT ["interslice"]
