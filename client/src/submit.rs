//! A client of the federation: reads a round, submits prompts, takes the results.

use std::ops::Deref;

use promptfed_privacy::{SealedFor, seal};
use promptfed_prompts::ledger::PayloadKind;
use promptfed_prompts::protocol::{
    RoundId, RoundSealing, SubmissionAnswer, SubmissionOutcome, SubmissionReceipt, WIRE_MEDIA_TYPE,
    Withdrawal,
};
use promptfed_prompts::{ContentHash, PromptSet};

use crate::admin::Registration;
use crate::request_error::RequestError;
use crate::session::{Call, RetryPolicy, Session};
use crate::trust::ServerTrust;

/// A registered client's session with a server; what everybody may read is in [`Session`].
///
/// ```no_run
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let (prompts, token): (promptfed_prompts::PromptSet, &str) = unimplemented!();
/// use promptfed_client::FederationClient;
/// use promptfed_prompts::protocol::RoundId;
///
/// let client = FederationClient::new("http://127.0.0.1:8080", "hospital-a", token)?;
/// let answer = client.submit(RoundId::new(1), &prompts)?;
/// println!("stored as {}", answer.receipt.hash);
/// # Ok(())
/// # }
/// ```
pub struct FederationClient(Session);

impl FederationClient {
    /// A session under a client's token. `name` is the client's name in the ledger.
    ///
    /// # Errors
    /// [`RequestError::Address`], and [`RequestError::Token`] for what is no token.
    pub fn new(url: &str, name: impl Into<String>, token: &str) -> Result<Self, RequestError> {
        Self::with_retry(url, name, token, RetryPolicy::default())
    }

    /// A session for a client that has just enrolled in this program.
    ///
    /// # Errors
    /// [`RequestError::Address`], and [`RequestError::Token`] for what is no token.
    pub fn of(url: &str, registration: &Registration) -> Result<Self, RequestError> {
        Self::new(url, &registration.name, &registration.token)
    }

    /// As [`FederationClient::new`], with another policy of retries.
    ///
    /// # Errors
    /// [`RequestError::Address`], and [`RequestError::Token`] for what is no token.
    pub fn with_retry(
        url: &str,
        name: impl Into<String>,
        token: &str,
        retry: RetryPolicy,
    ) -> Result<Self, RequestError> {
        Session::new(url, name, token, retry, &ServerTrust::default()).map(Self)
    }

    /// As [`FederationClient::new`], with a server that is known in another way.
    ///
    /// # Errors
    /// As [`FederationClient::new`], [`RequestError::PlainHttp`], and files of authorities that are none.
    pub fn with_trust(
        url: &str,
        name: impl Into<String>,
        token: &str,
        trust: &ServerTrust,
    ) -> Result<Self, RequestError> {
        Session::new(url, name, token, RetryPolicy::default(), trust).map(Self)
    }

    /// Submits a prompt set, sealed to the round's key: whoever carries or stores it on the way sees its size class. When this returns, the server
    /// has it on its disk.
    ///
    /// Repeating it is safe: the same content has the same receipt, though it is sealed anew each time.
    ///
    /// # Errors
    /// [`RequestError::Refused`] for a wrong label space, a closed round and other refusals.
    pub fn submit(
        &self,
        round: RoundId,
        prompts: &PromptSet,
    ) -> Result<SubmissionAnswer, RequestError> {
        let sealing = self.sealing(round)?;
        let (sent, hash) = match &sealing.key {
            Some(key) => {
                let owner = SealedFor {
                    round,
                    client: sealing.client_id,
                };
                let sealed = seal(&prompts.to_wire(), key, owner)?;
                let hash = ContentHash::of(&sealed);
                (sealed, hash)
            }
            // Of a round that was opened before there were keys.
            None => (prompts.to_wire(), prompts.hash()),
        };
        let answer: SubmissionAnswer = self.0.message(&Call {
            method: "PUT",
            path: submission(round),
            body: Some((WIRE_MEDIA_TYPE, PayloadKind::Prompts, &sent)),
            answer: PayloadKind::Control,
            repeatable: true,
        })?;
        // Of content that was there already the receipt is for the bytes that brought it.
        let is_earlier = sealing.key.is_some()
            && answer.outcome == SubmissionOutcome::Duplicate
            && answer.receipt.prompts == prompts.len() as u64;
        let received = answer.receipt.hash;
        if hash == received || is_earlier {
            Ok(answer)
        } else {
            Err(RequestError::Receipt {
                sent: hash,
                received,
            })
        }
    }

    /// To which key, and under which number, this client seals its prompts for a round.
    ///
    /// # Errors
    /// As every request: [`RequestError`] tells.
    pub fn sealing(&self, round: RoundId) -> Result<RoundSealing, RequestError> {
        self.0.message(&Call::get(
            format!("/v1/rounds/{round}/sealing"),
            PayloadKind::Control,
        ))
    }

    /// The receipt of what this client has submitted.
    ///
    /// # Errors
    /// [`RequestError::Refused`] with code `not_found` when it has submitted nothing.
    pub fn receipt(&self, round: RoundId) -> Result<SubmissionReceipt, RequestError> {
        self.0
            .message(&Call::get(submission(round), PayloadKind::Control))
    }

    /// Takes back what this client has submitted to a round that is open; it may submit again.
    ///
    /// Repeating it is safe: where nothing is left, the answer has no receipt.
    ///
    /// # Errors
    /// [`RequestError::Refused`] with code `wrong_state` once the round is closed.
    pub fn withdraw(&self, round: RoundId) -> Result<Withdrawal, RequestError> {
        self.0.message(&Call {
            method: "DELETE",
            ..Call::get(submission(round), PayloadKind::Control)
        })
    }
}

impl Deref for FederationClient {
    type Target = Session;

    fn deref(&self) -> &Session {
        &self.0
    }
}

fn submission(round: RoundId) -> String {
    format!("/v1/rounds/{round}/submission")
}
