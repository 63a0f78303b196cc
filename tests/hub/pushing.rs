//! Commits.

use kensaku::hub::{Hub, PushConfig};
use kensaku::model::BiEncoder;

use super::fake::{FakeHub, Fault, sha256};
use super::{NAME, bi_encoder, files, message, numbers};
use crate::shared::{Trials, test};

pub fn trials() -> Trials {
    vec![
        test("hub::a_model_is_pushed_and_loaded_again", pushed),
        test("hub::a_card_on_the_hub_is_kept", card),
        test("hub::pushes_that_cannot_be", refused),
    ]
}

fn writer(fake: &FakeHub) -> Hub {
    fake.state().token = Some("secret".to_owned());
    Hub { token: Some("secret".to_owned()), ..fake.hub() }
}

fn pushed() {
    let fake = FakeHub::new();
    let hub = writer(&fake);
    let dir = tempfile::tempdir().unwrap();
    bi_encoder().save(dir.path()).unwrap();
    std::fs::write(dir.path().join("empty.safetensors"), "").unwrap();
    std::fs::write(dir.path().join(".hidden"), "mine").unwrap();
    let config = PushConfig { private: true, message: "After one epoch".to_owned(), ..Default::default() };
    // The store fails once.
    fake.fault(
        sha256(&std::fs::read(dir.path().join("model.safetensors")).unwrap()).leak(),
        Fault::Status(500, vec![], ""),
    );
    let address = hub.push(dir.path(), NAME, &config).unwrap();
    assert!(address.starts_with("https://hub/org/name/commit/"), "{address}");
    let state = fake.state();
    assert_eq!(state.created[0]["private"], true);
    assert_eq!(state.commits[0]["value"]["summary"], "After one epoch");
    let kinds = |kind: &str| state.commits.iter().filter(|line| line["key"] == kind).count();
    assert_eq!((kinds("header"), kinds("lfsFile"), state.store.len()), (1, 1, 1));
    let mut expected = files(dir.path());
    expected.retain(|name| name != ".hidden");
    assert_eq!(state.repos[NAME].keys().cloned().collect::<Vec<_>>(), expected);
    drop(state);
    let requests = fake.server.requests();
    let put = requests.iter().filter(|request| request.method == "PUT").collect::<Vec<_>>();
    assert_eq!(
        (put.len(), put[1].headers.contains_key("authorization"), &*put[1].headers["x-store"]),
        (2, false, "yes")
    );
    assert_eq!(numbers(&BiEncoder::load(hub.fetch(NAME).unwrap()).unwrap()), numbers(&bi_encoder()));
    // The same again: the store has it.
    fake.server.forget();
    hub.push(dir.path(), NAME, &config).unwrap();
    assert!(!fake.server.seen().iter().any(|line| line.starts_with("PUT")));
    // As a proposal.
    fake.server.forget();
    hub.push(dir.path(), NAME, &PushConfig { pull_request: true, ..config }).unwrap();
    assert!(fake.server.seen().contains(&"POST /api/models/org/name/commit/main?create_pr=1".to_owned()));
}

fn card() {
    let fake = FakeHub::new();
    let hub = writer(&fake);
    let dir = tempfile::tempdir().unwrap();
    bi_encoder().save(dir.path()).unwrap();
    fake.put(NAME, "README.md", "written by hand");
    hub.push(dir.path(), NAME, &PushConfig::default()).unwrap();
    assert_eq!(fake.state().repos[NAME]["README.md"], b"written by hand");
    hub.push(dir.path(), NAME, &PushConfig { replace_card: true, ..Default::default() }).unwrap();
    assert_ne!(fake.state().repos[NAME]["README.md"], b"written by hand");
}

fn refused() {
    let fake = FakeHub::new();
    let hub = writer(&fake);
    let dir = tempfile::tempdir().unwrap();
    let push = |hub: &Hub, name: &str, config: &PushConfig| message(hub.push(dir.path(), name, config));
    let usual = PushConfig::default();
    let said = push(&Hub { token: None, ..hub.clone() }, NAME, &usual);
    assert!(said.contains("there is no token; set HF_TOKEN"), "{said}");
    let said = push(&Hub { offline: true, ..hub.clone() }, NAME, &usual);
    assert!(said.contains("nothing is sent; unset it to push"), "{said}");
    assert!(push(&hub, "name", &usual).starts_with("name = \"name\": expected"));
    let silent = PushConfig { message: " ".to_owned(), ..Default::default() };
    assert!(push(&hub, NAME, &silent).starts_with("message = \"\": expected what the commit does"));
    assert_eq!(fake.server.seen(), [""; 0]);
    fake.fault("create", Fault::Status(403, vec![], "{\"error\": \"You don't have the rights\"}"));
    let said = push(&hub, NAME, &usual);
    assert!(said.contains("with this token (403): You don't have the rights; use a token with"), "{said}");
}
