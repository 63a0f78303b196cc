//! A folder onto the hub, as one commit.

use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use reqwest::header::{ACCEPT, CONTENT_LENGTH, CONTENT_TYPE};
use ring::digest::{Context, SHA256};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::Hub;
use super::download::{Meter, escaped, hex};
use super::http::{Http, hub_error, run};
use super::name::{Kind, Name};
use crate::model::{ModelCard, is_generated};
use crate::show::progress;
use crate::{Error, Result, interrupt};

/// How a model is put onto the hub.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct PushConfig {
    /// Whether a repository that is made for it is private. One that is there stays as it is.
    pub private: bool,
    /// Of the commit.
    pub message: String,
    /// What the model card says beside what the model knows.
    pub card: ModelCard,
    /// Whether the card takes the place of one that someone has written there. One that was made gives way.
    pub replace_card: bool,
    /// Propose the commit as a pull request, for others to merge.
    pub pull_request: bool,
}

impl Default for PushConfig {
    fn default() -> Self {
        Self {
            private: false,
            message: "Upload a model trained with kensaku".to_owned(),
            card: ModelCard::default(),
            replace_card: false,
            pull_request: false,
        }
    }
}

/// The largest file that the hub's storage takes in one upload.
const LARGEST: u64 = 5_000_000_000;
/// Of a file, for the hub to tell texts from other files.
const SAMPLE: usize = 512;

/// A file to send.
struct Local {
    /// With slashes.
    path: String,
    file: PathBuf,
    size: u64,
}

impl Hub {
    /// Writes all files of a folder to `org/name`, or to a branch `org/name@branch`, as one commit; the repository is made
    /// if it is not there. Gives the commit's address. See `push_to_hub` of models.
    pub fn push(&self, dir: impl AsRef<Path>, name: &str, config: &PushConfig) -> Result<String> {
        let name = Name::expect(name, Kind::Model)?;
        let message = config.message.trim();
        crate::error::expect("message", format!("{message:?}"), "what the commit does", !message.is_empty())?;
        if self.offline {
            return Err(hub_error(&name, "HF_HUB_OFFLINE is set: nothing is sent", "unset it to push"));
        }
        if self.token.is_none() {
            let advice = "set HF_TOKEN to a token with the permission to write, or run `hf auth login`";
            return Err(hub_error(&name, "there is no token", advice));
        }
        let mut files = files_of(dir.as_ref())?;
        let total: u64 = files.iter().map(|file| file.size).sum();
        let mut meter = Meter::new(progress(format!("{name} (kB)"), usize::try_from(total / 1_000).ok()));
        run("the upload", async {
            let http = Http::new(self)?;
            create(&http, &name, config.private).await?;
            if !config.replace_card && has_card(&http, &name).await? {
                files.retain(|file| file.path != "README.md");
            }
            let large = large(&http, &name, &files, config.pull_request).await?;
            let mut lines = vec![json!({ "key": "header", "value": { "summary": message, "description": "" } })];
            for file in &files {
                // The store takes no empty file.
                if large.contains(&file.path) && file.size > 0 {
                    let oid = sha256(&file.file)?;
                    upload(&http, &name, file, &oid).await?;
                    let value = json!({ "path": file.path, "algo": "sha256", "oid": oid, "size": file.size });
                    lines.push(json!({ "key": "lfsFile", "value": value }));
                } else {
                    let content = STANDARD.encode(fs::read(&file.file).map_err(Error::io(&file.file))?);
                    let value = json!({ "path": file.path, "encoding": "base64", "content": content });
                    lines.push(json!({ "key": "file", "value": value }));
                }
                meter.add(file.size);
            }
            commit(&http, &name, &lines, config.pull_request).await
        })
    }
}

/// Makes the repository unless it is there.
async fn create(http: &Http<'_>, name: &Name, private: bool) -> Result<()> {
    let (organization, own) = name.id.split_once('/').unwrap_or_default();
    let place = name.to_string();
    let wanted = json!({ "name": own, "organization": organization, "type": "model", "private": private });
    let url = http.url("api/repos/create");
    let Err(error) = http.send(&place, || http.post(&url).json(&wanted)).await else { return Ok(()) };
    // It is taken, perhaps by what is there already; or the token may write, but make nothing.
    let known = http.send(&place, || http.get(&http.url(&name.api()))).await;
    known.map(|_| ()).map_err(|_| error)
}

/// Whether the hub has a card of it that someone may have written.
async fn has_card(http: &Http<'_>, name: &Name) -> Result<bool> {
    let place = name.to_string();
    let known = http.json(&place, || http.get(&http.url(&name.api()))).await?;
    if !known["siblings"].as_array().into_iter().flatten().any(|file| file["rfilename"] == "README.md") {
        return Ok(false);
    }
    let url = http.url(&format!("{}/resolve/{}/README.md", name.page(), escaped(&name.revision)));
    let response = http.send(&place, || http.get(&url)).await?;
    Ok(!is_generated(&http.text_of(&place, response).await?))
}

/// The paths of files that the hub keeps outside of git.
async fn large(http: &Http<'_>, name: &Name, files: &[Local], pull_request: bool) -> Result<Vec<String>> {
    let mut asked = Vec::new();
    for file in files {
        let mut sample = Vec::new();
        let open = File::open(&file.file).map_err(Error::io(&file.file))?;
        open.take(SAMPLE as u64).read_to_end(&mut sample).map_err(Error::io(&file.file))?;
        asked.push(json!({ "path": file.path, "size": file.size, "sample": STANDARD.encode(sample) }));
    }
    let query = if pull_request { "?create_pr=1" } else { "" };
    let url = http.url(&format!("{}/preupload/{}{query}", name.api(), escaped(&name.revision)));
    let asked = json!({ "files": asked });
    let answer = http.json(&name.to_string(), || http.post(&url).json(&asked)).await?;
    let mut large = Vec::new();
    for file in answer["files"].as_array().into_iter().flatten() {
        if file["uploadMode"] == "lfs" {
            large.extend(file["path"].as_str().map(str::to_owned));
        }
    }
    Ok(large)
}

/// Uploads a large file to the hub's storage, unless it is there.
async fn upload(http: &Http<'_>, name: &Name, file: &Local, oid: &str) -> Result<()> {
    const LFS: &str = "application/vnd.git-lfs+json";
    let place = format!("{name}: {}", file.path);
    if file.size > LARGEST {
        return Err(hub_error(place, format!("{} bytes", file.size), "save it in several files below 5 GB"));
    }
    let object = json!({ "oid": oid, "size": file.size });
    let batch = json!({
        "operation": "upload", "transfers": ["basic"], "hash_algo": "sha256", "objects": [object],
        "ref": { "name": name.revision },
    });
    let url = http.url(&format!("{}.git/info/lfs/objects/batch", name.id));
    let ask = || http.post(&url).json(&batch).header(CONTENT_TYPE, LFS).header(ACCEPT, LFS);
    let answer = http.json(&place, ask).await?;
    let found = &answer["objects"][0];
    if let Some(problem) = found["error"]["message"].as_str() {
        return Err(hub_error(place, format!("the hub does not take it: {problem}"), "see what it says"));
    }
    let Some(href) = found["actions"]["upload"]["href"].as_str() else { return Ok(()) };
    let headers = found["actions"]["upload"]["header"].as_object();
    let open = || {
        let body = File::open(&file.file).map(|open| reqwest::Body::from(tokio::fs::File::from_std(open)));
        // A file that cannot be opened any more is sent as nothing, which the store refuses.
        let mut request = http.put(href).body(body.unwrap_or_default()).header(CONTENT_LENGTH, file.size);
        for (key, value) in headers.into_iter().flatten() {
            request = request.header(key, value.as_str().unwrap_or_default());
        }
        request
    };
    http.send(&place, open).await?;
    match found["actions"]["verify"]["href"].as_str() {
        Some(verify) => http.send(&place, || http.post(verify).json(&object)).await.map(|_| ()),
        None => Ok(()),
    }
}

/// Makes the commit, and gives its address.
async fn commit(http: &Http<'_>, name: &Name, lines: &[Value], pull_request: bool) -> Result<String> {
    let body: String = lines.iter().map(|line| format!("{line}\n")).collect();
    let query = if pull_request { "?create_pr=1" } else { "" };
    let url = http.url(&format!("{}/commit/{}{query}", name.api(), escaped(&name.revision)));
    let make = || http.post(&url).header(CONTENT_TYPE, "application/x-ndjson").body(body.clone());
    let answer = http.json(&name.to_string(), make).await?;
    let address = answer["pullRequestUrl"].as_str().or(answer["commitUrl"].as_str());
    Ok(address.map_or_else(|| http.url(&format!("{}/tree/{}", name.page(), name.revision)), str::to_owned))
}

fn sha256(path: &Path) -> Result<String> {
    let mut file = File::open(path).map_err(Error::io(path))?;
    let mut context = Context::new(&SHA256);
    let mut buffer = vec![0; 1 << 20];
    loop {
        interrupt::check("the upload")?;
        match file.read(&mut buffer).map_err(Error::io(path))? {
            0 => return Ok(hex(context.finish().as_ref())),
            read => context.update(&buffer[..read]),
        }
    }
}

/// The files of a folder and those in it, hidden ones apart.
fn files_of(dir: &Path) -> Result<Vec<Local>> {
    let mut files = Vec::new();
    let mut folders = vec![(dir.to_owned(), String::new())];
    while let Some((folder, prefix)) = folders.pop() {
        for entry in fs::read_dir(&folder).map_err(Error::io(&folder))? {
            let entry = entry.map_err(Error::io(&folder))?;
            let name = entry.file_name().to_string_lossy().into_owned();
            let found = fs::metadata(entry.path()).map_err(Error::io(entry.path()))?;
            if name.starts_with('.') {
                continue;
            }
            let path = format!("{prefix}{name}");
            match found.is_dir() {
                true => folders.push((entry.path(), format!("{path}/"))),
                false => files.push(Local { path, file: entry.path(), size: found.len() }),
            }
        }
    }
    files.sort_by(|first, second| first.path.cmp(&second.path));
    Ok(files)
}

/// Saves a model into a folder that is gone afterwards, and pushes it.
pub(crate) fn push_saved(name: &str, config: &PushConfig, save: impl FnOnce(&Path) -> Result<()>) -> Result<String> {
    // Before a model is written for nothing.
    Name::expect(name, Kind::Model)?;
    let dir = tempfile::tempdir().map_err(Error::io(std::env::temp_dir()))?;
    save(dir.path())?;
    Hub::from_env()?.push(dir.path(), name, config)
}
