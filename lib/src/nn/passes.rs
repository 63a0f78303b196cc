//! The forward and the backward pass of an [`Encoder`], layer by layer.

use std::sync::Arc;

use super::activations::{Prior, Read};
use super::blocks::norm::{self, Before};
use super::blocks::relative;
use super::blocks::rotary::Rotary;
use super::layer::{self, Pass, embedding, longest, post_norm, pre_norm};
use super::lora::Beside;
use super::trainable::Trained;
use super::{Activations, Dropout, Encoder, Int8Weights, PackedBatch};
use crate::{Error, Result};

impl Encoder {
    /// Computes the hidden states `(T, H)` of a batch into `activations`.
    pub fn forward(&self, batch: &PackedBatch, activations: &mut Activations) -> Result<()> {
        self.forward_for(Read::All, batch, activations, None)
    }

    /// The same for a model that reads of every sequence the first token alone, `[CLS]`: hidden states `(R, H)` of the
    /// sequences that have a token. The rest of the last layer is not computed, nor in the backward pass, which takes
    /// the gradient of these rows.
    ///
    /// ```
    /// use kensaku::nn::{Activations, BertConfig, Encoder, PackedBatch};
    ///
    /// let encoder = Encoder::new(BertConfig { vocab_size: 100, ..Default::default() }, 42)?;
    /// let mut activations = Activations::inference();
    /// encoder.forward_first(&PackedBatch::new([vec![2, 7, 3], vec![2, 3]]), &mut activations)?;
    /// assert_eq!(activations.hidden().len(), 2 * encoder.config().hidden_size());
    /// # Ok::<(), kensaku::Error>(())
    /// ```
    pub fn forward_first(&self, batch: &PackedBatch, activations: &mut Activations) -> Result<()> {
        self.forward_for(Read::First, batch, activations, None)
    }

    /// As [`Encoder::forward`] with the layers' maps in int8, for inference: [`Encoder::quantize`] makes them.
    pub fn forward_int8(&self, batch: &PackedBatch, activations: &mut Activations, maps: &Int8Weights) -> Result<()> {
        self.forward_for(Read::All, batch, activations, Some(maps))
    }

    /// Any of these.
    pub(crate) fn forward_for(
        &self,
        read: Read,
        batch: &PackedBatch,
        activations: &mut Activations,
        int8: Option<&Int8Weights>,
    ) -> Result<()> {
        self.forward_in(&self.parameters.values, read, batch, activations, int8)
    }

    /// The same with the numbers `table` in the place of its own: a stretch of a table that several encoders share.
    pub(crate) fn forward_in(
        &self,
        table: &[f32],
        read: Read,
        batch: &PackedBatch,
        activations: &mut Activations,
        int8: Option<&Int8Weights>,
    ) -> Result<()> {
        in_pool(|| {
            batch.check()?;
            let lowest = activations.memory.map_or(0, |_| self.lowest(&activations.trained));
            activations.fit(&self.spec, batch, read, lowest);
            embedding::number(&self.spec, batch, &mut activations.positions);
            self.spec.check(batch, &activations.positions)?;
            if batch.tokens() == 0 {
                return Ok(());
            }
            let (spec, layout) = (&self.spec, &self.layout);
            let size = batch.tokens() * spec.width;
            let Activations {
                hidden,
                embeddings,
                positions,
                offsets,
                layers,
                inputs,
                final_norm,
                span,
                scratch,
                dropout,
                trained,
                memory,
                read,
                rows,
                prior,
                ..
            } = activations;
            let (hidden, values) = (&mut hidden[..size], self.weights_in(table));
            let offsets = &mut offsets[..self.offsets(batch)];
            if let Some(table) = &layout.relative {
                relative::forward(offsets, &values[table.clone()], spec.heads);
            }
            if let (Some(own), Some(place)) = (&spec.span, &layout.span) {
                layer::span::forward(spec, own, place, values, batch, span);
            }
            let pass = self.pass(table, batch, trained, read, *dropout, positions, offsets);
            let pass = Pass { span: layout.span.as_ref().map(|_| &*span), ..pass };
            let rotary = self.rotations_of(positions);
            let pass = Pass { rotary: &rotary, int8, keeps: memory.is_some(), ..pass };
            embedding::forward(pass, layout, values, hidden, embeddings, scratch);
            Prior::take(prior, 0, hidden);
            for (index, layer) in layout.layers.iter().enumerate() {
                if let Some(input) = index.checked_sub(lowest).and_then(|place| inputs.get_mut(place)) {
                    input[..size].copy_from_slice(hidden);
                }
                // Layers below the lowest that is trained write over each other, and so do all in a pass forward alone.
                let cache = index.saturating_sub(lowest).min(layers.len() - 1);
                self.forward_layer()(pass, index, layer, values, hidden, &mut layers[cache], scratch);
                Prior::take(prior, index + 1, hidden);
            }
            if let Some(place) = &layout.final_norm {
                let hidden = &mut hidden[..*rows * spec.width];
                let before = &mut scratch.rows[..hidden.len()];
                before.copy_from_slice(hidden);
                norm::forward(hidden, before, Before::default(), place.as_norm(values, spec.eps), final_norm, &mut []);
            }
            Ok(())
        })
    }

    /// The maps of all layers in int8, as they are now.
    pub fn quantize(&self) -> Int8Weights {
        self.quantize_in(&self.parameters.values)
    }

    /// The same of the numbers `table` in the place of its own.
    pub(crate) fn quantize_in(&self, table: &[f32]) -> Int8Weights {
        Int8Weights::new(&self.layout, &self.merged_weights(table), self.spec.width, self.spec.up_width())
    }

    /// From the gradient of the hidden states, `(T, H)` or `(R, H)`, of the last forward pass with these
    /// [`Activations::training`]: adds the gradient of every parameter to the table.
    pub fn backward(&mut self, batch: &PackedBatch, activations: &mut Activations, d_hidden: &[f32]) -> Result<()> {
        // Moved out while they are written.
        let mut grads = self.parameters.take_grads();
        let done = self.backward_in(&self.parameters.values, &mut grads, batch, activations, d_hidden);
        self.parameters.grads = grads;
        done
    }

    /// The same with the numbers `table` in the place of its own, after [`Encoder::forward_in`]; it adds to `grads`.
    pub(crate) fn backward_in(
        &self,
        table: &[f32],
        grads: &mut [f32],
        batch: &PackedBatch,
        activations: &mut Activations,
        d_hidden: &[f32],
    ) -> Result<()> {
        in_pool(|| self.run_backward(table, grads, batch, activations, d_hidden))
    }

    fn run_backward(
        &self,
        table: &[f32],
        grads: &mut [f32],
        batch: &PackedBatch,
        activations: &mut Activations,
        d_hidden: &[f32],
    ) -> Result<()> {
        let size = batch.tokens() * self.spec.width;
        let read = activations.hidden().len();
        let same = activations.bounds == batch.bounds && activations.width == self.spec.width;
        let Some(memory) = activations.memory.filter(|_| d_hidden.len() == read && same) else {
            return Err(Error::Shape {
                what: "gradient of the hidden states".to_owned(),
                found: format!("{} numbers after {read} hidden ones", d_hidden.len()),
                expected: "as many, after a forward pass of the same batch for training".to_owned(),
            });
        };
        batch.check()?;
        self.spec.check(batch, &activations.positions)?;
        if size == 0 {
            return Ok(());
        }
        let (spec, layout, values) = (&self.spec, &self.layout, self.weights_in(table));
        let Activations {
            hidden,
            embeddings,
            positions,
            offsets,
            layers,
            inputs,
            input,
            final_norm,
            span,
            scratch,
            dropout,
            trained,
            lowest,
            read: tokens,
            prior,
            ..
        } = activations;
        let none = Trained::none();
        let trained = if self.lora.is_some() { &none } else { &*trained };
        let offsets = &offsets[..self.offsets(batch)];
        let pass = self.pass(table, batch, trained, tokens, *dropout, positions, offsets);
        let rotary = self.rotations_of(positions);
        let pass = Pass { rotary: &rotary, lowest: *lowest, span: layout.span.as_ref().map(|_| &*span), ..pass };
        scratch.d_span.clear();
        scratch.d_span.resize(span.rows.len(), 0.0);
        // The output is not needed any more: its buffer now carries the gradient backwards.
        let d = &mut hidden[..size];
        d[..read].copy_from_slice(d_hidden);
        if let Some(place) = &layout.final_norm {
            let d_place = place.trained_grads(grads, trained);
            norm::backward(&mut d[..read], place.weight(values), final_norm, &mut [], d_place);
        }
        let backward = if spec.norm_first { pre_norm::backward } else { post_norm::backward };
        for (index, layer) in layout.layers.iter().enumerate().skip(*lowest).rev() {
            let place = index - *lowest;
            Prior::add(prior, index + 1, d);
            if memory.checkpointing {
                let (again, cache) = (&mut input[..size], &mut layers[0]);
                again.copy_from_slice(&inputs[place][..size]);
                self.forward_layer()(pass, index, layer, values, again, cache, scratch);
                backward(pass, index, layer, values, grads, d, &inputs[place][..size], cache, scratch);
                continue;
            }
            // The input of a layer is what was kept of the lowest, or the output of the norm before it.
            let layer_input = match (place, spec.norm_first) {
                (0, _) => &inputs[0][..size],
                (_, true) => &[],
                (_, false) => {
                    let norm = layout.layers[index - 1].output_norm.as_norm(values, spec.eps);
                    norm::restore(&mut input[..size], norm, &layers[place - 1].output_norm, &mut scratch.widened_rows);
                    &input[..size]
                }
            };
            backward(pass, index, layer, values, grads, d, layer_input, &layers[place], scratch);
        }
        if let Some(place) = layout.span.as_ref().filter(|place| layer::span::trains(place, trained)) {
            layer::span::backward(pass, place, values, grads, &mut scratch.d_span, span);
        }
        if *lowest == 0 && layout.trains_embeddings(trained) {
            Prior::add(prior, 0, d);
            embedding::backward(pass, layout, values, grads, d, embeddings, scratch);
        }
        Ok(())
    }

    #[allow(clippy::too_many_arguments)]
    fn pass<'a>(
        &'a self,
        table: &'a [f32],
        batch: &'a PackedBatch,
        trained: &'a Trained,
        read: &'a [usize],
        dropout: Option<Dropout>,
        positions: &'a [u32],
        offsets: &'a [f32],
    ) -> Pass<'a> {
        Pass {
            spec: &self.spec,
            batch,
            trained,
            lowest: 0,
            read,
            dropout,
            positions,
            rotary: &[],
            offsets,
            relative: self.layout.relative.as_ref(),
            keeps: true,
            int8: None,
            span: None,
            lora: self.lora.as_ref().map(|adapters| Beside { adapters, values: table, dropout }),
        }
    }

    /// The lowest layer that a gradient has to go back through.
    fn lowest(&self, trained: &Trained) -> usize {
        match &self.lora {
            None => self.layout.lowest(trained),
            Some(adapters) => adapters.lowest,
        }
    }

    fn rotations_of(&self, positions: &[u32]) -> Arc<[Rotary]> {
        self.rotations.up_to(positions.iter().max().map_or(0, |position| *position as usize + 1))
    }

    fn forward_layer(&self) -> layer::Forward {
        if self.spec.norm_first { pre_norm::forward } else { post_norm::forward }
    }

    /// Biases of relative positions for a batch: one a head and offset.
    fn offsets(&self, batch: &PackedBatch) -> usize {
        match self.spec.buckets {
            0 => 0,
            _ => self.spec.heads * (2 * longest(batch)).saturating_sub(1),
        }
    }
}

/// Runs a pass on one of the threads that compute it: each of its loops then wakes the others, and not itself, too.
fn in_pool<T: Send>(pass: impl FnOnce() -> T + Send) -> T {
    rayon::scope(|_| pass())
}
