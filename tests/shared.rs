//! Declaring acceptance tests.
//!
//! Golden values that hold texts of a data set are not in the repository: tests of them need the folder
//! that `KENSAKU_SHARED` names, and are reported as ignored, with the reason in their name, without it.

use std::path::PathBuf;

use libtest_mimic::Trial;

pub type Trials = Vec<Trial>;

/// A test that needs nothing but the repository.
pub fn test(name: &str, run: impl FnOnce() + Send + 'static) -> Trial {
    Trial::test(name, move || {
        run();
        Ok(())
    })
}

/// A test of `path` below the folder that `KENSAKU_SHARED` names.
pub fn shared(name: &str, path: &'static str, run: impl FnOnce(PathBuf) + Send + 'static) -> Trial {
    match std::env::var_os("KENSAKU_SHARED").map(|folder| PathBuf::from(folder).join(path)).filter(|path| path.exists())
    {
        Some(found) => test(name, move || run(found)),
        None => {
            Trial::test(format!("{name} (skipped: no {path} below KENSAKU_SHARED)"), || Ok(())).with_ignored_flag(true)
        }
    }
}
