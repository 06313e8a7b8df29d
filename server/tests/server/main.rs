//! Tests of a running server, through its sockets.
#![allow(clippy::unwrap_used)]

mod access;
mod crash;
mod downloads;
mod failures;
mod fusion;
mod handshakes;
mod images;
mod jobs;
mod ledger;
mod openapi;
mod operation;
mod plans;
mod requests;
mod slow;
mod submissions;
mod support;
mod tls;
