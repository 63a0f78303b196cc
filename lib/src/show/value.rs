//! A value in the richest form it has: what a cell, a script and an exported program end in.

use std::fmt::Debug;

use super::sink::{Message, Show, send_value};

/// Shows a value: by [`Show`](crate::show::Show), else by `Debug`, else by the name of its type. The unit
/// value, which statements such as `println!(..)` end in, is not shown.
///
/// ```
/// let scores = vec![0.5, 0.25];
/// kensaku::show_value!(scores.len());
/// assert_eq!(scores.len(), 2); // it is only looked at
/// ```
///
/// The forms are found by method lookup, which takes fewer references off first.
#[macro_export]
macro_rules! show_value {
    ($value:expr) => {{
        #[allow(unused_imports)]
        use $crate::show::{ByDebug as _, ByName as _, BySelf as _};
        match &$value {
            value => (&&&$crate::show::Shown(value)).show_it(),
        }
    }};
}

/// A value about to be shown.
#[doc(hidden)]
pub struct Shown<'a, T: ?Sized>(pub &'a T);

/// Values with a rich form.
#[doc(hidden)]
pub trait BySelf {
    fn show_it(&self);
}

impl<T: Show + ?Sized> BySelf for &&Shown<'_, T> {
    fn show_it(&self) {
        send_value(&self.0.bundle());
    }
}

/// Values that can at least be printed.
#[doc(hidden)]
pub trait ByDebug {
    fn show_it(&self);
}

impl<T: Debug + ?Sized> ByDebug for &Shown<'_, T> {
    fn show_it(&self) {
        let text = format!("{:?}", self.0);
        if text != "()" {
            send_value(&Message::text(text));
        }
    }
}

/// All other values.
#[doc(hidden)]
pub trait ByName {
    fn show_it(&self);
}

impl<T: ?Sized> ByName for Shown<'_, T> {
    fn show_it(&self) {
        send_value(&Message::text(format!("<{}>", std::any::type_name::<T>())));
    }
}
