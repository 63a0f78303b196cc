//! Python's huggingface_hub and this library share a cache. `KENSAKU_PYTHON` names an interpreter that has it.

use std::path::Path;
use std::process::Command;

use kensaku::hub::Hub;
use kensaku::model::BiEncoder;

use super::{NAME, bi_encoder, hub_with_model, numbers};
use crate::shared::{Trials, test};

pub fn trials() -> Trials {
    let name = "hub::python_shares_the_cache_and_reads_the_card";
    vec![match std::env::var("KENSAKU_PYTHON") {
        Ok(python) => test(name, move || shared(&python)),
        Err(_) => {
            test(&format!("{name} (skipped: KENSAKU_PYTHON names no interpreter)"), || ()).with_ignored_flag(true)
        }
    }]
}

/// What runs a script, if there is an interpreter.
pub fn script() -> Option<impl Fn(&str) -> String> {
    let python = std::env::var("KENSAKU_PYTHON").ok()?;
    Some(move |script: &str| run(&python, "http://127.0.0.1:9", Path::new("/nowhere"), script))
}

fn run(python: &str, endpoint: &str, home: &Path, script: &str) -> String {
    let mut command = Command::new(python);
    command.args(["-c", script]).env("HF_ENDPOINT", endpoint).env("HF_HOME", home).env("HF_HUB_DISABLE_XET", "1");
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

fn shared(python: &str) {
    // What was fetched here is there, offline.
    let fake = hub_with_model();
    let dir = fake.hub().fetch(NAME).unwrap();
    let find =
        "from huggingface_hub import snapshot_download; print(snapshot_download('org/name', local_files_only=True))";
    assert_eq!(run(python, &fake.server.url(), fake.home.path(), find), dir.to_str().unwrap());
    let file = "from huggingface_hub import hf_hub_download as get; print(get('org/name', '1_Pooling/config.json'))";
    fake.server.forget();
    assert_eq!(
        run(python, &fake.server.url(), fake.home.path(), file),
        dir.join("1_Pooling/config.json").to_str().unwrap()
    );
    let seen = fake.server.seen();
    assert!(!seen.iter().any(|line| line.starts_with("GET") && line.contains("resolve")), "{seen:?}");
    let card = format!(
        "from huggingface_hub import ModelCard; card = ModelCard.load(r'{}'); print(card.data.pipeline_tag, card.data.tags)",
        dir.join("README.md").display()
    );
    let said = run(python, &fake.server.url(), fake.home.path(), &card);
    assert!(said.starts_with("sentence-similarity ['sentence-transformers', 'sentence-similarity'"), "{said}");
    // What was fetched there is here.
    let fake = hub_with_model();
    let fetch = "from huggingface_hub import snapshot_download; print(snapshot_download('org/name'))";
    let dir = run(python, &fake.server.url(), fake.home.path(), fetch);
    fake.server.forget();
    assert_eq!(fake.hub().fetch(NAME).unwrap().to_str().unwrap(), dir);
    assert_eq!(fake.server.seen().len(), 1, "{:?}", fake.server.seen());
    let offline = Hub { offline: true, ..fake.hub() };
    assert_eq!(numbers(&BiEncoder::load(offline.fetch(NAME).unwrap()).unwrap()), numbers(&bi_encoder()));
}
