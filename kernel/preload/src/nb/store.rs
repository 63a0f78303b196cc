//! The variables of a session, between cells.
//!
//! A cell takes those it names, runs, and gives back those it has not moved.

use std::any::{Any, TypeId, type_name};
use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};
use std::mem::needs_drop;

use kensaku::serde_json::json;

use crate::event;

struct Kept {
    value: Box<dyn Any>,
    type_name: &'static str,
    needs_drop: bool,
}

impl Kept {
    fn new<T: 'static>(value: T) -> Self {
        Self { value: Box::new(value), type_name: type_name::<T>(), needs_drop: needs_drop::<T>() }
    }

    /// Whether the value can be a `T`. Its type may have the same name and identity as `T` and yet another definition:
    /// no code says that a file it includes has changed.
    fn is_like<T: 'static>(&self) -> bool {
        size_of_val(self.value.as_ref()) == size_of::<T>()
            && align_of_val(self.value.as_ref()) == align_of::<T>()
            && self.needs_drop == needs_drop::<T>()
    }
}

thread_local! {
    /// All cells run on one thread, so variables need not be `Send`.
    static VARIABLES: RefCell<HashMap<String, Kept>> = RefCell::default();
    /// The variables that the running cell has kept, with their types.
    static KEPT: RefCell<BTreeMap<String, &'static str>> = RefCell::default();
}

/// Clears the previous cell's entries.
pub(super) fn cell_begins() {
    KEPT.take();
}

/// Reports the kept variables to the kernel.
pub(super) fn cell_ends() {
    let kept = KEPT.take();
    if !kept.is_empty() {
        event::emit(&json!({ "kept": kept }));
    }
}

/// Keeps a variable for later cells. Within a cell the first call per name wins (the innermost variable); an earlier
/// cell's variable of that name is dropped.
pub fn keep<T: 'static>(name: &str, value: T) {
    let newer = KEPT.with_borrow_mut(|kept| {
        let newer = kept.contains_key(name);
        kept.entry(name.to_owned()).or_insert_with(type_name::<T>);
        newer
    });
    if !newer {
        put(name, Kept::new(value));
    }
}

/// Gives back a variable of an earlier cell, unless this cell has kept a new one of that name.
pub fn give_back<T: 'static>(name: &str, value: T) {
    if !KEPT.with_borrow(|kept| kept.contains_key(name)) {
        put(name, Kept::new(value));
    }
}

/// Whether `name` exists with this type. A cell checks all its variables first and does not run if one is missing.
pub fn has<T: 'static>(name: &str) -> bool {
    is_there::<T>(name)
}

/// Whether `name` exists under the identity that its type had before other types were redefined; if so, it gets the
/// identity of `T`.
///
/// # Safety
/// `T` is made of the same definitions as the type of the variable.
pub unsafe fn readmit<T: 'static>(name: &str) -> bool {
    VARIABLES.with_borrow_mut(|variables| {
        let Some(kept) = variables.remove(name) else { return };
        let same = kept.value.as_ref().type_id() == TypeId::of::<T>();
        let kept = if !same && kept.type_name == type_name::<T>() && kept.is_like::<T>() {
            // Safety: the caller's promise, and the box was made for a value of this size and alignment.
            let value: Box<T> = unsafe { Box::from_raw(Box::into_raw(kept.value).cast()) };
            Kept { value, ..kept }
        } else {
            kept
        };
        variables.insert(name.to_owned(), kept);
    });
    has::<T>(name)
}

/// Takes a variable; [`has`] has returned true for it.
pub fn take<T: 'static>(name: &str) -> T {
    let found = remove(name).and_then(|kept| kept.value.downcast().ok());
    *found.unwrap_or_else(|| panic!("the variable `{name}` no longer exists"))
}

/// Drops variables of any type.
pub fn forget(names: &[&str]) {
    for name in names {
        drop(remove(name));
    }
}

fn put(name: &str, kept: Kept) {
    // The old value is dropped outside the borrow: its `Drop` may print and so re-enter.
    let old = VARIABLES.with_borrow_mut(|variables| variables.insert(name.to_owned(), kept));
    drop(old);
}

fn remove(name: &str) -> Option<Kept> {
    VARIABLES.with_borrow_mut(|variables| variables.remove(name))
}

fn is_there<T: 'static>(name: &str) -> bool {
    let wanted = type_name::<T>();
    let found = VARIABLES.with_borrow(|variables| {
        let kept = variables.get(name)?;
        Some((kept.value.as_ref().type_id() == TypeId::of::<T>(), kept.is_like::<T>(), kept.type_name))
    });
    let problem = match found {
        Some((true, true, _)) => return true,
        Some((true, false, _)) => format!("the definition of `{wanted}` has changed since `{name}` was created"),
        Some((false, _, type_name)) => format!("`{name}` is a {type_name}, not a {wanted}"),
        None => format!("`{name}` no longer exists"),
    };
    event::emit(&json!({ "lost": name, "problem": problem }));
    false
}
