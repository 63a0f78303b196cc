//! Downloads, whole and disturbed.

use std::fs;
use std::time::{Duration, Instant};

use kensaku::hub::Hub;
use kensaku::model::BiEncoder;
use kensaku::{Error, interrupt};
use serde_json::json;

use super::fake::{COMMIT, FakeHub, Fault, git, sha256};
use super::{NAME, bi_encoder, files, hub_with_model, message, numbers};
use crate::shared::{Trials, test};

pub fn trials() -> Trials {
    vec![
        test("hub::fetches_what_a_model_needs_into_pythons_cache", layout),
        test("hub::a_broken_connection_goes_on_where_it_stopped", resumed),
        test("hub::a_wrong_checksum", damaged),
        test("hub::an_interrupt_keeps_what_has_come", interrupted),
        test("hub::errors_say_what_to_do", errors),
        test("hub::busy_and_broken_hubs_are_asked_again", patient),
        test("hub::no_network_and_offline", offline),
        test("hub::an_unknown_encoder_is_refused_before_its_weights", unsupported),
        test("hub::lists_that_lead_out_of_the_cache", hostile),
        test("hub::a_plan_says_what_will_be_fetched", plan),
        test("hub::the_token_goes_to_the_hub_alone", token),
        test("hub::two_at_once", together),
    ]
}

fn layout() {
    let fake = hub_with_model();
    let dir = fake.hub().fetch(NAME).unwrap();
    let model = fake.home.path().join("hub/models--org--name");
    assert_eq!(dir, model.join("snapshots").join(COMMIT));
    assert_eq!(
        files(&dir),
        [
            "1_Pooling/config.json",
            "README.md",
            "config.json",
            "config_sentence_transformers.json",
            "model.safetensors",
            "modules.json",
            "sentence_bert_config.json",
            "special_tokens_map.json",
            "tokenizer.json",
            "tokenizer_config.json",
        ]
    );
    assert_eq!(fs::read_to_string(model.join("refs/main")).unwrap(), COMMIT);
    let content = fake.state().repos[NAME]["model.safetensors"].clone();
    #[cfg(unix)]
    {
        let link = fs::read_link(dir.join("model.safetensors")).unwrap();
        assert_eq!(link.to_str().unwrap(), format!("../../blobs/{}", sha256(&content)));
        let pooling = fake.state().repos[NAME]["1_Pooling/config.json"].clone();
        let link = fs::read_link(dir.join("1_Pooling/config.json")).unwrap();
        assert_eq!(link.to_str().unwrap(), format!("../../../blobs/{}", git(&pooling)));
    }
    assert_eq!(fs::read(dir.join("model.safetensors")).unwrap(), content);
    assert_eq!(numbers(&BiEncoder::load(&dir).unwrap()), numbers(&bi_encoder()));
    // Settings come first, the weights last but for other large files.
    let seen = fake.server.seen();
    let place = |end: &str| seen.iter().position(|line| line.ends_with(end)).unwrap();
    assert!(place("modules.json") < place("1_Pooling/config.json"), "{seen:?}");
    assert!(place("1_Pooling/config.json") < place("model.safetensors"), "{seen:?}");
    assert!(
        !seen.iter().any(|line| ["onnx", ".bin", ".py", "fp16"].iter().any(|part| line.contains(part))),
        "{seen:?}"
    );
    // A second time nothing but the list is asked for; of another revision of the same files neither.
    for name in [NAME, "org/name@v1"] {
        fake.server.forget();
        assert_eq!(fake.hub().fetch(name).unwrap(), dir);
        assert_eq!(fake.server.seen().len(), 1, "{:?}", fake.server.seen());
    }
    assert_eq!(fs::read_to_string(model.join("refs/v1")).unwrap(), COMMIT);
}

fn resumed() {
    let fake = hub_with_model();
    let content = fake.state().repos[NAME]["model.safetensors"].clone();
    fake.fault("model.safetensors", Fault::Cut(1_000));
    fake.fault("model.safetensors", Fault::Cut(500));
    let dir = fake.hub().fetch(NAME).unwrap();
    assert_eq!(fs::read(dir.join("model.safetensors")).unwrap(), content);
    let ranges: Vec<Option<String>> = fake
        .server
        .requests()
        .iter()
        .filter(|request| request.path.ends_with("model.safetensors"))
        .map(|request| request.headers.get("range").cloned())
        .collect();
    assert_eq!(ranges, [None, Some("bytes=1000-".to_owned()), Some("bytes=1500-".to_owned())]);

    // It breaks for good, and goes on in the next call; a server that knows no ranges sends all again.
    for last in [None, Some(Fault::NoRange)] {
        let fake = hub_with_model();
        fake.fault("model.safetensors", Fault::Cut(1_000));
        (0..5).for_each(|_| fake.fault("model.safetensors", Fault::Cut(0)));
        let said = message(fake.hub().fetch(NAME));
        assert!(said.starts_with("org/name: model.safetensors: ") && said.contains("after 1000 of"), "{said}");
        assert!(said.ends_with("run it again to resume the download"), "{said}");
        let part = format!("hub/models--org--name/blobs/{}.incomplete", sha256(&content));
        assert_eq!(fs::read(fake.home.path().join(&part)).unwrap(), content[..1_000]);
        fake.state().faults.clear();
        last.into_iter().for_each(|fault| fake.fault("model.safetensors", fault));
        let dir = fake.hub().fetch(NAME).unwrap();
        assert_eq!(fs::read(dir.join("model.safetensors")).unwrap(), content);
        assert!(!fake.home.path().join(&part).exists());
    }
}

fn damaged() {
    for file in ["model.safetensors", "tokenizer.json"] {
        let fake = hub_with_model();
        fake.fault(file, Fault::Damage);
        let said = message(fake.hub().fetch(NAME));
        assert!(said.starts_with(&format!("org/name: {file}: what came has the checksum")), "{said}");
        assert!(said.contains("run it again"), "{said}");
        let left = files(&fake.home.path().join("hub/models--org--name"));
        assert!(left.iter().all(|name| !name.ends_with(file) && !name.ends_with("incomplete")), "{left:?}");
        assert!(fake.hub().fetch(NAME).is_ok());
    }
}

fn interrupted() {
    let fake = hub_with_model();
    fake.fault("model.safetensors", Fault::Slow);
    let started = Instant::now();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !fake.server.seen().iter().any(|line| line.ends_with("model.safetensors")) {
                std::thread::sleep(Duration::from_millis(10));
            }
            std::thread::sleep(Duration::from_millis(200));
            interrupt::set(true);
        });
        let result = fake.hub().fetch(NAME);
        interrupt::set(false);
        assert!(matches!(result, Err(Error::Interrupted { during: "the download" })), "{result:?}");
    });
    assert!(started.elapsed() < Duration::from_secs(5));
    let blobs = fake.home.path().join("hub/models--org--name/blobs");
    let part = files(&blobs).into_iter().find(|name| name.ends_with(".incomplete")).unwrap();
    assert!(fs::metadata(blobs.join(part)).unwrap().len() > 0);
    assert!(fake.hub().fetch(NAME).is_ok());
}

fn errors() {
    let fake = hub_with_model();
    for (name, expected) in [
        (
            "org/other",
            "has no such name or file (404); check how it is written and that it is not private: then set HF_TOKEN",
        ),
        ("org/name@v9", "has no such revision; a revision is a branch, a tag or a whole commit id"),
    ] {
        let said = message(fake.hub().fetch(name));
        assert_eq!(said, format!("{name}: {} {expected}", fake.server.url()));
    }
    assert!(message(fake.hub().fetch("no name")).starts_with("name = \"no name\": expected a name of the hub"));
    fake.state().token = Some("secret".to_owned());
    let said = message(fake.hub().fetch(NAME));
    assert!(said.contains("or it is private (401)") && said.contains("set HF_TOKEN"), "{said}");
    let wrong = Hub { token: Some("wrong-token".to_owned()), ..fake.hub() };
    let said = message(wrong.fetch(NAME));
    assert!(said.contains("does not accept the token (401): Invalid credentials"), "{said}");
    assert!(!said.contains("wrong-token") && !format!("{wrong:?}").contains("wrong-token"), "{wrong:?}");
    let right = Hub { token: Some("secret".to_owned()), ..fake.hub() };
    assert!(right.fetch(NAME).is_ok());
    fake.fault("revision/main", Fault::Status(403, vec![("X-Error-Code", "GatedRepo")], ""));
    let said = message(right.fetch(NAME));
    assert!(said.contains("accepted its terms; accept them on its page"), "{said}");
    fake.fault("revision/main", Fault::Status(200, vec![], "<html>proxy</html>"));
    let said = message(right.fetch(NAME));
    assert!(said.contains("does not speak the hub's API") && said.contains("check HF_ENDPOINT"), "{said}");
    fake.put("org/data", "train.csv", "a,b");
    let said = message(right.fetch("org/data"));
    assert!(said.contains("no config.json and no modules.json"), "{said}");
}

fn patient() {
    let fake = hub_with_model();
    fake.fault("revision/main", Fault::Status(429, vec![("Retry-After", "1")], ""));
    fake.fault("config.json", Fault::Status(503, vec![], ""));
    let started = Instant::now();
    assert!(fake.hub().fetch(NAME).is_ok());
    assert!(started.elapsed() >= Duration::from_secs(1));
    // Longer than one waits.
    fake.fault("revision/main", Fault::Status(429, vec![("Retry-After", "300")], ""));
    let started = Instant::now();
    let said = message(fake.hub().fetch(NAME));
    assert!(said.contains("asks to wait for 300 s: too many requests (429); run it again after that time"), "{said}");
    assert!(started.elapsed() < Duration::from_secs(5));
    (0..4).for_each(|_| fake.fault("revision/main", Fault::Status(502, vec![], "")));
    let said = message(fake.hub().fetch(NAME));
    assert!(said.contains("is out of order (502 Bad Gateway, 4 times); run it again later"), "{said}");
}

fn offline() {
    let fake = hub_with_model();
    let offline = Hub { offline: true, ..fake.hub() };
    let said = message(offline.fetch(NAME));
    assert!(said.contains("HF_HUB_OFFLINE is set, and the cache") && said.contains("unset HF_HUB_OFFLINE"), "{said}");
    let dir = fake.hub().fetch(NAME).unwrap();
    fake.server.forget();
    for name in [NAME.to_owned(), format!("{NAME}@{COMMIT}")] {
        assert_eq!(offline.fetch(&name).unwrap(), dir);
    }
    assert!(offline.plan(NAME).unwrap().files.iter().all(|file| file.cached));
    assert_eq!(offline.card(NAME).unwrap().text, fs::read_to_string(dir.join("README.md")).unwrap());
    assert!(message(offline.models("x")).contains("HF_HUB_OFFLINE is set: the hub is not asked"));
    assert_eq!(fake.server.seen(), [""; 0]);
    // Nothing listens at that address: what is in the cache will do.
    let gone = Hub { endpoint: "http://127.0.0.1:9".to_owned(), ..fake.hub() };
    assert_eq!(gone.fetch(NAME).unwrap(), dir);
    let said = message(gone.fetch("org/other"));
    assert!(
        said.starts_with("org/other: http://127.0.0.1:9 is not reached (") && said.contains("check the network"),
        "{said}"
    );
    // A server that does not speak TLS.
    let plain = Hub { endpoint: fake.server.url().replace("http:", "https:"), ..fake.hub() };
    let said = message(plain.fetch("org/other"));
    assert!(said.contains("is not reached (") && !said.contains("certificate"), "{said}");
}

fn unsupported() {
    let fake = hub_with_model();
    let mut config: serde_json::Value = serde_json::from_slice(&fake.state().repos[NAME]["config.json"]).unwrap();
    config["model_type"] = json!("llama");
    config["architectures"] = json!(["LlamaModel"]);
    fake.put(NAME, "config.json", config.to_string());
    let plan = fake.hub().plan(NAME).unwrap();
    assert!(plan.problem.as_ref().is_some_and(|problem| problem.contains("llama")), "{plan}");
    assert_eq!(plan.architecture.as_deref(), Some("LlamaModel"));
    assert!(plan.to_string().contains("\nIt cannot be loaded: "), "{plan}");
    assert!(!fake.server.seen().iter().any(|line| line.contains("safetensors")));
}

fn hostile() {
    let digits = "a".repeat(40);
    for (path, blob, commit) in [
        ("../../../x", &*digits, COMMIT),
        ("/etc/x", &digits, COMMIT),
        ("config.json", "../../x", COMMIT),
        ("config.json", &digits, "../../../x"),
    ] {
        let fake = FakeHub::new();
        let body = json!({ "sha": commit, "siblings": [{ "rfilename": path, "size": 2, "blobId": blob }] }).to_string();
        fake.fault("revision/main", Fault::Status(200, vec![], body.leak()));
        let said = message(fake.hub().fetch(NAME));
        assert!(said.contains("lists its files in another way"), "{said}");
        assert_eq!(files(fake.home.path()), [""; 0]);
    }
    // More than the list says.
    let fake = hub_with_model();
    fake.fault("/config.json", Fault::Status(200, vec![], "x".repeat(1 << 20).leak()));
    let said = message(fake.hub().fetch(NAME));
    assert!(said.contains("more came than the"), "{said}");
}

fn plan() {
    let fake = hub_with_model();
    let plan = fake.hub().plan(NAME).unwrap();
    let weights = plan.files.iter().find(|file| file.path == "model.safetensors").unwrap();
    assert!(!weights.cached && weights.bytes == fake.state().repos[NAME]["model.safetensors"].len() as u64);
    let settings = plan.files.iter().find(|file| file.path == "config.json").unwrap();
    assert!(settings.cached && plan.problem.is_none());
    assert_eq!((plan.architecture.as_deref(), plan.commit.as_str()), (Some("BertModel"), COMMIT));
    assert!(plan.versions.contains(&"sentence_transformers 3.0.0".to_owned()), "{plan:?}");
    let text = plan.to_string();
    assert!(text.starts_with("org/name at 0123456: 10 files, ") && text.contains("are fetched; BertModel; "), "{text}");
    assert!(!fake.server.seen().iter().any(|line| line.contains("model.safetensors")));
    fake.hub().fetch(NAME).unwrap();
    let plan = fake.hub().plan(NAME).unwrap();
    assert!(plan.missing_bytes() == 0 && plan.to_string().contains(", all in the cache"), "{plan}");
}

fn token() {
    let store = hub_with_model();
    let fake = hub_with_model();
    fake.state().token = Some("secret".to_owned());
    // The hub leads to a store elsewhere.
    let place = format!(
        "http://localhost:{}/{NAME}/resolve/main/model.safetensors",
        store.server.url().rsplit_once(':').unwrap().1
    );
    fake.fault("model.safetensors", Fault::Status(302, vec![("Location", place.leak())], ""));
    let hub = Hub { token: Some("secret".to_owned()), ..fake.hub() };
    hub.fetch(NAME).unwrap();
    assert!(fake.server.requests().iter().all(|request| request.headers["authorization"] == "Bearer secret"));
    let elsewhere = store.server.requests();
    assert_eq!(elsewhere.len(), 1);
    assert!(!elsewhere[0].headers.contains_key("authorization"));
}

fn together() {
    let fake = hub_with_model();
    std::thread::scope(|scope| {
        let runs: Vec<_> = (0..4).map(|_| scope.spawn(|| fake.hub().fetch(NAME).unwrap())).collect();
        runs.into_iter().for_each(|run| assert!(BiEncoder::load(run.join().unwrap()).is_ok()));
    });
    let times = fake.server.seen().iter().filter(|line| line.ends_with("model.safetensors")).count();
    assert_eq!(times, 1);
}
