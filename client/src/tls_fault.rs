//! Why TLS did not begin, and what to do about it.

use rustls::{CertificateError, Error};

use crate::tls::OtherCertificate;

/// Why TLS did not begin.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct TlsFault {
    pub(crate) reason: String,
    pub(crate) remedy: &'static str,
}

/// The fault behind a request's error, where it is one of TLS that trying again does not mend.
pub(crate) fn tls_fault(error: &ureq::Error) -> Option<TlsFault> {
    match error {
        ureq::Error::Rustls(error) => fault(error),
        ureq::Error::Io(error) => fault(error.get_ref()?.downcast_ref()?),
        _ => None,
    }
}

fn fault(error: &Error) -> Option<TlsFault> {
    let (reason, remedy) = match error {
        Error::InvalidCertificate(error) => return Some(of_certificate(error)),
        Error::InvalidMessage(_) | Error::InappropriateMessage { .. } => (
            "the server does not speak https".to_owned(),
            "write http:// in place of https:// where the server is on this machine; elsewhere, have it started with TLS",
        ),
        Error::AlertReceived(alert) => (
            format!("the server broke the TLS handshake off ({alert:?})"),
            "its log says more",
        ),
        Error::PeerIncompatible(why) => (
            format!("client and server have no version or cipher of TLS in common ({why:?})"),
            "have the server speak TLS 1.2 or 1.3",
        ),
        _ => return None,
    };
    Some(TlsFault { reason, remedy })
}

fn of_certificate(error: &CertificateError) -> TlsFault {
    use CertificateError as E;
    let (reason, remedy) = match error {
        E::Expired | E::ExpiredContext { .. } => (
            "the server's certificate has expired".to_owned(),
            "have it renewed, and see that this machine's clock is right",
        ),
        E::NotValidYet | E::NotValidYetContext { .. } => (
            "the server's certificate is not valid yet".to_owned(),
            "see that this machine's clock is right",
        ),
        E::UnknownIssuer => (
            "the server's certificate is of no authority that is trusted here".to_owned(),
            "give the authority's certificate with --ca-file (or SSL_CERT_FILE), or the fingerprint that the server printed with --server-fingerprint",
        ),
        E::NotValidForName => (
            "the server's certificate is for another name than the address has".to_owned(),
            OTHER_NAME,
        ),
        E::NotValidForNameContext {
            expected,
            presented,
        } => (
            format!(
                "the server's certificate is not for {} but for {}",
                expected.to_str(),
                names(presented)
            ),
            OTHER_NAME,
        ),
        E::Other(other) => match other.0.downcast_ref::<OtherCertificate>() {
            Some(OtherCertificate { expected, found }) => (
                format!("the server's certificate has the fingerprint {found}, and not {expected}"),
                "ask the operator which is right: where it is the old one, something else may have answered in the server's place",
            ),
            None => not_accepted(error),
        },
        other => not_accepted(other),
    };
    TlsFault { reason, remedy }
}

const OTHER_NAME: &str = "write a name of the certificate in the address, or give the fingerprint that the server printed with --server-fingerprint";

fn not_accepted(error: &CertificateError) -> (String, &'static str) {
    (
        format!("the server's certificate cannot be accepted ({error})"),
        "have it renewed, or give the fingerprint that the server printed with --server-fingerprint",
    )
}

/// A few names, without what a terminal should not see.
fn names(presented: &[String]) -> String {
    // The library writes them as DnsName("example.org").
    let bare = |name: &String| {
        let inside = name
            .split_once('(')
            .and_then(|(_, rest)| rest.strip_suffix(')'));
        let inside = inside.unwrap_or(name).trim_matches('"').chars();
        inside.filter(|c| !c.is_control()).take(80).collect()
    };
    let shown: Vec<String> = presented.iter().take(5).map(bare).collect();
    if shown.is_empty() {
        return "no name at all".to_owned();
    }
    shown.join(", ")
}
