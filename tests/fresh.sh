#!/usr/bin/env bash
# The README's two commands as they are on a machine that has rustup, a C compiler and Python:
#
#   tests/fresh.sh FOLDER [minimal]
#
# FOLDER gets a clone of HEAD, and homes of its own for cargo and rustup; rustup fetches what rust-toolchain.toml
# names. With `minimal` it fetches the compiler alone, as a cargo of another origin has no source of std: the tests
# that need it are then ignored. An hour on two cores; a `target` in FOLDER is used as it is.
set -euo pipefail
repository="$(cd "$(dirname "$0")/.." && pwd)"
mkdir -p "$1"
folder="$(cd "$1" && pwd)"
components="${2:-named}"
clone="$folder/clone"
step() { printf '\n== %s (%s s)\n' "$*" "$SECONDS"; }

# Where crates come from is the machine's affair; everything else is as after the installation.
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
# Whatever the doctor has to say is to be done by now, but for the source of std where there is none.
allowed=none
if [ "$components" = minimal ]; then allowed='^--  completion  does not know std'; fi
if grep -E '^(--|NO)' "$folder/doctor.log" | grep -v "$allowed"; then exit 1; fi
