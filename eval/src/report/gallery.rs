//! Private images beside the synthetic ones that stand for them, by class and domain.

use base64::{Engine, prelude::BASE64_STANDARD};
use maud::{Markup, html};

use super::format::plural;
use crate::comparison::{Comparison, GalleryCell};

/// Classes shown, and images shown of each kind in a cell.
const MAX_CLASSES: usize = 60;
const MAX_IMAGES: usize = 8;

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
                        tbody { @for cell in cells.iter().filter(|cell| cell.class == *class) { (row(cell, &methods)) } }
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

fn row(cell: &GalleryCell, methods: &[&str]) -> Markup {
    let domain = cell.domain.as_deref();
    let of = |method: &str| {
        let strip = cell.synthetic.iter().find(|strip| strip.method == method);
        strip.map_or(&[][..], |strip| strip.images.as_slice())
    };
    html! {
        tr {
            th scope="row" { (domain.unwrap_or("all")) }
            td.private { (images("private", None, &cell.private, &cell.class, domain)) }
            @for method in methods {
                @let by = (methods.len() > 1).then_some(*method);
                td.synthetic { (images("synthetic", by, of(method), &cell.class, domain)) }
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
