//! Partitions and their text form.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::{DataError, Result};

/// Most clients of a partition.
const MAX_CLIENTS: usize = 1_000_000;

/// How samples are dealt to clients. As text, also in serde: `iid:5`, `dirichlet:5:0.5`, `domain`,
/// `domain+dirichlet:0.5:2`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
#[non_exhaustive]
pub enum Partition {
    /// Every client gets the same number of samples, within one, drawn without regard to class.
    Iid {
        /// Number of clients, 1 to 1,000,000.
        clients: usize,
    },
    /// Label skew: the shares of each class that the clients get are drawn from a symmetric Dirichlet distribution, one
    /// draw per class. The concentration is that of Hsu et al. 2019 (arXiv:1909.06335, section 3), who draw one class
    /// distribution per client from the same family; drawing per class (Yurochkin et al. 2019, arXiv:1905.12022, section
    /// 4) uses every sample once.
    Dirichlet {
        /// Number of clients, 1 to 1,000,000.
        clients: usize,
        /// Concentration, finite and above 0: 0.1 gives most clients few classes, 100 is close to IID.
        alpha: f64,
    },
    /// One client per domain.
    DomainPerClient,
    /// Label skew inside every domain, as [`Partition::Dirichlet`].
    DomainAndLabelSkew {
        /// Concentration, finite and above 0.
        alpha: f64,
        /// Clients that share a domain, 1 to 1,000,000.
        clients_per_domain: usize,
    },
}

impl Partition {
    /// Checks the ranges that the fields' documentation states.
    pub(super) fn check(&self) -> Result<()> {
        let bad = |reason: String| {
            Err(DataError::BadPartition {
                text: self.to_string(),
                reason,
            })
        };
        let (clients, alpha) = match *self {
            Partition::Iid { clients } => (clients, None),
            Partition::Dirichlet { clients, alpha } => (clients, Some(alpha)),
            Partition::DomainPerClient => (1, None),
            Partition::DomainAndLabelSkew {
                alpha,
                clients_per_domain,
            } => (clients_per_domain, Some(alpha)),
        };
        if !(1..=MAX_CLIENTS).contains(&clients) {
            return bad(format!("{clients} clients, expected 1 to {MAX_CLIENTS}"));
        }
        match alpha {
            Some(alpha) if !(alpha.is_finite() && alpha > 0.0) => {
                bad(format!("alpha {alpha}, expected a finite number above 0"))
            }
            _ => Ok(()),
        }
    }
}

impl fmt::Display for Partition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Partition::Iid { clients } => write!(f, "iid:{clients}"),
            Partition::Dirichlet { clients, alpha } => write!(f, "dirichlet:{clients}:{alpha}"),
            Partition::DomainPerClient => f.write_str("domain"),
            Partition::DomainAndLabelSkew {
                alpha,
                clients_per_domain,
            } => write!(f, "domain+dirichlet:{alpha}:{clients_per_domain}"),
        }
    }
}

impl FromStr for Partition {
    type Err = DataError;

    fn from_str(text: &str) -> Result<Self> {
        let bad = |reason: &str| DataError::BadPartition {
            text: text.to_owned(),
            reason: reason.to_owned(),
        };
        let count = |text: &str| {
            text.parse()
                .map_err(|_| bad(&format!("`{text}` is no number of clients")))
        };
        let number = |text: &str| {
            text.parse()
                .map_err(|_| bad(&format!("`{text}` is no number")))
        };
        let partition = match text.split(':').collect::<Vec<_>>().as_slice() {
            ["iid", clients] => Partition::Iid {
                clients: count(clients)?,
            },
            ["dirichlet", clients, alpha] => Partition::Dirichlet {
                clients: count(clients)?,
                alpha: number(alpha)?,
            },
            ["domain"] => Partition::DomainPerClient,
            ["domain+dirichlet", alpha, clients] => Partition::DomainAndLabelSkew {
                alpha: number(alpha)?,
                clients_per_domain: count(clients)?,
            },
            ["iid" | "dirichlet" | "domain" | "domain+dirichlet", ..] => {
                return Err(bad("it has too few or too many numbers"));
            }
            _ => return Err(bad("no such scheme")),
        };
        partition.check()?;
        Ok(partition)
    }
}

impl TryFrom<String> for Partition {
    type Error = DataError;

    fn try_from(text: String) -> Result<Self> {
        text.parse()
    }
}

impl From<Partition> for String {
    fn from(partition: Partition) -> Self {
        partition.to_string()
    }
}
