//! `:dep`: crates beside those the dylib holds.
//!
//! They are built in a cargo project of the session's own, whose lock file begins as kensaku's, so
//! that versions agree. A crate that the dylib holds already is taken from there.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail, ensure};
use semver::{Version, VersionReq};
use serde_json::Value as Json;
use toml::{Table, Value};

use super::scope::Crate;
use crate::dylib::{Dylib, Part, workspace};
use crate::toolchain;

/// The cargo project of a session.
pub(super) struct Dependencies {
    folder: PathBuf,
    wanted: Table,
    parts: Vec<Part>,
}

/// A crate that cells can name from now on.
#[derive(Debug)]
pub(super) enum Added {
    /// From the dylib, in this version.
    Held(Crate, String),
    /// Built; the crates that were asked for so far, all of them.
    Built(Vec<Crate>),
}

/// The manifest in front of the dependencies.
const MANIFEST: &str = "[package]\nname = \"session\"\nversion = \"0.0.0\"\nedition = \"2024\"\n\n\
                        [lib]\npath = \"lib.rs\"\n\n[workspace]\n\n[profile.release]\ndebug = false\n";

impl Dependencies {
    pub(super) fn new(folder: PathBuf, dylib: &Dylib) -> Self {
        Self { folder, wanted: Table::new(), parts: dylib.crates.clone() }
    }

    /// Adds what stands behind `:dep`: `regex`, `regex = "1"`, `regex = { version = "1" }`, `./folder`.
    /// `progress` gets cargo's words.
    pub(super) fn add(&mut self, line: &str, progress: impl FnMut(&str)) -> Result<Added> {
        let (name, value) = parse(line)?;
        if let Some(part) = self.held(&name, &value) {
            let found = Crate { name: part.name.clone(), library: part.library.clone(), sources: None };
            return Ok(Added::Held(found, part.version.clone()));
        }
        let before = self.wanted.clone();
        self.wanted.insert(name, value);
        let built = self.write().and_then(|()| self.build(progress));
        if built.is_err() {
            self.wanted = before;
        }
        Ok(Added::Built(built?))
    }

    /// Forgets what was asked for so far.
    pub(super) fn clear(&mut self) {
        self.wanted.clear();
    }

    /// The newest crate of the dylib that `value` asks for.
    fn held(&self, name: &str, value: &Value) -> Option<&Part> {
        let simple = ["version", "features", "package", "default-features"];
        if value.as_table().is_some_and(|table| table.keys().any(|key| !simple.contains(&key.as_str()))) {
            return None;
        }
        let wanted = package(name, value);
        let required = value.as_str().or(value.get("version").and_then(Value::as_str)).unwrap_or("*");
        let required = VersionReq::parse(required).ok()?;
        let features = value.get("features").and_then(Value::as_array).into_iter().flatten();
        let features: Vec<&str> = features.filter_map(Value::as_str).collect();
        let fits = |part: &&Part| {
            part.package.replace('-', "_") == wanted.replace('-', "_")
                && Version::parse(&part.version).is_ok_and(|version| required.matches(&version))
                && features.iter().all(|feature| part.features.iter().any(|has| has == feature))
        };
        self.parts.iter().filter(fits).max_by_key(|part| Version::parse(&part.version).ok())
    }

    fn write(&self) -> Result<()> {
        std::fs::create_dir_all(&self.folder).with_context(|| format!("creating {}", self.folder.display()))?;
        let lock = self.folder.join("Cargo.lock");
        if !lock.exists() {
            // Where the sources are gone, versions are cargo's choice.
            let _ = std::fs::copy(workspace().join("Cargo.lock"), &lock);
        }
        let mut manifest = Table::new();
        manifest.insert("dependencies".to_owned(), Value::Table(self.wanted.clone()));
        let text = format!("{MANIFEST}\n{}", toml::to_string(&manifest)?);
        std::fs::write(self.folder.join("Cargo.toml"), text).context("writing the session's Cargo.toml")?;
        std::fs::write(self.folder.join("lib.rs"), "").context("writing the session's lib.rs")
    }

    /// Without the network first: what cargo has is there at once, and stays as it is.
    fn build(&self, mut progress: impl FnMut(&str)) -> Result<Vec<Crate>> {
        match self.cargo(&["--offline"], &mut |_| {}) {
            Ok(crates) => Ok(crates),
            Err(_) => self.cargo(&[], &mut progress),
        }
    }

    fn cargo(&self, options: &[&str], progress: &mut dyn FnMut(&str)) -> Result<Vec<Crate>> {
        let mut cargo = Command::new(toolchain::real("cargo")?);
        let mut running = toolchain::as_before(&mut cargo)
            .current_dir(&self.folder)
            .args(["build", "--release", "--message-format=json-render-diagnostics"])
            .args(options)
            .env("CARGO_TARGET_DIR", self.folder.join("target"))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .context("running cargo")?;
        // Read beside each other: either pipe may fill up.
        let output = running.stdout.take().context("cargo has no output")?;
        let messages =
            std::thread::spawn(move || BufReader::new(output).lines().map_while(Result::ok).collect::<Vec<_>>());
        let words = running.stderr.take().context("cargo has no words")?;
        for line in BufReader::new(words).lines().map_while(Result::ok).filter(|line| !line.contains(" session v")) {
            progress(&format!("{line}\n"));
        }
        let status = running.wait()?;
        ensure!(status.success(), "cargo could not build it");
        let messages = messages.join().unwrap_or_default();
        self.wanted.iter().map(|(name, value)| found(name, value, &messages)).collect()
    }
}

/// The crate that cargo built for a dependency.
fn found(name: &str, value: &Value, messages: &[String]) -> Result<Crate> {
    let wanted = package(name, value);
    let messages = messages.iter().filter_map(|line| serde_json::from_str::<Json>(line).ok());
    let mut built = messages.filter_map(|message| {
        let part = Part::read(&message)?;
        (part.package == wanted).then_some((part, message))
    });
    let (part, message) = built.next_back().with_context(|| format!("{wanted} has no library"))?;
    let sources = message["manifest_path"].as_str().and_then(|file| Some(Path::new(file).parent()?.to_owned()));
    let renamed = value.get("package").is_some();
    let name = if renamed { name.replace('-', "_") } else { part.name };
    Ok(Crate { name, library: part.library, sources })
}

/// What the registry calls a dependency.
fn package<'a>(name: &'a str, value: &'a Value) -> &'a str {
    value.get("package").and_then(Value::as_str).unwrap_or(name)
}

/// The name and the requirement of what stands behind `:dep`, as in Cargo.toml. Folders become absolute.
pub(crate) fn parse(line: &str) -> Result<(String, Value)> {
    ensure!(!line.is_empty(), "name a crate: `:dep regex = \"1\"`");
    if line.starts_with(['.', '/']) {
        return local(line);
    }
    if let Some((name, version)) = line.split_once('@').filter(|_| !line.contains('=')) {
        return Ok((name.trim().to_owned(), Value::String(version.trim().to_owned())));
    }
    if !line.contains('=') {
        return Ok((line.to_owned(), Value::String("*".to_owned())));
    }
    let table: Table = toml::from_str(line).with_context(|| format!("`{line}` is not as in Cargo.toml"))?;
    match table.into_iter().next() {
        Some((name, mut value)) => {
            if let Some(Value::String(path)) = value.as_table_mut().and_then(|table| table.get_mut("path")) {
                *path = absolute(path)?;
            }
            Ok((name, value))
        }
        None => bail!("name a crate: `:dep regex = \"1\"`"),
    }
}

/// A crate of the user's own, by its folder.
fn local(path: &str) -> Result<(String, Value)> {
    let path = absolute(path)?;
    let manifest = Path::new(&path).join("Cargo.toml");
    let text = std::fs::read_to_string(&manifest).with_context(|| format!("reading {}", manifest.display()))?;
    let manifest: Table = toml::from_str(&text)?;
    let name = manifest.get("package").and_then(|package| package.get("name")).and_then(Value::as_str);
    let name = name.context("its Cargo.toml names no package")?.to_owned();
    Ok((name, Value::Table(Table::from_iter([("path".to_owned(), Value::String(path))]))))
}

fn absolute(path: &str) -> Result<String> {
    let found = std::fs::canonicalize(path).with_context(|| format!("there is no {path}"))?;
    Ok(found.to_string_lossy().into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part(package: &str, version: &str, features: &[&str]) -> Part {
        Part {
            name: package.replace('-', "_"),
            package: package.to_owned(),
            version: version.to_owned(),
            features: features.iter().map(|feature| (*feature).to_owned()).collect(),
            library: PathBuf::new(),
        }
    }

    #[test]
    fn dependencies_are_read_as_cargo_reads_them() {
        let version = |line: &str| parse(line).map(|(name, value)| format!("{name} {value}")).unwrap_or_default();
        assert_eq!(version("regex"), "regex \"*\"");
        assert_eq!(version("regex = \"1.2\""), "regex \"1.2\"");
        assert_eq!(version("regex@1"), "regex \"1\"");
        assert!(parse("regex = { version = \"1\", features = [\"std\"] }").is_ok());
        assert!(parse("").is_err() && parse("a b = c").is_err());
    }

    #[test]
    fn the_dylib_gives_what_it_holds() {
        let parts = vec![part("serde", "1.0.2", &["derive"]), part("syn", "1.0.9", &[]), part("syn", "2.0.1", &[])];
        let dependencies = Dependencies { folder: PathBuf::new(), wanted: Table::new(), parts };
        let held = |line: &str| {
            let (name, value) = parse(line).expect("a dependency");
            dependencies.held(&name, &value).map(|part| part.version.clone())
        };
        assert_eq!(held("serde").as_deref(), Some("1.0.2"));
        assert_eq!(held("serde = { version = \"1\", features = [\"derive\"] }").as_deref(), Some("1.0.2"));
        assert_eq!(held("serde = { version = \"1\", features = [\"rc\"] }"), None);
        assert_eq!(held("serde = \"2\""), None);
        assert_eq!(held("syn").as_deref(), Some("2.0.1"));
        assert_eq!(held("syn = \"1\"").as_deref(), Some("1.0.9"));
        assert_eq!(held("regex"), None);
    }
}
