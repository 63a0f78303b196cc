//! Information about the kernel.

use serde_json::{Value, json};

use super::message::PROTOCOL;
use crate::dylib::Dylib;

/// The answer to a kernel info request.
pub(super) fn reply() -> Value {
    let compiler = Dylib::recorded_compiler();
    let rust = compiler.as_deref().unwrap_or(env!("CARGO_PKG_RUST_VERSION"));
    let help = [
        ("candle", "https://docs.rs/candle-core"),
        ("Polars", "https://docs.rs/polars"),
        ("tokenizers", "https://docs.rs/tokenizers"),
        ("plotters", "https://docs.rs/plotters"),
        ("std", "https://doc.rust-lang.org/std/"),
    ];
    json!({
        "status": "ok",
        "protocol_version": PROTOCOL,
        "implementation": "kensaku",
        "implementation_version": env!("CARGO_PKG_VERSION"),
        "language_info": {
            "name": "rust",
            "version": rust,
            "mimetype": "text/x-rust",
            "file_extension": ".rs",
            "pygments_lexer": "rust",
            "codemirror_mode": "rust",
            "nbconvert_exporter": "script",
        },
        "banner": format!("kensaku {}: search models in Rust {rust}", env!("CARGO_PKG_VERSION")),
        "help_links": help.map(|(text, url)| json!({ "text": text, "url": url })),
        // No debugger, no subshells.
        "supported_features": [],
    })
}
