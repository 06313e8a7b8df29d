//! Where a service is.

use std::fmt;

use reqwest::Url;

use super::error::{Fault, ServiceError};

/// The base address of a service, such as `https://api.example.org/v1`: http or https, without credentials, query or fragment,
/// so that it can be printed and recorded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address(Url);

impl Address {
    /// Reads an address.
    ///
    /// # Errors
    /// A text that is no such address; a password in it is not repeated in the message.
    pub fn parse(text: &str) -> Result<Self, ServiceError> {
        let fault = |shown: &str, reason: &str| ServiceError {
            address: shown.to_owned(),
            fault: Fault::Address(reason.to_owned()),
            attempts: 0,
        };
        let mut url = Url::parse(text.trim()).map_err(|error| {
            let shown = if text.contains('@') {
                "the address"
            } else {
                text
            };
            fault(
                shown,
                &format!("{error}; write http://HOST:PORT/PATH or https://HOST/PATH"),
            )
        })?;
        if !url.username().is_empty() || url.password().is_some() {
            return Err(fault(
                url.host_str().unwrap_or_default(),
                "the address holds a user name or password, which would be recorded; give the key in a file or an environment variable",
            ));
        }
        if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none() {
            return Err(fault(
                text,
                "not an http or https address; write http://HOST:PORT/PATH or https://HOST/PATH",
            ));
        }
        if url.query().is_some() || url.fragment().is_some() {
            url.set_query(None);
            url.set_fragment(None);
            return Err(fault(
                url.as_str(),
                "the address has a query or fragment (? or #), where paths are put behind it; leave it out",
            ));
        }
        if !url.path().ends_with('/') {
            let path = format!("{}/", url.path());
            url.set_path(&path);
        }
        Ok(Self(url))
    }

    /// The address of a path below this one.
    pub(super) fn join(&self, path: &str) -> Url {
        let mut url = self.0.clone();
        url.set_path(&format!(
            "{}{}",
            self.0.path(),
            path.trim_start_matches('/')
        ));
        url
    }

    /// Whether it is this machine's own.
    pub(super) fn is_loopback(&self) -> bool {
        match self.0.host_str() {
            Some("localhost") => true,
            Some(host) => host
                .trim_matches(['[', ']'])
                .parse::<std::net::IpAddr>()
                .is_ok_and(|ip| ip.is_loopback()),
            None => false,
        }
    }

    /// Whether others may read what is sent there.
    pub fn is_open(&self) -> bool {
        !self.is_encrypted() && !self.is_loopback()
    }

    /// Whether what is sent there is encrypted on its way.
    pub(super) fn is_encrypted(&self) -> bool {
        self.0.scheme() == "https"
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.as_str().trim_end_matches('/'))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_put_behind_the_base() {
        for base in ["http://h:1/v1", "http://h:1/v1/"] {
            let address = Address::parse(base).unwrap();
            assert_eq!(
                address.join("images/generations").as_str(),
                "http://h:1/v1/images/generations"
            );
            assert_eq!(address.to_string(), "http://h:1/v1");
        }
        assert_eq!(
            Address::parse("https://h").unwrap().join("/x").as_str(),
            "https://h/x"
        );
    }

    #[test]
    fn what_is_no_address_is_told_without_its_password() {
        for (text, part) in [
            ("", "http://HOST"),
            ("localhost:8080", "not an http"),
            ("ftp://h/x", "not an http"),
            ("http://user:hunter2@h/v1", "user name or password"),
            ("http://user:hunter2@h:99999999/v1", "invalid port"),
            ("http://h/v1?key=hunter2", "query"),
            ("http://h/v1#a", "fragment"),
        ] {
            let told = Address::parse(text).unwrap_err().to_string();
            assert!(told.contains(part), "{text}: {told}");
            assert!(!told.contains("hunter2"), "{told}");
        }
    }

    #[test]
    fn this_machine_is_known() {
        for (text, own) in [
            ("http://localhost:1", true),
            ("http://127.0.0.1", true),
            ("http://[::1]:8", true),
            ("http://example.org", false),
            ("http://10.0.0.1", false),
        ] {
            assert_eq!(Address::parse(text).unwrap().is_loopback(), own, "{text}");
        }
    }
}
