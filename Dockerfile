# syntax=docker/dockerfile:1
# SPDX-License-Identifier: Apache-2.0
#
# Two images from one file: docker build --target connector . and --target manager .
# (and the sandbox, for trying things out). Static programs on nothing, as user 65532.
# hack/image builds the same images without a container engine.
FROM golang:1.26.8-bookworm AS build
ARG VERSION=dev
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY api api
COPY controllers controllers
COPY connector connector
COPY cmd cmd
COPY config/crd config/crd
ENV CGO_ENABLED=0
RUN for program in manager connector sandbox; do \
      go build -trimpath -ldflags "-s -w -X main.version=${VERSION}" -o /out/hexiao-$program ./cmd/$program; \
    done

FROM scratch AS base
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY --from=build /usr/local/go/lib/time/zoneinfo.zip /usr/share/zoneinfo.zip
ENV PATH=/ ZONEINFO=/usr/share/zoneinfo.zip SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt
USER 65532:65532

FROM base AS sandbox
COPY --from=build /out/hexiao-sandbox /hexiao-sandbox
ENTRYPOINT ["/hexiao-sandbox"]

FROM base AS manager
COPY --from=build /out/hexiao-manager /hexiao-manager
ENTRYPOINT ["/hexiao-manager"]

FROM base AS connector
COPY --from=build /out/hexiao-connector /hexiao-connector
ENTRYPOINT ["/hexiao-connector"]
