#!/usr/bin/env bash
# What the image is made of, one step a word. The Dockerfile runs these, and so does a machine without a
# container engine, where cargo's target folder may hold the build already:
#
#   binder/steps.sh build pack jupyter warm sizes
#
# HOME_OF_KERNEL is where the kernel will lie, JUPYTER the virtual environment it is installed in.
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

# What cells need of it at run time: the binary, the library, and of each crate inside the library what
# rustc reads of it, which is its metadata and no code.
pack() {
  rm -rf "$home" && mkdir -p "$home"
  cp "$built/kensaku" "$home"
  strip "$home/kensaku"
  local record cells
  # Of this clone, where others share the target folder.
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

# What the kernel remembers of the toolchain is remembered before anybody waits for it.
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
