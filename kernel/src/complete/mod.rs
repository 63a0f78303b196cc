//! Completion and inspection: an index of all public items, and rustc for the type of any expression.
//!
//! ```text
//! df.lazy().fil|   --context-->  a member of `df.lazy()`
//!                  --probe-->    the cell with a deliberate error in that place
//!                  --check-->    rustc: `kensaku::polars::prelude::LazyFrame`
//!                  --members-->  fields and methods in the index, by the rules of method calls
//!                  --rank-->     filter, fill_null, fill_nan, ..
//! ```

mod check;
mod commands;
mod context;
mod describe;
mod explain;
mod files;
mod hints;
mod index;
mod inspect;
mod locals;
mod members;
mod offer;
mod places;
mod probe;
mod rank;
mod turns;
mod types;
mod view;

use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use anyhow::{Context as _, Result};
use ra_ap_syntax::TextRange;
use serde_json::{Value, json};

use crate::dylib::Dylib;
use crate::session::{Crate, Scope, SharedScope};
use crate::toolchain;
use check::Checker;
use context::{Context, Position};
use index::record::Ty;
use index::store::Store;
use index::world::World;
use locals::{locals, parameters};
use offer::{Detail, Offer, behind_dot, elsewhere};
pub(crate) use turns::{Asked, Ticket, Tickets};
use view::View;

pub(crate) use index::sources::Built;

/// Answers questions about code while it is being written.
pub(crate) struct Completer {
    scope: SharedScope,
    checker: Checker,
    index: std::path::PathBuf,
    /// `None` while there is no index.
    store: Mutex<Option<Arc<Store>>>,
    /// The latest world, with the added crates it was built from.
    world: Mutex<Option<(Vec<Crate>, World)>>,
    /// The latest view, with the items it was built from.
    view: Mutex<Option<(String, Arc<View>)>>,
    /// The crates that the dylib holds, for `:dep`.
    held: Vec<String>,
    surroundings: Mutex<Surroundings>,
}

/// The session's state after the last cell, as needed for the arguments of commands.
#[derive(Debug, Default)]
pub(crate) struct Surroundings {
    /// The working directory of cells.
    pub(crate) folder: Option<std::path::PathBuf>,
    /// The codes of the last compile errors.
    pub(crate) codes: Vec<String>,
}

/// Set by the session once it has started; `None` if it has failed.
pub(crate) type Awaited = Arc<OnceLock<Option<Arc<Completer>>>>;

/// Writes the index of the dylib's crates and of std next to the dylib, unless it exists.
pub(crate) fn update_index(dylib: &Dylib) -> Result<()> {
    let sysroot = dylib.sysroot().context("the folder of the toolchain is unknown")?;
    let std = !index::sources::of_std(sysroot).is_empty();
    match indexed(dylib) {
        Some(knows_std) if knows_std || !std => return Ok(()),
        _ => {}
    }
    if !std {
        eprintln!("completion will not include std: run `rustup component add rust-src`, then `kensaku install`");
    }
    let sources = dylib.sources();
    let built = std::fs::read_to_string(&sources).with_context(|| format!("reading {}", sources.display()))?;
    index::build::build(serde_json::from_str(&built)?, sysroot, &dylib.index())
}

/// Whether the index includes std; `None` if there is no index.
pub(crate) fn indexed(dylib: &Dylib) -> Option<bool> {
    let store = Store::open(&dylib.index()).ok()?;
    Some(store.crates().iter().any(|(name, _)| name == "std"))
}

/// Builds a missing index in a separate process, as that takes much more memory than a kernel.
pub(crate) fn make_missing_index(dylib: &Dylib) {
    let Ok(binary) = std::env::current_exe() else { return };
    if indexed(dylib).is_some() {
        return;
    }
    let mut index = Command::new(binary);
    toolchain::as_before(&mut index).arg("index").stdin(Stdio::null()).stdout(Stdio::null());
    // Until then completion works without it.
    let _ = std::thread::Builder::new().name("kensaku-index".to_owned()).spawn(move || index.status());
}

impl Completer {
    pub(crate) fn new(dylib: &Dylib, scope: SharedScope) -> Self {
        Self {
            scope,
            checker: Checker::new(dylib),
            index: dylib.index(),
            store: Mutex::default(),
            world: Mutex::default(),
            view: Mutex::default(),
            held: dylib.crates.iter().map(|held| held.part.package.clone()).collect(),
            surroundings: Mutex::new(Surroundings { folder: std::env::current_dir().ok(), codes: Vec::new() }),
        }
    }

    /// The content of a `complete_reply`. The cursor and all offsets count code points.
    pub(crate) fn complete(&self, code: &str, cursor: usize, ticket: &Ticket) -> Value {
        let (offers, written) = self.offers(code, byte_of(code, cursor), ticket);
        let start = cursor - written.chars().count();
        let offers = rank::ranked(offers, &written);
        let view = self.latest_view();
        let types: Vec<Value> = offers
            .iter()
            .map(|offer| {
                let signature = match (&offer.detail, &view) {
                    (Detail::Text(text), _) => text.clone(),
                    (Detail::Of(id), Some(view)) => {
                        view.world.record(*id).map(|record| record.signature.clone()).unwrap_or_default()
                    }
                    (Detail::Of(_), None) => String::new(),
                };
                json!({ "text": offer.text, "type": offer.kind, "signature": signature, "start": start, "end": cursor })
            })
            .collect();
        json!({
            "status": "ok",
            "matches": offers.iter().map(|offer| &offer.text).collect::<Vec<_>>(),
            "cursor_start": start,
            "cursor_end": cursor,
            "metadata": { "_jupyter_types_experimental": types },
        })
    }

    /// The content of an `inspect_reply`.
    pub(crate) fn inspect(&self, code: &str, cursor: usize, detail: u64, ticket: &Ticket) -> Value {
        match self.description(code, byte_of(code, cursor), ticket) {
            Some(found) => json!({ "status": "ok", "found": true, "data": found.data(detail), "metadata": {} }),
            None => json!({ "status": "ok", "found": false, "data": {}, "metadata": {} }),
        }
    }

    /// The documentation of `name` as MIME types: all of it, or the first paragraph.
    pub(crate) fn docs(&self, name: &str, whole: bool) -> Option<Value> {
        Some(self.description(name, name.len(), &Ticket::lasting())?.data(u64::from(whole)))
    }

    /// Records the state after a cell.
    pub(crate) fn take_note(&self, surroundings: Surroundings) {
        *self.surroundings.lock().unwrap_or_else(PoisonError::into_inner) = surroundings;
    }

    /// The offers at byte `at`, and the part already written.
    fn offers(&self, code: &str, at: usize, ticket: &Ticket) -> (Vec<Offer>, String) {
        let scope = self.scope_now();
        let surroundings = self.surroundings.lock().unwrap_or_else(PoisonError::into_inner);
        let found = commands::offers(code, at, &self.held, &scope, &surroundings);
        drop(surroundings);
        if let Some((offers, written)) = found {
            return (offers, written);
        }
        let position = commands::rust(code, at).and_then(|(rust, at)| Position::to_complete(&rust, at));
        let Some(position) = position else { return (Vec::new(), String::new()) };
        let Some(context) = position.context() else { return (Vec::new(), position.prefix) };
        let view = self.view(&scope, &position);
        let offers = match context {
            Context::Member { receiver, whole } => {
                match self.type_of(&scope, &view, &position, receiver, whole, ticket) {
                    Some((ty, _)) => behind_dot(&view, &ty),
                    None => Vec::new(),
                }
            }
            other => elsewhere(&view, &scope, &position, &other),
        };
        (offers, position.prefix)
    }

    /// The type of the expression `asked`, and how rustc prints it; the probe replaces the expression `replaced`.
    fn type_of(
        &self,
        scope: &Scope,
        view: &View,
        position: &Position,
        asked: TextRange,
        replaced: TextRange,
        ticket: &Ticket,
    ) -> Option<(Ty, String)> {
        let text = position.slice(asked);
        let shadowed = || locals(&position.token).iter().any(|name| name == text);
        let variable = scope.variables.iter().find(|variable| variable.name == text);
        let printed = match variable.filter(|_| !shadowed()) {
            Some(variable) => variable.ty.clone(),
            None => self.checker.answer(&probe::probe(scope, position, asked, replaced)?, scope, ticket)?,
        };
        let parameters = parameters(&position.token);
        Some((types::read(&view.world, &printed, &parameters)?, printed))
    }

    fn scope_now(&self) -> Scope {
        self.scope.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Opens the index if it has appeared, and clears what was cached without it.
    fn look_for_index(&self) {
        let is_missing = lock(&self.store).is_none();
        if is_missing && let Ok(opened) = Store::open(&self.index) {
            *lock(&self.store) = Some(Arc::new(opened));
            *lock(&self.world) = None;
            *lock(&self.view) = None;
        }
    }

    /// The index with the items of the scope and of the cell.
    fn view(&self, scope: &Scope, position: &Position) -> Arc<View> {
        self.view_with(scope, &probe::own_items(position))
    }

    /// The index with the items of the cells so far.
    fn view_of_cells(&self, scope: &Scope) -> Arc<View> {
        self.view_with(scope, "")
    }

    fn view_with(&self, scope: &Scope, own: &str) -> Arc<View> {
        self.look_for_index();
        let items = probe::with_items(scope, own);
        let mut latest = lock(&self.view);
        match latest.as_ref() {
            Some((of, view)) if *of == items => view.clone(),
            _ => {
                let view = Arc::new(View::new(self.world(scope), &scope.crates, &items));
                *latest = Some((items, view.clone()));
                view
            }
        }
    }

    /// The index with the crates that `:dep` has built.
    fn world(&self, scope: &Scope) -> World {
        let mut latest = lock(&self.world);
        match latest.as_ref() {
            Some((crates, world)) if *crates == scope.crates => world.clone(),
            _ => {
                let mut world = World::over(lock(&self.store).clone());
                for added in &scope.crates {
                    if let Some(folder) = &added.sources {
                        index::build::add_crate(&mut world, &added.name, folder);
                    }
                }
                *latest = Some((scope.crates.clone(), world.clone()));
                world
            }
        }
    }

    fn latest_view(&self) -> Option<Arc<View>> {
        lock(&self.view).as_ref().map(|(_, view)| view.clone())
    }
}

fn lock<T>(held: &Mutex<T>) -> MutexGuard<'_, T> {
    held.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The byte at which the `cursor`th character begins.
fn byte_of(code: &str, cursor: usize) -> usize {
    code.char_indices().nth(cursor).map_or(code.len(), |(at, _)| at)
}

#[cfg(test)]
mod tests;
