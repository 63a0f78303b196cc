//! Errors that `?` takes out of a cell.

use std::fmt::{Display, Formatter};
use std::panic::Location;

use kensaku::serde_json::{Value, json};

use crate::event;

/// An error on its way out of a cell. Printing it tells the kernel.
pub struct Failed(Value);

/// Notes the place and the type of the error that `?` is about to return.
#[track_caller]
pub fn tried<T, E: Display>(result: Result<T, E>) -> Result<T, Failed> {
    let place = Location::caller();
    result.map_err(|error| {
        Failed(json!({ "failure": {
            "kind": "error",
            "name": short_name(std::any::type_name::<E>()),
            // The alternate form of anyhow's errors holds the whole chain of causes.
            "message": format!("{error:#}"),
            "file": place.file(),
            "line": place.line(),
        }}))
    })
}

impl Display for Failed {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> std::fmt::Result {
        match event::line(&self.0) {
            Some(line) => formatter.write_str(line.trim_end()),
            None => formatter.write_str(self.0["failure"]["message"].as_str().unwrap_or_default()),
        }
    }
}

/// The error that ends a script: anything that can be printed becomes one, as in a cell.
pub struct ScriptError(String);

impl<E: Display> From<E> for ScriptError {
    fn from(error: E) -> Self {
        Self(format!("{error:#}"))
    }
}

impl std::fmt::Debug for ScriptError {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// `kensaku_kernel::Error` from `kensaku_kernel::error::Error`: the crate and the name.
fn short_name(path: &str) -> String {
    let plain = path.split('<').next().unwrap_or(path);
    match (plain.split_once("::"), plain.rsplit_once("::")) {
        (Some((krate, _)), Some((_, name))) => format!("{krate}::{name}"),
        _ => plain.to_owned(),
    }
}
