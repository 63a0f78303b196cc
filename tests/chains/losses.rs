//! The chains' losses in candle ops, by their definitions.

use candle_core::{D, Device, Result, Tensor};

/// The mean of `-(w y log σ(x) + (1 - y) log(1 - σ(x)))`, from the softplus of `-x`, which does not overflow.
pub fn binary_cross_entropy(logits: &Tensor, labels: &Tensor, weight: f64) -> Result<Tensor> {
    let weights = labels.affine(weight - 1.0, 1.0)?;
    let off = (labels.affine(-1.0, 1.0)? * logits)?;
    (off + (weights * softplus(&logits.neg()?)?)?)?.mean_all()
}

/// `log(1 + Σ exp(20 (cos_i - cos_j)))` over the pairs whose labels say `i < j`. The embeddings of all first texts
/// stand before those of the second.
pub fn cosent(embeddings: &Tensor, labels: &[f32]) -> Result<Tensor> {
    let count = labels.len();
    let unit = embeddings.broadcast_div(&embeddings.sqr()?.sum_keepdim(1)?.sqrt()?)?;
    let cosines = ((unit.narrow(0, 0, count)? * unit.narrow(0, count, count)?)?.sum(1)? * 20.0)?;
    let differences = cosines.unsqueeze(1)?.broadcast_sub(&cosines.unsqueeze(0)?)?;
    let below: Vec<f32> = labels.iter().flat_map(|a| labels.iter().map(move |b| f32::from(a < b))).collect();
    let below = Tensor::from_vec(below, (count, count), &Device::Cpu)?;
    (differences.exp()? * below)?.sum_all()?.affine(1.0, 1.0)?.log()
}

/// The mean of `-log softmax(scores)` on the diagonal of `(B, docs)`.
pub fn ranking(scores: &Tensor) -> Result<Tensor> {
    let labels = Tensor::arange(0, scores.dim(0)? as u32, &Device::Cpu)?;
    candle_nn::loss::cross_entropy(scores, &labels)
}

/// `Σ_j (mean_i w_ij)²`
pub fn flops(weights: &Tensor) -> Result<Tensor> {
    weights.abs()?.mean(0)?.sqr()?.sum_all()
}

/// `(queries, docs)`: the sum over a query's tokens of the largest dot product with a token of the document.
pub fn max_sim(queries: &[Tensor], docs: &[Tensor]) -> Result<Tensor> {
    let score = |query: &Tensor, doc: &Tensor| query.matmul(&doc.t()?)?.max(D::Minus1)?.sum_all();
    let row = |query| Tensor::stack(&docs.iter().map(|doc| score(query, doc)).collect::<Result<Vec<_>>>()?, 0);
    Tensor::stack(&queries.iter().map(row).collect::<Result<Vec<_>>>()?, 0)
}

/// LambdaLoss with the weights of NDCG-Loss2++ (Wang et al. 2018), mu 10: the mean over all pairs of all lists
/// whose labels say `i > j` of `-w_ij log2 σ(s_i - s_j)`.
pub fn lambda(scores: &Tensor, lists: &[Vec<f64>]) -> Result<Tensor> {
    let found = scores.to_vec1::<f32>()?;
    let discount = |rank: usize| (1.0 + rank as f64).log2();
    let (mut first, mut terms, mut pairs) = (0, Vec::new(), 0.0);
    for labels in lists {
        let gain = |label: f64| label.exp2() - 1.0;
        let mut ideal = labels.clone();
        ideal.sort_by(|a, b| b.total_cmp(a));
        let best: f64 = (1..).zip(&ideal).map(|(rank, label)| gain(*label) / discount(rank)).sum();
        let mut order: Vec<usize> = (0..labels.len()).collect();
        order.sort_by(|a, b| found[first + b].total_cmp(&found[first + a]));
        for (i, a) in (1_usize..).zip(&order) {
            for (j, b) in (1_usize..).zip(&order).filter(|(_, b)| labels[*a] > labels[**b]) {
                let gains = (gain(labels[*a]) - gain(labels[*b])).abs() / best;
                let apart = i.abs_diff(j);
                let near = (1.0 / discount(apart) - 1.0 / discount(apart + 1)).abs();
                let weight = gains * (10.0 * near + (1.0 / discount(i) - 1.0 / discount(j)).abs());
                let difference = (scores.get(first + a)? - scores.get(first + b)?)?;
                terms.push((softplus(&difference.neg()?)? * (weight / std::f64::consts::LN_2))?);
                pairs += 1.0;
            }
        }
        first += labels.len();
    }
    Tensor::stack(&terms, 0)?.sum_all()? / pairs
}

/// `log(1 + exp x)`, which does not overflow.
fn softplus(x: &Tensor) -> Result<Tensor> {
    x.relu()? + x.abs()?.neg()?.exp()?.affine(1.0, 1.0)?.log()?
}
