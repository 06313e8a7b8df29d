//! Private images beside the synthetic ones that stand for them, by class and domain.

use base64::{Engine, prelude::BASE64_STANDARD};
use maud::{Markup, html};

use super::format::{NONE, plural};
use super::shown::first_seed;
use crate::comparison::{Comparison, GalleryCell};

/// Classes shown, and images shown of each kind in a cell.
const MAX_CLASSES: usize = 60;
const MAX_IMAGES: usize = 8;
/// Stands where a domain's name stands for images of no domain.
const ANY_DOMAIN: &str = "any domain";

pub(super) fn gallery(comparison: &Comparison) -> Markup {
    let cells = &comparison.gallery;
    if cells.is_empty() {
        return html! { p.note { "No images were kept for this report." } };
    }
    let methods = methods(cells);
    let mut classes: Vec<&str> = Vec::new();
    for cell in cells {
        if !classes.contains(&cell.class.as_str()) {
            classes.push(&cell.class);
        }
    }
    html! {
        p.note {
            b { "Private" } " images are a client's own. They are here because this report is a simulation's, whose clients "
            "are all on one machine; they never crossed the wire. " b { "Synthetic" } " images were made by the server "
            "from the prompts alone, and are what the central model was trained on."
            @if methods.len() > 1 { " Each method has its own." }
            " Shown: " (first_seed(comparison)) "."
        }
        @if cells.iter().any(|cell| is_of_no_domain(cell, cells)) {
            p.note {
                "Images of prompts that name no domain are no client's: they stand once for each class, beside \u{201c}" (ANY_DOMAIN) "\u{201d}."
            }
        }
        div.gallery {
            @for class in classes.iter().take(MAX_CLASSES) {
                section.class {
                    h3 { (class) }
                    table {
                        caption.hidden { "Private and synthetic images of the class " (class) "." }
                        thead {
                            tr {
                                td {}
                                th.private scope="col" { "private" }
                                @for method in &methods {
                                    th.synthetic scope="col" {
                                        "synthetic" @if methods.len() > 1 { ", " (method) }
                                    }
                                }
                            }
                        }
                        tbody { @for cell in cells.iter().filter(|cell| cell.class == *class) { (row(cell, cells, &methods)) } }
                    }
                }
            }
        }
        @if classes.len() > MAX_CLASSES {
            p.note { "And " (plural(classes.len() - MAX_CLASSES, "more class", "more classes")) ", not shown." }
        }
    }
}

/// The methods with synthetic images, in order.
fn methods(cells: &[GalleryCell]) -> Vec<&str> {
    let mut methods: Vec<&str> = Vec::new();
    for strip in cells.iter().flat_map(|cell| &cell.synthetic) {
        if !methods.contains(&strip.method.as_str()) {
            methods.push(&strip.method);
        }
    }
    methods
}

/// Whether a cell has images of no domain, where others have some of domains.
fn is_of_no_domain(cell: &GalleryCell, cells: &[GalleryCell]) -> bool {
    cell.domain.is_none() && cells.iter().any(|cell| cell.domain.is_some())
}

fn row(cell: &GalleryCell, cells: &[GalleryCell], methods: &[&str]) -> Markup {
    let domain = cell.domain.as_deref();
    let of_no_domain = is_of_no_domain(cell, cells);
    let of = |method: &str| {
        let strip = cell.synthetic.iter().find(|strip| strip.method == method);
        strip.map(|strip| strip.images.as_slice())
    };
    html! {
        tr {
            th scope="row" { @if of_no_domain { (ANY_DOMAIN) } @else { (domain.unwrap_or("all")) } }
            td.private {
                @if of_no_domain { span.note { (NONE) } } @else { (images("private", None, &cell.private, &cell.class, domain)) }
            }
            @for method in methods {
                @let by = (methods.len() > 1).then_some(*method);
                td.synthetic {
                    @match of(method) {
                        Some(files) => (images("synthetic", by, files, &cell.class, domain)),
                        None => span.note { (NONE) },
                    }
                }
            }
        }
    }
}

fn images(
    kind: &str,
    by: Option<&str>,
    files: &[Vec<u8>],
    class: &str,
    domain: Option<&str>,
) -> Markup {
    html! {
        div.strip {
            @for (i, file) in files.iter().take(MAX_IMAGES).enumerate() {
                @let number = i + 1;
                img width="64" height="64"
                    alt={ (kind) " image " (number) " of " (class)
                        @if let Some(domain) = domain { ", " (domain) } @if let Some(method) = by { ", of " (method) } }
                    src={ "data:image/png;base64," (BASE64_STANDARD.encode(file)) };
            }
            @if files.is_empty() { span.note { "none" } }
        }
    }
}
