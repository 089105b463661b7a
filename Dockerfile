# docker build -t gradscore .                       scores on the CPU
# docker build -t gradscore:cuda --target cuda .    and on NVIDIA GPUs: docker run --gpus all …
# docker run --rm -v "$PWD:/data" gradscore score --weights net.pth --id photos=folder:photos --out run

# cuDNN 9.8, and the first CUDA that knows every architecture of `make cuda-release`. The development image, for its
# libraries are where the build found them.
FROM nvidia/cuda:12.8.1-cudnn-devel-ubuntu24.04 AS cuda
RUN apt-get update && apt-get install -y --no-install-recommends make && rm -rf /var/lib/apt/lists/*
COPY . /src
RUN make -C /src cuda-release install PREFIX=/usr/local \
    && rm -rf /src /var/lib/apt/lists/*
WORKDIR /data
ENTRYPOINT ["gradscore"]

FROM debian:12-slim AS build
RUN apt-get update && apt-get install -y --no-install-recommends make && rm -rf /var/lib/apt/lists/*
COPY . /src
RUN make -C /src package CMAKE_FLAGS=-DGRADSCORE_CUDA=OFF

# The last stage is what `docker build` makes without --target.
FROM debian:12-slim AS cpu
COPY --from=build /src/packages/gradscore_*.deb /tmp/
RUN apt-get update && apt-get install -y --no-install-recommends /tmp/gradscore_*.deb \
    && rm -rf /tmp/gradscore_*.deb /var/lib/apt/lists/*
WORKDIR /data
ENTRYPOINT ["gradscore"]
