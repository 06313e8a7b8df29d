//! Who looks at a page: their session, their role, and the forms they send.

use axum::body::to_bytes;
use axum::extract::{FromRequest, FromRequestParts, Path, Request};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, header};
use maud::{Markup, html};
use promptfed_prompts::protocol::RoundId;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::MAX_FORM_BYTES;
use super::fault::{Answer, Fault};
use crate::role::Role;
use crate::state::AppState;
use crate::token::{Token, TokenHash};

/// The cookie of a session.
const COOKIE: &str = "promptfed_session";

/// What the secret in a session's forms is derived from beside the session's own.
const CSRF_CONTEXT: &str = "promptfed dashboard: forms of a session";

/// Somebody who is signed in.
#[derive(Clone)]
pub(super) struct Visitor {
    role: Role,
    /// The session's secret, as the cookie has it.
    session: String,
}

/// Somebody who is signed in as operator or administrator.
pub(super) struct Operator(pub(super) Visitor);

/// Somebody who is signed in as administrator.
pub(super) struct Admin(pub(super) Visitor);

impl Visitor {
    pub(super) fn role(&self) -> Role {
        self.role
    }

    /// Whether prompts, clients and logs are shown.
    pub(super) fn sees_prompts(&self) -> bool {
        self.role >= Role::Operator
    }

    pub(super) fn session(&self) -> TokenHash {
        TokenHash::of(&self.session)
    }

    /// The field that every form of a session has.
    pub(super) fn csrf_field(&self) -> Markup {
        html! { input type="hidden" name="csrf" value=(csrf(&self.session)); }
    }

    fn at_least(self, least: Role) -> Answer<Self> {
        if self.role >= least {
            Ok(self)
        } else {
            Err(Fault::not_for(self.role))
        }
    }
}

impl FromRequestParts<AppState> for Visitor {
    type Rejection = Fault;

    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Answer<Self> {
        let Some(session) = session_of(&parts.headers) else {
            return Err(Fault::signed_out(&parts.headers));
        };
        let (hash, admin) = (TokenHash::of(&session), state.admin);
        let role = state.store(move |store| store.session_role(hash, admin));
        match role.await? {
            Some(role) => Ok(Self { role, session }),
            None => Err(Fault::signed_out(&parts.headers)),
        }
    }
}

impl FromRequestParts<AppState> for Operator {
    type Rejection = Fault;

    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Answer<Self> {
        let visitor = Visitor::from_request_parts(parts, state).await?;
        visitor.at_least(Role::Operator).map(Self)
    }
}

impl FromRequestParts<AppState> for Admin {
    type Rejection = Fault;

    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Answer<Self> {
        let visitor = Visitor::from_request_parts(parts, state).await?;
        visitor.at_least(Role::Admin).map(Self)
    }
}

/// A form that a page of the visitor's own session has sent.
pub(super) struct Sent<T> {
    pub(super) visitor: Visitor,
    pub(super) form: T,
}

impl<T> Sent<T> {
    /// The form, where whoever sent it has this role.
    pub(super) fn of(self, least: Role) -> Answer<(Visitor, T)> {
        Ok((self.visitor.at_least(least)?, self.form))
    }
}

impl<T: DeserializeOwned> FromRequest<AppState> for Sent<T> {
    type Rejection = Fault;

    async fn from_request(request: Request, state: &AppState) -> Answer<Self> {
        #[derive(Deserialize)]
        struct Secret {
            csrf: String,
        }

        let (mut parts, body) = request.into_parts();
        check_origin(&parts.headers)?;
        let visitor = Visitor::from_request_parts(&mut parts, state).await?;
        let bytes = to_bytes(body, MAX_FORM_BYTES).await;
        let bytes = bytes.map_err(|_| Fault::bad_form())?;
        let sent: Secret = serde_urlencoded::from_bytes(&bytes).map_err(|_| Fault::forged())?;
        // Hashes are compared in constant time.
        if !TokenHash::of(&csrf(&visitor.session)).matches(&sent.csrf) {
            return Err(Fault::forged());
        }
        let form = serde_urlencoded::from_bytes(&bytes).map_err(|_| Fault::bad_form())?;
        Ok(Self { visitor, form })
    }
}

/// Refuses what a browser says that another site's page has sent.
pub(super) fn check_origin(headers: &HeaderMap) -> Answer<()> {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let is_own = match (text("sec-fetch-site"), text("origin")) {
        (Some(site), _) => matches!(site, "same-origin" | "none"),
        (None, Some(origin)) => {
            let host = origin.split_once("://").map(|(_, host)| host);
            host.is_some() && host == text("host")
        }
        // No browser of these days.
        (None, None) => true,
    };
    if is_own { Ok(()) } else { Err(Fault::forged()) }
}

fn csrf(session: &str) -> String {
    let key = blake3::derive_key(CSRF_CONTEXT, session.as_bytes());
    blake3::Hash::from_bytes(key).to_hex().to_string()
}

/// The session that the cookie names.
fn session_of(headers: &HeaderMap) -> Option<String> {
    let cookies = headers.get_all(header::COOKIE).into_iter();
    let mut cookies = cookies
        .filter_map(|value| value.to_str().ok())
        .flat_map(|text| text.split(';'));
    let value = cookies.find_map(|cookie| {
        let (name, value) = cookie.trim().split_once('=')?;
        (name == COOKIE).then_some(value)
    })?;
    let is_secret = value.len() == 64 && value.bytes().all(|b| b.is_ascii_hexdigit());
    is_secret.then(|| value.to_owned())
}

/// The header that gives a browser a session for so many seconds, or with none of them ends it.
pub(super) fn set_cookie(session: Option<&Token>, seconds: u64, headers: &HeaderMap) -> String {
    let value = session.map_or("", Token::as_str);
    let mut cookie =
        format!("{COOKIE}={value}; Path=/dashboard; HttpOnly; SameSite=Strict; Max-Age={seconds}");
    // The browser says by which scheme it came, also where a proxy ends TLS.
    let origin = headers.get(header::ORIGIN).map(HeaderValue::as_bytes);
    if origin.is_some_and(|origin| origin.starts_with(b"https://")) {
        cookie.push_str("; Secure");
    }
    cookie
}

/// The round that the path names first.
pub(super) struct Round(pub(super) RoundId);

impl FromRequestParts<AppState> for Round {
    type Rejection = Fault;

    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Answer<Self> {
        let path = Path::<Vec<(String, String)>>::from_request_parts(parts, state).await;
        let Ok(Path(named)) = path else {
            return Err(Fault::no_page());
        };
        let round = named.iter().find(|(name, _)| name == "round");
        round
            .and_then(|(_, text)| text.parse().ok())
            .map(Self)
            .ok_or_else(Fault::no_page)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(named: &[(&'static str, &str)]) -> HeaderMap {
        let entries = named.iter().map(|&(name, value)| {
            let name = header::HeaderName::from_static(name);
            (name, HeaderValue::from_str(value).unwrap())
        });
        entries.collect()
    }

    #[test]
    fn a_session_is_found_among_other_cookies() {
        let secret = "0123456789abcdef".repeat(4);
        let sent = format!("a=b; {COOKIE}={secret}; c=d");
        let found = session_of(&headers(&[("cookie", &sent)]));
        assert_eq!(found, Some(secret.clone()));
        for wrong in [
            "",
            "promptfed_session=",
            "promptfed_session=short",
            &format!("{COOKIE}={}", "g".repeat(64)),
            &format!("other={secret}"),
        ] {
            assert_eq!(session_of(&headers(&[("cookie", wrong)])), None, "{wrong}");
        }
    }

    #[test]
    fn cookies_are_secure_where_the_browser_came_over_tls() {
        let token = Token::for_session().unwrap();
        let over = |origin: &str| {
            let headers = headers(&[("origin", origin)]);
            set_cookie(Some(&token), 60, &headers)
        };
        assert!(over("https://server:7878").ends_with("; Secure"));
        let plain = over("http://127.0.0.1:7878");
        assert!(!plain.contains("Secure"), "{plain}");
        assert!(plain.contains("HttpOnly") && plain.contains("SameSite=Strict"));
        assert!(set_cookie(None, 0, &HeaderMap::new()).contains("=; "));
    }

    #[test]
    fn forms_of_other_sites_are_refused() {
        let is_own = |named: &[(&'static str, &str)]| check_origin(&headers(named)).is_ok();
        assert!(is_own(&[]));
        assert!(is_own(&[("sec-fetch-site", "same-origin")]));
        assert!(!is_own(&[("sec-fetch-site", "same-site")]));
        assert!(!is_own(&[("sec-fetch-site", "cross-site")]));
        let host = ("host", "server:7878");
        assert!(is_own(&[host, ("origin", "https://server:7878")]));
        assert!(!is_own(&[host, ("origin", "https://server:7879")]));
        assert!(!is_own(&[host, ("origin", "null")]));
    }

    #[test]
    fn each_session_has_its_own_secret_for_forms() {
        let [one, other] = ["a", "b"].map(csrf);
        assert!(one.len() == 64 && one != other && one != "a");
    }
}
