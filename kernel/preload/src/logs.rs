//! Logs of libraries and cells, by `log` and `tracing`, as lines on stderr.
//!
//! `RUST_LOG` sets the level, `warn` by default.

use tracing_subscriber::filter::LevelFilter;

/// Installs the subscriber unless there is one.
pub(crate) fn install() {
    let level = std::env::var("RUST_LOG").ok().and_then(|level| level.parse().ok());
    let lines = tracing_subscriber::fmt()
        .with_max_level(level.unwrap_or(LevelFilter::WARN))
        .with_writer(std::io::stderr)
        .with_ansi(false)
        .without_time();
    // A cell may have installed its own.
    let _ = lines.try_init();
}
