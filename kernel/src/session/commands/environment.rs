//! `:env`: the environment of cells and of the processes they start.

use std::collections::BTreeMap;

use crate::session::Failure;
use crate::session::evaluator::Session;

/// The variables set by `:env`, and in which process.
#[derive(Default)]
pub(super) struct Environment {
    set: BTreeMap<String, String>,
    process: u32,
}

/// Shows the environment without the kernel's own variables. Notebooks get shared, so values that may
/// be secret are hidden.
const SHOW: &str = r#"{
    let mut kensaku_env: Vec<String> = ::std::env::vars_os()
        .map(|(name, value)| (name.to_string_lossy().into_owned(), value.to_string_lossy().into_owned()))
        .filter(|(name, _)| !["EVCXR_", "KENSAKU_"].iter().any(|own| name.starts_with(own)))
        .map(|(name, value)| {
            let secret = ["KEY", "PASSWORD", "SECRET", "TOKEN"].iter().any(|word| name.to_uppercase().contains(word));
            if secret { format!("{name}=<hidden>") } else { format!("{name}={value}") }
        })
        .collect();
    kensaku_env.sort();
    println!("{}", kensaku_env.join("\n"));
}"#;

impl Environment {
    pub(super) fn set(&self) -> impl Iterator<Item = (&String, &String)> {
        self.set.iter()
    }
}

impl Session {
    pub(super) fn environment(&mut self, line: &str) -> Result<(), Failure> {
        if line.is_empty() {
            return self.run_own(SHOW, ":env");
        }
        let Some((name, value)) = line.split_once('=') else {
            let code = format!("::std::env::var({line:?}).unwrap_or_else(|_| \"not set\".to_owned())");
            return self.run_own(&format!("println!(\"{{}}\", {code});"), ":env");
        };
        let (name, value) = (name.trim(), value.trim());
        if name.is_empty() || name.contains(char::is_whitespace) || line.contains('\0') {
            return Err(Failure::new("CommandError", format!("`:env {line}`: expected `:env NAME=value`")));
        }
        self.set_variables(&[(name, value)])?;
        self.commands.environment.process = self.process();
        self.commands.environment.set.insert(name.to_owned(), value.to_owned());
        Ok(())
    }

    /// Sets the variables again in a new process of the cells.
    pub(super) fn restore_environment(&mut self) -> Result<(), Failure> {
        let environment = &self.commands.environment;
        if environment.set.is_empty() || environment.process == self.process() {
            return Ok(());
        }
        let set = environment.set.clone();
        self.commands.environment.process = self.process();
        let all: Vec<_> = set.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        self.set_variables(&all)
    }

    fn set_variables(&mut self, variables: &[(&str, &str)]) -> Result<(), Failure> {
        let each = variables.iter().map(|(name, value)| format!("::std::env::set_var({name:?}, {value:?});"));
        // User threads that read the environment meanwhile do so through std, which locks it.
        self.run_own(&format!("unsafe {{ {} }}", each.collect::<String>()), ":env")
    }
}
