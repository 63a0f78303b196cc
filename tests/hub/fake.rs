//! A hub: the part of the API of huggingface.co that the library speaks.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use kensaku::hub::Hub;
use ring::digest::{SHA1_FOR_LEGACY_USE_ONLY, SHA256, digest};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::server::{Request, Response, Server};

/// What a hub holds, and what goes wrong with it.
#[derive(Default)]
pub struct State {
    /// `org/name` -> path -> content.
    pub repos: BTreeMap<String, BTreeMap<String, Vec<u8>>>,
    /// What was sent to the store of large files.
    pub store: HashMap<String, Vec<u8>>,
    /// The lines of commits.
    pub commits: Vec<Value>,
    pub created: Vec<Value>,
    /// Who asks has to send it.
    pub token: Option<String>,
    /// For the end of a path: what is answered next in place of what would be.
    pub faults: Vec<(&'static str, Fault)>,
}

#[derive(Debug, Clone)]
pub enum Fault {
    Status(u16, Vec<(&'static str, &'static str)>, &'static str),
    /// The connection ends after so many bytes.
    Cut(usize),
    /// The first byte is another.
    Damage,
    /// Bytes come slowly.
    Slow,
    /// The whole although a part was asked for.
    NoRange,
}

pub struct FakeHub {
    pub server: Server,
    pub state: Arc<Mutex<State>>,
    pub home: TempDir,
}

pub const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";

impl FakeHub {
    pub fn new() -> Self {
        let state = Arc::new(Mutex::new(State::default()));
        let shared = state.clone();
        let server = Server::start(move |request| answer(&mut shared.lock().unwrap(), request));
        Self { server, state, home: tempfile::tempdir().unwrap() }
    }

    pub fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    /// The files of a folder as a repository.
    pub fn add(&self, name: &str, dir: &Path) {
        let mut files = BTreeMap::new();
        let mut folders = vec![dir.to_owned()];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    folders.push(path);
                } else {
                    let name = path.strip_prefix(dir).unwrap().to_str().unwrap().to_owned();
                    files.insert(name, std::fs::read(&path).unwrap());
                }
            }
        }
        self.state().repos.insert(name.to_owned(), files);
    }

    pub fn put(&self, name: &str, path: &str, content: impl Into<Vec<u8>>) {
        self.state().repos.entry(name.to_owned()).or_default().insert(path.to_owned(), content.into());
    }

    pub fn fault(&self, end: &'static str, fault: Fault) {
        self.state().faults.push((end, fault));
    }

    /// As a user of it.
    pub fn hub(&self) -> Hub {
        Hub { endpoint: self.server.url(), cache: self.home.path().join("hub"), token: None, offline: false }
    }
}

pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

pub fn sha256(content: &[u8]) -> String {
    hex(digest(&SHA256, content).as_ref())
}

pub fn git(content: &[u8]) -> String {
    let whole = [format!("blob {}\0", content.len()).as_bytes(), content].concat();
    hex(digest(&SHA1_FOR_LEGACY_USE_ONLY, &whole).as_ref())
}

fn is_large(path: &str) -> bool {
    [".safetensors", ".bin", ".onnx"].iter().any(|end| path.ends_with(end))
}

fn json(value: &Value) -> Response {
    Response::new(200, value.to_string()).with("Content-Type", "application/json")
}

fn missing(code: &str) -> Response {
    Response::new(404, json!({ "error": "not found" }).to_string()).with("X-Error-Code", code)
}

fn answer(state: &mut State, request: &Request) -> Response {
    let (path, query) = request.path.split_once('?').unwrap_or((&request.path, ""));
    let fault = state.faults.iter().position(|(end, _)| path.ends_with(end));
    let fault = fault.map(|index| state.faults.remove(index).1);
    if let Some(Fault::Status(status, headers, body)) = &fault {
        let response = Response::new(*status, *body);
        return headers.iter().fold(response, |response, (name, value)| response.with(name, value));
    }
    let given = request.headers.get("authorization").cloned();
    if state.token.as_ref().is_some_and(|token| given != Some(format!("Bearer {token}")))
        && !path.starts_with("/store/")
    {
        return Response::new(401, json!({ "error": "Invalid credentials" }).to_string());
    }
    let parts: Vec<&str> = path.trim_start_matches('/').split('/').collect();
    let mut response = match (&*request.method, &parts[..]) {
        ("POST", ["api", "repos", "create"]) => create(state, request),
        ("GET", ["api", kind @ ("models" | "datasets")]) => search(request, kind, query),
        ("GET", ["api", "models", org, name]) => listing(state, &format!("{org}/{name}"), "main"),
        ("GET", ["api", "models", org, name, "revision", revision]) => {
            listing(state, &format!("{org}/{name}"), revision)
        }
        ("GET", ["api", "datasets", org, name, "revision", revision]) => {
            listing(state, &format!("datasets/{org}/{name}"), revision)
        }
        ("GET", ["api", "models", org, name, "tree", _]) => tree(state, &format!("{org}/{name}")),
        ("POST", ["api", "models", _, _, "preupload", _]) => preupload(request),
        ("POST", ["api", "models", org, name, "commit", "main"]) => commit(state, request, &format!("{org}/{name}")),
        ("POST", [_, _, "info", "lfs", "objects", "batch"]) => batch(state, request),
        ("PUT", ["store", oid]) => {
            state.store.insert((*oid).to_owned(), request.body.clone());
            Response::new(200, "")
        }
        ("POST", ["verify"]) => Response::new(200, "{}"),
        ("GET", ["datasets", org, name, "resolve", _, rest @ ..]) => {
            file(state, request, &format!("datasets/{org}/{name}"), &rest.join("/"))
        }
        ("GET" | "HEAD", [org, name, "resolve", _, rest @ ..]) => {
            file(state, request, &format!("{org}/{name}"), &rest.join("/"))
        }
        _ => missing("Unknown"),
    };
    match fault {
        Some(Fault::Cut(bytes)) => response.cut = Some(bytes.min(response.body.len())),
        Some(Fault::Damage) => response.body[0] ^= 1,
        Some(Fault::Slow) => response.slow = Some(Duration::from_millis(20)),
        Some(Fault::NoRange) => {
            let mut whole = request.clone();
            whole.headers.remove("range");
            return answer(state, &whole);
        }
        Some(Fault::Status(..)) | None => {}
    }
    response
}

fn listing(state: &State, name: &str, revision: &str) -> Response {
    let Some(files) = state.repos.get(name) else { return missing("RepoNotFound") };
    if !["main", "v1", COMMIT].contains(&revision) {
        return missing("RevisionNotFound");
    }
    let sibling = |(path, content): (&String, &Vec<u8>)| {
        let mut file = json!({ "rfilename": path, "size": content.len(), "blobId": git(content) });
        if is_large(path) {
            file["lfs"] = json!({ "sha256": sha256(content), "size": content.len(), "pointerSize": 130 });
        }
        file
    };
    let siblings: Vec<Value> = files.iter().map(sibling).collect();
    json(&json!({ "id": name, "sha": COMMIT, "private": false, "siblings": siblings }))
}

/// The list that Python asks for.
fn tree(state: &State, name: &str) -> Response {
    let entry = |(path, content): (&String, &Vec<u8>)| {
        let mut file = json!({ "type": "file", "path": path, "size": content.len(), "oid": git(content) });
        if is_large(path) {
            file["lfs"] = json!({ "oid": sha256(content), "size": content.len(), "pointerSize": 130 });
        }
        file
    };
    json(&state.repos[name].iter().map(entry).collect())
}

fn file(state: &State, request: &Request, name: &str, path: &str) -> Response {
    let content = state.repos.get(name).and_then(|files| files.get(path));
    let Some(content) = content else { return missing("EntryNotFound") };
    let of = |response: Response| {
        let (etag, linked) = if is_large(path) { (sha256(content), true) } else { (git(content), false) };
        let response = response.with("ETag", format!("\"{etag}\"")).with("X-Repo-Commit", COMMIT);
        match linked {
            true => response.with("X-Linked-Etag", format!("\"{etag}\"")).with("X-Linked-Size", content.len()),
            false => response,
        }
    };
    let range = request.headers.get("range").and_then(|range| range.strip_prefix("bytes=")?.strip_suffix('-'));
    match range.and_then(|from| from.parse::<usize>().ok()) {
        Some(from) => of(Response::new(206, &content[from..])
            .with("Content-Range", format!("bytes {from}-{}/{}", content.len() - 1, content.len()))),
        None => of(Response::new(200, content.clone())),
    }
}

fn create(state: &mut State, request: &Request) -> Response {
    let wanted: Value = serde_json::from_slice(&request.body).unwrap();
    let name = format!("{}/{}", wanted["organization"].as_str().unwrap(), wanted["name"].as_str().unwrap());
    if state.repos.contains_key(&name) {
        return Response::new(409, json!({ "error": "You already created this model repo" }).to_string());
    }
    state.repos.insert(name.clone(), BTreeMap::new());
    state.created.push(wanted);
    json(&json!({ "url": format!("https://hub/{name}") }))
}

fn preupload(request: &Request) -> Response {
    let asked: Value = serde_json::from_slice(&request.body).unwrap();
    let mode = |file: &Value| {
        let path = file["path"].as_str().unwrap();
        assert!(file["size"].is_u64() && file["sample"].is_string());
        json!({ "path": path, "uploadMode": if is_large(path) { "lfs" } else { "regular" }, "shouldIgnore": false })
    };
    json(&json!({ "files": asked["files"].as_array().unwrap().iter().map(mode).collect::<Vec<_>>() }))
}

fn batch(state: &State, request: &Request) -> Response {
    let asked: Value = serde_json::from_slice(&request.body).unwrap();
    assert_eq!((&asked["operation"], &asked["hash_algo"]), (&json!("upload"), &json!("sha256")));
    let mut object = asked["objects"][0].clone();
    let oid = object["oid"].as_str().unwrap().to_owned();
    if !state.store.contains_key(&oid) {
        let home = format!("http://{}", request.headers["host"]);
        object["actions"] = json!({
            "upload": { "href": format!("{home}/store/{oid}"), "header": { "x-store": "yes" } },
            "verify": { "href": format!("{home}/verify") },
        });
    }
    json(&json!({ "transfer": "basic", "objects": [object] }))
}

fn commit(state: &mut State, request: &Request, name: &str) -> Response {
    use base64::Engine;
    let text = String::from_utf8(request.body.clone()).unwrap();
    for line in text.lines() {
        let line: Value = serde_json::from_str(line).unwrap();
        let value = &line["value"];
        let content = match line["key"].as_str().unwrap() {
            "file" => {
                let content = value["content"].as_str().unwrap();
                Some(base64::engine::general_purpose::STANDARD.decode(content).unwrap())
            }
            "lfsFile" => Some(state.store[value["oid"].as_str().unwrap()].clone()),
            _ => None,
        };
        if let Some(content) = content {
            let path = value["path"].as_str().unwrap().to_owned();
            state.repos.get_mut(name).unwrap().insert(path, content);
        }
        state.commits.push(line);
    }
    json(&json!({ "success": true, "commitOid": COMMIT, "commitUrl": format!("https://hub/{name}/commit/{COMMIT}") }))
}

/// Two pages, of one row each.
fn search(request: &Request, kind: &str, query: &str) -> Response {
    let first = json!({
        "id": "cl/ruri", "pipeline_tag": "sentence-similarity", "library_name": "sentence-transformers",
        "downloads": 1234, "likes": 5, "lastModified": "2025-02-28T10:11:12.000Z",
        "tags": ["sentence-transformers", "ja", "license:apache-2.0", "region:us"],
    });
    let second = json!({
        "id": "x/y", "tags": ["task_categories:text-retrieval", "language:en", "language:ja"],
        "cardData": { "language": ["en", "ja"] }, "createdAt": "2024-01-01T00:00:00.000Z", "downloads": 7,
    });
    if query.contains("cursor=2") {
        return json(&json!([second]));
    }
    let next = format!("<http://{}/api/{kind}?cursor=2>; rel=\"next\"", request.headers["host"]);
    json(&json!([first])).with("Link", next)
}
