//! What the kernel says about itself.

use serde_json::{Value, json};

use super::wire::PROTOCOL;

/// The answer to a kernel info request.
pub(super) fn reply() -> Value {
    json!({
        "status": "ok",
        "protocol_version": PROTOCOL,
        "implementation": "kensaku",
        "implementation_version": env!("CARGO_PKG_VERSION"),
        "language_info": {
            "name": "rust",
            "version": env!("CARGO_PKG_RUST_VERSION"),
            "mimetype": "text/x-rust",
            "file_extension": ".rs",
            "pygments_lexer": "rust",
            "codemirror_mode": "rust",
            "nbconvert_exporter": "script",
        },
        "banner": concat!("kensaku ", env!("CARGO_PKG_VERSION"), ": search models in Rust"),
        "help_links": [
            { "text": "candle", "url": "https://docs.rs/candle-core" },
            { "text": "Polars", "url": "https://docs.rs/polars" },
        ],
        "debugger": false,
    })
}
