//! Lets the dynamic linker find the functions of `src/writes.rs` before libc's, and lets tests know whether std's
//! source is installed.

use std::path::PathBuf;
use std::process::Command;

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    let target = |fact: &str| std::env::var(format!("CARGO_CFG_TARGET_{fact}")).unwrap_or_default();
    if target("OS") == "linux" && target("ENV") == "gnu" {
        for function in ["write", "writev"] {
            println!("cargo:rustc-link-arg-bins=-Wl,--export-dynamic-symbol={function}");
        }
    }
    println!("cargo:rustc-check-cfg=cfg(rust_src)");
    if let Some(toolchain) = toolchain() {
        // rustup's list of installed components. Other toolchains do not change.
        let components = toolchain.join("components");
        if components.exists() {
            println!("cargo:rerun-if-changed={}", components.display());
        }
        if toolchain.join("src/rust/library/std/src/lib.rs").exists() {
            println!("cargo:rustc-cfg=rust_src");
        }
    }
}

/// The folder with the toolchain's components.
fn toolchain() -> Option<PathBuf> {
    let rustc = std::env::var_os("RUSTC")?;
    let output = Command::new(rustc).args(["--print", "sysroot"]).output().ok()?;
    let sysroot = String::from_utf8(output.stdout).ok()?;
    Some(PathBuf::from(sysroot.trim()).join("lib/rustlib"))
}
