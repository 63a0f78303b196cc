//! The variables of a session, between its cells.
//!
//! A cell takes the ones it names, runs, and gives back those it has not moved away.

use std::any::{Any, TypeId, type_name};
use std::cell::RefCell;
use std::collections::HashMap;

use kensaku::serde_json::json;

use crate::event;

struct Kept {
    value: Box<dyn Any>,
    type_name: &'static str,
}

thread_local! {
    /// All cells run on one thread, so that variables need not be `Send`.
    static VARIABLES: RefCell<HashMap<String, Kept>> = RefCell::default();
}

/// Keeps a variable for later cells; one of the same name is dropped.
pub fn keep<T: 'static>(name: &str, value: T) {
    put(name, Kept { value: Box::new(value), type_name: type_name::<T>() });
}

/// Whether `name` is there with this type. A cell asks before it takes any, and does not run else.
pub fn has<T: 'static>(name: &str) -> bool {
    is_there(name, TypeId::of::<T>(), type_name::<T>())
}

/// Takes a variable that [`has`] has found.
pub fn take<T: 'static>(name: &str) -> T {
    let found = remove(name).and_then(|kept| kept.value.downcast().ok());
    *found.unwrap_or_else(|| panic!("the variable `{name}` is no longer there"))
}

/// Drops variables, whatever their types are.
pub fn forget(names: &[&str]) {
    for name in names {
        drop(remove(name));
    }
}

fn put(name: &str, kept: Kept) {
    // The old value is dropped outside of the borrow: its `Drop` may print, and so come back here.
    let old = VARIABLES.with_borrow_mut(|variables| variables.insert(name.to_owned(), kept));
    drop(old);
}

fn remove(name: &str) -> Option<Kept> {
    VARIABLES.with_borrow_mut(|variables| variables.remove(name))
}

fn is_there(name: &str, id: TypeId, wanted: &str) -> bool {
    let found = VARIABLES
        .with_borrow(|variables| variables.get(name).map(|kept| (kept.value.as_ref().type_id() == id, kept.type_name)));
    let problem = match found {
        Some((true, _)) => return true,
        Some((false, type_name)) => format!("`{name}` is a {type_name}, not a {wanted}"),
        None => format!("`{name}` is no longer there"),
    };
    event::emit(&json!({ "lost": name, "problem": problem }));
    false
}
