//! The administrator of a federation: registers clients, opens and ends rounds.

use std::ops::Deref;

use promptfed_prompts::ledger::PayloadKind;
use promptfed_prompts::protocol::{
    Registration, RegistrationRequest, RoundId, RoundSpec, RoundStatus,
};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::request_error::RequestError;
use crate::session::{Call, RetryPolicy, Session};

/// The administrator's name in the ledger.
pub const ADMIN: &str = "administrator";

/// The administrator's session with a server; what everybody may read is in [`Session`].
pub struct AdminClient(Session);

impl AdminClient {
    /// A session under the administrator's token.
    ///
    /// # Errors
    /// [`RequestError::Address`], and [`RequestError::Token`] for what is no token.
    pub fn new(url: &str, token: &str) -> Result<Self, RequestError> {
        Self::with_retry(url, token, RetryPolicy::default())
    }

    /// As [`AdminClient::new`], with another policy of retries.
    ///
    /// # Errors
    /// [`RequestError::Address`], and [`RequestError::Token`] for what is no token.
    pub fn with_retry(url: &str, token: &str, retry: RetryPolicy) -> Result<Self, RequestError> {
        Session::new(url, ADMIN, token, retry).map(Self)
    }

    /// Registers a client; its token is shown only here. It is not repeated on a broken connection, because the name
    /// may be taken by then: with `replace_token` set it can be done again.
    ///
    /// # Errors
    /// [`RequestError::Refused`] with code `name_taken`.
    pub fn register(&self, request: &RegistrationRequest) -> Result<Registration, RequestError> {
        request.validate()?;
        self.post(
            "/v1/clients".to_owned(),
            PayloadKind::Control,
            Some(request),
            request.replace_token,
        )
    }

    /// Opens a round. It is not repeated on a broken connection: that could open two.
    ///
    /// # Errors
    /// [`RequestError::Invalid`] before anything is sent, [`RequestError::Refused`] for an engine that the server lacks.
    pub fn open_round(&self, spec: &RoundSpec) -> Result<RoundStatus, RequestError> {
        spec.validate()?;
        self.post(
            "/v1/rounds".to_owned(),
            PayloadKind::RoundSpec,
            Some(spec),
            false,
        )
    }

    /// Ends the time for submissions and starts the job.
    ///
    /// # Errors
    /// [`RequestError::Refused`] with code `wrong_state` when nobody has submitted or the round was cancelled.
    pub fn close(&self, round: RoundId) -> Result<RoundStatus, RequestError> {
        self.post(
            format!("/v1/rounds/{round}/close"),
            PayloadKind::Control,
            None::<&()>,
            true,
        )
    }

    /// Ends a round without results.
    ///
    /// # Errors
    /// [`RequestError::Refused`] with code `wrong_state` when it has ended already.
    pub fn cancel(&self, round: RoundId) -> Result<RoundStatus, RequestError> {
        self.post(
            format!("/v1/rounds/{round}/cancel"),
            PayloadKind::Control,
            None::<&()>,
            true,
        )
    }

    fn post<T: DeserializeOwned>(
        &self,
        path: String,
        kind: PayloadKind,
        message: Option<&impl Serialize>,
        repeatable: bool,
    ) -> Result<T, RequestError> {
        let body = message
            .map(serde_json::to_vec)
            .transpose()
            .map_err(|error| RequestError::Answer {
                method: "POST",
                url: path.clone(),
                reason: error.to_string(),
            })?;
        // A POST always states a length, if only zero.
        let body = Some((
            "application/json",
            kind,
            body.as_deref().unwrap_or_default(),
        ));
        let answer = PayloadKind::Control;
        self.0.message(&Call {
            method: "POST",
            path,
            body,
            answer,
            repeatable,
        })
    }
}

impl Deref for AdminClient {
    type Target = Session;

    fn deref(&self) -> &Session {
        &self.0
    }
}
