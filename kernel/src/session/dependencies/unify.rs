//! Which crates of the dylib replace those that cargo would build.
//!
//! All of them, at first. If a crate is needed in another version, or with a feature that the dylib's
//! lacks, it is built as well, together with all crates that depend on it: their types and traits then
//! exist twice.

use std::collections::{BTreeMap, BTreeSet};

use semver::Version;

use crate::dylib::Held;
use crate::units::{Graph, Package, Unit};

/// The crates that cells can name through `kensaku`: a second copy of one causes a warning.
const SHARED: [&str; 14] = [
    "anyhow",
    "candle-core",
    "candle-nn",
    "candle-transformers",
    "kensaku",
    "log",
    "plotters",
    "polars",
    "rayon",
    "serde",
    "serde_json",
    "tokenizers",
    "tokio",
    "tracing",
];

/// The crates that replace cargo's, by their numbers in the dylib.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Standing {
    pub(super) numbers: BTreeSet<usize>,
    /// Other folders and repositories of such a crate, which are replaced as well.
    pub(super) elsewhere: BTreeSet<(String, usize)>,
}

/// A unit of a package in the dylib.
struct Met<'a> {
    unit: &'a Unit,
    package: Package,
    /// The dylib's crate of that version, else of that name.
    number: usize,
    stands_in: bool,
}

impl Standing {
    pub(super) fn all(held: &[Held]) -> Self {
        Self { numbers: (0..held.len()).collect(), elsewhere: BTreeSet::new() }
    }

    /// The subset that can replace what `graph` asks for.
    pub(super) fn fitting(&self, held: &[Held], graph: &Graph, stands_in: impl Fn(&Package) -> bool) -> Self {
        let mut fitting = self.clone();
        for met in met(held, graph, &stands_in) {
            let Held { part, place, links, .. } = &held[met.number];
            let fits = match met.stands_in {
                true => has_features(&part.features, met.unit) && !(*links && asked_by_script(graph, met.unit)),
                // cargo unifies compatible versions from the same source.
                false => met.package.patched() != Some(place) || !compatible(&part.version, &met.package.version),
            };
            if !fits {
                fitting.numbers.remove(&met.number);
            }
            if let Some(place) = met.package.patched()
                && is_local(held, &met)
                && part.version == met.package.version
            {
                fitting.elsewhere.insert((place.to_owned(), met.number));
            }
        }
        while let Some(number) = fitting.numbers.iter().copied().find(|number| !fitting.has_all(&held[*number])) {
            fitting.numbers.remove(&number);
        }
        fitting.elsewhere.retain(|(_, number)| fitting.numbers.contains(number));
        fitting
    }

    /// The subset that `graph` uses: cargo warns of unused patches.
    pub(super) fn used(&self, held: &[Held], graph: &Graph, stands_in: impl Fn(&Package) -> bool) -> Self {
        let asked: BTreeSet<usize> =
            met(held, graph, &stands_in).filter(|met| met.stands_in).map(|met| met.number).collect();
        let numbers = self.numbers.intersection(&asked).copied().collect();
        Self { numbers, elsewhere: self.elsewhere.clone() }
    }

    fn has_all(&self, held: &Held) -> bool {
        held.needs.iter().all(|number| self.numbers.contains(number))
    }
}

/// Warnings about second copies of crates that cells can name.
pub(super) fn second_ones(held: &[Held], graph: &Graph, stands_in: impl Fn(&Package) -> bool) -> Vec<String> {
    let mut said = BTreeMap::new();
    for met in met(held, graph, &stands_in) {
        let part = &held[met.number].part;
        let for_cells = met.unit.platform.is_some() && met.unit.is_library();
        if met.stands_in || !for_cells || !SHARED.contains(&part.package.as_str()) {
            continue;
        }
        let Package { name, version, .. } = &met.package;
        let missing = met.unit.features.iter().filter(|name| !part.features.contains(name));
        let missing: Vec<String> = missing.map(|name| format!("`{name}`")).collect();
        let own = match missing.as_slice() {
            _ if *version != part.version => format!(", kensaku uses {}", part.version),
            [] => " with other dependencies than kensaku's".to_owned(),
            missing => format!(" with {}, which kensaku's lacks", missing.join(", ")),
        };
        let by = user_of(graph, met.unit).unwrap_or_else(|| "the notebook".to_owned());
        said.entry(format!("{name} {version}"))
            .or_insert(format!("{by} uses {name} {version}{own}: their types and traits are not interchangeable"));
    }
    said.into_values().collect()
}

/// The units of `graph` that have the name of a crate of the dylib.
fn met<'a>(held: &[Held], graph: &'a Graph, stands_in: &impl Fn(&Package) -> bool) -> impl Iterator<Item = Met<'a>> {
    let units = graph.units.iter().filter(|unit| unit.is_library() || unit.is_macro());
    units.filter_map(move |unit| {
        let package = Package::read(&unit.package)?;
        let ours = || held.iter().enumerate().filter(|(_, held)| held.part.package == package.name);
        let same = ours().find(|(_, held)| held.part.version == package.version);
        let near = ours().find(|(_, held)| compatible(&held.part.version, &package.version));
        let (number, _) = same.or(near).or(ours().next_back())?;
        let stands_in = stands_in(&package);
        Some(Met { unit, package, number, stands_in })
    })
}

/// Whether it is a local copy of a crate that the dylib has from a folder, as kensaku itself.
fn is_local(held: &[Held], met: &Met) -> bool {
    !met.stands_in && held[met.number].place.starts_with("file:") && !met.package.place.starts_with("registry+")
}

fn has_features(on: &[String], unit: &Unit) -> bool {
    unit.features.iter().all(|feature| on.contains(feature))
}

/// Whether a dependent's build script may read metadata of this package's build script.
fn asked_by_script(graph: &Graph, unit: &Unit) -> bool {
    let above = graph.units.iter().filter(|above| uses(graph, above, unit));
    above
        .into_iter()
        .any(|above| graph.units.iter().any(|other| other.package == above.package && other.is_build_script()))
}

/// A package that depends on `unit`; `None` for the session's.
fn user_of(graph: &Graph, unit: &Unit) -> Option<String> {
    let above = graph.units.iter().find(|above| above.package != unit.package && uses(graph, above, unit))?;
    Package::read(&above.package).filter(|above| above.name != super::project::NAME).map(|above| above.name)
}

fn uses(graph: &Graph, above: &Unit, unit: &Unit) -> bool {
    above.dependencies.iter().any(|edge| std::ptr::eq(&graph.units[edge.index], unit))
}

/// Whether cargo considers the versions compatible.
fn compatible(one: &str, other: &str) -> bool {
    let line = |version: &str| match Version::parse(version) {
        Ok(Version { major: 0, minor: 0, patch, .. }) => Some((0, 0, patch)),
        Ok(Version { major: 0, minor, .. }) => Some((0, minor, 0)),
        Ok(Version { major, .. }) => Some((major, 0, 0)),
        Err(_) => None,
    };
    line(one).is_some() && line(one) == line(other)
}

#[cfg(test)]
pub(super) mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::dylib::Part;

    pub(in super::super) fn crate_of(package: &str, version: &str, features: &[&str], needs: &[usize]) -> Held {
        let texts = |list: &[&str]| list.iter().map(|text| (*text).to_owned()).collect();
        let part = Part {
            name: package.replace('-', "_"),
            package: package.to_owned(),
            version: version.to_owned(),
            features: texts(features),
            library: "libx.rlib".into(),
        };
        Held { part, place: "crates-io".to_owned(), offered: texts(features), links: false, needs: needs.to_owned() }
    }

    /// A unit of a package; those of `held` begin with `held:`.
    fn unit(package: &str, features: &[&str], uses: &[usize]) -> Value {
        let id = match package.strip_prefix("held:") {
            Some(held) => format!("path+file:///held/{held}#{held}"),
            None => format!("registry+https://github.com/rust-lang/crates.io-index#{package}"),
        };
        let edges: Vec<Value> = uses.iter().map(|at| json!({ "index": at, "extern_crate_name": "x" })).collect();
        json!({
            "pkg_id": id, "target": { "kind": ["lib"], "name": "x", "src_path": "" }, "profile": { "opt_level": "3" },
            "platform": "here", "mode": "build", "features": features, "dependencies": edges,
        })
    }

    fn graph(units: &[Value]) -> Graph {
        Graph::read(json!({ "units": units, "roots": [0] }).to_string().as_bytes()).expect("a graph")
    }

    fn stands_in(package: &Package) -> bool {
        package.place.contains("/held/")
    }

    fn dylib() -> Vec<Held> {
        vec![
            crate_of("serde", "1.0.5", &["default", "derive"], &[]),
            crate_of("serde_json", "1.0.7", &["default"], &[0]),
            crate_of("rand", "0.9.1", &[], &[]),
        ]
    }

    #[test]
    fn matching_crates_are_replaced() {
        let held = dylib();
        let graph = graph(&[unit("mine@1.0.0", &[], &[1]), unit("held:serde@1.0.5", &["derive"], &[])]);
        let all = Standing::all(&held);
        assert_eq!(all.fitting(&held, &graph, stands_in), all);
        assert_eq!(second_ones(&held, &graph, stands_in), [""; 0]);
    }

    #[test]
    fn a_missing_feature_rebuilds_all_dependents() {
        let held = dylib();
        let graph = graph(&[unit("mine@1.0.0", &[], &[1]), unit("held:serde@1.0.5", &["rc"], &[])]);
        assert_eq!(Standing::all(&held).fitting(&held, &graph, stands_in).numbers, [2].into());
        let after = self::graph(&[unit("mine@1.0.0", &[], &[1]), unit("serde@1.0.5", &["rc"], &[])]);
        let said = second_ones(&held, &after, stands_in).join("");
        assert!(said.starts_with("mine uses serde 1.0.5 with `rc`, which kensaku's lacks:"), "{said}");
    }

    #[test]
    fn another_version_is_reported_if_cells_can_name_it() {
        let held = dylib();
        let newer =
            graph(&[unit("mine@1.0.0", &[], &[1, 2]), unit("serde@1.2.0", &[], &[]), unit("rand@0.8.0", &[], &[])]);
        assert_eq!(Standing::all(&held).fitting(&held, &newer, stands_in).numbers, [2].into());
        let said = second_ones(&held, &newer, stands_in);
        assert_eq!(said.len(), 1, "{said:?}");
        assert!(said[0].starts_with("mine uses serde 1.2.0, kensaku uses 1.0.5:"), "{said:?}");
        // An incompatible older version is a separate crate to cargo and leaves the rest as it is.
        let older = graph(&[unit("mine@1.0.0", &[], &[1]), unit("serde@0.9.0", &[], &[])]);
        assert_eq!(Standing::all(&held).fitting(&held, &older, stands_in), Standing::all(&held));
        assert_eq!(second_ones(&held, &older, stands_in).len(), 1);
    }

    #[test]
    fn the_list_of_shared_crates_is_the_librarys() {
        let library = include_str!("../../../../lib/src/lib.rs");
        let list = library.rsplit("pub use {").next().and_then(|rest| rest.split('}').next()).expect("a list");
        let mut names: Vec<&str> = list.split(',').map(str::trim).filter(|name| !name.is_empty()).collect();
        names.push("kensaku");
        names.sort_unstable();
        assert_eq!(names, SHARED.map(|name| name.replace('-', "_")));
    }
}
