#!/usr/bin/env bash
# Python loads what we save, and we load what Python saves: a directory of every family, in sentence-transformers 6 with
# transformers 5, and in 5 with transformers 4. The environments are built once, in the folder that KENSAKU_PYTHON names.
set -euo pipefail
cd "$(dirname "$0")/../.."
home="${KENSAKU_PYTHON:-$HOME/.cache/kensaku/python}"
target="${CARGO_TARGET_DIR:-target}"

# environment NAME [OTHER]: what the pin file NAME lists; PyTorch, which is large, is that of OTHER.
environment() {
  local folder="$home/$1" pins="tests/parity/python/$1.txt"
  cmp --silent "$pins" "$folder/pins.txt" && return
  rm -rf "$folder"
  python3 -m venv "$folder"
  if [ -n "${2:-}" ]; then
    "$home/$2/bin/python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))' \
      >"$("$folder/bin/python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/other.pth"
  fi
  "$folder/bin/pip" install --quiet --requirement "$pins"
  cp "$pins" "$folder/pins.txt"
}
environment sentence-transformers-6
environment sentence-transformers-5 sentence-transformers-6

cargo build --release --package kensaku --example directories
work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT
"$target/release/examples/directories" save "$work/ours"
for version in 6 5; do
  mkdir "$work/$version"
  "$home/sentence-transformers-$version/bin/python" -W ignore tests/parity/directories.py "$work/ours" "$work/$version"
  "$target/release/examples/directories" check "$work/$version"
done
