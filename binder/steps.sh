#!/usr/bin/env bash
# The steps of the image. The Dockerfile runs them; they also run without a container engine, where cargo's target
# folder may already contain the build:
#
#   binder/steps.sh build pack jupyter warm sizes
#
# HOME_OF_KERNEL is the folder for the kernel, JUPYTER the virtual environment that it is installed in.
set -euo pipefail
cd "$(dirname "$0")/.."
export CARGO_TARGET_DIR="${CARGO_TARGET_DIR:-$PWD/target}"
built="$CARGO_TARGET_DIR/release"
home="${HOME_OF_KERNEL:-/opt/kensaku}"
jupyter="${JUPYTER:-/opt/jupyter}"

# The kernel and the library for cells: half an hour on two cores.
build() {
  cargo build --release --workspace --lib --bins
  "$built/kensaku" install --prefix "$(mktemp -d)"
}

# Copies what cells need at run time: the binary, the library, and the metadata of each crate in the library, which
# rustc reads; their code is removed.
pack() {
  rm -rf "$home" && mkdir -p "$home"
  cp "$built/kensaku" "$home"
  strip "$home/kensaku"
  local record cells
  # The record of this clone, as others may share the target folder.
  record="$(grep -l "\"workspace\": \"$PWD\"" "$built"/kensaku-dylib-*.json)"
  cells="$(python3 -c 'import json, sys; print(json.load(sys.stdin)["dependencies"])' <"$record")"
  cp -r "$cells" "$home/cells"
  rm -rf "$home/cells/answers" "$home/cells/sources.json"
  for crate in "$home"/cells/*.rlib; do
    ar t "$crate" | grep -v -x lib.rmeta | xargs -r ar d "$crate"
  done
  sed "s#$cells#$home/cells#g" "$record" >"$home/${record##*/}"
}

jupyter() {
  python3 -m venv "$jupyter"
  "$jupyter/bin/pip" install --quiet --no-cache-dir jupyterlab notebook nbclient
  "$home/kensaku" install --prefix "$jupyter"
}

# Fills the kernel's cache of queries to the toolchain, so that no user waits for it.
warm() {
  local folder
  folder="$(mktemp -d)"
  echo '{"cells": [{"cell_type": "code", "execution_count": null, "id": "0", "metadata": {}, "outputs": [],
    "source": "rustdoc()?.corpus.len()"}], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}' >"$folder/warm.ipynb"
  "$home/kensaku" run "$folder/warm.ipynb" --output "$folder/warmed.ipynb"
  rm -r "$folder"
}

sizes() {
  du -sh "$home/kensaku" "$home"/cells/*_cells.so "$home/cells" "$jupyter"
}

for step in "$@"; do
  printf '\n== %s (%s s)\n' "$step" "$SECONDS"
  "$step"
done
