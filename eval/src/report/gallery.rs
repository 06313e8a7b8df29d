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
                                th.synthetic scope="col" { "synthetic" }
                            }
                        }
                        tbody { @for cell in cells.iter().filter(|cell| cell.class == *class) { (row(cell)) } }
                    }
                }
            }
        }
        @if classes.len() > MAX_CLASSES {
            p.note { "And " (plural(classes.len() - MAX_CLASSES, "more class", "more classes")) ", not shown." }
        }
    }
}

fn row(cell: &GalleryCell) -> Markup {
    let domain = cell.domain.as_deref();
    html! {
        tr {
            th scope="row" { (domain.unwrap_or("all")) }
            td.private { (images("private", &cell.private, &cell.class, domain)) }
            td.synthetic { (images("synthetic", &cell.synthetic, &cell.class, domain)) }
        }
    }
}

fn images(kind: &str, files: &[Vec<u8>], class: &str, domain: Option<&str>) -> Markup {
    html! {
        div.strip {
            @for (i, file) in files.iter().take(MAX_IMAGES).enumerate() {
                @let number = i + 1;
                img width="64" height="64"
                    alt={ (kind) " image " (number) " of " (class) @if let Some(domain) = domain { ", " (domain) } }
                    src={ "data:image/png;base64," (BASE64_STANDARD.encode(file)) };
            }
            @if files.is_empty() { span.note { "none" } }
        }
    }
}
