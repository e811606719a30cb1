# One name per habit; each is one line over cargo, so a machine without `just` loses nothing.

# The names below.
default:
    @just --list --unsorted

# Everything that a change must pass; also what CI runs.
ci:
    cargo xtask ci

# Installs the missing Debian packages and tools.
setup *ARGS:
    cargo xtask setup {{ARGS}}

# The main job, with every refusal, in one go.
demo *ARGS:
    cargo xtask demo {{ARGS}}

# Writes the one format.
fmt:
    cargo fmt --all

# The import table in ARCHITECTURE.md is the real one.
arch:
    cargo test -p xtask

# The tests of one crate: `just test countersign-core`.
test CRATE *ARGS:
    cargo test -p {{CRATE}} {{ARGS}}

# Rustdoc as a contributor reads it, private items included.
docs:
    cargo doc --workspace --no-deps --document-private-items

# Each fuzz target for some seconds (nightly and cargo-fuzz).
fuzz SECONDS="10":
    cargo xtask fuzz --seconds {{SECONDS}}

# Beside rustls, tokio-rustls, OpenSSL, stunnel and HAProxy, in one run.
bench *ARGS:
    cargo xtask bench {{ARGS}}

# Instructions of the hot paths, beside those that were accepted.
gate *ARGS:
    cargo xtask gate {{ARGS}}

# The archive that a release publishes.
dist:
    cargo xtask dist
