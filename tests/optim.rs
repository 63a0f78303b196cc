//! Optimisers, clipping and schedules against PyTorch and transformers.

use kensaku::nn::Parameters;
use kensaku::train::{AdamWConfig, GradNorm, Optimizer, Schedule, SgdConfig, Slope, TrainConfig, WarmupStableDecay};
use serde_json::Value;

use crate::golden::{Tensors, distance, fixture, json, within};
use crate::shared::{Trials, test};

/// Tolerances: parameters absolute, rates relative.
const PARAMETER: f64 = 1e-6;
const RATE: f64 = 1e-12;
/// PyTorch takes the norm in f32.
const NORM: f64 = 1e-6;

const NAMES: [&str; 4] = ["w", "b", "norm", "emb"];

pub fn trials() -> Trials {
    vec![
        test("optim::adamw_equals_pytorch", adamw),
        test("optim::sgd_equals_pytorch", sgd),
        test("optim::clipping_equals_pytorch", clipping),
        test("optim::schedules_equal_transformers", schedules),
        test("optim::untouched_rows_are_exact", untouched_rows),
        test("optim::a_beta_near_1_is_exact", near_one),
        test("optim::frozen_parameters_stay", frozen),
        test("optim::threads_do_not_matter", threads),
    ]
}

fn adamw() {
    let (golden, tensors) = (json(&fixture("optim/adamw.json")), Tensors::read(&fixture("optim/adamw.safetensors")));
    let cases = golden["cases"].as_array().unwrap();
    let cases: Vec<&Value> = cases.iter().filter(|case| !case["adamw"].is_null()).collect();
    assert_eq!(cases.len(), 4);
    for case in cases {
        let name = case["name"].as_str().unwrap();
        let number = |value: &Value| value.as_f64().unwrap();
        let decays = NAMES.map(|name| number(&case["weight_decay_per_parameter"][name]));
        let adamw = AdamWConfig {
            beta1: number(&case["adamw"]["betas"][0]),
            beta2: number(&case["adamw"]["betas"][1]),
            eps: number(&case["adamw"]["eps"]),
            weight_decay: decays[0],
        };
        let mut config = TrainConfig {
            learning_rate: number(&case["adamw"]["lr"]),
            optimizer: adamw.into(),
            max_grad_norm: case["clip"].as_f64(),
            ..Default::default()
        };
        if name == "group_learning_rates" {
            config.learning_rate_mapping = vec![("^emb$".to_owned(), 1e-3)];
        }
        let mut parameters = table(&tensors, decays.map(|decay| decay > 0.0));
        let mut optimizer = Optimizer::new(&config, &parameters).unwrap();
        let scheduler = &case["scheduler"];
        for step in 0..10 {
            set_gradients(&mut parameters, &tensors, step);
            let rate = scheduler["name"].as_str().map_or(config.learning_rate, |name| {
                let warmup = scheduler["num_warmup_steps"].as_u64().unwrap() as usize;
                Schedule::named(name).unwrap().rate(step, warmup, 10, config.learning_rate)
            });
            within(name, (rate - number(&case["lr_per_step_and_group"][step][0])).abs(), RATE);
            let norm = optimizer.step(&mut parameters, rate).unwrap();
            within(name, (norm - number(&case["norm_before_clip"][step])).abs(), NORM * norm);
            check(name, &parameters, &tensors, step);
        }
    }
}

fn sgd() {
    let (golden, tensors) = (json(&fixture("optim/sgd.json")), Tensors::read(&fixture("optim/sgd.safetensors")));
    let given = Tensors::read(&fixture("optim/adamw.safetensors"));
    for case in golden["cases"].as_array().unwrap() {
        let number = |key: &str| case[key].as_f64().unwrap();
        let nesterov = case["nesterov"].as_bool().unwrap();
        let sgd = SgdConfig { momentum: number("momentum"), nesterov, weight_decay: number("weight_decay") };
        let config = TrainConfig { optimizer: sgd.into(), max_grad_norm: case["clip"].as_f64(), ..Default::default() };
        let mut parameters = table(&given, [true, false, false, true]);
        let mut optimizer = Optimizer::new(&config, &parameters).unwrap();
        for step in 0..10 {
            set_gradients(&mut parameters, &given, step);
            optimizer.step(&mut parameters, number("lr")).unwrap();
            check(case["name"].as_str().unwrap(), &parameters, &tensors, step);
        }
    }
}

/// At a rate of 1 plain SGD moves the parameters by the clipped gradient.
fn clipping() {
    let (golden, tensors) = (json(&fixture("optim/adamw.json")), Tensors::read(&fixture("optim/adamw.safetensors")));
    for (name, clip_norm) in [("clip_l2", GradNorm::L2), ("clip_l1", GradNorm::L1), ("clip_inf", GradNorm::Inf)] {
        let case = golden["cases"].as_array().unwrap().iter().find(|case| case["name"] == name).unwrap();
        let sgd = SgdConfig { momentum: 0.0, ..Default::default() };
        let max_grad_norm = case["max_norm"].as_f64();
        let config = TrainConfig { optimizer: sgd.into(), max_grad_norm, clip_norm, ..Default::default() };
        let mut parameters = table(&tensors, [false; 4]);
        for name in NAMES {
            parameters.values_mut(name).unwrap().fill(0.0);
        }
        set_gradients(&mut parameters, &tensors, 0);
        let norm = Optimizer::new(&config, &parameters).unwrap().step(&mut parameters, 1.0).unwrap();
        within(name, (norm / case["norm"].as_f64().unwrap() - 1.0).abs(), NORM);
        for part in NAMES {
            let moved: Vec<f32> = parameters.values(part).unwrap().iter().map(|value| -value).collect();
            within(name, distance(&moved, &tensors.floats(&format!("{name}.{part}"))), PARAMETER);
        }
    }
}

fn schedules() {
    let golden = json(&fixture("optim/schedulers.json"));
    let cases = golden["cases"].as_array().unwrap();
    assert_eq!(cases.len(), 21);
    for case in cases {
        let (name, params) = (case["name"].as_str().unwrap(), &case["params"]);
        let schedule = schedule(name, &params["scheduler_specific_kwargs"], params["lr"].as_f64().unwrap());
        let steps = |key: &str| params[key].as_u64().unwrap_or_default() as usize;
        let (warmup, total) = (steps("num_warmup_steps"), steps("num_training_steps"));
        let rates = case["lr"].as_array().unwrap();
        assert_eq!(rates.len(), 50);
        for (step, expected) in rates.iter().enumerate() {
            let (ours, expected) = (schedule.rate(step, warmup, total, 1e-3), expected.as_f64().unwrap());
            within(&format!("{schedule:?}, step {step}"), (ours - expected).abs(), RATE * expected);
        }
        let again: Schedule = serde_json::from_value(serde_json::to_value(schedule).unwrap()).unwrap();
        assert_eq!(again, schedule);
    }
    // `get_inverse_sqrt_schedule` itself: 16 steps after the warm-up of 4, (16 + 16) / 16 is 2.
    let rate = Schedule::InverseSqrt { timescale: Some(16) }.rate(20, 4, 0, 1.0);
    within("timescale", (rate - 0.5_f64.sqrt()).abs(), RATE);
}

/// The schedule of that name, with transformers' keywords over its defaults.
fn schedule(name: &str, kwargs: &Value, peak: f64) -> Schedule {
    let number = |key: &str| kwargs[key].as_f64();
    let steps = |key: &str| kwargs[key].as_u64().map(|steps| steps as usize);
    let slope = |key: &str, default: &str| {
        let slope = kwargs[key].as_str().unwrap_or(default);
        serde_json::from_value::<Slope>(slope.into()).unwrap()
    };
    let mut schedule = Schedule::named(name).unwrap();
    match &mut schedule {
        Schedule::Cosine { num_cycles } => *num_cycles = number("num_cycles").unwrap_or(*num_cycles),
        Schedule::CosineWithRestarts { num_cycles } => *num_cycles = steps("num_cycles").unwrap_or(*num_cycles),
        Schedule::Polynomial { lr_end, power } => {
            *lr_end = number("lr_end").unwrap_or(*lr_end);
            *power = number("power").unwrap_or(*power);
        }
        // The golden values come from `get_scheduler`, which drops the keyword `timescale`.
        Schedule::InverseSqrt { timescale } => *timescale = None,
        Schedule::WarmupStableDecay(settings) => {
            *settings = WarmupStableDecay {
                num_stable_steps: steps("num_stable_steps"),
                num_decay_steps: steps("num_decay_steps"),
                warmup_type: slope("warmup_type", "linear"),
                decay_type: slope("decay_type", "cosine"),
                min_lr_ratio: number("min_lr_ratio").unwrap_or(0.0),
                ..Default::default()
            };
        }
        Schedule::CosineWithMinLr { min_lr_rate, .. } | Schedule::CosineWarmupWithMinLr { min_lr_rate, .. } => {
            *min_lr_rate = number("min_lr_rate").or(number("min_lr").map(|rate| rate / peak)).unwrap();
        }
        Schedule::Linear | Schedule::Constant | Schedule::ConstantWithWarmup => {}
    }
    schedule
}

/// Rows of an embedding that never had a gradient take a shorter way. Here the formula of AdamW is written
/// out for every element, and one element a row makes the other table take the long way throughout.
fn untouched_rows() {
    const ROWS: usize = 40;
    const WIDTH: usize = 384;
    let touched = |step: usize, row: usize| row % 7 == step % 5 || row == 3;
    let start: Vec<f32> = (0..ROWS * WIDTH).map(|n| ((n * 37 % 101) as f32 - 50.0) / 500.0).collect();
    let config = TrainConfig { max_grad_norm: None, ..Default::default() };
    let (rate, AdamWConfig { beta1, beta2, eps, weight_decay }) = (0.01, AdamWConfig::default());
    let mut parameters = Parameters::default();
    parameters.push("rows", &[ROWS, WIDTH], true).unwrap();
    parameters.values_mut("rows").unwrap().copy_from_slice(&start);
    let mut optimizer = Optimizer::new(&config, &parameters).unwrap();
    let (mut values, mut first, mut second) = (start.clone(), vec![0.0_f32; start.len()], vec![0.0_f32; start.len()]);
    for step in 0..12 {
        let grad = |n: usize| if touched(step, n / WIDTH) { ((n + step) % 13) as f32 - 6.0 } else { -0.0 };
        let grads: Vec<f32> = (0..ROWS * WIDTH).map(grad).collect();
        parameters.grad_mut("rows").unwrap().copy_from_slice(&grads);
        optimizer.step(&mut parameters, rate).unwrap();
        let correction = |beta: f64| 1.0 - beta.powf(f64::from(step as u32 + 1));
        let (scaled, root) = ((rate / correction(beta1)) as f32, (1.0 / correction(beta2).sqrt()) as f32);
        // PyTorch takes the differences from 1 in doubles.
        let (rest1, rest2) = ((1.0 - beta1) as f32, (1.0 - beta2) as f32);
        let (beta1, beta2, eps, decay) = (beta1 as f32, beta2 as f32, eps as f32, (1.0 - rate * weight_decay) as f32);
        for (n, grad) in grads.iter().enumerate() {
            first[n] = beta1 * first[n] + rest1 * grad;
            second[n] = beta2 * second[n] + rest2 * grad * grad;
            values[n] = values[n] * decay - scaled * first[n] / (second[n].sqrt() * root + eps);
        }
        let bits = |values: &[f32]| values.iter().map(|value| value.to_bits()).collect::<Vec<_>>();
        assert_eq!(bits(parameters.values("rows").unwrap()), bits(&values), "step {step}");
    }
    let untouched = (0..ROWS).filter(|row| (0..12).all(|step| !touched(step, *row))).count();
    assert!(untouched > 5, "some rows never had a gradient");
}

/// The first update moves a parameter by the rate, whatever the betas: both bias corrections undo `1 - beta`.
fn near_one() {
    for (beta1, beta2) in [(0.9, 0.999), (0.9, 0.99999), (0.99999, 0.999999)] {
        let adamw = AdamWConfig { beta1, beta2, weight_decay: 0.0, ..Default::default() };
        let config = TrainConfig { optimizer: adamw.into(), max_grad_norm: None, ..Default::default() };
        let mut parameters = Parameters::default();
        parameters.push("w", &[1], true).unwrap();
        parameters.grad_mut("w").unwrap()[0] = 0.5;
        Optimizer::new(&config, &parameters).unwrap().step(&mut parameters, 1.0).unwrap();
        let moved = f64::from(parameters.values("w").unwrap()[0]);
        within(&format!("betas {beta1}, {beta2}: {moved}"), (moved + 1.0).abs(), 1e-6);
    }
}

fn frozen() {
    let tensors = Tensors::read(&fixture("optim/adamw.safetensors"));
    for optimizer in [AdamWConfig::default().into(), SgdConfig::default().into()] {
        let config = TrainConfig { optimizer, ..Default::default() };
        let freezing = TrainConfig { freeze: vec!["^(emb|b)$".to_owned()], ..config.clone() };
        let mut parameters = table(&tensors, [true; 4]);
        let mut optimizer = Optimizer::new(&freezing, &parameters).unwrap();
        // The same without the frozen ones: their gradients must not count in the norm.
        let mut alone = Parameters::default();
        for name in ["w", "norm"] {
            alone.push(name, &[tensors.floats(&format!("init.{name}")).len()], true).unwrap();
            alone.values_mut(name).unwrap().copy_from_slice(&tensors.floats(&format!("init.{name}")));
        }
        let mut optimizer_alone = Optimizer::new(&config, &alone).unwrap();
        for step in 0..10 {
            set_gradients(&mut parameters, &tensors, step);
            for name in ["w", "norm"] {
                let grads = parameters.grad(name).unwrap();
                alone.grad_mut(name).unwrap().copy_from_slice(&grads);
            }
            let norm = optimizer.step(&mut parameters, 0.01).unwrap();
            assert_eq!(norm, optimizer_alone.step(&mut alone, 0.01).unwrap());
        }
        for name in NAMES {
            let start = tensors.floats(&format!("init.{name}"));
            let expected = alone.values(name).unwrap_or(&start);
            assert_eq!(parameters.values(name).unwrap(), expected, "{name}");
        }
    }
}

/// Norm and parameters, bit for bit.
fn threads() {
    let run = |threads: usize, config: TrainConfig| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| {
            let mut parameters = Parameters::default();
            parameters.push("big", &[250, 301], true).unwrap();
            parameters.push("small", &[301], false).unwrap();
            let mut optimizer = Optimizer::new(&config, &parameters).unwrap();
            let mut norms = Vec::new();
            for step in 1..6_u32 {
                for name in ["big", "small"] {
                    for (n, grad) in parameters.grad_mut(name).unwrap().iter_mut().enumerate() {
                        *grad = ((n as f32 + 0.3) * step as f32).sin();
                    }
                }
                norms.push(optimizer.step(&mut parameters, 0.01).unwrap().to_bits());
            }
            let values = ["big", "small"].map(|name| parameters.values(name).unwrap().to_vec()).concat();
            (norms, values.into_iter().map(f32::to_bits).collect::<Vec<_>>())
        })
    };
    for clip_norm in [GradNorm::L1, GradNorm::L2, GradNorm::Inf] {
        for optimizer in [AdamWConfig::default().into(), SgdConfig { nesterov: true, ..Default::default() }.into()] {
            let config = TrainConfig { optimizer, clip_norm, ..Default::default() };
            assert_eq!(run(1, config.clone()), run(4, config));
        }
    }
}

/// The golden run's parameters before the first step.
fn table(tensors: &Tensors, decay: [bool; 4]) -> Parameters {
    let mut parameters = Parameters::default();
    for (name, decay) in NAMES.into_iter().zip(decay) {
        let start = tensors.tensor(&format!("init.{name}"));
        parameters.push(name, start.dims(), decay).unwrap();
        parameters.values_mut(name).unwrap().copy_from_slice(&tensors.floats(&format!("init.{name}")));
    }
    parameters
}

fn set_gradients(parameters: &mut Parameters, tensors: &Tensors, step: usize) {
    for name in NAMES {
        let grads = tensors.floats(&format!("grad.{step}.{name}"));
        parameters.grad_mut(name).unwrap().copy_from_slice(&grads);
    }
}

fn check(case: &str, parameters: &Parameters, tensors: &Tensors, step: usize) {
    for name in NAMES {
        let expected = tensors.floats(&format!("{case}.param.{step}.{name}"));
        within(&format!("{case} {name} {step}"), distance(parameters.values(name).unwrap(), &expected), PARAMETER);
    }
}
