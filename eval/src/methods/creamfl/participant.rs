//! A client: networks of what it holds, trained on that and towards the federation's consensus on public pairs.

use super::super::LocalTask;
use super::super::local_training::train;
use super::CreamFl;
use super::networks::{Shown, of_captions, represent};
use crate::wire::payload::Representations;
use crate::{Error, Result};
use promptfed_learn::objective::{ClassMap, Classification, Consensus, Pairs, Representing};
use promptfed_learn::{Classifier, EpochStats, TextTower};

/// What a client remembers from round to round.
pub(super) struct Participant {
    /// Where it holds images.
    pub(super) images: Option<Classifier>,
    /// Where it holds captions.
    pub(super) text: Option<TextTower>,
    /// The classes of its representations, where it holds one of the two.
    pub(super) classes: ClassMap,
    /// The captions of its training images in tokens, where it holds captions.
    pub(super) captions: Vec<Vec<u32>>,
}

/// Its work of one round.
pub(super) struct Work<'a> {
    /// On what it holds.
    pub(super) own: LocalTask<'a>,
    /// The classes of that.
    pub(super) labels: &'a [u32],
    /// On the public pairs of the round.
    pub(super) public: LocalTask<'a>,
    /// The pairs.
    pub(super) shown: &'a Shown,
    /// What the server makes of them.
    pub(super) global: &'a Representations,
    /// The learning rate of captions.
    pub(super) text_rate: f32,
}

impl Participant {
    /// What it makes of the public pairs after its training, and how its own went.
    pub(super) fn round(
        &mut self,
        method: &CreamFl,
        work: &Work<'_>,
    ) -> Result<(Representations, EpochStats)> {
        if !method.has_contrasts() {
            let stats = self.learn_own(method, work)?;
            return Ok((self.represent(method, work.shown)?, stats));
        }
        let last = self.represent(method, work.shown)?;
        let stats = self.learn_own(method, work)?;
        self.agree(method, work, &last)?;
        Ok((self.represent(method, work.shown)?, stats))
    }

    /// Towards the consensus, and away from what it made of the pairs at the end of its `last` round.
    fn agree(&mut self, method: &CreamFl, work: &Work<'_>, last: &Representations) -> Result<()> {
        let consensus = |other, same, last| Consensus {
            other,
            same,
            last,
            temperature: method.temperature,
            weight: method.contrast,
        };
        let global = work.global;
        if let Some(network) = &mut self.images {
            let towards = consensus(&global.captions, &global.images, &last.images);
            let (trained, _) = train(&work.public, network, &mut Representing(towards))?;
            *network = trained;
        }
        if let Some(network) = &mut self.text {
            let mut towards = consensus(&global.images, &global.captions, &last.captions);
            let training = of_captions(&work.public, work.text_rate);
            network.train(&work.shown.captions, &mut towards, &training)?;
        }
        Ok(())
    }

    fn represent(&self, method: &CreamFl, shown: &Shown) -> Result<Representations> {
        represent(
            self.images.as_ref(),
            self.text.as_ref(),
            shown,
            method.width,
        )
    }

    /// Classes of images or of captions; of pairs, which caption is an image's.
    fn learn_own(&mut self, method: &CreamFl, work: &Work<'_>) -> Result<EpochStats> {
        let own = &work.own;
        let config = &own.config;
        let classification = |map, rate| {
            Classification::new(
                map,
                work.labels,
                config.label_smoothing,
                rate,
                config.momentum,
            )
        };
        match (&mut self.images, &mut self.text) {
            (Some(network), Some(text)) => {
                let mut pairs = Representing(Pairs {
                    text,
                    captions: &self.captions,
                    temperature: method.pair_temperature,
                    rate: work.text_rate,
                });
                let (trained, stats) = train(own, network, &mut pairs)?;
                *network = trained;
                Ok(stats)
            }
            (Some(network), None) => {
                let loss = classification(&mut self.classes, config.learning_rate);
                let (trained, stats) = train(own, network, &mut Representing(loss))?;
                *network = trained;
                Ok(stats)
            }
            (None, Some(text)) => {
                let mut loss = classification(&mut self.classes, config.learning_rate);
                let training = of_captions(own, work.text_rate);
                Ok(text.train(&self.captions, &mut loss, &training)?)
            }
            (None, None) => Err(Error::NoImages { role: "private" }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::sample::{WIDTH, WORDS, leaning, method, rows, shown, task};
    use super::*;
    use promptfed_learn::ClassifierConfig;

    /// What a client makes of the pairs after a round with this weight of the contrasts.
    fn after(contrast: f32, (images, captions): (bool, bool)) -> Representations {
        let (method, shown) = (method(contrast, 0.0), shown());
        let network =
            || Classifier::new(ClassifierConfig::new(WIDTH, 16).with_width(4), 1).unwrap();
        let mut participant = Participant {
            images: images.then(network),
            text: captions.then(|| TextTower::new(WORDS, WIDTH, 2).unwrap()),
            classes: ClassMap::new(2, WIDTH, 3),
            captions: shown.captions.clone(),
        };
        let global = Representations {
            width: WIDTH,
            images: rows(1.0, false),
            captions: rows(1.0, false),
        };
        let work = Work {
            own: task(&shown.images, 1),
            labels: &shown.images.labels,
            public: task(&shown.images, 60),
            shown: &shown,
            global: &global,
            text_rate: method.text_rate,
        };
        participant.round(&method, &work).unwrap().0
    }

    #[test]
    fn contrasts_bring_clients_nearer_to_the_consensus() {
        let of_images = [0.0, 1.0].map(|contrast| after(contrast, (true, false)).images);
        let of_captions = [0.0, 1.0].map(|contrast| after(contrast, (false, true)).captions);
        for [without, with] in [of_images, of_captions] {
            let (without, with) = (leaning(&without), leaning(&with));
            assert!(with > without.max(0.0), "{with} {without}");
        }
    }
}
