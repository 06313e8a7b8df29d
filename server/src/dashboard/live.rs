//! What changes in a round, sent to pages that are open as server-sent events.
//!
//! Every entry of the log has its number for an identifier. A browser that was cut off, as by a restart of the server, names the last one that it had
//! (`Last-Event-ID`) and is sent all after it; one that names none is sent the log as it is.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::time::Duration;

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::IntoResponse;
use axum::response::sse::{Event, KeepAlive, Sse};
use futures_util::stream;
use maud::Markup;
use promptfed_prompts::protocol::RoundId;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::sleep;

use super::fault::{Answer, Fault};
use super::results::results;
use super::round::{SHOWN_EVENTS, View};
use super::round_parts::{actions, entry, log, members, standing};
use super::strip::strips;
use super::visitor::{Round, Visitor};
use crate::Result;
use crate::http::live;
use crate::state::AppState;
use crate::store::{NumberedEvent, Store};

/// How often is looked for changes.
const EACH: Duration = Duration::from_millis(500);
/// When a browser that was cut off comes again.
const COMES_AGAIN: Duration = Duration::from_secs(1);
/// Entries of the log that are read at once.
const MOST_ENTRIES: u32 = 500;

/// Follows a round.
pub(super) async fn follow(
    visitor: Visitor,
    Round(round): Round,
    State(state): State<AppState>,
    headers: HeaderMap,
) -> Answer<impl IntoResponse> {
    let place = state.visits.streams.clone().try_acquire_owned();
    let place = place.map_err(|_| {
        Fault::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "as many pages are kept up to date as can be",
            "close some, or load the page again to see how it is now",
        )
    })?;
    let last = headers
        .get("last-event-id")
        .and_then(|value| value.to_str().ok());
    let following = Following {
        after: last.and_then(|number| number.parse().ok()),
        state,
        round,
        visitor,
        standing: String::new(),
        strip: String::new(),
        stage: None,
        fuses: false,
        events: VecDeque::from([Event::default().retry(COMES_AGAIN)]),
        is_ended: false,
        _place: place,
    };
    let events = stream::unfold(following, |mut following| async move {
        let event = following.next().await?;
        Some((Ok::<_, Infallible>(event), following))
    });
    Ok(Sse::new(events).keep_alive(KeepAlive::default()))
}

/// A page that is open.
struct Following {
    state: AppState,
    round: RoundId,
    visitor: Visitor,
    /// The number of the last entry of the log that the page has; nothing before it has any.
    after: Option<u64>,
    /// What the page shows of where the round stands.
    standing: String,
    /// What the page shows of its images.
    strip: String,
    /// The state whose actions and results the page shows; none at first.
    stage: Option<&'static str>,
    /// Whether the round's plan has images fused.
    fuses: bool,
    events: VecDeque<Event>,
    is_ended: bool,
    _place: OwnedSemaphorePermit,
}

/// Entries of the log.
enum Entries {
    /// The latest, of a page that has none.
    Latest(Vec<NumberedEvent>),
    /// Those after the last that the page has.
    Later(Vec<NumberedEvent>),
}

impl Following {
    /// The next event; nothing once the page is to come again or is no longer for whoever looks at it.
    async fn next(&mut self) -> Option<Event> {
        loop {
            if let Some(event) = self.events.pop_front() {
                return Some(event);
            }
            if self.is_ended || self.state.jobs.are_stopping() {
                return None;
            }
            if let Err(error) = self.look().await {
                tracing::warn!(round = %self.round, %error, "a page could not be kept up to date");
                return None;
            }
            if self.events.is_empty() {
                sleep(EACH).await;
            }
        }
    }

    async fn look(&mut self) -> Result<()> {
        let (round, after) = (self.round, self.after);
        let (session, admin) = (self.visitor.session(), self.state.admin);
        let all = self.visitor.sees_prompts();
        let found = self.state.store(move |store| {
            if store.session_role(session, admin)?.is_none() {
                return Ok(None);
            }
            let entries = match all {
                true => Entries::read(store, round, after)?,
                false => Entries::Later(Vec::new()),
            };
            let status = store.status(round)?;
            Ok(status.map(|status| (status, entries)))
        });
        let Some((mut status, entries)) = found.await? else {
            self.is_ended = true;
            return Ok(());
        };
        live(&self.state, &mut status);
        let has_news = self.tell_log(&entries);
        let stage = status.state.name();
        let is_other = self.stage != Some(stage);
        if has_news || is_other {
            let view = self.state.store(move |store| View::read(store, round, all));
            let Some(view) = view.await? else {
                self.is_ended = true;
                return Ok(());
            };
            self.fuses = view.fuses();
            self.stage = Some(stage);
            if is_other {
                let results = results(&view.spec, view.results.as_ref(), &self.visitor);
                self.tell("results", results);
            }
            if is_other && all {
                let actions = actions(&status, &self.visitor);
                self.tell("actions", actions);
            }
            if all {
                self.tell("members", members(&view.members));
            }
        }
        if let Some(drawn) = self.state.jobs.strips().of(round) {
            let strip = strips(&drawn).into_string();
            if strip != self.strip {
                self.events.push_back(event("strip", &strip));
                self.strip = strip;
            }
        }
        let standing = standing(&status, self.fuses, &self.visitor).into_string();
        if standing != self.standing {
            self.events.push_back(event("standing", &standing));
            self.standing = standing;
        }
        Ok(())
    }

    fn tell(&mut self, name: &str, part: Markup) {
        self.events.push_back(event(name, &part.into_string()));
    }

    /// Tells what is new in the log; says whether anything is.
    fn tell_log(&mut self, entries: &Entries) -> bool {
        match entries {
            Entries::Latest(latest) => {
                let last = latest.first().map_or(0, |event| event.number);
                let told = event("log", &log(latest).into_string());
                self.events.push_back(told.id(last.to_string()));
                self.after = Some(last);
                true
            }
            Entries::Later(later) => {
                for new in later {
                    let told = event("entry", &entry(new).into_string());
                    self.events.push_back(told.id(new.number.to_string()));
                    self.after = Some(new.number);
                }
                !later.is_empty()
            }
        }
    }
}

impl Entries {
    fn read(store: &Store, round: RoundId, after: Option<u64>) -> Result<Self> {
        let last = store.latest_events(Some(round), None, 1)?;
        let last = last.first().map_or(0, |event| event.number);
        Ok(match after {
            // A number beyond the last is of a database that another one has taken the place of.
            Some(after) if after <= last => {
                Self::Later(store.events_after(round, after, MOST_ENTRIES)?)
            }
            _ => Self::Latest(store.latest_events(Some(round), None, SHOWN_EVENTS)?),
        })
    }
}

/// An event. Its text cannot have carriage returns on the way, and browsers pass over one without text.
fn event(name: &str, part: &str) -> Event {
    let part = part.replace('\r', "");
    let data = if part.is_empty() { "<!-- -->" } else { &part };
    Event::default().event(name).data(data)
}
