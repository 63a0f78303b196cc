//! Errors that `?` returns from a cell.

use std::error::Error;
use std::fmt::{Debug, Display, Formatter};
use std::panic::Location;

use kensaku::serde_json::{Value, json};

use crate::event;

/// Why the statements of a cell ended early.
pub struct Failed(How);

pub(super) enum How {
    /// An error, as the kernel shows it.
    Error(Value),
    /// A panic, already reported by the hook.
    Panic,
    /// A `return` in the cell.
    Returned,
}

impl Failed {
    /// `told` holds the name, the message and the causes of an error; the caller is its place.
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

    /// How the cell ended, as the kernel names it; reports an error.
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

/// A `?` where the traits below are out of reach, as in the arguments of a macro.
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

/// Types that `?` works on.
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

/// Records the place, type and causes of the error that `?` is about to return.
///
/// The traits are found by method lookup, which needs the error's type; where it is not yet known,
/// [`tried_text!`](crate::tried_text) only needs `Display`.
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

/// The same for errors whose type is inferred from later code, such as that of `"1".parse()`.
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

/// An error about to be reported.
pub struct Raised<'a, E: ?Sized>(pub &'a E);

/// Errors with a hint: the library's, also inside an anyhow error. Implemented twice, so that rustc
/// does not infer the only implementor for an error whose type is not yet known.
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

/// Errors with causes.
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

/// Errors with a text, such as anyhow's, which is not an [`Error`].
pub trait ByText {
    fn told(&self) -> Told;
}

impl<E: Display> ByText for &Raised<'_, E> {
    fn told(&self) -> Told {
        text_of(self.0)
    }
}

/// All other printable errors.
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
