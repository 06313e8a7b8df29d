//! What a ledger can tell of the bytes that cross, by the client's way of asking (ureq with a meter between TCP and TLS) and by reqwest's:
//! the numbers of docs/architecture.md. Both ask for a round's key, send a typical prompt set that is sealed to it, and fetch a model, over plain HTTP and over TLS, through a relay that counts.
//!
//! usage: http_bytes [REQUESTS]
//!
//! A line of JSON for each case: bytes on the socket, bytes that the ledger tells, how far off that is in percent, and the median
//! milliseconds of a request on a connection that is kept. For reqwest the ledger has what its caller can see (`heads and bodies`), or bodies alone.

mod ours;
mod relay;
mod reqwests;
mod server;

use anyhow::{Context, Result};
use ours::Ours;
use promptfed_privacy::{PrivateKey, SealedFor, sealed_bytes};
use promptfed_prompts::protocol::{ClientId, RoundId, RoundSealing, SealingKey};
use promptfed_prompts::{
    ClassIndex, ContentHash, Domain, LabelSpace, Level, PromptSet, TemplateSet,
};
use relay::Relay;
use reqwests::Reqwest;
use serde_json::{Value, json};
use server::Answers;
use std::path::{Path, PathBuf};
use std::time::Instant;

/// The demo's model has about as many.
const MODEL_BYTES: usize = 1_380_000;

const TOKEN: &str = "a-token-of-the-usual-length-of-forty-three-";

/// Bytes sent and received.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Bytes {
    up: u64,
    down: u64,
}

impl Bytes {
    fn and(self, other: Self) -> Self {
        Self {
            up: self.up + other.up,
            down: self.down + other.down,
        }
    }

    fn since(self, earlier: Self) -> Self {
        Self {
            up: self.up - earlier.up,
            down: self.down - earlier.down,
        }
    }
}

/// A way to ask, with what it can tell of its bytes.
trait Asks {
    /// What tells the bytes, and how many.
    type Told;

    /// Sends the prompts; what is told of that request.
    fn submit(&mut self) -> Result<Self::Told>;
    /// Fetches the model; what is told of that request.
    fn fetch(&mut self) -> Result<Self::Told>;
}

/// What is asked for and with what.
struct Work {
    prompts: PromptSet,
    /// To which they are sealed, and for whom.
    key: SealingKey,
    owner: SealedFor,
    answers: Answers,
    /// Authority of the server over TLS.
    certificate: PathBuf,
}

impl Work {
    fn new() -> Result<Self> {
        let classes = LabelSpace::builtin("emoji")?;
        let mut builder =
            PromptSet::builder(&classes, Level::Domain, &TemplateSet::builtin("pocket")?);
        for class in 0..classes.len() as u32 {
            builder.add(
                ClassIndex::new(class),
                Some(Domain::try_from("noto")?),
                None,
            )?;
        }
        let prompts = builder.build()?;
        let (key, owner) = (
            PrivateKey::generate().public(),
            SealedFor {
                round: RoundId::new(1),
                client: ClientId::new(1),
            },
        );
        let sealing = RoundSealing {
            round_id: owner.round,
            client_id: owner.client,
            key: Some(key),
        };
        // Each sealing has another hash; that of a duplicate is an earlier one's.
        let answer = json!({ "outcome": "duplicate", "receipt": {
            "round_id": 1, "client_id": 1, "hash": prompts.hash(), "bytes": sealed_bytes(prompts.to_wire().len()), "prompts": prompts.len(),
            "received_at": 1_790_000_000_000_u64,
        }});
        let answers = Answers {
            sealing: serde_json::to_vec(&sealing)?,
            submission: serde_json::to_vec(&answer)?,
            model: noise(MODEL_BYTES),
        };
        let certificate =
            Path::new(env!("CARGO_MANIFEST_DIR")).join("../synth/tests/golden/tls/cert.pem");
        Ok(Self {
            prompts,
            key,
            owner,
            answers,
            certificate,
        })
    }
}

/// Bytes that nothing compresses (SplitMix64, Steele et al. 2014).
fn noise(len: usize) -> Vec<u8> {
    let words = (0..len.div_ceil(8) as u64).flat_map(|index| {
        let mut z = (index + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (z ^ (z >> 31)).to_le_bytes()
    });
    words.take(len).collect()
}

/// How far `told` is from `true_bytes`, in percent.
fn off(told: u64, true_bytes: u64) -> f64 {
    let off = told as f64 / true_bytes as f64 - 1.0;
    (off * 10_000.0).round() / 100.0
}

/// A case: on a new connection the bytes of the first request, on the same one the time of those that follow.
fn measure<A: Asks>(
    relay: &Relay,
    requests: usize,
    ask: impl Fn() -> Result<A>,
    request: impl Fn(&mut A) -> Result<A::Told>,
) -> Result<(Bytes, A::Told, f64)> {
    let before = relay.counted();
    let mut client = ask()?;
    let told = request(&mut client)?;
    let bytes = relay.counted().since(before);
    let mut seconds = Vec::with_capacity(requests);
    for _ in 0..requests {
        let start = Instant::now();
        request(&mut client)?;
        seconds.push(start.elapsed().as_secs_f64());
    }
    seconds.sort_by(f64::total_cmp);
    let median = seconds.get(requests / 2).copied().unwrap_or(f64::NAN);
    Ok((bytes, told, median))
}

fn row(case: [&str; 4], bytes: Bytes, told: Bytes, median: f64) -> Value {
    let [scheme, what, by, ledger] = case;
    json!({
        "scheme": scheme, "what": what, "by": by, "ledger": ledger,
        "up": bytes.up, "up_told": told.up, "up_off_percent": off(told.up, bytes.up),
        "down": bytes.down, "down_told": told.down, "down_off_percent": off(told.down, bytes.down),
        "milliseconds": (median * 1e6).round() / 1e3,
    })
}

fn main() -> Result<()> {
    let requests = match std::env::args().nth(1) {
        Some(text) => text.parse().context("the number of requests")?,
        None => 200,
    };
    let work = Work::new()?;
    println!(
        "{}",
        json!({ "prompts": work.prompts.len(), "submission": sealed_bytes(work.prompts.to_wire().len()), "model": MODEL_BYTES,
            "model_hash": ContentHash::of(&work.answers.model) })
    );
    for scheme in ["http", "https"] {
        let server = server::start(scheme == "https", &work)?;
        let relay = Relay::to(server)?;
        let url = format!("{scheme}://localhost:{}", relay.port());
        for what in ["submission", "model"] {
            // Fewer of what takes longer.
            let requests = if what == "model" {
                requests / 10
            } else {
                requests
            };
            let ask = || Ours::new(&url, &work);
            let (bytes, told, median) =
                measure(&relay, requests, ask, |client: &mut Ours| match what {
                    "model" => client.fetch(),
                    _ => client.submit(),
                })?;
            let case = [scheme, what, "ureq", "the client's"];
            println!("{}", row(case, bytes, told, median));
            let ask = || Reqwest::new(&url, &work);
            let (bytes, told, median) =
                measure(&relay, requests, ask, |client: &mut Reqwest| match what {
                    "model" => client.fetch(),
                    _ => client.submit(),
                })?;
            let case = [scheme, what, "reqwest", "heads and bodies"];
            println!("{}", row(case, bytes, told.seen, median));
            let case = [scheme, what, "reqwest", "bodies"];
            println!("{}", row(case, bytes, told.bodies, median));
        }
    }
    Ok(())
}
