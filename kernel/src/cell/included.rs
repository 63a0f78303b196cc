//! Files that an item contains, with `include!` and the like: their change is not in the code.

use std::path::PathBuf;
use std::time::SystemTime;

use proc_macro2::{TokenStream, TokenTree};

/// A file as it was when it was last compiled.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Included {
    path: PathBuf,
    seen: Option<(u64, SystemTime)>,
}

impl Included {
    /// Looks at the file again. Returns whether it is another one than before.
    pub(crate) fn has_changed(&mut self) -> bool {
        let now = seen(&self.path);
        std::mem::replace(&mut self.seen, now) != self.seen
    }
}

/// The files that the string literals of an item name, if it contains any.
pub(super) fn included(tokens: &TokenStream) -> Vec<Included> {
    let mut paths = Vec::new();
    let text = tokens.to_string();
    if INCLUDING.iter().any(|start| text.contains(start)) {
        literals(tokens.clone(), &mut paths);
    }
    paths.into_iter().map(|path| Included { seen: seen(&path), path }).collect()
}

const INCLUDING: [&str; 4] = ["include !", "include_bytes !", "include_str !", "[path"];

fn literals(tokens: TokenStream, paths: &mut Vec<PathBuf>) {
    for token in tokens {
        match token {
            TokenTree::Group(group) => literals(group.stream(), paths),
            TokenTree::Literal(literal) => {
                let path = syn::parse_str::<syn::LitStr>(&literal.to_string()).map(|text| text.value());
                paths.extend(path.map(PathBuf::from).ok().filter(|path| path.is_file()));
            }
            _ => {}
        }
    }
}

fn seen(path: &PathBuf) -> Option<(u64, SystemTime)> {
    let found = std::fs::metadata(path).ok()?;
    Some((found.len(), found.modified().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_changed_file_is_noticed() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let file = folder.path().join("inc.rs");
        std::fs::write(&file, "pub struct P(u64);").expect("the file is written");
        let item = format!("mod m {{ include!({file:?}); }}").parse().expect("tokens");
        let mut found = included(&item);
        assert!(found.len() == 1 && !found[0].has_changed());
        std::fs::write(&file, "pub struct P(String);").expect("the file is written");
        assert!(found[0].has_changed() && !found[0].has_changed());
        assert_eq!(included(&format!("const F: &str = {file:?};").parse().expect("tokens")), []);
    }
}
