//! The ids of an index, sorted by bytes: of equal scores the later document comes first, as in trec_eval.

use std::sync::Arc;

use super::file::{self, File};
use super::strings::Strings;
use crate::eval::DocIds;
use crate::files::Bytes;
use crate::{Error, Result};

/// The ids in order, and the row that each had. Fails for one that is there twice.
pub(super) fn sorted(ids: &[String]) -> Result<(Arc<DocIds>, Vec<u32>)> {
    let mut order: Vec<u32> = (0..ids.len() as u32).collect();
    order.sort_by(|a, b| ids[*a as usize].as_bytes().cmp(ids[*b as usize].as_bytes()));
    if let Some(same) = order.windows(2).find(|rows| ids[rows[0] as usize] == ids[rows[1] as usize]) {
        let (first, second) = (same[0] as usize, same[1] as usize);
        let (place, kind, id) = ("embeddings".to_owned(), "text", ids[first].clone());
        return Err(Error::DuplicateId { place, kind, id, first, second });
    }
    let sorted: DocIds = order.iter().map(|row| ids[*row as usize].as_str().into()).collect();
    Ok((Arc::new(sorted), order))
}

const IDS: &str = "docs.ids";
const IDS_ENDS: &str = "docs.ids.ends";

/// Ids on their way to a file.
pub(super) fn strings(ids: &DocIds) -> Strings {
    ids.iter().map(|id| id.as_str()).collect()
}

/// Their tables.
pub(super) fn tables(ids: &Strings) -> [(&'static str, Bytes<'_>); 2] {
    [(IDS, file::row(&ids.bytes)), (IDS_ENDS, file::row(&ids.ends))]
}

/// The ids of a file, as many as a run can number.
pub(super) fn take(file: &mut File) -> Result<Strings> {
    let ids = file.take_strings(IDS, IDS_ENDS)?;
    if ids.len() > u32::MAX as usize {
        return Err(file.problem(format!("`{IDS}` has more ids than there are numbers")));
    }
    Ok(ids)
}
