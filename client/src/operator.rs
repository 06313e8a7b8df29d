//! What the operator of a round asks for once there are images: to look through them, to drop some, to train again and to say which model clients get.

use std::ops::ControlFlow;
use std::thread::sleep;
use std::time::{Duration, Instant};

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use promptfed_prompts::ContentHash;
use promptfed_prompts::ledger::PayloadKind;
use promptfed_prompts::protocol::{
    DropRequest, DroppedImages, ImagePage, MAX_LISTED_IMAGES, RoundId, RoundResults, RoundState,
    TrainingRequest, TrainingStatus,
};

use crate::admin::AdminClient;
use crate::request_error::RequestError;
use crate::session::{Call, LONGEST_AWAY, Session};

/// Which of a round's images are asked for; all where nothing is said.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ImagesAsked {
    /// Those of this class.
    pub class: Option<String>,
    /// Those whose prompts have this domain.
    pub domain: Option<String>,
    /// Those that are dropped, or those that are not.
    pub dropped: Option<bool>,
    /// At most so many, the first ones.
    pub limit: Option<u64>,
}

impl ImagesAsked {
    fn path(&self, round: RoundId, offset: u64, limit: u64) -> String {
        let mut path = format!("/v1/rounds/{round}/images?offset={offset}&limit={limit}");
        for (name, value) in [("class", &self.class), ("domain", &self.domain)] {
            if let Some(value) = value {
                let value = utf8_percent_encode(value, NON_ALPHANUMERIC);
                path += &format!("&{name}={value}");
            }
        }
        if let Some(dropped) = self.dropped {
            path += &format!("&dropped={dropped}");
        }
        path
    }
}

impl AdminClient {
    /// Lists a round's images, page after page, and how many there are in all of those that are asked for.
    ///
    /// # Errors
    /// [`RequestError::Refused`] with code `malformed` for a class that the round does not have.
    pub fn images(&self, round: RoundId, asked: &ImagesAsked) -> Result<ImagePage, RequestError> {
        let most = asked.limit.unwrap_or(u64::MAX);
        let mut all = ImagePage {
            images: Vec::new(),
            total: 0,
        };
        loop {
            let there = all.images.len() as u64;
            let limit = u64::from(MAX_LISTED_IMAGES)
                .min(most.saturating_sub(there))
                .max(1);
            let path = asked.path(round, there, limit);
            let page: ImagePage = self.message(&Call::get(path, PayloadKind::Control))?;
            let is_last = page.images.is_empty();
            all.total = page.total;
            all.images.extend(page.images);
            let there = all.images.len() as u64;
            if is_last || there >= most || there >= all.total {
                all.images
                    .truncate(usize::try_from(most).unwrap_or(usize::MAX));
                return Ok(all);
            }
        }
    }

    /// Downloads one of a round's images, as a PNG file.
    ///
    /// # Errors
    /// [`RequestError::Refused`] with code `not_found`.
    pub fn image(&self, round: RoundId, hash: ContentHash) -> Result<Vec<u8>, RequestError> {
        let path = format!("/v1/rounds/{round}/images/{hash}");
        self.send(&Call::get(path, PayloadKind::Control))
    }

    /// Takes images out of all later trainings, or back in.
    ///
    /// # Errors
    /// [`RequestError::Invalid`] before anything is sent, [`RequestError::Refused`] with code `invalid` for images that there are not.
    pub fn drop_images(
        &self,
        round: RoundId,
        request: &DropRequest,
    ) -> Result<DroppedImages, RequestError> {
        request.validate()?;
        let path = format!("/v1/rounds/{round}/drops");
        self.post(path, PayloadKind::Control, Some(request), true)
    }

    /// Asks for one more training of the images of a round that is done. It is not repeated on a broken connection: that could ask for two.
    ///
    /// # Errors
    /// [`RequestError::Invalid`] before anything is sent, [`RequestError::Refused`] with code `wrong_state` for a round that is not done.
    pub fn train(
        &self,
        round: RoundId,
        request: &TrainingRequest,
    ) -> Result<TrainingStatus, RequestError> {
        request.validate()?;
        let path = format!("/v1/rounds/{round}/trainings");
        self.post(path, PayloadKind::Control, Some(request), false)
    }

    /// The trainings of a round, its own first.
    ///
    /// # Errors
    /// As every request: [`RequestError`] tells.
    pub fn trainings(&self, round: RoundId) -> Result<Vec<TrainingStatus>, RequestError> {
        let path = format!("/v1/rounds/{round}/trainings");
        self.message(&Call::get(path, PayloadKind::Control))
    }

    /// Asks until a training is done, at first often, then every two seconds. `progress` sees every status and can stop the waiting, which then ends
    /// as [`RequestError::StillWorking`]. A server that has answered once may be away for five minutes, as when it is started again.
    ///
    /// # Errors
    /// [`RequestError::TrainingEnded`] when it failed or was cancelled, [`RequestError::StillWorking`] after `limit`.
    pub fn wait_for_training(
        &self,
        round: RoundId,
        training: u32,
        limit: Option<Duration>,
        progress: &mut dyn FnMut(&TrainingStatus) -> ControlFlow<()>,
    ) -> Result<TrainingStatus, RequestError> {
        let start = Instant::now();
        let mut pause = Duration::from_millis(50);
        let mut heard: Option<Instant> = None;
        loop {
            let all = match self.trainings(round) {
                Err(error)
                    if error.may_pass()
                        && heard.is_some_and(|at| at.elapsed() < LONGEST_AWAY)
                        && limit.is_none_or(|limit| start.elapsed() < limit) =>
                {
                    sleep(pause);
                    pause = (pause * 3 / 2).min(Duration::from_secs(2));
                    continue;
                }
                all => all?,
            };
            heard = Some(Instant::now());
            let found = all.into_iter().find(|status| status.training == training);
            let Some(status) = found else {
                // Its number was given by the server.
                return Err(RequestError::TrainingEnded {
                    round,
                    training,
                    state: RoundState::Unknown,
                });
            };
            let flow = progress(&status);
            if status.state == RoundState::Done {
                return Ok(status);
            }
            let (waited, state) = (start.elapsed(), status.state);
            if state.is_final() || matches!(state, RoundState::Paused { .. }) {
                return Err(RequestError::TrainingEnded {
                    round,
                    training,
                    state,
                });
            }
            if flow.is_break() || limit.is_some_and(|limit| waited >= limit) {
                return Err(RequestError::StillWorking {
                    round,
                    waited,
                    state,
                });
            }
            sleep(pause);
            pause = (pause * 3 / 2).min(Duration::from_secs(2));
        }
    }

    /// Makes the model of a training the one that clients get.
    ///
    /// # Errors
    /// [`RequestError::Refused`] with code `wrong_state` while it is not done.
    pub fn publish(&self, round: RoundId, training: u32) -> Result<TrainingStatus, RequestError> {
        self.ask_of_training(round, training, "publish")
    }

    /// Ends a training without results.
    ///
    /// # Errors
    /// [`RequestError::Refused`] with code `wrong_state` when it has ended already.
    pub fn cancel_training(
        &self,
        round: RoundId,
        training: u32,
    ) -> Result<TrainingStatus, RequestError> {
        self.ask_of_training(round, training, "cancel")
    }

    /// Has a training that failed, or is paused, tried again.
    ///
    /// # Errors
    /// [`RequestError::Refused`] with code `wrong_state` for one in another state.
    pub fn retry_training(
        &self,
        round: RoundId,
        training: u32,
    ) -> Result<TrainingStatus, RequestError> {
        self.ask_of_training(round, training, "retry")
    }

    fn ask_of_training(
        &self,
        round: RoundId,
        training: u32,
        what: &str,
    ) -> Result<TrainingStatus, RequestError> {
        let path = format!("/v1/rounds/{round}/trainings/{training}/{what}");
        self.post(path, PayloadKind::Control, None::<&()>, true)
    }
}

impl Session {
    /// The results of one training, published or not; for the administrator.
    ///
    /// # Errors
    /// [`RequestError::Refused`] with code `wrong_state` while it is not done.
    pub fn training_results(
        &self,
        round: RoundId,
        training: u32,
    ) -> Result<RoundResults, RequestError> {
        let path = format!("/v1/rounds/{round}/trainings/{training}");
        self.message(&Call::get(path, PayloadKind::Control))
    }

    /// Downloads the model of one training, published or not, and checks its hash; for the administrator.
    ///
    /// # Errors
    /// [`RequestError::Model`] when other bytes came.
    pub fn training_model(&self, results: &RoundResults) -> Result<Vec<u8>, RequestError> {
        let (round, training) = (results.round_id, results.training);
        let path = format!("/v1/rounds/{round}/trainings/{training}/model");
        let bytes = self.send(&Call::get(path, PayloadKind::Model))?;
        let (expected, received) = (results.model.hash, ContentHash::of(&bytes));
        if expected == received {
            Ok(bytes)
        } else {
            Err(RequestError::Model { expected, received })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_written_so_that_an_address_holds_them() {
        let asked = ImagesAsked {
            class: Some("T-shirt/top & co".into()),
            domain: Some("Café".into()),
            dropped: Some(false),
            limit: None,
        };
        assert_eq!(
            asked.path(RoundId::new(3), 7, 50),
            "/v1/rounds/3/images?offset=7&limit=50&class=T%2Dshirt%2Ftop%20%26%20co&domain=Caf%C3%A9&dropped=false"
        );
    }
}
