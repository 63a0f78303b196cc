//! Panics, told to the kernel with their place, so that it can name the cell's own line.

use std::any::Any;
use std::panic::PanicHookInfo;

use kensaku::serde_json::json;

use crate::event;

/// Installs the hook. It shares libstd with the cells, so that it sees their panics.
pub(crate) fn install() {
    if event::connected() {
        std::panic::set_hook(Box::new(report));
    }
}

fn report(info: &PanicHookInfo<'_>) {
    let location = info.location();
    event::emit(&json!({ "failure": {
        "kind": "panic",
        "name": "panic",
        "message": message(info.payload()),
        "file": location.map(|place| place.file()),
        "line": location.map(|place| place.line()),
        "thread": std::thread::current().name(),
    }}));
}

fn message(payload: &dyn Any) -> String {
    payload
        .downcast_ref::<&str>()
        .map(|text| (*text).to_owned())
        .or_else(|| payload.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "a panic without a message".to_owned())
}
