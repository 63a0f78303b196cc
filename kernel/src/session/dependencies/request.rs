//! The argument of `:dep`, read as a line of Cargo.toml.

use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use semver::{Version, VersionReq};
use toml::{Table, Value};

use crate::dylib::Held;

/// The name and the requirement of a crate: `regex`, `regex = "1"`, `regex@1`,
/// `regex = { version = "1" }`, `./folder`. Folders become absolute.
pub(crate) fn parse(line: &str) -> Result<(String, Value)> {
    ensure!(!line.is_empty(), "expected a crate: `:dep regex = \"1\"`");
    if line.starts_with(['.', '/']) {
        return local(line);
    }
    if let Some((name, version)) = line.split_once('@').filter(|_| !line.contains('=')) {
        return Ok((name.trim().to_owned(), Value::String(version.trim().to_owned())));
    }
    if !line.contains('=') {
        return Ok((line.to_owned(), Value::String("*".to_owned())));
    }
    let table: Table =
        toml::from_str(line).with_context(|| format!("`{line}` is not a dependency as in Cargo.toml"))?;
    match table.into_iter().next() {
        Some((name, mut value)) => {
            if let Some(Value::String(path)) = value.as_table_mut().and_then(|table| table.get_mut("path")) {
                *path = absolute(path)?;
            }
            Ok((name, value))
        }
        None => bail!("expected a crate: `:dep regex = \"1\"`"),
    }
}

/// The newest crate of the dylib that satisfies `value`.
pub(super) fn held<'a>(crates: &'a [Held], name: &str, value: &Value) -> Option<&'a Held> {
    let simple = ["version", "features", "package", "default-features"];
    if value.as_table().is_some_and(|table| table.keys().any(|key| !simple.contains(&key.as_str()))) {
        return None;
    }
    let wanted = value.get("package").and_then(Value::as_str).unwrap_or(name);
    let required = value.as_str().or(value.get("version").and_then(Value::as_str)).unwrap_or("*");
    let required = VersionReq::parse(required).ok()?;
    let features = value.get("features").and_then(Value::as_array).into_iter().flatten();
    let features: Vec<&str> = features.filter_map(Value::as_str).collect();
    let fits = |Held { part, .. }: &&Held| {
        part.package.replace('-', "_") == wanted.replace('-', "_")
            && Version::parse(&part.version).is_ok_and(|version| required.matches(&version))
            && features.iter().all(|feature| part.features.iter().any(|has| has == feature))
    };
    crates.iter().filter(fits).max_by_key(|held| Version::parse(&held.part.version).ok())
}

/// A local crate, by its folder.
fn local(path: &str) -> Result<(String, Value)> {
    let path = absolute(path)?;
    let manifest = Path::new(&path).join("Cargo.toml");
    let text = std::fs::read_to_string(&manifest).with_context(|| format!("reading {}", manifest.display()))?;
    let manifest: Table = toml::from_str(&text)?;
    let name = manifest.get("package").and_then(|package| package.get("name")).and_then(Value::as_str);
    let name = name.context("its Cargo.toml has no package name")?.to_owned();
    Ok((name, Value::Table(Table::from_iter([("path".to_owned(), Value::String(path))]))))
}

fn absolute(path: &str) -> Result<String> {
    let found = std::fs::canonicalize(path).with_context(|| format!("{path} not found"))?;
    Ok(found.to_string_lossy().into_owned())
}

#[cfg(test)]
mod tests {
    use super::super::unify::tests::crate_of;
    use super::*;

    #[test]
    fn dependencies_are_read_like_cargos() {
        let version = |line: &str| parse(line).map(|(name, value)| format!("{name} {value}")).unwrap_or_default();
        assert_eq!(version("regex"), "regex \"*\"");
        assert_eq!(version("regex = \"1.2\""), "regex \"1.2\"");
        assert_eq!(version("regex@1"), "regex \"1\"");
        assert!(parse("regex = { version = \"1\", features = [\"std\"] }").is_ok());
        assert!(parse("").is_err() && parse("a b = c").is_err());
    }

    #[test]
    fn crates_are_found_in_the_dylib() {
        let crates = [
            crate_of("serde", "1.0.2", &["derive"], &[]),
            crate_of("syn", "1.0.9", &[], &[]),
            crate_of("syn", "2.0.1", &[], &[]),
        ];
        let held = |line: &str| {
            let (name, value) = parse(line).expect("a dependency");
            held(&crates, &name, &value).map(|held| held.part.version.clone())
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
