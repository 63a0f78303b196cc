//! Statics of cells. Each cell is a library of its own and would have its own copy of them.

use std::any::{Any, type_name};
use std::collections::HashMap;
use std::ops::Deref;
use std::sync::{Mutex, OnceLock, PoisonError};

/// Every static of the session, by its name, its text and its type.
static SHARED: OnceLock<Mutex<HashMap<String, &'static (dyn Any + Send + Sync)>>> = OnceLock::new();

/// A static that all cells share. It is made when it is first used.
pub struct Static<T: 'static> {
    /// The name and a hash of the text: another text is another static.
    name: &'static str,
    make: fn() -> T,
    found: OnceLock<&'static T>,
}

impl<T: Send + Sync + 'static> Static<T> {
    pub const fn new(name: &'static str, make: fn() -> T) -> Self {
        Self { name, make, found: OnceLock::new() }
    }
}

impl<T: Send + Sync + 'static> Deref for Static<T> {
    type Target = T;

    fn deref(&self) -> &T {
        self.found.get_or_init(|| {
            let key = format!("{} {}", self.name, type_name::<T>());
            let lock = || SHARED.get_or_init(Mutex::default).lock().unwrap_or_else(PoisonError::into_inner);
            let known = lock().get(&key).and_then(|shared| (*shared as &dyn Any).downcast_ref::<T>());
            known.unwrap_or_else(|| {
                // Made without the lock: it may use another static.
                let made: &'static T = Box::leak(Box::new((self.make)()));
                let shared = *lock().entry(key).or_insert(made);
                (shared as &dyn Any).downcast_ref::<T>().unwrap_or(made)
            })
        })
    }
}
