//! Token ids of the next steps, made by a thread of their own while the model computes.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::{self, JoinHandle};

use rayon::{ThreadPool, ThreadPoolBuilder};

use super::TokenBatch;
use super::plan::{Plan, SetRows};
use super::source::Reader;
use crate::data::TrainingSet;
use crate::model::Front;
use crate::{Error, Result};

/// Makes the batches of steps, and those of the next ones ahead. The plan alone decides which rows a step sees: what was
/// read ahead and not trained on leaves no trace.
pub(super) struct Loader {
    sets: Arc<Sets>,
    /// The rows of the next steps, which the thread was asked for.
    next: VecDeque<Vec<SetRows>>,
    ahead: usize,
    thread: Option<Thread>,
}

/// A thread that makes batches in the order in which they are asked for.
struct Thread {
    /// `None` once it is to end.
    asked: Option<Sender<Vec<SetRows>>>,
    made: Option<Receiver<Made>>,
    handle: Option<JoinHandle<()>>,
}

/// The sets, by their names if there are several.
pub(super) type Sets = Vec<(Option<Arc<str>>, Reader)>;

/// The batches of a step, an error, or a panic.
type Made = thread::Result<Result<Vec<TokenBatch>>>;

impl Loader {
    /// Without a front, or where the system has no thread to give, nothing is made ahead.
    pub(super) fn new(sets: Arc<Sets>, front: Option<Front>, ahead: usize) -> Self {
        let front = front.filter(|_| ahead > 0);
        let thread = front.and_then(|front| Thread::start(Arc::clone(&sets), front));
        let ahead = if thread.is_some() { ahead } else { 0 };
        Self { sets, next: VecDeque::new(), ahead, thread }
    }

    /// The batches of the next step, whose number in the plan is given; `None` after the last. `make` makes those that were
    /// not made ahead.
    pub(super) fn next(
        &mut self,
        plan: &mut Plan,
        step: usize,
        make: impl Fn(&TrainingSet, &[usize]) -> Result<TokenBatch>,
    ) -> Result<Option<Vec<TokenBatch>>> {
        while self.next.len() <= self.ahead
            && let Some(rows) = plan.step(step + self.next.len())?
        {
            if let Some(thread) = &self.thread {
                thread.ask(&rows);
            }
            self.next.push_back(rows);
        }
        let Some(rows) = self.next.pop_front() else { return Ok(None) };
        match self.thread.as_ref().and_then(Thread::take) {
            Some(Ok(Err(Error::Interrupted { .. }))) | None => batches(&self.sets, make, &rows).map(Some),
            Some(Ok(made)) => made.map(Some),
            Some(Err(panic)) => resume_unwind(panic),
        }
    }
}

impl Thread {
    fn start(sets: Arc<Sets>, front: Front) -> Option<Self> {
        let (asked, steps) = channel::<Vec<SetRows>>();
        let (results, made) = channel();
        // A step waits for none of these, and they wait for no thread of the step's.
        let (pool, helpers) = pool(rayon::current_num_threads().div_ceil(SHARE)).ok()?;
        let work = move || {
            let make = |set: &TrainingSet, rows: &[usize]| TokenBatch::new(&front, set, rows);
            for step in steps {
                let batches = || pool.install(|| batches(&sets, make, &step));
                if results.send(catch_unwind(AssertUnwindSafe(batches))).is_err() {
                    break;
                }
            }
            drop(pool);
            for helper in helpers {
                let _ = helper.join();
            }
        };
        let handle = thread::Builder::new().name("loader".to_owned()).spawn(work).ok()?;
        Some(Self { asked: Some(asked), made: Some(made), handle: Some(handle) })
    }

    fn ask(&self, step: &[SetRows]) {
        if let Some(asked) = &self.asked {
            // It fails if the thread has ended, and then there is nothing to take.
            let _ = asked.send(step.to_vec());
        }
    }

    fn take(&self) -> Option<Made> {
        self.made.as_ref()?.recv().ok()
    }
}

/// Ends with the batches that it is making.
impl Drop for Thread {
    fn drop(&mut self) {
        (self.asked, self.made) = (None, None);
        if let Some(handle) = self.handle.take() {
            // Its panics were caught.
            let _ = handle.join();
        }
    }
}

/// One of so many threads tokenizes.
const SHARE: usize = 4;

/// Threads that share the texts of a batch.
fn pool(threads: usize) -> Result<(ThreadPool, Vec<JoinHandle<()>>), rayon::ThreadPoolBuildError> {
    let mut handles = Vec::new();
    let pool = ThreadPoolBuilder::new().num_threads(threads).spawn_handler(|thread| {
        let builder = thread::Builder::new().name("tokenize".to_owned());
        handles.push(builder.spawn(|| thread.run())?);
        Ok(())
    });
    Ok((pool.build()?, handles))
}

/// The batches of a step.
fn batches(
    sets: &Sets,
    make: impl Fn(&TrainingSet, &[usize]) -> Result<TokenBatch>,
    step: &[SetRows],
) -> Result<Vec<TokenBatch>> {
    let batch = |(set, rows): &SetRows| {
        let (name, reader) = &sets[*set];
        Ok(TokenBatch { set: name.clone(), ..reader.batch(rows, &make)? })
    };
    step.iter().map(batch).collect()
}

#[cfg(test)]
mod tests {
    use polars::prelude::df;
    use serde_json::json;

    use super::*;
    use crate::data::TrainingSet;
    use crate::loss::MultipleNegativesRanking;
    use crate::model::{BiEncoder, BiEncoderConfig, Model};
    use crate::nn::BertConfig;
    use crate::text::Tokenizer;
    use crate::train::{MultiSet, Step, TrainConfig, Trainer};

    /// A model that cannot read what is no letter from a to h, and pairs of such letters with `odd` among them.
    fn case(odd: &str) -> (BiEncoder, TrainingSet) {
        let letters: Vec<String> = ('a'..='h').map(String::from).collect();
        let vocab: serde_json::Map<_, _> = letters.iter().cloned().zip((0..).map(|id| json!(id))).collect();
        let model = json!({ "type": "WordLevel", "vocab": vocab, "unk_token": "none" });
        let tokenizer = json!({
            "version": "1.0", "added_tokens": [], "normalizer": null, "post_processor": null, "decoder": null,
            "pre_tokenizer": { "type": "Whitespace" }, "model": model,
        });
        let tokenizer = Tokenizer::from_bytes(tokenizer.to_string()).unwrap();
        let encoder = BertConfig { hidden_size: 8, intermediate_size: 16, ..Default::default() };
        let model = BiEncoder::new(encoder, tokenizer, BiEncoderConfig::default(), 1).unwrap();
        let mut queries: Vec<String> = letters
            .iter()
            .cycle()
            .take(20)
            .enumerate()
            .map(|(row, letter)| format!("{letter} {}", letters[row % 3]))
            .collect();
        queries[7] = odd.to_owned();
        let positives: Vec<String> = letters.iter().cycle().skip(1).take(20).cloned().collect();
        (model, TrainingSet::new(df!("query" => queries, "positive" => positives).unwrap()).unwrap())
    }

    fn readers(data: &TrainingSet) -> Arc<Sets> {
        Arc::new(vec![(None, Reader::Set(data.clone()))])
    }

    fn steps(odd: &str, prefetch: usize) -> Vec<Result<Step, String>> {
        let (model, data) = case(odd);
        let config = TrainConfig { batch_size: 2, epochs: 3, no_duplicates: false, prefetch, ..Default::default() };
        let mut trainer = Trainer::new(model, MultipleNegativesRanking::default(), config).unwrap();
        let timeless = |step: Step| Step { seconds: 0.0, waited: 0.0, ..step };
        trainer.steps(&data).unwrap().map(|step| step.map(timeless).map_err(|error| error.to_string())).collect()
    }

    #[test]
    fn reading_ahead_changes_nothing() {
        let expected = steps("a", 0);
        assert_eq!(expected.iter().filter(|step| step.is_ok()).count(), 30);
        for prefetch in [1, 2, 7, 100] {
            assert_eq!(steps("a", prefetch), expected, "{prefetch}");
        }
    }

    #[test]
    fn an_error_is_that_of_its_step() {
        let expected = steps("a x", 0);
        assert!(expected.last().unwrap().as_ref().unwrap_err().contains("WordLevel"), "{expected:?}");
        assert!((1..=10).contains(&expected.len()));
        for prefetch in [1, 20] {
            assert_eq!(steps("a x", prefetch), expected);
        }
    }

    #[test]
    fn its_threads_end_with_it() {
        let (model, data) = case("a");
        let data = readers(&data);
        let mut loader = Loader::new(Arc::clone(&data), model.front(), 3);
        for _ in 0..3 {
            loader.thread.as_ref().unwrap().ask(&[(0, vec![0, 1])]);
        }
        assert_eq!(loader.thread.as_ref().unwrap().take().unwrap().unwrap().unwrap()[0].examples(), 2);
        loader.thread = None;
        // The thread had the other one.
        assert_eq!(Arc::strong_count(&data), 2);
        assert!(Loader::new(Arc::clone(&data), None, 3).thread.is_none());
        assert!(Loader::new(data, model.front(), 0).thread.is_none());
    }

    #[test]
    fn a_panic_is_that_of_the_step() {
        let (_, data) = case("a");
        let front: Front = Box::new(|_| panic!("of the tokenizer"));
        let thread = Thread::start(readers(&data), front).unwrap();
        thread.ask(&[(0, vec![0])]);
        let panic = thread.take().unwrap().unwrap_err();
        assert_eq!(panic.downcast_ref::<&str>(), Some(&"of the tokenizer"));
    }

    /// An interrupt that is over by the time of its step is none.
    #[test]
    fn an_interrupt_is_not_kept() {
        let (model, data) = case("a");
        let front: Front = Box::new(|_| Err(Error::Interrupted { during: "tokenizing" }));
        let (sets, config) = (MultiSet::from(&data), TrainConfig::default());
        let (_, draw) = sets.sets[0].1.known(&config, 0).unwrap();
        let mut plan = Plan::new(&sets, vec![draw], &config, 0).unwrap();
        let mut loader = Loader::new(readers(&data), Some(front), 2);
        let make =
            |set: &TrainingSet, rows: &[usize]| TokenBatch::new(|texts| Model::tokenize(&model, texts), set, rows);
        let batches = loader.next(&mut plan, 0, make).unwrap().unwrap();
        assert_eq!(batches.iter().map(TokenBatch::examples).collect::<Vec<_>>(), [batches[0].rows.len()]);
    }
}
