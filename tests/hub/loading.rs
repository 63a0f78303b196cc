//! `load` of names of the hub.

use std::path::Path;

use kensaku::model::{BiEncoder, ColBert, CrossEncoder, Role, Splade, StaticEmbedding, TwoTowers};
use serde_json::json;

use super::fake::FakeHub;
use super::{
    NAME, TEXTS, bi_encoder, colbert, cross_encoder, hub_with_model, message, numbers, splade, static_embedding,
    two_towers,
};
use crate::shared::{Trials, test};

pub fn trials() -> Trials {
    vec![
        test("hub::every_architecture_loads_by_name", architectures),
        test("hub::a_folder_comes_before_a_name", folders),
        test("hub::variables_of_the_environment", variables),
        test("hub::load_refuses_before_the_weights", refused),
    ]
}

/// Runs `work` with variables of the environment.
fn with_env<T>(variables: &[(&str, &str)], work: impl FnOnce() -> T) -> T {
    const ALL: [&str; 8] = [
        "HF_ENDPOINT",
        "HF_HOME",
        "HF_HUB_CACHE",
        "HF_TOKEN",
        "HF_TOKEN_PATH",
        "HF_HUB_OFFLINE",
        "XDG_CACHE_HOME",
        "HF_HUB_DISABLE_IMPLICIT_TOKEN",
    ];
    let before: Vec<_> = ALL.iter().map(|name| (*name, std::env::var_os(name))).collect();
    // SAFETY: tests run one after the other, and no other thread of them reads the environment meanwhile.
    unsafe {
        ALL.iter().for_each(|name| std::env::remove_var(name));
        variables.iter().for_each(|(name, value)| std::env::set_var(name, value));
    }
    let result = work();
    for (name, value) in before {
        // SAFETY: as above.
        unsafe {
            match value {
                Some(value) => std::env::set_var(name, value),
                None => std::env::remove_var(name),
            }
        }
    }
    result
}

fn within<T>(fake: &FakeHub, work: impl FnOnce() -> T) -> T {
    let (url, home) = (fake.server.url(), fake.home.path().to_str().unwrap().to_owned());
    with_env(&[("HF_ENDPOINT", &url), ("HF_HOME", &home)], work)
}

fn architectures() {
    let fake = FakeHub::new();
    let add = |name: &str, save: &dyn Fn(&Path) -> kensaku::Result<()>| {
        let dir = tempfile::tempdir().unwrap();
        save(dir.path()).unwrap();
        fake.add(name, dir.path());
    };
    add("org/bi", &|dir| bi_encoder().save(dir));
    add("org/cross", &|dir| cross_encoder().save(dir));
    add("org/colbert", &|dir| colbert().save(dir));
    add("org/splade", &|dir| splade().save(dir));
    add("org/static", &|dir| static_embedding().save(dir));
    add("org/towers", &|dir| two_towers().save(dir));
    within(&fake, || {
        assert_eq!(numbers(&BiEncoder::load("org/bi").unwrap()), numbers(&bi_encoder()));
        assert_eq!(numbers(&BiEncoder::load("org/bi@v1").unwrap()), numbers(&bi_encoder()));
        let pairs = [("a red house", "a tree"), ("the sea", "the sea")];
        let scores = |model: &CrossEncoder| model.predict(&pairs).unwrap().to_vec1::<f32>().unwrap();
        assert_eq!(scores(&CrossEncoder::load("org/cross").unwrap()), scores(&cross_encoder()));
        let ranked = |model: &ColBert| format!("{:?}", model.rank("the sea", &["a tree", "the sea"]).unwrap());
        assert_eq!(ranked(&ColBert::load("org/colbert").unwrap()), ranked(&colbert()));
        let words = |model: &Splade| model.decode(&model.encode_texts(&["a red house"]).unwrap(), 3);
        assert_eq!(words(&Splade::load("org/splade").unwrap()), words(&splade()));
        let vectors = |model: &StaticEmbedding| model.encode_texts(&TEXTS).unwrap().to_vec2::<f32>().unwrap();
        assert_eq!(vectors(&StaticEmbedding::load("org/static").unwrap()), vectors(&static_embedding()));
        let sides = |model: &TwoTowers| {
            [Role::Query, Role::Doc].map(|role| model.encode(&TEXTS, role).unwrap().to_vec2::<f32>().unwrap())
        };
        assert_eq!(sides(&TwoTowers::load("org/towers").unwrap()), sides(&two_towers()));
        assert_ne!(sides(&two_towers())[0], sides(&two_towers())[1]);
        // Heads on the encoder of another model.
        assert!(CrossEncoder::from_encoder("org/bi", 1, 1).is_ok());
        // What is not of this architecture is refused by its settings.
        let said = message(CrossEncoder::load("org/bi"));
        assert!(said.contains("the architecture is `BertModel`"), "{said}");
    });
}

fn folders() {
    let fake = FakeHub::new();
    let home = tempfile::tempdir().unwrap();
    let current = std::env::current_dir().unwrap();
    bi_encoder().save(home.path().join("org/name")).unwrap();
    std::env::set_current_dir(home.path()).unwrap();
    let (loaded, missing, path) =
        within(&fake, || (BiEncoder::load(NAME), BiEncoder::load("org/other"), BiEncoder::load("./org/other")));
    std::env::set_current_dir(current).unwrap();
    assert_eq!(numbers(&loaded.unwrap()), numbers(&bi_encoder()));
    let said = message(missing);
    let both = format!("org/other: no such folder here, and {} has no such name", fake.server.url());
    assert!(said.starts_with(&both), "{said}");
    let said = message(path);
    assert!(said.contains("no such folder; expected") && said.contains("a model of the hub: \"org/name\""), "{said}");
    assert_eq!(fake.server.seen(), ["GET /api/models/org/other/revision/main?blobs=true"]);
}

fn variables() {
    use kensaku::hub::Hub;
    let home = tempfile::tempdir().unwrap();
    let of = |name: &str| home.path().join(name).to_str().unwrap().to_owned();
    std::fs::write(of("token"), "stored\n").unwrap();
    let hub = |variables: &[(&str, &str)]| with_env(variables, || Hub::from_env().unwrap());
    let found = hub(&[("HF_HOME", &of(""))]);
    assert_eq!(
        (found.endpoint.as_str(), found.token.as_deref(), found.offline),
        ("https://huggingface.co", Some("stored"), false)
    );
    assert_eq!(found.cache, home.path().join("hub"));
    let found =
        hub(&[("HF_HOME", &of("")), ("HF_HUB_CACHE", &of("else")), ("HF_TOKEN", " mine "), ("HF_HUB_OFFLINE", "true")]);
    assert_eq!((found.cache, found.token.as_deref(), found.offline), (home.path().join("else"), Some("mine"), true));
    let found = hub(&[("HF_HOME", &of("")), ("HF_HUB_DISABLE_IMPLICIT_TOKEN", "1"), ("HF_ENDPOINT", "http://x/")]);
    assert_eq!((found.token, found.endpoint.as_str()), (None, "http://x"));
    let found = hub(&[("XDG_CACHE_HOME", &of("xdg"))]);
    assert_eq!(found.cache, home.path().join("xdg/huggingface/hub"));
    let found = hub(&[("HF_HOME", "~/hf")]);
    assert!(found.cache.is_absolute() && found.cache.ends_with("hf/hub") && !found.cache.starts_with("~"));
    let said = message(with_env(&[("HF_ENDPOINT", "hub")], Hub::from_env));
    assert!(said.starts_with("HF_ENDPOINT = hub: expected an address"), "{said}");
}

fn refused() {
    for (file, key, value, expected) in [
        ("config.json", "model_type", json!("llama"), "llama"),
        ("1_Pooling/config.json", "pooling_mode_mean_tokens", json!(false), "no pooling"),
        ("config_sentence_transformers.json", "similarity_fn_name", json!("odd"), "similarity \"odd\""),
    ] {
        let fake = hub_with_model();
        let mut stored: serde_json::Value = serde_json::from_slice(&fake.state().repos[NAME][file]).unwrap();
        stored[key] = value;
        fake.put(NAME, file, stored.to_string());
        let said = within(&fake, || message(BiEncoder::load(NAME)));
        assert!(said.contains(expected), "{said}");
        assert!(!fake.server.seen().iter().any(|line| line.contains("safetensors")), "{:?}", fake.server.seen());
    }
}
