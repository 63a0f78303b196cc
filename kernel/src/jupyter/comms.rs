//! Comms: conversations between a component of the front end and a target in the kernel.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::iopub::IoPub;
use super::message::Request;
use super::wire::log;

/// Answers one message of a front end: data in, data out.
type Target = Box<dyn Fn(&Value) -> Value + Send>;

/// The comm targets and the open comms.
#[derive(Default)]
pub(super) struct Comms {
    targets: BTreeMap<&'static str, Target>,
    /// Id -> target.
    open: BTreeMap<String, &'static str>,
}

impl Comms {
    /// Registers a target under the name that front ends open.
    pub(super) fn register(&mut self, name: &'static str, target: impl Fn(&Value) -> Value + Send + 'static) {
        self.targets.insert(name, Box::new(target));
    }

    /// The answer to `comm_info_request`: all open comms, or those of one target.
    pub(super) fn info(&self, content: &Value) -> Value {
        let wanted = content["target_name"].as_str();
        let open = self.open.iter().filter(|(_, target)| wanted.is_none_or(|wanted| wanted == **target));
        let comms: Map<_, _> = open.map(|(id, target)| (id.clone(), json!({ "target_name": target }))).collect();
        json!({ "status": "ok", "comms": comms })
    }

    /// Handles `comm_open`, `comm_msg` and `comm_close`.
    pub(super) fn take(&mut self, request: &Request, iopub: &IoPub) {
        if let Some((kind, content)) = self.answer(&request.kind, &request.content) {
            iopub.publish(kind, content, Some(&request.header));
        }
    }

    fn answer(&mut self, kind: &str, content: &Value) -> Option<(&'static str, Value)> {
        let id = content["comm_id"].as_str()?;
        match kind {
            "comm_open" => {
                let name = content["target_name"].as_str().unwrap_or_default();
                let Some((name, _)) = self.targets.get_key_value(name) else {
                    log(&format!("unknown comm target {name}"));
                    // The protocol requires the kernel to close such a comm.
                    return Some(("comm_close", json!({ "comm_id": id, "data": {} })));
                };
                self.open.insert(id.to_owned(), name);
                None
            }
            "comm_msg" => {
                let target = self.open.get(id).and_then(|name| self.targets.get(name));
                let Some(target) = target else {
                    log(&format!("comm {id} is not open"));
                    return None;
                };
                Some(("comm_msg", json!({ "comm_id": id, "data": target(&content["data"]) })))
            }
            _ => {
                self.open.remove(id);
                None
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_answers_while_its_comm_is_open() {
        let mut comms = Comms::default();
        comms.register("double", |data| json!({ "n": data["n"].as_i64().unwrap_or_default() * 2 }));
        let id = |target: &str| json!({ "comm_id": "c", "target_name": target, "data": { "n": 21 } });
        assert_eq!(comms.answer("comm_open", &id("other")).map(|(kind, _)| kind), Some("comm_close"));
        assert_eq!(comms.answer("comm_msg", &id("double")), None);
        assert_eq!(comms.answer("comm_open", &id("double")), None);
        assert_eq!(comms.info(&json!({}))["comms"], json!({ "c": { "target_name": "double" } }));
        assert_eq!(comms.info(&json!({ "target_name": "other" }))["comms"], json!({}));
        let (kind, answer) = comms.answer("comm_msg", &id("double")).expect("it answers");
        assert_eq!((kind, &answer["data"]["n"]), ("comm_msg", &json!(42)));
        assert_eq!(comms.answer("comm_close", &id("double")), None);
        assert_eq!(comms.info(&json!({}))["comms"], json!({}));
    }
}
