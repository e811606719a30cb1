//! What an exchange has to do that may take long.

use std::fmt;

use crate::acceptor::Judge;
use crate::exchange::{Id, Outcome};
use crate::initiator::{Begin, Conclude, Explain};

/// One piece of work of an exchange, to be run on a thread that may wait.
///
/// The library knows no deadline: where a KDC is silent, [`Self::run`] takes as long as 25 s. Who
/// cannot wait that long gives the exchange up and drops what comes out later.
pub struct Work {
    pub(crate) id: Id,
    pub(crate) job: Job,
}

/// What came out of [`Work`].
pub struct Done {
    pub(crate) id: Id,
    pub(crate) outcome: Box<Outcome>,
}

pub(crate) enum Job {
    Begin(Box<Begin>),
    Conclude(Box<Conclude>),
    Explain(Box<Explain>),
    Judge(Box<Judge>),
}

impl Work {
    /// Does it.
    pub fn run(self) -> Done {
        let outcome = match self.job {
            Job::Begin(job) => job.run(),
            Job::Conclude(job) => job.run(),
            Job::Explain(job) => job.run(),
            Job::Judge(job) => job.run(),
        };
        Done { id: self.id, outcome: Box::new(outcome) }
    }

    /// Returns whether it is computation only, about a tenth of a millisecond: it asks no KDC and no
    /// other process, so it may as well be run at once.
    pub fn is_local(&self) -> bool {
        match &self.job {
            Job::Begin(_) => false,
            Job::Conclude(_) | Job::Explain(_) => true,
            Job::Judge(job) => !job.is_proxied(),
        }
    }
}

impl fmt::Debug for Work {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match &self.job {
            Job::Begin(_) => "Work(get a ticket)",
            Job::Conclude(_) => "Work(judge the server's answer)",
            Job::Explain(_) => "Work(read why the peer refused)",
            Job::Judge(_) => "Work(judge a client's ticket)",
        })
    }
}

impl fmt::Debug for Done {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Done")
    }
}
