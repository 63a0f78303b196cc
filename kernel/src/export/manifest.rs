//! `Cargo.toml` and `Cargo.lock` of an exported notebook.

use std::path::Path;

use anyhow::{Context, Result, ensure};
use toml::{Table, Value};

use super::MARK;
use super::program::Program;

/// The manifest of a notebook's program, which depends on the library in `workspace`.
pub(super) fn of(notebook: &str, program: &Program, workspace: &Path) -> Result<String> {
    let mut dependencies = vec![(LIBRARY.to_owned(), library(workspace)?)];
    let locked = Locked::parse(&lock(workspace)?)?;
    for (name, wanted) in program.dependencies.iter().filter(|(name, wanted)| name != LIBRARY || has_path(wanted)) {
        let wanted = if wanted.as_str() == Some("*") { locked.pin(name) } else { wanted.clone() };
        dependencies.retain(|(other, _)| other != name);
        dependencies.push((name.clone(), wanted));
    }
    let dependencies: String = dependencies.iter().map(|(name, wanted)| format!("{name} = {wanted}\n")).collect();
    let name = package_name(notebook);
    Ok(format!(
        "{MARK} from {notebook}.ipynb. Cargo.lock has the kernel's versions.\n\n\
         [package]\nname = \"{name}\"\nversion = \"0.1.0\"\nedition = \"2024\"\npublish = false\n\n\
         [dependencies]\n{dependencies}\n\
         # Arithmetic overflow panics, as in cells; the libraries are built as for the kernel.\n\
         [profile.release]\ndebug = false\ndebug-assertions = true\noverflow-checks = true\n\n\
         [profile.release.package.\"*\"]\ndebug-assertions = false\noverflow-checks = false\n\n\
         # A separate workspace, wherever this folder is.\n[workspace]\n"
    ))
}

/// The library's name, which is not published in any registry: a crate of that name there is a different one.
const LIBRARY: &str = "kensaku";

/// The library, by its sources.
fn library(workspace: &Path) -> Result<Value> {
    let sources = workspace.join("lib");
    ensure!(
        sources.join("Cargo.toml").exists(),
        "an exported project depends on kensaku's sources, which are missing at {}",
        workspace.display()
    );
    Ok(table([("path", sources.display().to_string().into())]))
}

fn has_path(wanted: &Value) -> bool {
    wanted.get("path").is_some()
}

/// The `Cargo.lock` that the kernel was built with. cargo removes the packages that a project does not need.
pub(super) fn lock(workspace: &Path) -> Result<String> {
    let file = workspace.join("Cargo.lock");
    std::fs::read_to_string(&file).with_context(|| format!("reading {}", file.display()))
}

/// The letters and digits of the notebook's name, without leading digits, which cargo rejects.
fn package_name(notebook: &str) -> String {
    let allowed = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' };
    let name: String = notebook.chars().map(allowed).collect();
    let name = name.trim_start_matches(|c: char| !c.is_ascii_alphabetic()).trim_end_matches('-');
    // cargo rejects keywords, and a package cannot depend on one with its own name.
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

    /// The kernel's version, if there is exactly one, else any.
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
    fn package_names_are_valid_for_cargo() {
        let names = ["01_quickstart", "My Notebook (2)", "検索", "kensaku", "fn", "a--"];
        let expected = ["quickstart", "my-notebook--2", "notebook", "notebook-kensaku", "notebook-fn", "a"];
        assert_eq!(names.map(package_name), expected);
    }

    #[test]
    fn the_one_locked_version_is_pinned() {
        let lock = "[[package]]\nname = \"regex\"\nversion = \"1.2.3\"\n\n\
                    [[package]]\nname = \"syn\"\nversion = \"1.0.0\"\n\n[[package]]\nname = \"syn\"\nversion = \"2.0.0\"\n";
        let locked = Locked::parse(lock).expect("a lock file");
        assert_eq!(
            ["regex", "syn", "other"].map(|name| locked.pin(name).to_string()),
            ["\"=1.2.3\"", "\"*\"", "\"*\""]
        );
    }

    #[test]
    fn a_manifest_names_what_the_program_needs() {
        let dependencies = vec![
            ("mine".to_owned(), table([("path", "/a/mine".into())])),
            ("rand".to_owned(), "0.9".into()),
            ("kensaku".to_owned(), "*".into()),
        ];
        let program = Program { text: String::new(), main: 0, dependencies };
        let workspace = crate::dylib::workspace();
        let manifest = of("01_quickstart", &program, &workspace).expect("it can be written");
        let parsed: Table = toml::from_str(&manifest).expect("it is TOML");
        assert_eq!(parsed["package"]["name"].as_str(), Some("quickstart"));
        let names: Vec<&String> = parsed["dependencies"].as_table().expect("a table").keys().collect();
        assert_eq!(names, ["kensaku", "mine", "rand"]);
        assert_eq!(parsed["dependencies"]["mine"]["path"].as_str(), Some("/a/mine"));
        assert_eq!(parsed["profile"]["release"]["overflow-checks"].as_bool(), Some(true));
        assert!(parsed["dependencies"]["kensaku"]["path"].as_str().is_some_and(|path| path.ends_with("lib")));
    }

    #[test]
    fn without_sources_there_is_nothing_to_depend_on() {
        let program = Program { text: String::new(), main: 0, dependencies: Vec::new() };
        let refused = of("a", &program, Path::new("/no/such/clone")).expect_err("the sources are gone");
        assert!(refused.to_string().contains("missing at /no/such/clone"), "{refused}");
    }
}
