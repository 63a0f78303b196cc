//! Help for names that rustc does not find: where they are, which crate to add, what the type has instead.

use super::Completer;
use super::index::record::{Id, Kind, Ty};
use super::members::Found;
use super::places::places;
use super::types;
use super::view::View;
use crate::cell::Diagnostic;

/// How many errors get a hint: further ones mostly repeat them.
const ERRORS: usize = 10;

/// The methods of a type are listed up to this number.
const LISTED: usize = 30;

/// What rustc has not found.
#[derive(Debug, PartialEq)]
enum Unknown<'a> {
    /// A single name of the kind `what`: "type", "function", ..
    Name {
        name: &'a str,
        what: &'a str,
    },
    Crate(&'a str),
    Member {
        name: &'a str,
        ty: &'a str,
        function: bool,
    },
}

impl Completer {
    /// Adds hints about the names in `errors`. Cells can use commands such as `:dep`, scripts cannot.
    pub(crate) fn explain(&self, errors: &mut [Diagnostic], commands: bool) {
        errors.iter_mut().for_each(other_error);
        if !errors.iter().any(|error| unknown(error).is_some()) {
            return;
        }
        let scope = self.scope_now();
        let view = self.view_of_cells(&scope);
        for error in errors.iter_mut().take(ERRORS) {
            let hint = match unknown(error) {
                Some(Unknown::Name { name, what: "value" })
                    if scope.variables.iter().any(|known| known.name == name) =>
                {
                    Some(format!("functions do not see variables: pass `{name}` as an argument, or make it a `const`"))
                }
                Some(Unknown::Name { name, what }) => self.named(&view, error, name, what, commands),
                Some(Unknown::Crate(name)) => self.krate(&view, error, name, commands),
                Some(Unknown::Member { name, ty, function }) => member(&view, error, name, ty, function),
                None => None,
            };
            if let Some(hint) = hint {
                error.add_help(hint);
            }
        }
    }

    fn named(&self, view: &View, error: &Diagnostic, name: &str, what: &str, commands: bool) -> Option<String> {
        let is_type = name.starts_with(char::is_uppercase);
        // A missing variable is not one of the thousands of items with that name.
        if what == "value" && !is_type {
            return None;
        }
        let found = places(view, name, |kind| fits(kind, what));
        let Some((first, others)) = found.split_first() else {
            let nowhere = format!("no public item of kensaku, its dependencies or std is named `{name}`");
            return (is_type && !error.suggestions().any(|other| is_typing_error(name, other))).then_some(nowhere);
        };
        let path = first.join("::");
        if commands
            && what == "derive macro"
            && let [root, name_of_crate, ..] = first.as_slice()
            && root == "kensaku"
            && self.holds(name_of_crate)
        {
            // The code that a derive generates names its crate.
            return Some(format!("`:dep {name_of_crate}`, then `use {};`", first[1..].join("::")));
        }
        if error.suggestions().any(|text| text.contains(&path)) {
            return None;
        }
        let place = |path: &[String]| format!("`{}`", path[..path.len() - 1].join("::"));
        let told = |path: &&Vec<String>| error.suggestions().any(|text| text.contains(&path.join("::")));
        let also: Vec<String> = others.iter().filter(|path| !told(path)).take(2).map(|path| place(path)).collect();
        let also = if also.is_empty() { String::new() } else { format!(" (another one is in {})", also.join(" and ")) };
        let bang = if what == "macro" { "!" } else { "" };
        Some(format!("`{name}{bang}` is in {}: `use {path};`{also}", place(first)))
    }

    fn krate(&self, view: &View, error: &Diagnostic, name: &str, commands: bool) -> Option<String> {
        let found = places(view, name, |kind| kind == Kind::Module).into_iter().next();
        let held = self.holds(name);
        match found {
            Some(path) if held && path == ["kensaku", name] => {
                let command = if commands { format!(" or `:dep {name}`") } else { String::new() };
                Some(format!("`{name}` is part of kensaku: `use kensaku::{name};`{command}"))
            }
            _ if held && commands => Some(format!("`{name}` is part of kensaku: `:dep {name}`")),
            Some(path) => {
                let (path, place) = (path.join("::"), path[..path.len() - 1].join("::"));
                let told = error.suggestions().any(|text| text.contains(&path));
                let or = if commands && !path.starts_with("std::") {
                    format!("; `:dep {name}` adds a crate of that name")
                } else {
                    String::new()
                };
                (!told).then(|| format!("`{name}` is in `{place}`: `use {path};`{or}"))
            }
            None => commands.then(|| format!("`:dep {name}` adds the crate of that name")),
        }
    }

    /// Whether the dylib holds the crate that code calls `name`.
    fn holds(&self, name: &str) -> bool {
        self.held.iter().any(|package| package.replace('-', "_") == name)
    }
}

/// Methods that may have been meant; for a small type, all.
fn member(view: &View, error: &Diagnostic, name: &str, printed: &str, function: bool) -> Option<String> {
    if error.suggestions().next().is_some() {
        return None;
    }
    let (id, ty) = type_of(view, printed)?;
    let record = view.world.record(id)?;
    // rustc suggests std's names, and std's types have too many methods.
    if ["std::", "core::", "alloc::"].iter().any(|start| record.path.starts_with(start)) {
        return None;
    }
    let wanted = |found: &Found| {
        let kind = found.member.kind;
        found.group == 1 && if function { kind == Kind::AssociatedFunction } else { kind == Kind::Method }
    };
    let members = if function { view.members().of_type(&ty) } else { view.members().of_value(&ty) };
    let members: Vec<Found> = members.into_iter().filter(wanted).collect();
    let short = record.path.rsplit("::").next().unwrap_or(&record.path);
    let near = nearest(view, &members, name);
    if !near.is_empty() {
        let lines: Vec<String> = near.iter().map(|found| format!("`{}`", found.member.signature)).collect();
        return Some(format!("`{short}` has {}", lines.join(" and ")));
    }
    let names: Vec<String> = members.iter().map(|found| format!("`{}`", found.member.name)).collect();
    let listed = (1..=LISTED).contains(&names.len());
    listed.then(|| format!("`{short}` has {}", names.join(", ")))
}

/// Reads a type as rustc prints it in messages: by its bare name if that is unique.
fn type_of(view: &View, printed: &str) -> Option<(Id, Ty)> {
    let printed = printed.trim_start_matches('&').trim_start_matches("mut ");
    if let Some(Ty::Named(id, arguments)) = types::read(&view.world, printed, &[]) {
        return Some((id, Ty::Named(id, arguments)));
    }
    let name = printed.split('<').next()?.rsplit("::").next()?;
    let path = places(view, name, |kind| fits(kind, "type")).into_iter().next()?;
    match view.type_named(&path)? {
        Ty::Named(id, arguments) => Some((id, Ty::Named(id, arguments))),
        _ => None,
    }
}

/// Members whose names share a word with `name`, else those whose docs contain its longest word.
fn nearest<'a>(view: &View, members: &'a [Found], name: &str) -> Vec<&'a Found> {
    let words: Vec<&str> = name.split('_').filter(|word| word.len() > 2).collect();
    let shares = |found: &&Found| words.iter().any(|word| found.member.name.split('_').any(|other| other == *word));
    let by_name: Vec<&Found> = members.iter().filter(shares).take(3).collect();
    if !by_name.is_empty() {
        return by_name;
    }
    let Some(longest) = words.iter().max_by_key(|word| word.len()).filter(|word| word.len() > 3) else {
        return Vec::new();
    };
    let told = |found: &&Found| {
        let docs = view.world.docs(&found.member.docs).to_lowercase();
        docs.split(|c: char| !c.is_alphanumeric()).any(|word| word == *longest)
    };
    members.iter().filter(told).take(2).collect()
}

/// Whether `other` differs by a letter or two: left out, added or wrong.
fn is_typing_error(name: &str, other: &str) -> bool {
    let (name, other): (Vec<char>, Vec<char>) = (name.chars().collect(), other.chars().collect());
    let same = name.iter().zip(&other).take_while(|(a, b)| a == b).count();
    let behind = name[same..].iter().rev().zip(other[same..].iter().rev()).take_while(|(a, b)| a == b).count();
    name.len().max(other.len()) - same - behind <= 2
}

/// Whether an item of this kind can be the `what` that was not found.
fn fits(kind: Kind, what: &str) -> bool {
    use Kind::{Alias, Const, Enum, Function, Macro, Static, Struct, Trait, Union};
    match what {
        "macro" | "attribute" => kind == Macro,
        "derive macro" | "trait" => kind == Trait,
        "value" => matches!(kind, Const | Static | Struct | Function),
        what if what.starts_with("function") => matches!(kind, Function | Struct),
        _ => matches!(kind, Struct | Enum | Union | Alias | Trait),
    }
}

fn unknown(error: &Diagnostic) -> Option<Unknown<'_>> {
    let label = error.spans.iter().find(|span| span.is_primary).and_then(|span| span.label.as_deref());
    let label = label.unwrap_or_default();
    if error.code() == "E0599" {
        if let Some(ty) = error.message.strip_suffix("` is not an iterator").and_then(|start| start.strip_prefix('`')) {
            return Some(Unknown::Member { name: "", ty, function: false });
        }
        let function = error.message.starts_with("no function") || error.message.starts_with("no associated");
        let mut quoted = quoted(&error.message);
        let (name, ty) = (quoted.next()?, quoted.next()?);
        let ty = label.split_once(" not found in `").map_or(ty, |(_, rest)| rest.trim_end_matches('`'));
        let is_method = function || error.message.starts_with("no method");
        return is_method.then_some(Unknown::Member { name, ty, function });
    }
    if !["", "E0405", "E0412", "E0425", "E0432", "E0433"].contains(&error.code()) {
        return None;
    }
    if label.contains("unlinked crate") {
        return quoted(label).next().map(Unknown::Crate);
    }
    if label.starts_with("no `") || label.starts_with("could not find `") {
        return Some(Unknown::Name { name: quoted(label).next()?, what: "item" });
    }
    let (what, _) = error.message.strip_prefix("cannot find ")?.split_once(" `")?;
    Some(Unknown::Name { name: quoted(&error.message).next()?, what })
}

/// The texts between backticks.
fn quoted(text: &str) -> impl Iterator<Item = &str> {
    text.split('`').skip(1).step_by(2)
}

/// `Result` is `kensaku::Result`, and only some errors convert to `kensaku::Error`.
fn other_error(error: &mut Diagnostic) {
    if error.message.contains("`?` couldn't convert the error") && error.message.contains("`kensaku::Error`") {
        error.add_help(
            "`Result` is `kensaku::Result` here: for any error, return `kensaku::anyhow::Result<..>`".to_owned(),
        );
    }
}
