//! Errors that `?` takes out of a cell.

use std::error::Error;
use std::fmt::{Debug, Display, Formatter};
use std::panic::Location;

use kensaku::serde_json::{Value, json};

use crate::event;

/// What ends the statements of a cell before their last.
pub struct Failed(How);

pub(super) enum How {
    /// An error, as the kernel shows it.
    Error(Value),
    /// A panic, of which its hook has told.
    Panic,
    /// A `return` of the cell's own.
    Returned,
}

impl Failed {
    /// `told` is the name, the message and the causes of an error; the caller its place.
    #[track_caller]
    pub fn new(told: Told) -> Self {
        let place = Location::caller();
        Self(How::Error(json!({ "failure": {
            "kind": "error", "name": told.name, "message": told.message, "causes": told.causes, "hint": told.hint,
            "file": place.file(), "line": place.line(), "column": place.column(),
        }})))
    }

    pub(super) fn panicked() -> Self {
        Self(How::Panic)
    }

    /// How the cell ended, in the kernel's word; tells of an error.
    pub(super) fn tell(&self) -> &'static str {
        match &self.0 {
            How::Error(failure) => {
                event::emit(failure);
                "error"
            }
            How::Panic => "panic",
            How::Returned => "well",
        }
    }
}

/// A `?` where none of the traits below can be asked, as within the call of a macro.
impl<E: Display> From<E> for Failed {
    #[track_caller]
    fn from(error: E) -> Self {
        Self::new(text_of(&error))
    }
}

/// What a cell can `return`.
pub trait Returned {
    fn into_end(self) -> Result<(), Failed>;
}

impl Returned for () {
    fn into_end(self) -> Result<(), Failed> {
        Err(Failed(How::Returned))
    }
}

impl<E: Display> Returned for Result<(), E> {
    #[track_caller]
    fn into_end(self) -> Result<(), Failed> {
        self.map_err(|error| Failed::new(text_of(&error)))?;
        Err(Failed(How::Returned))
    }
}

/// Ends a cell as `return` ends `main`.
#[track_caller]
pub fn returned(value: impl Returned) -> Result<(), Failed> {
    value.into_end()
}

/// What can be tried: `?` works on it.
#[diagnostic::on_unimplemented(
    message = "the `?` operator can only be applied to a `Result` or an `Option`",
    label = "`{Self}` is neither"
)]
pub trait Outcome {
    type Value;
    type Error;

    fn split(self) -> Result<Self::Value, Self::Error>;
}

impl<T, E> Outcome for Result<T, E> {
    type Value = T;
    type Error = E;

    fn split(self) -> Self {
        self
    }
}

impl<T> Outcome for Option<T> {
    type Value = T;
    type Error = Absent;

    fn split(self) -> Result<T, Absent> {
        self.ok_or(Absent)
    }
}

/// The error of a `None`.
#[derive(Debug)]
pub struct Absent;

impl Display for Absent {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("`?` on a None")
    }
}

/// Notes place, type and causes of the error that `?` is about to return.
///
/// The traits are found by method lookup, which needs to know the error's type; where it does not,
/// [`tried_text!`](crate::tried_text) asks less.
#[macro_export]
#[doc(hidden)]
macro_rules! tried_value {
    ($result:expr) => {
        match $crate::nb::Outcome::split($result) {
            Ok(value) => Ok(value),
            Err(error) => {
                #[allow(unused_imports)]
                use $crate::nb::{ByCauses as _, ByDebugForm as _, ByHint as _, ByText as _};
                Err($crate::nb::Failed::new((&&&&$crate::nb::Raised(&error)).told()))
            }
        }
    };
}

/// The same for errors whose type is only known from what follows, such as that of `"1".parse()`.
#[macro_export]
#[doc(hidden)]
macro_rules! tried_text {
    ($result:expr) => {
        match $crate::nb::Outcome::split($result) {
            Ok(value) => Ok(value),
            Err(error) => Err($crate::nb::Failed::new($crate::nb::text_of(&error))),
        }
    };
}

/// An error as front ends show it.
pub struct Told {
    name: String,
    message: String,
    causes: Vec<String>,
    hint: Option<&'static str>,
}

/// An error about to be told.
pub struct Raised<'a, E: ?Sized>(pub &'a E);

/// Errors that say what to do: the library's, also where anyhow holds one. Implemented twice, so that
/// rustc does not take an error of a type yet unknown for the only one there is.
pub trait Hinted {
    fn told(&self) -> Told;
}

impl Hinted for kensaku::Error {
    fn told(&self) -> Told {
        Told { hint: self.hint(), ..ByCauses::told(&&&Raised(self)) }
    }
}

impl Hinted for anyhow::Error {
    fn told(&self) -> Told {
        let hint = self.chain().find_map(|cause| cause.downcast_ref::<kensaku::Error>()?.hint());
        Told { hint, ..text_of(self) }
    }
}

/// Errors with a hint.
pub trait ByHint {
    fn told(&self) -> Told;
}

impl<E: Hinted> ByHint for &&&Raised<'_, E> {
    fn told(&self) -> Told {
        self.0.told()
    }
}

/// Errors that know their causes.
pub trait ByCauses {
    fn told(&self) -> Told;
}

impl<E: Error> ByCauses for &&Raised<'_, E> {
    fn told(&self) -> Told {
        let causes = std::iter::successors(self.0.source(), |cause| (*cause).source());
        let causes = causes.map(ToString::to_string).collect();
        Told { name: name_of::<E>(), message: self.0.to_string(), causes, hint: None }
    }
}

/// Errors with a text. anyhow's is one; it is no [`Error`].
pub trait ByText {
    fn told(&self) -> Told;
}

impl<E: Display> ByText for &Raised<'_, E> {
    fn told(&self) -> Told {
        text_of(self.0)
    }
}

/// All others that can be printed.
pub trait ByDebugForm {
    fn told(&self) -> Told;
}

impl<E: Debug> ByDebugForm for Raised<'_, E> {
    fn told(&self) -> Told {
        Told { name: name_of::<E>(), message: format!("{:?}", self.0), causes: Vec::new(), hint: None }
    }
}

/// The alternate form of anyhow's errors holds the whole chain of causes.
pub fn text_of<E: Display>(error: &E) -> Told {
    Told { name: name_of::<E>(), message: format!("{error:#}"), causes: Vec::new(), hint: None }
}

/// `kensaku::Error` from `kensaku::error::Error`: the crate and the name.
fn name_of<E: ?Sized>() -> String {
    let path = std::any::type_name::<E>();
    let plain = path.split('<').next().unwrap_or(path);
    match (plain.split_once("::"), plain.rsplit_once("::")) {
        (Some((krate, _)), Some((_, name))) => format!("{krate}::{name}"),
        _ => plain.to_owned(),
    }
}
