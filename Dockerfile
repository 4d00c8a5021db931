# The image of the nightly task: one static binary, the certificates that it trusts, and nothing else.
#
#     docker buildx build --platform linux/arm64,linux/amd64 --tag healthtrail:0.1.0 --push .
#
# Each platform is built on itself, so no cross compiler is needed. The build reaches the registry of base images and
# that of crates, and no other place. The image runs as an unprivileged user on a read-only root.

FROM rust:1.95-alpine3.22 AS build
# The base image has what is needed beside Rust: a C compiler (for zstd and TLS), musl's headers, certificates.
WORKDIR /src
COPY . .
# Names of functions stay, for backtraces.
ENV CARGO_PROFILE_RELEASE_STRIP=debuginfo
RUN cargo build --release --locked --bin healthtrail \
    && mkdir -p /image/etc/ssl/certs \
    && cp target/release/healthtrail LICENSE /image/ \
    && cp /etc/ssl/certs/ca-certificates.crt /image/etc/ssl/certs/ \
    && /image/healthtrail --version

FROM scratch
LABEL org.opencontainers.image.title="healthtrail" \
      org.opencontainers.image.description="Turns an archive of AWS Health events and Security Hub findings into one clean table of partitioned Parquet" \
      org.opencontainers.image.licenses="Apache-2.0"
COPY --from=build /image/ /
# A number, so that "runs as non-root" can be checked without a list of users.
USER 65532:65532
# It runs to its end and is watched by its exit code; there is nothing to ask in between.
HEALTHCHECK NONE
ENTRYPOINT ["/healthtrail"]
CMD ["--help"]
