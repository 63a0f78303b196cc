//! Low-rank adapters: training a few numbers beside frozen weights.

mod files;
mod settings;
#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::ops::Range;
use std::sync::Arc;

use xxhash_rust::xxh3::xxh3_64;

use super::blocks::dropout::Site;
use super::blocks::low_rank::{self, LowRank};
use super::gemm::{Threads, View, gemm};
use super::int8::Map;
use super::layout::{LayerLayout, Layout, ParamRange};
use super::spec::Spec;
use super::{Dropout, Encoder, Parameters, WordTable};
use crate::Result;
use crate::random::Philox;

pub(crate) use files::Prefixed;
pub use settings::Lora;

/// The adapters of an encoder. Its table of parameters holds `A` and `B` of each, after the parameters of a head that
/// is trained with them, and nothing else: what is frozen has neither gradients nor moments, and copies of a model share it.
#[derive(Clone)]
pub(super) struct Adapters {
    pub(super) settings: Lora,
    /// The encoder's own parameters, and those of a head that is frozen with it.
    pub(super) base: Arc<Parameters>,
    /// By which a checkpoint knows them.
    pub(super) base_hash: u64,
    /// Those of the maps of each layer.
    layers: Vec<[Vec<Adapter>; 4]>,
    /// The lowest layer that has one.
    pub(super) lowest: usize,
}

/// What is trained beside a weight.
#[derive(Debug, Clone)]
struct Adapter {
    /// Of the weight.
    module: String,
    /// Where the weight lies in the base.
    weight: Range<usize>,
    /// The outputs of the map that are the weight's.
    outputs: Range<usize>,
    /// Where `A (r, in)` and `B (out, r)` lie in the table.
    a: Range<usize>,
    b: Range<usize>,
    /// The number of its dropout layer.
    site: u32,
}

/// Numbers of dropout layers from here on are those of adapters: above all that a model without them has.
const FIRST_SITE: u32 = 1 << 16;

/// The ends of the names of `A` and `B`.
const A: &str = ".lora_A.weight";
const B: &str = ".lora_B.weight";

impl Encoder {
    /// Puts adapters on an encoder; only they are trained then, and a head unless it is frozen, too.
    pub(crate) fn add_lora(&mut self, settings: &Lora, freezes_head: bool) -> Result<()> {
        settings.check()?;
        if self.lora.is_some() {
            return Err(settings::refused("rank", settings.rank, "a model without adapters: `merge_lora` comes first"));
        }
        let modules = modules(&self.spec, &self.layout, &settings.regex()?);
        if modules.iter().flatten().all(Vec::is_empty) {
            let expected = format!("a pattern that matches weights of the layers, such as `{}`", self.first_weight());
            return Err(settings::refused("targets", format!("`{}`", settings.targets), expected));
        }
        let entries = self.parameters.entries();
        // Weights of query words are no part of the head for words.
        let words = entries.iter().position(|entry| entry.name == WordTable::NAME).unwrap_or(entries.len());
        let frozen = if freezes_head { words } else { self.own };
        let (base, mut table) = self.parameters.split(frozen);
        let base_hash = xxh3_64(bytemuck::cast_slice(&base.values));
        let (mut layers, mut site, rank) = (Vec::new(), FIRST_SITE, settings.rank);
        for maps in modules {
            layers.push(maps.map(|parts| {
                let adapter = |(module, weight, outputs): Module| {
                    site += 1;
                    let inputs = weight.len() / outputs.len();
                    let a = table.outline(format!("{module}{A}"), &[rank, inputs], true);
                    let b = table.outline(format!("{module}{B}"), &[outputs.len(), rank], true);
                    Adapter { module, weight, outputs, a, b, site }
                };
                parts.into_iter().map(adapter).collect::<Vec<_>>()
            }));
        }
        table.allocate()?;
        self.parameters = table;
        let lowest = layers.iter().position(|maps| maps.iter().any(|map| !map.is_empty())).unwrap_or(0);
        let adapters = Adapters { settings: settings.clone(), base: Arc::new(base), base_hash, layers, lowest };
        adapters.draw(&mut self.parameters.values);
        self.lora = Some(adapters);
        Ok(())
    }

    pub(crate) fn lora(&self) -> Option<&Lora> {
        Some(&self.lora.as_ref()?.settings)
    }

    /// Takes them away again: `W + s B A` in the place of `W`. All of it is trained again.
    pub(crate) fn merge_lora(&mut self) {
        let Some(adapters) = self.lora.take() else { return };
        let trained = std::mem::take(&mut self.parameters);
        let merged = adapters.merged(&trained.values);
        let mut whole = Arc::unwrap_or_clone(adapters.base);
        whole.values = merged;
        let head = trained.entries().iter().take_while(|entry| !entry.name.ends_with(A)).count();
        whole.join(&trained, head);
        self.parameters = whole;
    }

    /// The encoder, or its copy without adapters.
    pub(crate) fn merged(&self) -> Cow<'_, Self> {
        if self.lora.is_none() {
            return Cow::Borrowed(self);
        }
        let mut merged = self.clone();
        merged.merge_lora();
        Cow::Owned(merged)
    }

    /// The values of the encoder itself, and of a head that is frozen with it.
    pub(super) fn weights(&self) -> &[f32] {
        self.weights_in(&self.parameters.values)
    }

    /// The same where `table` holds what is trained.
    pub(super) fn weights_in<'a>(&'a self, table: &'a [f32]) -> &'a [f32] {
        match &self.lora {
            None => table,
            Some(adapters) => &adapters.base.values,
        }
    }

    /// The same with the gradients to add to, if they are trained.
    pub(super) fn weights_and_grads(&mut self) -> (&[f32], Option<&mut [f32]>) {
        match &self.lora {
            None => {
                let (values, grads) = self.parameters.values_and_grads();
                (values, Some(grads))
            }
            Some(adapters) => (&adapters.base.values, None),
        }
    }

    /// The same with what adapters add to them, where `table` holds what is trained.
    pub(super) fn merged_weights<'a>(&'a self, table: &'a [f32]) -> Cow<'a, [f32]> {
        match &self.lora {
            None => Cow::Borrowed(table),
            Some(adapters) => Cow::Owned(adapters.merged(table)),
        }
    }

    /// Whether this is the `A` of an adapter whose `B` is still 0, and so without a gradient.
    pub(super) fn is_before_zero(&self, table: &[f32], name: &str) -> bool {
        let Some(adapters) = &self.lora else { return false };
        let Some(module) = name.strip_suffix(A) else { return false };
        let all = adapters.layers.iter().flatten().flatten();
        let own = all.into_iter().find(|adapter| adapter.module == module);
        own.is_some_and(|own| table[own.b.clone()].iter().all(|value| *value == 0.0))
    }

    fn first_weight(&self) -> String {
        format!("{}.0.{}.weight", self.spec.names.layer, self.spec.names.qkv[0])
    }
}

impl Adapters {
    /// As PEFT draws them: `A` from U(-1/sqrt in, 1/sqrt in), `B` 0, so that the model is at first what it was.
    fn draw(&self, values: &mut [f32]) {
        let mut rng = Philox::new(self.settings.seed);
        for adapter in self.layers.iter().flatten().flatten() {
            let a = &mut values[adapter.a.clone()];
            let bound = 1.0 / ((a.len() / self.settings.rank) as f64).sqrt();
            a.fill_with(|| ((2.0 * rng.uniform() - 1.0) * bound) as f32);
        }
    }

    /// The values of the base with `s B A` added to those that have an adapter.
    fn merged(&self, trained: &[f32]) -> Vec<f32> {
        let (mut values, rank) = (self.base.values.clone(), self.settings.rank);
        for adapter in self.layers.iter().flatten().flatten() {
            let (outputs, inputs) = (adapter.outputs.len(), adapter.weight.len() / adapter.outputs.len());
            let (b, a) = (&trained[adapter.b.clone()], &trained[adapter.a.clone()]);
            let (b, a) = (View::new(b, outputs, rank), View::new(a, rank, inputs));
            gemm(&mut values[adapter.weight.clone()], b, a, self.settings.scale(), true, Threads::All);
        }
        values
    }
}

/// The adapters in one pass.
#[derive(Clone, Copy)]
pub(super) struct Beside<'a> {
    pub(super) adapters: &'a Adapters,
    /// The values of the table.
    pub(super) values: &'a [f32],
    pub(super) dropout: Option<Dropout>,
}

impl<'a> Beside<'a> {
    pub(super) fn adapts(&self, layer: usize, map: Map) -> bool {
        !self.adapters.layers[layer][map as usize].is_empty()
    }

    /// Adds to `y`, what a map of a layer makes of `x`; `tokens` are those of the rows, where not all have one.
    pub(super) fn forward(
        &self,
        layer: usize,
        map: Map,
        y: &mut [f32],
        x: &[f32],
        rows: usize,
        tokens: Option<&[usize]>,
    ) {
        for adapter in self.within(layer, map, y.len() / rows) {
            low_rank::forward(y, x, rows, &self.part(adapter, tokens));
        }
    }

    /// The gradients of adapters, and their share in that of `x`, from the gradient of `y`.
    #[allow(clippy::too_many_arguments)]
    pub(super) fn backward(
        &self,
        layer: usize,
        map: Map,
        grads: &mut [f32],
        dy: &[f32],
        x: &[f32],
        mut dx: Option<&mut [f32]>,
        rows: usize,
        tokens: Option<&[usize]>,
    ) {
        for adapter in self.within(layer, map, dy.len() / rows) {
            // `B` follows `A`.
            let (d_a, d_b) = grads[adapter.a.start..adapter.b.end].split_at_mut(adapter.a.len());
            low_rank::backward(dy, x, rows, &self.part(adapter, tokens), (d_a, d_b), dx.as_deref_mut());
        }
    }

    /// The adapters of a map's first outputs, `width` of them: positions have queries and keys, and no values.
    fn within(&self, layer: usize, map: Map, width: usize) -> impl Iterator<Item = &'a Adapter> {
        self.adapters.layers[layer][map as usize].iter().filter(move |adapter| adapter.outputs.end <= width)
    }

    fn part<'p>(&self, adapter: &Adapter, tokens: Option<&'p [usize]>) -> LowRank<'p>
    where
        'a: 'p,
    {
        let settings = &self.adapters.settings;
        let site = self.dropout.and_then(|dropout| dropout.site(adapter.site, settings.dropout));
        LowRank {
            a: &self.values[adapter.a.clone()],
            b: &self.values[adapter.b.clone()],
            rank: settings.rank,
            scale: settings.scale(),
            outputs: adapter.outputs.clone(),
            dropout: site.map(|site: Site<'static>| site.of_tokens(tokens)),
        }
    }
}

/// The name of a weight, its place, and the outputs of its map that are its own.
type Module = (String, Range<usize>, Range<usize>);

/// The weights of the maps of every layer whose name a pattern matches.
fn modules(spec: &Spec, layout: &Layout, pattern: &regex::Regex) -> Vec<[Vec<Module>; 4]> {
    let of_layer = |(index, layer): (usize, &LayerLayout)| {
        let of_map = |place: &ParamRange, parts: &[&str], outputs: usize| {
            let (weight, outputs) = (place.range_of_weight(), outputs / parts.len());
            let inputs = weight.len() / (outputs * parts.len());
            let part = |(number, part): (usize, &&str)| {
                let module = format!("{}.{index}.{part}", spec.names.layer);
                let start = weight.start + number * outputs * inputs;
                let place = start..start + outputs * inputs;
                let wanted = pattern.is_match(&format!("{module}.weight"));
                wanted.then(|| (module, place, number * outputs..(number + 1) * outputs))
            };
            parts.iter().enumerate().filter_map(part).collect::<Vec<_>>()
        };
        [
            of_map(&layer.qkv, spec.names.qkv, 3 * spec.width),
            of_map(&layer.out, &[spec.names.out], spec.width),
            of_map(&layer.up, &[spec.names.up], spec.up_width()),
            of_map(&layer.down, &[spec.names.down], spec.width),
        ]
    };
    layout.layers.iter().enumerate().map(of_layer).collect()
}
