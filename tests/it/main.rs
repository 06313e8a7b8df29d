//! The program as its users run it: one executable, as each would have the whole library in it.
#![allow(clippy::unwrap_used)]

mod support;

mod comparing;
mod comparing_data;
mod doctor;
mod engines;
mod enrolment;
mod fused_rounds;
mod fusion;
mod long_prompts;
mod operator;
mod outputs;
mod pictures;
mod program;
mod prompt_lists;
mod quality;
mod reading;
mod readme;
mod records;
mod release;
mod round_trip;
mod settings;
mod stable_diffusion;
mod training;
mod worker;
mod writing;
