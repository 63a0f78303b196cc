//! What libraries and cells log, by `log` and by `tracing`: lines on stderr.
//!
//! `RUST_LOG` names the least level that is shown: `warn` without it.

use tracing_subscriber::filter::LevelFilter;

/// Installs the subscriber, where no other is.
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
