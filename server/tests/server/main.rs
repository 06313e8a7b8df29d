//! Tests of a running server, through its sockets.
#![allow(clippy::unwrap_used)]

mod access;
mod browser;
mod crash;
mod dashboard;
mod downloads;
mod enrolment;
mod failures;
mod fusion;
mod generated_client;
mod handshakes;
mod images;
mod jobs;
mod ledger;
mod openapi;
mod operation;
mod plans;
mod requests;
mod sealing;
mod slow;
mod submissions;
mod support;
mod tls;
mod trainings;
mod withdrawals;
