//! The same requests through reqwest: its caller sees bodies, and the heads as far as they are not added on the way.

use crate::{Asks, Bytes, TOKEN, Work};
use anyhow::{Result, ensure};
use promptfed_privacy::{SealedFor, seal};
use promptfed_prompts::PromptSet;
use promptfed_prompts::protocol::{SealingKey, WIRE_MEDIA_TYPE};
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap};
use reqwest::{Client, RequestBuilder};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};
use std::sync::Arc;
use tokio::runtime::Runtime;

pub(crate) struct Reqwest {
    client: Client,
    runtime: Runtime,
    url: String,
    prompts: PromptSet,
    key: SealingKey,
    owner: SealedFor,
}

/// What the caller of reqwest can tell of its requests.
pub(crate) struct Seen {
    /// Lines of heads and bodies.
    pub(crate) seen: Bytes,
    /// Bodies alone.
    pub(crate) bodies: Bytes,
}

impl Seen {
    /// Both requests.
    fn and(self, other: Self) -> Self {
        Self {
            seen: self.seen.and(other.seen),
            bodies: self.bodies.and(other.bodies),
        }
    }
}

impl Reqwest {
    pub(crate) fn new(url: &str, work: &Work) -> Result<Self> {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(&work.certificate)?)?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let tls = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_no_client_auth();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        Ok(Self {
            client: Client::builder()
                .tls_backend_preconfigured(tls)
                .redirect(reqwest::redirect::Policy::none())
                .user_agent(concat!("promptfed/", env!("CARGO_PKG_VERSION")))
                .no_proxy()
                .build()?,
            runtime,
            url: url.to_owned(),
            prompts: work.prompts.clone(),
            key: work.key,
            owner: work.owner,
        })
    }

    fn ask(&self, request: RequestBuilder, body: usize) -> Result<Seen> {
        let request = request
            .header(AUTHORIZATION, format!("Bearer {TOKEN}"))
            .build()?;
        // What the library adds (host, accept, user-agent, content-length) is not in it.
        let first = format!("{} {} HTTP/1.1\r\n", request.method(), request.url().path());
        let head_up = first.len() + bytes_of(request.headers());
        let (head_down, received) = self.runtime.block_on(async {
            let response = self.client.execute(request).await?.error_for_status()?;
            let first = format!("{:?} {}\r\n", response.version(), response.status());
            let head = first.len() + bytes_of(response.headers());
            anyhow::Ok((head, response.bytes().await?.len()))
        })?;
        ensure!(received > 0, "an empty answer");
        let bodies = Bytes {
            up: body as u64,
            down: received as u64,
        };
        Ok(Seen {
            seen: Bytes {
                up: bodies.up + head_up as u64,
                down: bodies.down + head_down as u64,
            },
            bodies,
        })
    }
}

/// A head's lines and the empty one behind them.
fn bytes_of(headers: &HeaderMap) -> usize {
    let lines = headers.iter();
    let lines = lines.map(|(name, value)| name.as_str().len() + value.len() + ": \r\n".len());
    lines.sum::<usize>() + "\r\n".len()
}

impl Asks for Reqwest {
    type Told = Seen;

    fn submit(&mut self) -> Result<Seen> {
        let url = format!("{}/v1/rounds/1/sealing", self.url);
        let sealing = self.ask(self.client.get(url), 0)?;
        let url = format!("{}/v1/rounds/1/submission", self.url);
        let body = seal(&self.prompts.to_wire(), &self.key, self.owner)?;
        let bytes = body.len();
        let request = self.client.put(url).header(CONTENT_TYPE, WIRE_MEDIA_TYPE);
        Ok(sealing.and(self.ask(request.body(body), bytes)?))
    }

    fn fetch(&mut self) -> Result<Seen> {
        let url = format!("{}/v1/rounds/1/model", self.url);
        self.ask(self.client.get(url), 0)
    }
}
