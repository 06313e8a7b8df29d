//! A certificate that a server makes for itself, which clients know by its fingerprint.

use std::path::Path;

use promptfed_files::{write_secret, write_whole};

use super::certificates::CertificateFiles;
use crate::{Error, Result};

/// The certificate in a folder, made where there is none.
pub(crate) fn certificate_in(folder: &Path) -> Result<CertificateFiles> {
    let files = CertificateFiles {
        cert: folder.join("cert.pem"),
        key: folder.join("key.pem"),
    };
    if files.cert.exists() && files.key.exists() {
        return Ok(files);
    }
    let failed = |error: rcgen::Error| Error::SelfSigned(error.to_string());
    // Clients know it by its fingerprint, whatever the server's address; the names serve programs on this machine.
    let names = ["localhost", "127.0.0.1", "::1"].map(str::to_owned);
    let made = rcgen::generate_simple_self_signed(names).map_err(failed)?;
    fs_err::create_dir_all(folder)?;
    write_secret(&files.key, made.signing_key.serialize_pem().as_bytes())?;
    write_whole(&files.cert, made.cert.pem().as_bytes())?;
    Ok(files)
}
