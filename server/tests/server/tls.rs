//! TLS over real sockets: whom a client believes, and what it says of the others.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use promptfed_client::{AdminClient, RequestError, ServerTrust};
use promptfed_server::{
    CertificateFiles, Engines, Error, ImageServer, ImageServerConfig, Limits, RunningServer,
    Server, ServerConfig, Transport,
};
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DistinguishedName, DnType, IsCa, KeyPair,
    date_time_ymd,
};
use sha2::{Digest, Sha256};

use crate::images;
use crate::support::{Fixture, config};

pub(crate) fn start(folder: &Path, transport: Transport, limits: Limits) -> RunningServer {
    let addr = ([127, 0, 0, 1], 0).into();
    Server::start(ServerConfig {
        transport,
        limits,
        ..config(folder, addr, Engines::new())
    })
    .unwrap()
}

pub(crate) fn pinned(fingerprint: &str) -> ServerTrust {
    ServerTrust {
        fingerprint: Some(fingerprint.parse().unwrap()),
        ..ServerTrust::default()
    }
}

fn believing(ca_file: PathBuf) -> ServerTrust {
    ServerTrust {
        ca_file: Some(ca_file),
        ..ServerTrust::default()
    }
}

/// Asks a server for its rounds, over a connection of its own.
pub(crate) fn ask(server: &RunningServer, trust: &ServerTrust) -> Result<usize, RequestError> {
    let admin = AdminClient::with_trust(&server.url(), server.admin_token(), trust)?;
    admin.rounds().map(|rounds| rounds.len())
}

fn told(server: &RunningServer, trust: &ServerTrust) -> String {
    let error = ask(server, trust).unwrap_err();
    assert!(matches!(error, RequestError::Tls { .. }), "{error}");
    error.to_string()
}

/// An authority and what it certifies.
pub(crate) struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    folder: tempfile::TempDir,
}

impl Authority {
    pub(crate) fn new(name: &str) -> Self {
        let mut params = CertificateParams::new(Vec::<String>::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, name);
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("ca.pem"), issuer.pem()).unwrap();
        Self { issuer, folder }
    }

    fn trust(&self) -> ServerTrust {
        believing(self.folder.path().join("ca.pem"))
    }

    fn files(&self) -> CertificateFiles {
        CertificateFiles {
            cert: self.folder.path().join("cert.pem"),
            key: self.folder.path().join("key.pem"),
        }
    }

    /// A certificate for a name, its key, and its fingerprint.
    pub(crate) fn certify(&self, name: &str, is_expired: bool) -> (String, String, String) {
        let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        if is_expired {
            params.not_before = date_time_ymd(2000, 1, 1);
            params.not_after = date_time_ymd(2001, 1, 1);
        }
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &*self.issuer).unwrap();
        let hash = Sha256::digest(certificate.der());
        let fingerprint = hash.iter().map(|byte| format!("{byte:02x}")).collect();
        (certificate.pem(), key.serialize_pem(), fingerprint)
    }

    /// A server with a certificate for a name.
    fn serve(&self, folder: &Path, name: &str, is_expired: bool) -> RunningServer {
        let (certificate, key, _) = self.certify(name, is_expired);
        let files = self.files();
        std::fs::write(&files.cert, certificate).unwrap();
        std::fs::write(&files.key, key).unwrap();
        start(folder, Transport::Tls(files), Limits::default())
    }
}

#[test]
fn a_certificate_made_at_the_first_start_is_known_by_its_fingerprint() {
    let folder = tempfile::tempdir().unwrap();
    let server = start(folder.path(), Transport::SelfSigned, Limits::default());
    assert!(server.url().starts_with("https://"));
    let fingerprint = server.fingerprint().unwrap().to_owned();
    assert_eq!(ask(&server, &pinned(&fingerprint)).unwrap(), 0);
    let kept = folder.path().join("tls");
    let written = std::fs::read_to_string(kept.join("fingerprint")).unwrap();
    assert_eq!(written.trim(), fingerprint);
    assert_eq!(ask(&server, &believing(kept.join("cert.pem"))).unwrap(), 0);
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let mode = std::fs::metadata(kept.join("key.pem"))
            .unwrap()
            .permissions();
        assert_eq!(mode.mode() & 0o777, 0o600);
    }

    let words = told(&server, &ServerTrust::default());
    for part in ["no authority", "--ca-file", "--server-fingerprint"] {
        assert!(words.contains(part), "{words}");
    }
    let other = "0".repeat(64);
    let words = told(&server, &pinned(&other));
    assert!(
        words.contains(&fingerprint) && words.contains(&other),
        "{words}"
    );
    // The operator's own token did not cross, and the next start has the same certificate.
    server.shutdown();
    let server = start(folder.path(), Transport::SelfSigned, Limits::default());
    assert_eq!(server.fingerprint(), Some(fingerprint.as_str()));
}

#[test]
fn all_of_tls_is_in_the_ledger() {
    let folder = tempfile::tempdir().unwrap();
    let server = start(folder.path(), Transport::SelfSigned, Limits::default());
    let trust = pinned(server.fingerprint().unwrap());
    let admin = AdminClient::with_trust(&server.url(), server.admin_token(), &trust).unwrap();
    admin.rounds().unwrap();
    let (first_up, first_down) = (admin.socket_bytes().up(), admin.socket_bytes().down());
    admin.rounds().unwrap();
    // The first request had a handshake before it, with the certificate in it.
    let (up, down) = (admin.socket_bytes().up(), admin.socket_bytes().down());
    assert!(up > first_up && up < 2 * first_up, "{first_up}, {up}");
    assert!(
        down > first_down && down < 2 * first_down,
        "{first_down}, {down}"
    );
}

#[test]
fn an_authority_of_one_s_own_is_believed_where_it_is_named() {
    let (authority, stranger) = (Authority::new("one"), Authority::new("another"));
    let folder = tempfile::tempdir().unwrap();
    let server = authority.serve(folder.path(), "127.0.0.1", false);
    assert_eq!(ask(&server, &authority.trust()).unwrap(), 0);
    for trust in [stranger.trust(), ServerTrust::default()] {
        let words = told(&server, &trust);
        assert!(words.contains("no authority"), "{words}");
    }
    let files = authority.files();
    for (file, part) in [
        (&files.key, "no certificate"),
        (&PathBuf::from("none.pem"), "none.pem"),
    ] {
        let error = ask(&server, &believing(file.clone()))
            .unwrap_err()
            .to_string();
        assert!(error.contains(part), "{error}");
    }
}

#[test]
fn what_is_wrong_with_a_certificate_is_told() {
    let authority = Authority::new("one");
    let folder = tempfile::tempdir().unwrap();
    let server = authority.serve(folder.path(), "127.0.0.1", true);
    let words = told(&server, &authority.trust());
    assert!(words.contains("expired"), "{words}");
    server.shutdown();
    let server = authority.serve(folder.path(), "elsewhere.example", false);
    let words = told(&server, &authority.trust());
    assert!(
        words.contains("not for 127.0.0.1 but for elsewhere.example"),
        "{words}"
    );
    // Who knows the certificate itself needs no name.
    let fingerprint = server.fingerprint().unwrap().to_owned();
    assert_eq!(ask(&server, &pinned(&fingerprint)).unwrap(), 0);
}

#[test]
fn a_renewed_certificate_is_used_without_a_restart() {
    let authority = Authority::new("one");
    let folder = tempfile::tempdir().unwrap();
    let (first, first_key, first_print) = authority.certify("127.0.0.1", false);
    let (second, second_key, second_print) = authority.certify("127.0.0.1", false);
    let files = authority.files();
    std::fs::write(&files.cert, first).unwrap();
    std::fs::write(&files.key, first_key).unwrap();
    let limits = Limits {
        certificate_check: Duration::ZERO,
        ..Limits::default()
    };
    let server = start(folder.path(), Transport::Tls(files.clone()), limits);
    assert_eq!(server.fingerprint(), Some(first_print.as_str()));
    assert_eq!(ask(&server, &pinned(&first_print)).unwrap(), 0);
    // Half of a renewal changes nothing.
    std::fs::write(&files.cert, second).unwrap();
    assert_eq!(ask(&server, &pinned(&first_print)).unwrap(), 0);
    std::fs::write(&files.key, second_key).unwrap();
    assert_eq!(ask(&server, &pinned(&second_print)).unwrap(), 0);
    told(&server, &pinned(&first_print));
    std::fs::remove_file(&files.key).unwrap();
    assert_eq!(ask(&server, &pinned(&second_print)).unwrap(), 0);
}

#[test]
fn certificates_that_cannot_be_used_are_told_at_the_start() {
    let authority = Authority::new("one");
    let folder = tempfile::tempdir().unwrap();
    let files = authority.files();
    let (certificate, key, _) = authority.certify("localhost", false);
    let (_, other_key, _) = authority.certify("localhost", false);
    for (certificate, key, part) in [
        (certificate.as_str(), other_key.as_str(), "not the key of"),
        ("nothing", key.as_str(), "no certificate"),
        (certificate.as_str(), "nothing", "key.pem"),
    ] {
        std::fs::write(&files.cert, certificate).unwrap();
        std::fs::write(&files.key, key).unwrap();
        let error = Server::start(ServerConfig {
            transport: Transport::Tls(files.clone()),
            ..config(folder.path(), ([127, 0, 0, 1], 0).into(), Engines::new())
        });
        let error = error.err().unwrap();
        assert!(matches!(error, Error::Certificate { .. }), "{error}");
        assert!(error.to_string().contains(part), "{error}");
    }
}

#[test]
fn https_and_http_are_told_apart() {
    let plain = Fixture::start();
    let url = plain.server.url().replace("http://", "https://");
    let error = AdminClient::new(&url, "token")
        .unwrap()
        .rounds()
        .unwrap_err();
    assert!(matches!(error, RequestError::Tls { .. }), "{error}");
    assert!(
        error.to_string().contains("does not speak https"),
        "{error}"
    );

    let folder = tempfile::tempdir().unwrap();
    let server = start(folder.path(), Transport::SelfSigned, Limits::default());
    let url = server.url().replace("https://", "http://");
    let error = AdminClient::new(&url, "token")
        .unwrap()
        .rounds()
        .unwrap_err();
    let problem = error.problem().unwrap_or_else(|| panic!("{error}"));
    assert!(problem.remedy.contains("https://"), "{error}");
}

#[test]
fn plain_http_is_for_this_machine_unless_it_is_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let anywhere = config(&data, ([0, 0, 0, 0], 0).into(), Engines::new());
    let refused = Server::start(anywhere.clone()).err().unwrap();
    assert!(matches!(refused, Error::PlainHttp { .. }), "{refused}");
    assert!(!data.exists());
    Server::start(ServerConfig {
        transport: Transport::Plain,
        ..anywhere
    })
    .unwrap();

    let made = Arc::new(AtomicU64::new(0));
    let anywhere = ImageServerConfig {
        addr: ([0, 0, 0, 0], 0).into(),
        ..images::config(images::noise(Duration::ZERO, &made), "noise")
    };
    let refused = ImageServer::start(anywhere.clone()).err().unwrap();
    assert!(matches!(refused, Error::PlainHttp { .. }), "{refused}");
    ImageServer::start(ImageServerConfig {
        allow_plain_http: true,
        ..anywhere
    })
    .unwrap();

    // Nothing is sent in either case: the second address is for documentation alone.
    let asked = AdminClient::new("http://192.0.2.1:7878", "token");
    let error = asked.err().unwrap();
    assert!(matches!(error, RequestError::PlainHttp { .. }), "{error}");
    let allowing = ServerTrust {
        allow_plain_http: true,
        ..ServerTrust::default()
    };
    assert!(AdminClient::with_trust("http://192.0.2.1:7878", "token", &allowing).is_ok());
    for own in ["http://localhost:1", "http://127.1.2.3:1", "http://[::1]:1"] {
        assert!(AdminClient::new(own, "token").is_ok(), "{own}");
    }
}
