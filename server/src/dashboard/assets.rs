//! The style and the scripts, which are part of the program.

use axum::extract::Path;
use axum::http::{HeaderName, header};
use axum::response::IntoResponse;

use super::fault::{Answer, Fault};

/// Where the style is; its address changes with the version.
pub(super) const STYLE: &str = concat!("/dashboard/assets/style.css?v=", env!("CARGO_PKG_VERSION"));
/// Where the sign of the program is.
pub(super) const ICON: &str = "/dashboard/assets/icon.svg";
/// Where htmx is.
pub(super) const HTMX: &str = "/dashboard/assets/htmx-2.0.11.min.js";
/// Where htmx's extension for server-sent events is.
pub(super) const SCRIPT_SSE: &str = "/dashboard/assets/htmx-ext-sse-2.2.4.min.js";

const SCRIPT_TYPE: &str = "text/javascript; charset=utf-8";

/// Each file: its name, its media type, its bytes.
static FILES: [(&str, &str, &[u8]); 4] = [
    ("icon.svg", "image/svg+xml", include_bytes!("icon.svg")),
    (
        "style.css",
        "text/css; charset=utf-8",
        include_bytes!("style.css"),
    ),
    (
        "htmx-2.0.11.min.js",
        SCRIPT_TYPE,
        include_bytes!("vendor/htmx-2.0.11.min.js"),
    ),
    (
        "htmx-ext-sse-2.2.4.min.js",
        SCRIPT_TYPE,
        include_bytes!("vendor/htmx-ext-sse-2.2.4.min.js"),
    ),
];

/// One of the files.
pub(super) async fn asset(Path(name): Path<String>) -> Answer<impl IntoResponse> {
    let file = FILES.iter().find(|(known, ..)| *known == name);
    let &(_, media_type, bytes) = file.ok_or_else(Fault::no_page)?;
    let headers: [(HeaderName, &str); 2] = [
        (header::CONTENT_TYPE, media_type),
        (header::CACHE_CONTROL, "public, max-age=86400"),
    ];
    Ok((headers, bytes))
}

#[cfg(test)]
mod tests {
    use sha2::{Digest, Sha256};

    use super::*;

    /// `SHA256SUMS`, as sha256sum writes it.
    const SUMS: &str = include_str!("vendor/SHA256SUMS");

    #[test]
    fn scripts_of_others_are_those_that_were_recorded() {
        let licences: [(&str, &[u8]); 2] = [
            ("LICENSE-htmx", include_bytes!("vendor/LICENSE-htmx")),
            (
                "LICENSE-htmx-ext-sse",
                include_bytes!("vendor/LICENSE-htmx-ext-sse"),
            ),
        ];
        let scripts = FILES.iter().filter(|(name, ..)| name.ends_with(".js"));
        let scripts = scripts.map(|(name, _, bytes)| (*name, *bytes));
        let mut recorded = 0;
        for (name, bytes) in scripts.chain(licences) {
            let digest = Sha256::digest(bytes);
            let hex: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
            let line = format!("{hex}  {name}");
            assert!(SUMS.lines().any(|there| there == line), "{line}");
            recorded += 1;
        }
        assert_eq!(SUMS.lines().count(), recorded);
    }

    #[test]
    fn pages_name_files_that_there_are() {
        for address in [STYLE, ICON, HTMX, SCRIPT_SSE] {
            let path = address.split('?').next().unwrap();
            let name = path.strip_prefix("/dashboard/assets/").unwrap();
            assert!(FILES.iter().any(|(known, ..)| *known == name), "{name}");
        }
    }

    #[test]
    fn the_style_asks_no_other_server() {
        let style = include_str!("style.css");
        for word in ["url(", "@import", "http:", "https:"] {
            assert!(!style.contains(word), "{word}");
        }
    }
}
