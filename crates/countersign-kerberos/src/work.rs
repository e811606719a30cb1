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

/// Whom a piece of work may have to wait for. Who lends threads to work keeps those free for others
/// that wait for nobody, or for somebody else.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Awaited(String);

impl Awaited {
    /// The KDCs of a client's realm and a service's.
    pub(crate) fn kdc(client: &str, service: &str) -> Self {
        Self(format!("KDCs for {client} and {service}"))
    }

    /// Those who have the files, or whatever else tickets are kept in.
    pub(crate) fn files(place: &str) -> Self {
        Self(format!("{place} itself"))
    }
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
    /// Does it, however long it takes.
    pub fn run(self) -> Done {
        let mut work = self;
        loop {
            match work.step() {
                Ok(done) => return done,
                Err(rest) => work = rest,
            }
        }
    }

    /// Does as much of it as waits for one of [`Self::awaits`].
    ///
    /// # Errors
    ///
    /// What is left, for which somebody else may have to be waited for.
    pub fn step(self) -> Result<Done, Self> {
        let id = self.id;
        let outcome = match self.job {
            Job::Begin(job) => match job.step() {
                Ok(outcome) => outcome,
                Err(rest) => return Err(Self { id, job: Job::Begin(rest) }),
            },
            Job::Conclude(job) => job.run(),
            Job::Explain(job) => job.run(),
            Job::Judge(job) => job.run(),
        };
        Ok(Done { id, outcome: Box::new(outcome) })
    }

    /// Returns whom [`Self::step`] may have to wait for.
    pub fn awaits(&self) -> Awaited {
        match &self.job {
            Job::Begin(job) => job.awaits(),
            Job::Conclude(_) | Job::Explain(_) => Awaited("nobody".to_owned()),
            Job::Judge(_) => Awaited("gssproxy".to_owned()),
        }
    }

    /// Returns whether [`Self::step`] is computation only, about a tenth of a millisecond: it asks
    /// no KDC and no other process, so it may as well be run at once.
    pub fn is_local(&self) -> bool {
        match &self.job {
            Job::Begin(job) => job.is_ready(),
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
