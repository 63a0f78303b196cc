//! The value a cell ends in, in the richest form it has.

use std::fmt::Debug;

use kensaku::serde_json::json;
use kensaku::show::{Message, Show, display};

use crate::event;

/// Shows a value: by [`Show`](kensaku::show::Show), else by `Debug`, else by the name of its type.
///
/// The three traits are found by method lookup, which takes fewer references off first.
#[macro_export]
#[doc(hidden)]
macro_rules! show_value {
    ($value:expr) => {{
        #[allow(unused_imports)]
        use $crate::nb::{ByDebug as _, ByName as _, BySelf as _};
        match &$value {
            value => (&&&$crate::nb::Shown(value)).show_in_cell(),
        }
    }};
}

/// A value about to be shown.
pub struct Shown<'a, T: ?Sized>(pub &'a T);

/// Values with a rich form.
pub trait BySelf {
    fn show_in_cell(&self);
}

impl<T: Show + ?Sized> BySelf for &&Shown<'_, T> {
    fn show_in_cell(&self) {
        result(&self.0.bundle());
    }
}

/// Values that can at least be printed.
pub trait ByDebug {
    fn show_in_cell(&self);
}

impl<T: Debug + ?Sized> ByDebug for &Shown<'_, T> {
    fn show_in_cell(&self) {
        let text = format!("{:?}", self.0);
        // The unit value is what statements such as `println!(..)` end in.
        if text != "()" {
            result(&Message::text(text));
        }
    }
}

/// All other values.
pub trait ByName {
    fn show_in_cell(&self);
}

impl<T: ?Sized> ByName for Shown<'_, T> {
    fn show_in_cell(&self) {
        result(&Message::text(format!("<{}>", std::any::type_name::<T>())));
    }
}

fn result(message: &Message) {
    if event::connected() {
        event::emit(&json!({ "result": message }));
    } else {
        display(message);
    }
}
