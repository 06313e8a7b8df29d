//! How a server's connections are protected.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use promptfed_files::write_whole;

use super::certificates::{CertificateFiles, Certificates};
use super::limits::Limits;
use super::self_signed::certificate_in;
use crate::{Error, Result};

/// How a server's connections are protected.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Transport {
    /// Plain HTTP, on addresses of this machine alone (127.0.0.0/8, `::1`).
    #[default]
    PlainOnLoopback,
    /// Plain HTTP on any address: tokens and prompts can be read on the way. For a TLS proxy in front of it, or a network that is trusted.
    Plain,
    /// TLS, with a certificate that is read again when its files change.
    Tls(CertificateFiles),
    /// TLS, with a certificate that is made at the first start and stays in the folder `tls` of the data folder. Clients know it by its
    /// fingerprint, which lies beside it in `fingerprint`.
    SelfSigned,
}

impl Transport {
    /// Refuses plain HTTP where other machines can reach it, unless it was asked for.
    pub(crate) fn check(&self, address: SocketAddr) -> Result<()> {
        match self {
            Self::PlainOnLoopback if !address.ip().to_canonical().is_loopback() => {
                Err(Error::PlainHttp { address })
            }
            _ => Ok(()),
        }
    }

    /// What TLS needs; nothing for plain HTTP.
    pub(crate) fn certificates(
        self,
        folder: &Path,
        limits: &Limits,
    ) -> Result<Option<Arc<Certificates>>> {
        let every = limits.certificate_check;
        match self {
            Self::PlainOnLoopback | Self::Plain => Ok(None),
            Self::Tls(files) => Certificates::load(files, every).map(Some),
            Self::SelfSigned => {
                let certificates = Certificates::load(certificate_in(folder)?, every)?;
                let fingerprint = format!("{}\n", certificates.fingerprint());
                write_whole(&folder.join("fingerprint"), fingerprint.as_bytes())?;
                Ok(Some(certificates))
            }
        }
    }
}
