//! `Cargo.toml` and `Cargo.lock` of an exported notebook.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use toml::{Table, Value};

use super::MARK;
use super::program::Program;

/// The manifest of a notebook's program.
pub(super) fn of(notebook: &str, program: &Program) -> Result<String> {
    let locked = Locked::parse(lock()?.as_deref().unwrap_or_default())?;
    let mut dependencies = vec![("kensaku".to_owned(), kensaku())];
    if program.waits {
        let features = Value::Array(vec!["full".into()]);
        dependencies.push(("tokio".to_owned(), table([("version", locked.pin("tokio")), ("features", features)])));
    }
    for asked in &program.dependencies {
        let (name, wanted) = dependency(asked, &locked).with_context(|| format!("`:dep {asked}`"))?;
        dependencies.retain(|(other, _)| *other != name);
        dependencies.push((name, wanted));
    }
    let dependencies: String = dependencies.iter().map(|(name, wanted)| format!("{name} = {wanted}\n")).collect();
    let name = package_name(notebook);
    Ok(format!(
        "{MARK} from {notebook}.ipynb. Cargo.lock holds the versions of the kernel.\n\n\
         [package]\nname = \"{name}\"\nversion = \"0.1.0\"\nedition = \"2024\"\npublish = false\n\n\
         [dependencies]\n{dependencies}\n\
         [profile.release]\ndebug = false\n\n\
         # A workspace of its own, wherever this folder lies.\n[workspace]\n"
    ))
}

/// The workspace's `Cargo.lock`, by which the kernel was built. Cargo takes out what the project does not need.
pub(super) fn lock() -> Result<Option<String>> {
    let file = workspace().join("Cargo.lock");
    match std::fs::read_to_string(&file) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).with_context(|| format!("reading {}", file.display())),
    }
}

/// The library's sources where they are, else its release.
fn kensaku() -> Value {
    let sources = workspace().join("lib");
    match sources.join("Cargo.toml").exists() {
        true => table([("path", sources.display().to_string().into())]),
        false => format!("={}", env!("CARGO_PKG_VERSION")).into(),
    }
}

fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().map(Path::to_owned).unwrap_or_default()
}

/// `regex`, `regex = "1"`, `regex = { version = "1", .. }`, or the folder of a crate.
fn dependency(asked: &str, locked: &Locked) -> Result<(String, Value)> {
    if !asked.contains('=') {
        return match asked.contains(['/', '.']) {
            true => local(asked),
            false => Ok((asked.to_owned(), locked.pin(asked))),
        };
    }
    let parsed: Table = toml::from_str(asked)?;
    let (name, mut wanted) = parsed.into_iter().next().context("no crate is named")?;
    if wanted.as_str() == Some("*") {
        wanted = locked.pin(&name);
    }
    if let Some(path) = wanted.get_mut("path")
        && let Some(folder) = path.as_str()
    {
        *path = std::path::absolute(folder)?.display().to_string().into();
    }
    Ok((name, wanted))
}

fn local(folder: &str) -> Result<(String, Value)> {
    let folder = std::path::absolute(folder)?;
    let file = folder.join("Cargo.toml");
    let text = std::fs::read_to_string(&file).with_context(|| format!("reading {}", file.display()))?;
    let manifest: Table = toml::from_str(&text)?;
    let name = manifest.get("package").and_then(|package| package.get("name")).and_then(Value::as_str);
    let name = name.with_context(|| format!("{} names no package", file.display()))?;
    Ok((name.to_owned(), table([("path", folder.display().to_string().into())])))
}

/// Letters and digits of the notebook's name; a package may not begin with a digit.
fn package_name(notebook: &str) -> String {
    let allowed = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' };
    let name: String = notebook.chars().map(allowed).collect();
    let name = name.trim_start_matches(|c: char| !c.is_ascii_alphabetic()).trim_end_matches('-');
    // Cargo refuses keywords, and a package cannot depend on one of its own name.
    let free = !name.is_empty()
        && name != "kensaku"
        && name != "test"
        && syn::parse_str::<syn::Ident>(&name.replace('-', "_")).is_ok();
    if free { name.to_owned() } else { format!("notebook-{name}").trim_end_matches('-').to_owned() }
}

fn table<const N: usize>(entries: [(&str, Value); N]) -> Value {
    Value::Table(entries.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
}

/// The versions of a `Cargo.lock`.
struct Locked(Vec<(String, String)>);

impl Locked {
    fn parse(lock: &str) -> Result<Self> {
        let lock: Table = toml::from_str(lock).context("reading Cargo.lock")?;
        let packages = lock.get("package").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        let text = |package: &Value, key: &str| Some(package.get(key)?.as_str()?.to_owned());
        Ok(Self(
            packages.iter().filter_map(|package| Some((text(package, "name")?, text(package, "version")?))).collect(),
        ))
    }

    /// The one version the kernel has, else any.
    fn pin(&self, name: &str) -> Value {
        let mut versions = self.0.iter().filter(|(locked, _)| locked == name).map(|(_, version)| version);
        match (versions.next(), versions.next()) {
            (Some(only), None) => format!("={only}").into(),
            _ => "*".into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn package_names_are_what_cargo_takes() {
        let names = ["01_quickstart", "My Notebook (2)", "検索", "kensaku", "fn", "a--"];
        let expected = ["quickstart", "my-notebook--2", "notebook", "notebook-kensaku", "notebook-fn", "a"];
        assert_eq!(names.map(package_name), expected);
    }

    #[test]
    fn dependencies_are_pinned_as_the_kernel_has_them() {
        let lock = "[[package]]\nname = \"regex\"\nversion = \"1.2.3\"\n\n\
                    [[package]]\nname = \"syn\"\nversion = \"1.0.0\"\n\n[[package]]\nname = \"syn\"\nversion = \"2.0.0\"\n";
        let locked = Locked::parse(lock).expect("a lock file");
        let wanted = |asked| dependency(asked, &locked).map(|(name, value)| format!("{name} {value}")).ok();
        assert_eq!(wanted("regex").as_deref(), Some("regex \"=1.2.3\""));
        assert_eq!(wanted("regex = \"1.1\"").as_deref(), Some("regex \"1.1\""));
        assert_eq!(wanted("syn = \"*\"").as_deref(), Some("syn \"*\""));
        let path = wanted("mine = { path = \"/a/mine\" }").expect("a path");
        assert!(path.contains("/a/mine"), "{path}");
        assert_eq!(wanted("regex = "), None);
    }
}
