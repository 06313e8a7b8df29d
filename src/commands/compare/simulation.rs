//! Flags of simulated links and computers.

use super::setting::above_zero_to_one;
use clap::Args as ClapArgs;
use promptfed_eval::simulation::{Links, ServerSpeed, Simulation, Stragglers};
use promptfed_eval::summary::MethodSummary;

/// How slow the clients' links and computers are.
#[derive(ClapArgs, Clone, Default)]
pub(crate) struct SimulationArgs {
    /// Links of the clients, in bytes a second: how long each method would take on them is told beside its accuracy
    #[arg(
        long,
        value_name = "up=SPEED,down=SPEED",
        help_heading = "Simulated time",
        requires = "sample_seconds"
    )]
    links: Option<Links>,
    /// Seconds in which a client trains on one image once
    #[arg(long, value_name = "SECONDS", help_heading = "Simulated time", requires = "links", value_parser = above_zero)]
    sample_seconds: Option<f64>,
    /// Share of the clients that are slower, drawn by the seed, and how many times as long they train: 0.2:5
    #[arg(long, value_name = "SHARE:FACTOR", help_heading = "Simulated time")]
    stragglers: Option<Stragglers>,
    /// Seconds of the server for each round, each image that it makes, and each image that it trains on once; 0 of what is not said
    #[arg(
        long,
        value_name = "round=SECONDS,image=SECONDS,sample=SECONDS",
        help_heading = "Simulated time"
    )]
    server_speed: Option<ServerSpeed>,
    /// Simulated seconds after which a round goes on without the clients that it has not heard of
    #[arg(long, value_name = "SECONDS", help_heading = "Simulated time", value_parser = above_zero)]
    deadline: Option<f64>,
    /// Tell after how many simulated seconds this test accuracy is reached, from 0 to 1
    #[arg(long, value_name = "SHARE", help_heading = "Simulated time", value_parser = above_zero_to_one)]
    pub(super) target_accuracy: Option<f64>,
}

impl SimulationArgs {
    /// What is simulated, where something is.
    pub(super) fn simulation(&self) -> Option<Simulation> {
        Some(Simulation {
            links: self.links?,
            sample_seconds: self.sample_seconds?,
            stragglers: self.stragglers,
            server: self.server_speed.unwrap_or_default(),
            deadline: self.deadline,
        })
    }
}

/// Says where a server makes images and trains on them in no time of the simulated clock, and what it took here.
pub(super) fn free_server(
    simulation: Option<&Simulation>,
    methods: &[MethodSummary],
) -> Option<String> {
    if simulation?.server != ServerSpeed::default() {
        return None;
    }
    let made = methods
        .iter()
        .find_map(|method| Some((method, method.synthetic?.made)));
    let (method, images) = made?;
    Some(format!(
        "on the simulated clock the server makes images and trains on them in no time, though a whole run of {} took {:.1} s here, with {images} images; say how long with --server-speed image=SECONDS,sample=SECONDS",
        method.name, method.seconds
    ))
}

fn above_zero(text: &str) -> Result<f64, String> {
    let seconds = text.parse().ok();
    let seconds = seconds.filter(|s: &f64| s.is_finite() && *s > 0.0);
    seconds.ok_or_else(|| "give seconds above 0".to_owned())
}
