#!/usr/bin/env bash
# Runs the README's two commands like a new machine with rustup, a C compiler and Python:
#
#   tests/fresh.sh FOLDER [minimal]
#
# FOLDER gets a clone of HEAD, and separate homes for cargo and rustup; rustup installs what rust-toolchain.toml lists.
# With `minimal` it only installs the compiler, as toolchains from elsewhere lack the source of std: tests that need
# it are then ignored. Takes an hour on two cores; an existing `target` in FOLDER is reused.
set -euo pipefail
repository="$(cd "$(dirname "$0")/.." && pwd)"
mkdir -p "$1"
folder="$(cd "$1" && pwd)"
components="${2:-named}"
clone="$folder/clone"
step() { printf '\n== %s (%s s)\n' "$*" "$SECONDS"; }

# Keeps the machine's registry settings; everything else is as after the installation.
settings="${CARGO_HOME:-$HOME/.cargo}/config.toml"
export CARGO_HOME="$folder/cargo" RUSTUP_HOME="$folder/rustup" CARGO_TARGET_DIR="$folder/target" CARGO_TERM_COLOR=never
export JUPYTER_DATA_DIR="$folder/jupyter" XDG_CACHE_HOME="$folder/cache" XDG_DATA_HOME="$folder/data"
unset CI CARGO_INCREMENTAL RUSTC_WRAPPER RUSTC_WORKSPACE_WRAPPER RUSTFLAGS RUSTUP_TOOLCHAIN VIRTUAL_ENV "${!KENSAKU_@}"
mkdir -p "$CARGO_HOME" "$RUSTUP_HOME"
if [ -e "$settings" ]; then cp "$settings" "$CARGO_HOME"; fi

step "a clone of HEAD"
git clone --quiet "$repository" "$clone"
cd "$clone"
git log -1 --oneline

step "the compiler"
if [ "$components" = minimal ]; then
  rustup --quiet toolchain install --no-self-update --profile minimal \
    "$(sed -n 's/^channel = "\(.*\)"/\1/p' rust-toolchain.toml)"
  export RUSTUP_AUTO_INSTALL=0
else
  export RUSTUP_AUTO_INSTALL=1
fi
cargo --version
rustup component list --installed

step "the first command: the quickstart"
before=$SECONDS
cargo run --release -- run notebooks/01_quickstart.ipynb
first=$((SECONDS - before))

step "the second command: the tests"
before=$SECONDS
cargo test --release 2>&1 | tee "$folder/tests.log"
second=$((SECONDS - before))

step "in Jupyter"
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet jupyterlab
export VIRTUAL_ENV="$folder/venv" PATH="$folder/venv/bin:$PATH"
cargo run --release --quiet -- install --sys-prefix

step "kensaku doctor"
"$CARGO_TARGET_DIR/release/kensaku" doctor | tee "$folder/doctor.log"

step "done"
printf 'first command %s s, second command %s s\n' "$first" "$second"
awk '/^test result/ { passed += $4; ignored += $8 } END { print passed " tests passed, " ignored " were ignored" }' "$folder/tests.log"
grep -o 'ignored, .*' "$folder/tests.log" | sort | uniq -c || true
# The doctor must have no more advice, except about a missing source of std.
allowed=none
if [ "$components" = minimal ]; then allowed='^--  completion  lacks std'; fi
if grep -E '^(--|NO)' "$folder/doctor.log" | grep -v "$allowed"; then exit 1; fi
