//! The client of this project: its ledger counts what its sockets carry.

use crate::{Asks, Bytes, TOKEN, Work};
use anyhow::Result;
use promptfed_client::{FederationClient, ServerTrust};
use promptfed_prompts::ledger::Direction;
use promptfed_prompts::protocol::{ImageCounts, RoundId, RoundResults};
use promptfed_prompts::{ContentHash, PromptSet};
use serde_json::json;

pub(crate) struct Ours {
    client: FederationClient,
    prompts: PromptSet,
    results: RoundResults,
}

impl Ours {
    pub(crate) fn new(url: &str, work: &Work) -> Result<Self> {
        let trust = ServerTrust {
            ca_file: Some(work.certificate.clone()),
            ..ServerTrust::default()
        };
        let hash = ContentHash::of(&work.answers.model);
        // Only the model's hash is looked at.
        let results = json!({
            "round_id": 1, "prompt_sets": [], "pooled": { "hash": work.prompts.hash(), "prompts": work.prompts.len() },
            "images": ImageCounts::default(), "per_class": [],
            "model": { "hash": hash, "bytes": work.answers.model.len(), "path": "/v1/rounds/1/model", "parameters": 0 },
            "curve": [], "selected_epoch": 1,
            "seconds": { "pooling": 0.0, "synthesis": 0.0, "fusing": 0.0, "loading": 0.0, "training": 0.0 },
            "versions": { "server": env!("CARGO_PKG_VERSION"), "wire": 1 }, "seeds": { "synthesis": 0, "training": 0 },
        });
        Ok(Self {
            client: FederationClient::with_trust(url, "bench", TOKEN, &trust)?,
            prompts: work.prompts.clone(),
            results: serde_json::from_value(results)?,
        })
    }

    fn told(&self) -> Bytes {
        let ledger = self.client.ledger();
        Bytes {
            up: ledger.total(Direction::Up),
            down: ledger.total(Direction::Down),
        }
    }
}

impl Asks for Ours {
    type Told = Bytes;

    fn submit(&mut self) -> Result<Bytes> {
        let before = self.told();
        self.client.submit(RoundId::new(1), &self.prompts)?;
        Ok(self.told().since(before))
    }

    fn fetch(&mut self) -> Result<Bytes> {
        let before = self.told();
        self.client.model(&self.results)?;
        Ok(self.told().since(before))
    }
}
