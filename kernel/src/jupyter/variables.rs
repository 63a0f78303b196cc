//! The list of variables for a front end's panel.

use std::sync::PoisonError;

use serde_json::{Value, json};

use crate::session::SharedScope;

/// The comm target that answers any message with the variables.
pub(super) const TARGET: &str = "kensaku.variables";

/// Name, type and mutability of each variable.
pub(super) fn list(scope: &SharedScope) -> Value {
    let scope = scope.read().unwrap_or_else(PoisonError::into_inner);
    let variables = scope
        .variables
        .iter()
        .map(|variable| json!({ "name": variable.name, "type": variable.ty, "mutable": variable.mutable }));
    json!({ "variables": variables.collect::<Vec<_>>() })
}
