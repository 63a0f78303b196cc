//! What a `router_config.json` says: through which modules texts of a role pass.

use std::path::{Path, PathBuf};

use serde_json::{Map, Value, json};

use super::read::unusable;
use crate::model::bi_encoder::{DOC, QUERY};
use crate::{Error, Result, files, folder};

const NAME: &str = "router_config.json";

/// The modules of queries and of documents: the last part of each one's type, and its folder.
pub(super) struct Router {
    pub(super) path: PathBuf,
    pub(super) query: Vec<(String, PathBuf)>,
    pub(super) doc: Vec<(String, PathBuf)>,
}

impl Router {
    /// Of a router in `dir`. An error, with what is `expected`, for other routes than `query` and `document`, and for settings
    /// by which texts would go another way than here.
    pub(super) fn read(dir: &Path, expected: &str) -> Result<Self> {
        let path = folder::file(dir, NAME)?;
        let stored: Value = folder::read_json(dir, NAME)?;
        let kind = |id: &str| stored["types"][id].as_str().and_then(|kind| kind.rsplit('.').next()).unwrap_or_default();
        let route = |name: &str| -> Result<Vec<(String, PathBuf)>> {
            let ids = stored["structure"][name].as_array().into_iter().flatten().filter_map(Value::as_str);
            ids.map(|id| Ok((kind(id).to_owned(), folder::file(dir, id)?))).collect()
        };
        let names: Vec<&String> = stored["structure"].as_object().into_iter().flatten().map(|(name, _)| name).collect();
        let router = Self { query: route(QUERY)?, doc: route(DOC)?, path };
        if names.len() != 2 || router.query.is_empty() || router.doc.is_empty() {
            let routes = names.iter().map(|name| Ok(described(name, &route(name)?))).collect::<Result<Vec<_>>>()?;
            return Err(unusable(&router.path, format!("the routes {}", routes.join(", ")), expected));
        }
        for (key, value) in stored["parameters"].as_object().into_iter().flatten() {
            let expected = match key.as_str() {
                "allow_empty_key" => continue,
                "default_route" if value == DOC => continue,
                "route_mappings" if value.as_object().is_none_or(Map::is_empty) => continue,
                "default_route" => "`document`, as plain texts are encoded",
                "route_mappings" => "none",
                _ => "no other settings of the router",
            };
            return Err(unusable(&router.path, format!("`{key}` is {value}"), expected));
        }
        Ok(router)
    }

    /// The error for other modules than are `expected`.
    pub(super) fn other(&self, expected: &str) -> Error {
        let routes = [described(QUERY, &self.query), described(DOC, &self.doc)];
        unusable(&self.path, format!("the routes {}", routes.join(", ")), expected)
    }
}

fn described(name: &str, modules: &[(String, PathBuf)]) -> String {
    let kinds: Vec<&str> = modules.iter().map(|(kind, _)| kind.as_str()).collect();
    format!("`{name}` with {}", kinds.join(", "))
}

/// An error for a directory whose first module is a router, where one encoder for all texts is expected.
pub(super) fn refuse(dir: &Path) -> Result<()> {
    let modules = folder::optional_json(dir, "modules.json")?;
    let first = modules[0]["type"].as_str().unwrap_or_default();
    if first.rsplit('.').next() != Some("Router") {
        return Ok(());
    }
    let stored = folder::optional_json(dir, NAME)?;
    let mut classes = stored["types"].as_object().into_iter().flatten().filter_map(|(_, class)| class.as_str());
    let reader = if classes.any(|class| class.ends_with("SpladePooling")) { "Splade" } else { "TwoTowers" };
    let problem = "a Router: queries and documents pass through modules of their own";
    Err(unusable(&folder::file(dir, "modules.json")?, problem, format!("`{reader}::load`, which reads such a model")))
}

/// Writes a router of these modules: the folder of each with its class.
pub(super) fn write(dir: &Path, query: &[(String, String)], doc: &[(String, String)]) -> Result<()> {
    let types: Map<String, Value> =
        query.iter().chain(doc).map(|(folder, class)| (folder.clone(), class.as_str().into())).collect();
    let folders = |modules: &[(String, String)]| modules.iter().map(|(folder, _)| folder.as_str()).collect::<Value>();
    let router = json!({
        "types": types,
        "structure": { QUERY: folders(query), DOC: folders(doc) },
        "parameters": { "default_route": DOC, "allow_empty_key": true },
    });
    files::write_json(&dir.join(NAME), &router)
}
