//! Which toolchain rustup chooses for the programs that the kernel starts.

use std::env;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};

const VARIABLE: &str = "RUSTUP_TOOLCHAIN";

/// Lets rustup choose the toolchain that this binary was built with: outside of the clone, whose `rust-toolchain.toml` names
/// it, the default may be another one, or none, and the library for cells fits no other compiler.
///
/// # Safety
/// No other thread may read or write the environment meanwhile.
pub(crate) unsafe fn choose() {
    let home = env::var_os("RUSTUP_HOME").map(PathBuf::from).or_else(|| Some(env::home_dir()?.join(".rustup")));
    let chosen = env::var_os(VARIABLE);
    if let Some(own) = own(option_env!("RUSTUP_TOOLCHAIN"), chosen.as_deref(), &home.unwrap_or_default()) {
        // Safety: the caller guarantees that no other thread uses the environment.
        unsafe { env::set_var(VARIABLE, own) };
    }
}

/// The toolchain of the build, unless another one was chosen or it is no longer installed.
fn own<'a>(built: Option<&'a str>, chosen: Option<&OsStr>, home: &Path) -> Option<&'a str> {
    built.filter(|built| chosen.is_none() && home.join("toolchains").join(built).is_dir())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_toolchain_of_the_build_is_chosen_if_there_is_no_other_choice() {
        let home = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(home.path().join("toolchains/1.95.0")).unwrap();
        let own = |built, chosen: Option<&str>| own(built, chosen.map(OsStr::new), home.path());
        assert_eq!(own(Some("1.95.0"), None), Some("1.95.0"));
        assert_eq!(own(Some("1.95.0"), Some("nightly")), None);
        assert_eq!(own(Some("1.94.0"), None), None, "not installed");
        assert_eq!(own(None, None), None, "built without rustup");
    }
}
