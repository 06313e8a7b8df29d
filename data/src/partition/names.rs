//! What clients are called.

use super::Partition;
use crate::Dataset;

/// A name for each client of [`partition`](super::partition): its domain where every client is one domain, the domain and a number from 1 where
/// several share one (`sketch-2`), else a number from 0 (`client-2`).
pub fn client_names(
    dataset: &Dataset,
    partition: &Partition,
    clients: &[Vec<usize>],
) -> Vec<String> {
    let sharing = match *partition {
        Partition::DomainPerClient => 1,
        Partition::DomainAndLabelSkew {
            clients_per_domain, ..
        } => clients_per_domain,
        Partition::Iid { .. } | Partition::Dirichlet { .. } => 0,
    };
    let domain_of = |clients: &[Vec<usize>]| {
        let sample = dataset.samples.get(*clients.iter().flatten().next()?)?;
        dataset.domain_names.get(sample.domain? as usize)
    };
    let name = |index: usize| {
        let place = index.checked_rem(sharing)?;
        let first = index - place;
        let domain = domain_of(clients.get(first..first + sharing)?)?;
        Some(match sharing {
            1 => domain.clone(),
            _ => format!("{domain}-{}", place + 1),
        })
    };
    (0..clients.len())
        .map(|index| name(index).unwrap_or_else(|| format!("client-{index}")))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ImageSource, Sample};

    fn dataset(domains: &[Option<u32>]) -> Dataset {
        let sample = |domain: &Option<u32>| Sample {
            label: 0,
            domain: *domain,
            caption: None,
            source: ImageSource::File("a.png".into()),
        };
        Dataset {
            domain_names: vec!["photo".into(), "sketch".into()],
            samples: domains.iter().map(sample).collect(),
            ..Dataset::default()
        }
    }

    #[test]
    fn clients_of_domains_have_their_names() {
        let data = dataset(&[Some(0), Some(1), Some(0), Some(1)]);
        let two = [vec![0, 2], vec![1, 3]];
        assert_eq!(
            client_names(&data, &Partition::DomainPerClient, &two),
            ["photo", "sketch"]
        );
        let skewed = Partition::DomainAndLabelSkew {
            alpha: 0.5,
            clients_per_domain: 2,
        };
        // The second has nothing, and is the photos' all the same.
        let four = [vec![0, 2], vec![], vec![1], vec![3]];
        assert_eq!(
            client_names(&data, &skewed, &four),
            ["photo-1", "photo-2", "sketch-1", "sketch-2"]
        );
    }

    #[test]
    fn others_are_numbered() {
        let data = dataset(&[None, None]);
        let two = [vec![0], vec![1]];
        for partition in [Partition::Iid { clients: 2 }, Partition::DomainPerClient] {
            assert_eq!(
                client_names(&data, &partition, &two),
                ["client-0", "client-1"]
            );
        }
    }
}
