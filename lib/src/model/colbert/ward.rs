//! Hierarchical clustering by Ward's criterion, as scipy's `linkage` and `fcluster` do it.

/// The clusters of `count` items, of each item the number of its cluster: at most `clusters`, fewer where several merges
/// have the same height. `distances` are those of the pairs (0, 1), (0, 2), .., (1, 2), ..
///
/// Clusters are merged in order of the height
/// `d(i, x + y) = sqrt(((n_i + n_x) d(i, x)^2 + (n_i + n_y) d(i, y)^2 - n_i d(x, y)^2) / (n_i + n_x + n_y))`,
/// by chains of nearest neighbours (Muellner 2011), in `O(count^2)`. Clusters are numbered as scipy does it.
pub(super) fn clusters(distances: Vec<f64>, count: usize, clusters: usize) -> Vec<usize> {
    if clusters >= count {
        return (0..count).collect();
    }
    let merges = linkage(distances, count);
    // Of equal heights all are merged.
    let cutoff = merges[count - clusters.max(1) - 1].height;
    number(&merges, count, cutoff)
}

/// Two clusters that become one: items are 0 to `count - 1`, and the cluster of merge `i` is `count + i`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Merge {
    left: usize,
    right: usize,
    pub(super) height: f64,
}

/// All merges in order of height.
pub(super) fn linkage(mut distances: Vec<f64>, count: usize) -> Vec<Merge> {
    let place = |a: usize, b: usize| {
        let (a, b) = (a.min(b), a.max(b));
        count * a - a * (a + 1) / 2 + b - a - 1
    };
    let mut sizes = vec![1_usize; count];
    let mut merges = Vec::with_capacity(count.saturating_sub(1));
    let mut chain: Vec<usize> = Vec::with_capacity(count);
    for _ in 1..count {
        if chain.is_empty() {
            chain.extend(sizes.iter().position(|size| *size > 0));
        }
        // Until two clusters are each other's nearest.
        let (x, y, height) = loop {
            let (last, before) = (chain[chain.len() - 1], chain.len().checked_sub(2).map(|index| chain[index]));
            // Of equals the one before, or the chain might run in circles.
            let mut nearest = (before, before.map_or(f64::INFINITY, |before| distances[place(last, before)]));
            for (other, _) in sizes.iter().enumerate().filter(|(other, size)| **size > 0 && *other != last) {
                let distance = distances[place(last, other)];
                if distance < nearest.1 || nearest.0.is_none() {
                    nearest = (Some(other), distance);
                }
            }
            match nearest {
                (Some(other), height) if Some(other) == before => break (last.min(other), last.max(other), height),
                (Some(other), _) => chain.push(other),
                (None, _) => return merges,
            }
        };
        chain.truncate(chain.len() - 2);
        let (of_x, of_y) = (sizes[x] as f64, sizes[y] as f64);
        (sizes[x], sizes[y]) = (0, sizes[x] + sizes[y]);
        for other in (0..count).filter(|other| sizes[*other] > 0 && *other != y) {
            let own = sizes[other] as f64;
            let (to_x, to_y) = (distances[place(other, x)], distances[place(other, y)]);
            let whole = (own + of_x) * to_x * to_x + (own + of_y) * to_y * to_y - own * height * height;
            // Rounding may leave less than nothing.
            distances[place(other, y)] = (whole / (own + of_x + of_y)).max(0.0).sqrt();
        }
        merges.push(Merge { left: x, right: y, height });
    }
    merges.sort_by(|a, b| a.height.total_cmp(&b.height));
    // From an item of each cluster to the cluster.
    let mut parents: Vec<usize> = (0..2 * count - 1).collect();
    for (index, merge) in merges.iter_mut().enumerate() {
        let [left, right] = [root(&mut parents, merge.left), root(&mut parents, merge.right)];
        (merge.left, merge.right) = (left.min(right), left.max(right));
        (parents[left], parents[right]) = (count + index, count + index);
    }
    merges
}

fn root(parents: &mut [usize], mut node: usize) -> usize {
    while parents[node] != node {
        parents[node] = parents[parents[node]];
        node = parents[node];
    }
    node
}

/// The clusters whose merges are at most as high as the cutoff, in the order in which a walk from the last merge meets them:
/// first down to merges, left before right, then items.
fn number(merges: &[Merge], count: usize, cutoff: f64) -> Vec<usize> {
    let mut found = vec![0; count];
    let mut visited = vec![false; merges.len()];
    let (mut path, mut next, mut leader) = (vec![merges.len() - 1], 0, None);
    while let Some(&top) = path.last() {
        let Merge { left, right, height } = merges[top];
        if leader.is_none() && height <= cutoff {
            leader = Some(top);
            next += 1;
        }
        let below = [left, right].into_iter().filter(|node| *node >= count).map(|node| node - count);
        if let Some(merge) = below.into_iter().find(|merge| !visited[*merge]) {
            visited[merge] = true;
            path.push(merge);
            continue;
        }
        for item in [left, right].into_iter().filter(|node| *node < count) {
            next += usize::from(leader.is_none());
            found[item] = next - 1;
        }
        if leader == Some(top) {
            leader = None;
        }
        path.pop();
    }
    found
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn pairs(count: usize) -> impl Iterator<Item = (usize, usize)> {
        (0..count).flat_map(move |a| (a + 1..count).map(move |b| (a, b)))
    }

    /// Merging the two clusters of the least height, found among all, as long as there are too many. The height of two
    /// clusters of points is `sqrt(2 n m / (n + m))` times the distance of their means.
    fn brute_force(points: &[[f64; 3]], clusters: usize) -> (Vec<Vec<usize>>, Vec<f64>) {
        let mut groups: Vec<Vec<usize>> = (0..points.len()).map(|item| vec![item]).collect();
        let mut heights = Vec::new();
        while groups.len() > clusters {
            let mean = |group: &[usize]| {
                [0, 1, 2].map(|axis| group.iter().map(|item| points[*item][axis]).sum::<f64>() / group.len() as f64)
            };
            let height = |&(a, b): &(usize, usize)| {
                let (a, b) = (&groups[a], &groups[b]);
                let square: f64 = mean(a).iter().zip(mean(b)).map(|(a, b)| (a - b).powi(2)).sum();
                let (n, m) = (a.len() as f64, b.len() as f64);
                (2.0 * n * m / (n + m) * square).sqrt()
            };
            let least = pairs(groups.len()).min_by(|a, b| height(a).total_cmp(&height(b))).unwrap();
            heights.push(height(&least));
            let other = groups.remove(least.1);
            groups[least.0].extend(other);
        }
        groups.iter_mut().for_each(|group| group.sort_unstable());
        groups.sort();
        (groups, heights)
    }

    fn groups(numbers: &[usize]) -> Vec<Vec<usize>> {
        let most = numbers.iter().max().map_or(0, |most| most + 1);
        let own = |cluster: usize| (0..numbers.len()).filter(|item| numbers[*item] == cluster).collect();
        let mut groups: Vec<Vec<usize>> = (0..most).map(own).collect();
        groups.sort();
        groups
    }

    proptest! {
        #[test]
        fn clusters_are_those_of_the_least_heights(
            points in prop::collection::vec(prop::array::uniform3(-1.0..1.0_f64), 2..14),
            clusters_of in 1..14_usize,
        ) {
            let count = points.len();
            let wanted = clusters_of.min(count);
            let distance = |(a, b): (usize, usize)| {
                points[a].iter().zip(points[b]).map(|(a, b)| (a - b).powi(2)).sum::<f64>().sqrt()
            };
            let distances: Vec<f64> = pairs(count).map(distance).collect();
            let (expected, heights) = brute_force(&points, 1);
            prop_assert_eq!(expected.len(), 1);
            let merges = linkage(distances.clone(), count);
            for (merge, height) in merges.iter().zip(&heights) {
                prop_assert!((merge.height - height).abs() < 1e-9, "{} and {height}", merge.height);
            }
            let (expected, _) = brute_force(&points, wanted);
            prop_assert_eq!(groups(&clusters(distances, count, wanted)), expected);
        }

        #[test]
        fn any_distances_give_clusters(
            count in 2..20_usize,
            wanted in 1..20_usize,
            few in prop::collection::vec(0..4_u8, 190),
        ) {
            // With many ties.
            let distances: Vec<f64> = few[..count * (count - 1) / 2].iter().map(|number| f64::from(*number)).collect();
            let numbers = clusters(distances, count, wanted);
            let found = groups(&numbers);
            prop_assert!(found.iter().all(|group| !group.is_empty()) && found.len() <= wanted.max(1).min(count));
            prop_assert_eq!(found.concat().len(), count);
        }
    }
}
