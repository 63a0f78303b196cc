//! What the kernel weaves into cells. Not meant to be called by hand.

mod failed;
mod show;

use std::marker::PhantomData;

pub use failed::{Failed, ScriptError, tried};
pub use show::{ByDebug, ByName, BySelf, Shown};

pub use crate::local_statements as local;
pub use crate::show_value as show;

use kensaku::interrupt;
use kensaku::serde_json::json;

use crate::event;

/// Carries a type into an error message, from which the kernel reads it.
pub struct TypeOf<T: ?Sized>(PhantomData<T>);

/// The marker of a value's type. A type of its own, never an expectation: an annotation would take
/// part in inference.
pub fn type_of<T: ?Sized>(_value: &T) -> TypeOf<T> {
    TypeOf(PhantomData)
}

/// Tells the kernel that the cell has been compiled and runs from here on.
pub fn begin() {
    event::emit(&json!({ "begin": true }));
}

/// Statements that evcxr does not look into: a closure declared here lives until the end of its cell.
#[macro_export]
#[doc(hidden)]
macro_rules! local_statements {
    ($($statements:tt)*) => { $($statements)* };
}

/// What every loop of a cell calls, so that an interrupt ends it and keeps the variables.
pub fn poll() {
    if interrupt::requested() {
        std::panic::panic_any("interrupted");
    }
}
