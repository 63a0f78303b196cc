//! What a notebook does by itself: cells end in a value that is shown, and any error ends the run.

use std::fmt::{Debug, Display, Formatter};

use kensaku::show::{Message, Show, display};

/// The error that ended the program: anything that can be printed becomes one.
pub struct Failure(String);

impl<E: Display> From<E> for Failure {
    fn from(error: E) -> Self {
        Self(format!("{error:#}"))
    }
}

impl Debug for Failure {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// Shows a value: charts and tables in their rich form, others by `Debug`.
///
/// Which of the traits below a value has is found by method lookup, which takes fewer references off first.
#[macro_export]
macro_rules! show_value {
    ($value:expr) => {{
        #[allow(unused_imports)]
        use $crate::notebook::{ByDebug as _, ByName as _, BySelf as _};
        match &$value {
            value => (&&&$crate::notebook::Shown(value)).show(),
        }
    }};
}

pub struct Shown<'a, T: ?Sized>(pub &'a T);

pub trait BySelf {
    fn show(&self);
}

impl<T: Show + ?Sized> BySelf for &&Shown<'_, T> {
    fn show(&self) {
        display(&self.0.bundle());
    }
}

pub trait ByDebug {
    fn show(&self);
}

impl<T: Debug + ?Sized> ByDebug for &Shown<'_, T> {
    fn show(&self) {
        let text = format!("{:?}", self.0);
        if text != "()" {
            display(&Message::text(text));
        }
    }
}

pub trait ByName {
    fn show(&self);
}

impl<T: ?Sized> ByName for Shown<'_, T> {
    fn show(&self) {
        display(&Message::text(format!("<{}>", std::any::type_name::<T>())));
    }
}
