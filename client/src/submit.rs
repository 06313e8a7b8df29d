//! A client of the federation: reads a round, submits prompts, takes the results.

use std::ops::Deref;

use promptfed_prompts::PromptSet;
use promptfed_prompts::ledger::PayloadKind;
use promptfed_prompts::protocol::{
    Registration, RoundId, SubmissionAnswer, SubmissionReceipt, WIRE_MEDIA_TYPE,
};

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

    /// A session for a client that was just registered.
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

    /// Submits a prompt set. When this returns, the server has it on its disk.
    ///
    /// Repeating it is safe: the same content has the same receipt.
    ///
    /// # Errors
    /// [`RequestError::Refused`] for a wrong label space, a closed round and other refusals.
    pub fn submit(
        &self,
        round: RoundId,
        prompts: &PromptSet,
    ) -> Result<SubmissionAnswer, RequestError> {
        let wire = prompts.to_wire();
        let answer: SubmissionAnswer = self.0.message(&Call {
            method: "PUT",
            path: submission(round),
            body: Some((WIRE_MEDIA_TYPE, PayloadKind::Prompts, &wire)),
            answer: PayloadKind::Control,
            repeatable: true,
        })?;
        let (sent, received) = (prompts.hash(), answer.receipt.hash);
        if sent == received {
            Ok(answer)
        } else {
            Err(RequestError::Receipt { sent, received })
        }
    }

    /// The receipt of what this client has submitted.
    ///
    /// # Errors
    /// [`RequestError::Refused`] with code `not_found` when it has submitted nothing.
    pub fn receipt(&self, round: RoundId) -> Result<SubmissionReceipt, RequestError> {
        self.0
            .message(&Call::get(submission(round), PayloadKind::Control))
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
