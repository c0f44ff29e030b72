#!/bin/sh
# Compares every file with SHA256SUMS.
cd "$(dirname "$0")/.." && sha256sum -c SHA256SUMS
