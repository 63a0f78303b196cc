//! CSR against sentence-transformers: value, terms, gradients of vectors and parameters, and silence.

use candle_core::{DType, Device, Tensor, Var};
use kensaku::loss::{Batch, CSR, Loss};
use serde_json::Value;

use super::golden::{compare, number};
use crate::golden::{Tensors, fixture, floats, json, within};

/// Ours, and those of the golden file.
const PARAMETERS: [(&str, &str); 3] =
    [("sae.weight", "in.encoder_weight"), ("sae.pre_bias", "in.pre_bias"), ("sae.latent_bias", "in.latent_bias")];

pub(super) fn loss(params: &Value) -> CSR {
    let count = |name: &str| params[name].as_u64().unwrap() as usize;
    CSR {
        hidden_dim: count("hidden_dim"),
        k: count("k"),
        k_aux: count("k_aux"),
        dead_threshold: count("dead_threshold"),
        normalize: params["normalize"] == true,
        beta: number(params, "beta", 0.1),
        gamma: number(params, "gamma", 1.0),
        ..CSR::default()
    }
}

pub(super) fn golden() {
    let dir = fixture("losses");
    let golden = json(&dir.join("sparse_csr.json"));
    let tensors = Tensors::read(&dir.join("sparse_csr.safetensors"));
    let cases = golden["cases"].as_array().unwrap();
    assert_eq!(cases.len(), 4);
    for case in cases {
        let loss = loss(&case["params"]);
        let inputs: Vec<&str> = case["grads"].as_object().unwrap().keys().map(String::as_str).collect();
        let variables: Vec<(&str, Var)> =
            inputs.iter().map(|input| (*input, Var::from_tensor(tensors.tensor(input)).unwrap())).collect();
        let variable = |name: &str| variables.iter().find(|(input, _)| *input == name).unwrap().1.as_tensor().clone();
        let columns =
            ["in.q", "in.p", "in.n1"].into_iter().filter(|name| inputs.contains(name)).map(variable).collect();
        let mut parameters: Vec<_> = PARAMETERS.map(|(own, input)| (own.to_owned(), variable(input))).into();
        let stats = tensors.tensor(&format!("in.{}", case["params"]["stats"].as_str().unwrap()));
        parameters.push(("sae.last_nonzero".to_owned(), stats.to_dtype(DType::F32).unwrap()));
        let batch = Batch { parameters, ..Batch::new(columns) };
        let pairs: Vec<(&str, &Var)> = variables.iter().map(|(input, variable)| (*input, variable)).collect();
        compare(case, &tensors, &loss, &batch, &pairs);
        let terms = loss.terms(&batch).unwrap();
        let names = ["reconstruction_loss_k", "reconstruction_loss_4k", "reconstruction_loss_aux", "base_loss"];
        assert_eq!(terms.len(), names.len());
        for (term, name) in terms.iter().zip(names) {
            let expected = case["components"][name].as_f64().unwrap();
            let found = term.weight * f64::from(term.value.to_scalar::<f32>().unwrap());
            within(
                &format!("{}: {name} {found}, expected {expected}", case["name"]),
                (found / expected - 1.0).abs(),
                1e-5,
            );
        }
    }
}

/// How long each latent was silent after the batches of the fixture, which Python has read in training mode.
pub(super) fn silence() {
    let expected = json(&fixture("sparse_autoencoder/expected.json"));
    let stored = Tensors::read(&fixture("sparse_autoencoder/model.safetensors"));
    let rows: Vec<Vec<f32>> = serde_json::from_value(expected["vectors"].clone()).unwrap();
    let loss = CSR { hidden_dim: 24, k: 2, k_aux: 6, normalize: true, ..CSR::default() };
    let names = ["decoder.linear.weight", "pre_bias", "latent_bias"];
    let mut state = Tensor::zeros(24, DType::F32, &Device::Cpu).unwrap();
    // A wrapped loss keeps its state.
    let loss = 0.5 * loss.boxed();
    for rows in rows.chunks(2) {
        let own = PARAMETERS.iter().zip(names).map(|((own, _), name)| ((*own).to_owned(), stored.tensor(name).clone()));
        let parameters = own.chain([("sae.last_nonzero".to_owned(), state.clone())]).collect();
        let batch = Batch { parameters, ..Batch::new(vec![Tensor::new(rows.to_vec(), &Device::Cpu).unwrap()]) };
        let observed = loss.observe(&batch).unwrap();
        assert_eq!((observed.len(), observed[0].0.as_str()), (1, "sae.last_nonzero"));
        state = observed[0].1.clone();
    }
    let expected: Vec<f32> = serde_json::from_value(expected["last_nonzero"].clone()).unwrap();
    assert_eq!(floats(&state), expected);
}
