//! What every page has around it.

use axum::response::Html;
use maud::{DOCTYPE, Markup, html};

use super::assets::{HTMX, ICON, SCRIPT_SSE, STYLE};
use super::visitor::Visitor;
use crate::role::Role;

/// htmx is not to write styles into the page, to run texts as programs, to ask other servers, or to keep pages that were left.
const HTMX_CONFIG: &str = r#"{"includeIndicatorStyles":false,"allowEval":false,"allowScriptTags":false,"selfRequestsOnly":true,"historyCacheSize":0}"#;

/// A place that the navigation leads to.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    Rounds,
    Compare,
    Clients,
    Audit,
    Server,
    Access,
}

/// Each with its address, its name and who may go there.
static PLACES: [(Place, &str, &str, Role); 6] = [
    (Place::Rounds, "/dashboard", "Rounds", Role::Viewer),
    (
        Place::Compare,
        "/dashboard/compare",
        "Compare",
        Role::Viewer,
    ),
    (
        Place::Clients,
        "/dashboard/clients",
        "Clients",
        Role::Operator,
    ),
    (
        Place::Audit,
        "/dashboard/audit",
        "Audit log",
        Role::Operator,
    ),
    (Place::Server, "/dashboard/server", "Server", Role::Operator),
    (Place::Access, "/dashboard/access", "Access", Role::Admin),
];

/// A page for who is signed in.
pub(super) fn page(visitor: &Visitor, here: Place, title: &str, main: &Markup) -> Html<String> {
    let role = visitor.role();
    let places = PLACES.iter().filter(|(.., least)| role >= *least);
    let header = html! {
        nav aria-label="Main" {
            ul {
                @for (place, address, name, _) in places {
                    li { a href=(address) aria-current=[(*place == here).then_some("page")] { (name) } }
                }
            }
        }
        form.sign-out method="post" action="/dashboard/sign-out" {
            (visitor.csrf_field())
            span { "Signed in as " (role.name()) }
            button type="submit" { "Sign out" }
        }
    };
    Html(document(title, &header, main))
}

/// A page for whoever it may be.
pub(super) fn bare(title: &str, main: &Markup) -> String {
    document(title, &html! {}, main)
}

fn document(title: &str, header: &Markup, main: &Markup) -> String {
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                meta name="htmx-config" content=(HTMX_CONFIG);
                title { (title) " - promptfed" }
                link rel="icon" type="image/svg+xml" href=(ICON);
                link rel="stylesheet" href=(STYLE);
                script src=(HTMX) defer {}
                script src=(SCRIPT_SSE) defer {}
            }
            body {
                a.skip href="#main" { "Skip to the content" }
                header {
                    a.home href="/dashboard" { "promptfed" }
                    (header)
                }
                main id="main" tabindex="-1" { (main) }
                footer { p { "promptfed " (env!("CARGO_PKG_VERSION")) } }
            }
        }
    };
    page.into_string()
}
