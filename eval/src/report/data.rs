//! The data: how many private images of each class every client holds.

use maud::{Markup, html};
use promptfed_data::Partition;

use super::format::{count, plural};
use super::shown::first_seed;
use crate::comparison::{ClientSummary, Comparison};

/// Clients and classes that the table has room for.
const MAX_CLIENTS: usize = 50;
const MAX_CLASSES: usize = 30;

pub(super) fn holdings(comparison: &Comparison) -> Markup {
    let data = &comparison.data;
    let by_class = data.classes.len() <= MAX_CLASSES;
    let columns: &[String] = if by_class { &data.classes } else { &[] };
    let most = data
        .clients
        .iter()
        .flat_map(|c| &c.images_per_class)
        .max()
        .copied()
        .unwrap_or(0)
        .max(1);
    let shown = data.clients.iter().take(MAX_CLIENTS);
    html! {
        p.note {
            "Partition " code { (data.partition) } (meaning(&data.partition)) ": " (plural(data.clients.len(), "client", "clients")) " with "
            (plural(data.clients.iter().map(total).sum(), "private image", "private images")) "; "
            (plural(data.test_images, "test image", "test images")) " that no client holds. Shown: " (first_seed(comparison)) "."
        }
        @if data.clients.is_empty() {
            p.note { "There are no clients." }
        } @else {
            div.scroll {
                table.holdings {
                    caption { "Private images by client and class." }
                    thead {
                        tr {
                            th scope="col" { "Client" }
                            @for class in columns { th.n.tall scope="col" title=(class) { span { (class) } } }
                            @if !by_class { th.n scope="col" { "Classes held" } }
                            th.n scope="col" { "Images" }
                        }
                    }
                    tbody { @for client in shown { (row(client, columns.len(), by_class, most)) } }
                    tfoot {
                        tr {
                            th scope="row" { "All " (plural(data.clients.len(), "client", "clients")) }
                            @for class in 0..columns.len() {
                                td.n { (count(data.clients.iter().map(|c| held(c, class) as u64).sum())) }
                            }
                            @if !by_class { td.n {} }
                            td.n.strong { (count(data.clients.iter().map(|c| total(c) as u64).sum())) }
                        }
                    }
                }
            }
            @if data.clients.len() > MAX_CLIENTS {
                p.note { "And " (plural(data.clients.len() - MAX_CLIENTS, "more client", "more clients")) ", in the last row and in the JSON file beside this report." }
            }
        }
    }
}

/// A partition in words; nothing of one that is not known.
fn meaning(partition: &str) -> &'static str {
    match partition.parse() {
        Ok(Partition::Iid { .. }) => ", dealt evenly at random",
        Ok(Partition::Dirichlet { .. }) => ", with other shares of the classes at each client",
        Ok(Partition::DomainPerClient) => ", each client one domain",
        Ok(Partition::DomainAndLabelSkew { .. }) => {
            ", each client a part of one domain, with other shares of the classes"
        }
        _ => "",
    }
}

fn row(client: &ClientSummary, classes: usize, by_class: bool, most: usize) -> Markup {
    html! {
        tr {
            th scope="row" { (client.name) }
            @for class in 0..classes {
                @let held = held(client, class);
                td.n.shade style=(format!("--v:{:.2}", 0.55 * held as f64 / most as f64)) { (count(held as u64)) }
            }
            @if !by_class {
                td.n { (count(client.images_per_class.iter().filter(|n| **n > 0).count() as u64)) }
            }
            td.n.strong { (count(total(client) as u64)) }
        }
    }
}

fn held(client: &ClientSummary, class: usize) -> usize {
    client.images_per_class.get(class).copied().unwrap_or(0)
}

fn total(client: &ClientSummary) -> usize {
    client.images_per_class.iter().sum()
}
