//! The administrator of a federation: registers clients, opens and ends rounds.

use std::fmt;
use std::ops::Deref;

use promptfed_prompts::ledger::PayloadKind;
use promptfed_prompts::protocol::{
    ClientEntry, ClientId, DeletedRound, Invitation, RegistrationRequest, RegistrationsRequest,
    RoundEvent, RoundId, RoundMember, RoundSpec, RoundStatus,
};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::enrol::{self, new_token};
use crate::request_error::RequestError;
use crate::session::{Call, RetryPolicy, Session};
use crate::trust::ServerTrust;

/// The administrator's name in the ledger.
pub const ADMIN: &str = "administrator";

/// A client that has enrolled, in the program that it runs in.
#[derive(Clone)]
pub struct Registration {
    /// The identifier that the server assigned.
    pub client_id: ClientId,
    /// The registered name.
    pub name: String,
    /// The bearer token, a secret.
    pub token: String,
}

impl fmt::Debug for Registration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "Registration(client {}, {:?})",
            self.client_id, self.name
        )
    }
}

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
        Session::new(url, ADMIN, token, retry, &ServerTrust::default()).map(Self)
    }

    /// As [`AdminClient::new`], with a server that is known in another way.
    ///
    /// # Errors
    /// As [`AdminClient::new`], [`RequestError::PlainHttp`], and files of authorities that are none.
    pub fn with_trust(url: &str, token: &str, trust: &ServerTrust) -> Result<Self, RequestError> {
        Session::new(url, ADMIN, token, RetryPolicy::default(), trust).map(Self)
    }

    /// Registers a client, or gives one that is registered another code, where `replace_token` is set; the code is shown only here, and works for a
    /// week. It is not repeated on a broken connection, because the name may be taken by then: with `replace_token` set it can be done again.
    ///
    /// # Errors
    /// [`RequestError::Refused`] with code `name_taken`.
    pub fn invite(&self, request: &RegistrationRequest) -> Result<Invitation, RequestError> {
        // Which names of earlier versions are known, the server knows.
        if !request.replace_token {
            request.validate()?;
        }
        self.post(
            "/v1/clients".to_owned(),
            PayloadKind::Control,
            Some(request),
            request.replace_token,
        )
    }

    /// As [`AdminClient::invite`], of several clients: all or none.
    ///
    /// # Errors
    /// [`RequestError::Refused`] with code `name_taken`, which names all that are.
    pub fn invite_all(
        &self,
        request: &RegistrationsRequest,
    ) -> Result<Vec<Invitation>, RequestError> {
        if !request.replace_tokens {
            request.validate()?;
        }
        self.post(
            "/v1/registrations".to_owned(),
            PayloadKind::Control,
            Some(request),
            request.replace_tokens,
        )
    }

    /// Invites a client and enrols it, for a program that is operator and client at once.
    ///
    /// # Errors
    /// As [`AdminClient::invite`].
    pub fn register(&self, request: &RegistrationRequest) -> Result<Registration, RequestError> {
        self.enrol(&self.invite(request)?)
    }

    /// Enrols an invited client, for a program that is operator and client at once.
    ///
    /// # Errors
    /// [`RequestError::Refused`] with the codes of [`crate::EnrolmentString::enrol`].
    pub fn enrol(&self, invitation: &Invitation) -> Result<Registration, RequestError> {
        let token = new_token(invitation.client_id)?;
        let enrolment = enrol::enrol(&self.0, &invitation.code, &token)?;
        Ok(Registration {
            client_id: enrolment.client_id,
            name: enrolment.name,
            token,
        })
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

    /// Has the job of a round that failed, or is paused, tried again.
    ///
    /// # Errors
    /// [`RequestError::Refused`] with code `wrong_state` for a round in another state, and `storage_full`.
    pub fn retry(&self, round: RoundId) -> Result<RoundStatus, RequestError> {
        self.post(
            format!("/v1/rounds/{round}/retry"),
            PayloadKind::Control,
            None::<&()>,
            true,
        )
    }

    /// Deletes a round with its prompts, images and model. Nothing of it can be brought back.
    ///
    /// # Errors
    /// [`RequestError::Refused`] with code `wrong_state` while its job is in work; with `not_found`, also where an answer was lost and it is
    /// gone.
    pub fn delete(&self, round: RoundId) -> Result<DeletedRound, RequestError> {
        self.change("DELETE", format!("/v1/rounds/{round}"))
    }

    /// Who has submitted to a round and who has not.
    ///
    /// # Errors
    /// As every request: [`RequestError`] tells.
    pub fn members(&self, round: RoundId) -> Result<Vec<RoundMember>, RequestError> {
        self.0.message(&Call::get(
            format!("/v1/rounds/{round}/submissions"),
            PayloadKind::Control,
        ))
    }

    /// What happened to a round, the earliest first.
    ///
    /// # Errors
    /// As every request: [`RequestError`] tells.
    pub fn log(&self, round: RoundId) -> Result<Vec<RoundEvent>, RequestError> {
        self.0.message(&Call::get(
            format!("/v1/rounds/{round}/log"),
            PayloadKind::Control,
        ))
    }

    /// Removes a client's prompt set from a round that is open, paused or has failed, and takes none of it any more.
    ///
    /// # Errors
    /// [`RequestError::Refused`] with code `wrong_state` for a round in another state.
    pub fn exclude(&self, round: RoundId, client: ClientId) -> Result<RoundStatus, RequestError> {
        self.change("PUT", exclusion(round, client))
    }

    /// Lets a client submit again that was excluded.
    ///
    /// # Errors
    /// As [`AdminClient::exclude`].
    pub fn include(&self, round: RoundId, client: ClientId) -> Result<RoundStatus, RequestError> {
        self.change("DELETE", exclusion(round, client))
    }

    /// All clients in the order of their registration.
    ///
    /// # Errors
    /// As every request: [`RequestError`] tells.
    pub fn clients(&self) -> Result<Vec<ClientEntry>, RequestError> {
        self.0
            .message(&Call::get("/v1/clients".to_owned(), PayloadKind::Control))
    }

    /// Ends a client's token and takes back its code; what it has submitted stays.
    ///
    /// # Errors
    /// [`RequestError::Refused`] with code `not_found`.
    pub fn revoke(&self, client: ClientId) -> Result<ClientEntry, RequestError> {
        self.change("DELETE", format!("/v1/clients/{client}"))
    }

    /// The server's metrics in the text format of Prometheus.
    ///
    /// # Errors
    /// As every request: [`RequestError`] tells.
    pub fn metrics(&self) -> Result<String, RequestError> {
        let answer = self
            .0
            .send(&Call::get("/metrics".to_owned(), PayloadKind::Control))?;
        Ok(String::from_utf8_lossy(&answer).into_owned())
    }

    /// A request without a message; the server may get it twice.
    pub(crate) fn change<T: DeserializeOwned>(
        &self,
        method: &'static str,
        path: String,
    ) -> Result<T, RequestError> {
        self.0.message(&Call {
            method,
            path,
            body: (method == "PUT").then_some(("application/json", PayloadKind::Control, &[][..])),
            answer: PayloadKind::Control,
            repeatable: true,
        })
    }

    pub(crate) fn post<T: DeserializeOwned>(
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

fn exclusion(round: RoundId, client: ClientId) -> String {
    format!("/v1/rounds/{round}/exclusions/{client}")
}

impl Deref for AdminClient {
    type Target = Session;

    fn deref(&self) -> &Session {
        &self.0
    }
}
