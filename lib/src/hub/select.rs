//! Which files of a repository a model needs.

use super::listing::Remote;

/// The largest file that is taken for settings.
const LARGEST: u64 = 4 << 20;

/// What says how a model is made: `modules.json` and the files of settings in these folders.
pub(super) fn settings(files: &[Remote], folders: &[&str]) -> Vec<Remote> {
    let is_settings = |name: &str| {
        name == "modules.json" || name == "config_sentence_transformers.json" || name.ends_with("config.json")
    };
    let is = |file: &&Remote| {
        let (folder, name) = file.parts();
        folders.contains(&folder) && file.size <= LARGEST && is_settings(name)
    };
    files.iter().filter(is).cloned().collect()
}

/// All that is read of these folders: settings, the tokenizer, the card, and the weights in one format. Other formats (ONNX,
/// OpenVINO, TensorFlow) and training logs stay where they are.
pub(super) fn needed(files: &[Remote], folders: &[&str]) -> Vec<Remote> {
    let mut needed = Vec::new();
    for folder in folders {
        let within: Vec<&Remote> = files.iter().filter(|file| file.parts().0 == *folder).collect();
        let weights = Weights::of(&within);
        needed
            .extend(within.into_iter().filter(|file| is_text(file.parts().1) || weights.has(file.parts().1)).cloned());
    }
    needed
}

fn is_text(name: &str) -> bool {
    let other = name.ends_with(".index.json") || name.starts_with('.') || name == "trainer_state.json";
    name == "README.md" || (name.ends_with(".json") || name.ends_with(".txt")) && !other
}

/// Why there are no weights that can be read, if so, and what to do.
pub(super) fn unreadable(files: &[Remote], needed: &[Remote], id: &str) -> Option<(String, String)> {
    if needed.iter().any(|file| file.path.ends_with(".safetensors")) {
        return None;
    }
    let convert = format!("in Python `AutoModel.from_pretrained(\"{id}\").save_pretrained(folder)` writes safetensors");
    let has = |end: &str| files.iter().any(|file| file.path.ends_with(end));
    Some(match has(".bin") {
        true => {
            let refs = format!("{convert}; some repositories have them at a revision such as {id}@refs/pr/1");
            ("its weights are a pickle, which can run any code when it is opened, and is not read".to_owned(), refs)
        }
        false => ("it has no weights as safetensors".to_owned(), format!("use another model, or {convert}")),
    })
}

/// How the weights of a folder are stored, the best first.
#[derive(Clone, Copy, PartialEq)]
enum Weights {
    One,
    Several,
    Adapter,
    None,
}

impl Weights {
    fn of(files: &[&Remote]) -> Self {
        let has = |name: &str| files.iter().any(|file| file.parts().1 == name);
        [
            (Self::One, "model.safetensors"),
            (Self::Several, "model.safetensors.index.json"),
            (Self::Adapter, "adapter_model.safetensors"),
        ]
        .into_iter()
        .find(|(_, name)| has(name))
        .map_or(Self::None, |(weights, _)| weights)
    }

    /// Whether a file is one of them.
    fn has(self, name: &str) -> bool {
        let part = |start: &str, end: &str| name.starts_with(start) && name.ends_with(end) && name.contains("-of-");
        match self {
            Self::One => name == "model.safetensors",
            Self::Several => name == "model.safetensors.index.json" || part("model-", ".safetensors"),
            Self::Adapter => name == "adapter_model.safetensors",
            Self::None => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::listing::Checksum;
    use super::*;

    fn files(names: &[&str]) -> Vec<Remote> {
        let file = |name: &&str| Remote { path: (*name).to_owned(), size: 1, checksum: Checksum::Git("a".repeat(40)) };
        names.iter().map(file).collect()
    }

    fn names(files: Vec<Remote>) -> Vec<String> {
        files.into_iter().map(|file| file.path).collect()
    }

    #[test]
    fn a_model_is_fetched_and_nothing_else() {
        let repository = files(&[
            ".gitattributes",
            "1_Pooling/config.json",
            "2_Dense/config.json",
            "2_Dense/model.safetensors",
            "2_Dense/pytorch_model.bin",
            "README.md",
            "config.json",
            "data_config.json",
            "model.safetensors",
            "model.safetensors.index.json",
            "modules.json",
            "onnx/model.onnx",
            "onnx/config.json",
            "openvino/openvino_model.xml",
            "pytorch_model.bin",
            "rust_model.ot",
            "tf_model.h5",
            "tokenizer.json",
            "train_script.py",
            "trainer_state.json",
            "vocab.txt",
        ]);
        let folders = ["", "1_Pooling", "2_Dense"];
        assert_eq!(names(settings(&repository, &[""])), ["config.json", "data_config.json", "modules.json"]);
        assert_eq!(
            names(needed(&repository, &folders)),
            [
                "README.md",
                "config.json",
                "data_config.json",
                "model.safetensors",
                "modules.json",
                "tokenizer.json",
                "vocab.txt",
                "1_Pooling/config.json",
                "2_Dense/config.json",
                "2_Dense/model.safetensors",
            ]
        );
    }

    #[test]
    fn weights_come_in_one_format() {
        let found = |list: &[&str]| names(needed(&files(list), &[""]));
        let shards =
            ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors", "model.safetensors.index.json"];
        assert_eq!(found(&[&shards[..], &["pytorch_model.bin"]].concat()), shards);
        assert_eq!(found(&["model.fp16.safetensors", "pytorch_model.bin"]), [""; 0]);
        let problem =
            |list: &[&str]| unreadable(&files(list), &needed(&files(list), &[""]), "a/b").map(|(what, _)| what);
        assert_eq!(problem(&["model.safetensors", "pytorch_model.bin"]), None);
        assert!(problem(&["pytorch_model.bin"]).unwrap().contains("a pickle"));
        assert!(problem(&["model.onnx"]).unwrap().contains("no weights"));
        assert_eq!(found(&["model-1.onnx", "flax_model.msgpack"]), [""; 0]);
    }
}
