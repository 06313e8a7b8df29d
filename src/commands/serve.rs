//! `promptfed serve`: the server.

use super::synth;
use crate::Context;
use anyhow::Result;
use clap::Args as ClapArgs;
use promptfed_server::{Engines, ServerConfig, run_blocking};
use promptfed_synth::engines::sd::{
    Configured, DeviceKind, LoadOptions, Precision, Settings, StableDiffusion,
};
use serde_json::json;
use std::net::SocketAddr;
use std::path::PathBuf;

/// Run a server: it accepts prompts, synthesises, trains, and hands out the model.
///
/// Everything it keeps lies in one data folder. It can be killed at any moment: what it acknowledged is kept, and jobs
/// go on at the next start. It speaks plain HTTP; put a TLS proxy in front of it on an open network.
#[derive(ClapArgs)]
pub(crate) struct Args {
    /// Where to listen; port 0 takes a free one
    #[arg(long, default_value = "127.0.0.1:7878")]
    addr: SocketAddr,
    /// Folder for everything the server keeps
    #[arg(long, value_name = "DIR", default_value = "promptfed-server")]
    data_dir: PathBuf,
    /// Weights of the pocket engine: all, photo, draw, or a folder [default: all]
    #[arg(long, value_name = "NAME|DIR")]
    pocket: Option<String>,
    /// Stable Diffusion for the rounds that ask for the engine sd: a folder in diffusers' layout, or OWNER/NAME[@REVISION] on
    /// the hub
    #[arg(long, value_name = "DIR|ID")]
    sd: Option<String>,
    /// Where --sd runs: cpu or cuda
    #[arg(long, default_value = "cpu", requires = "sd")]
    sd_device: DeviceKind,
    /// Images that --sd makes together
    #[arg(long, value_name = "N", default_value_t = 1, requires = "sd")]
    sd_batch: usize,
    /// Height and width of the images of --sd in pixels, a multiple of 8 [default: the model's]
    #[arg(long, value_name = "PIXELS", requires = "sd")]
    sd_size: Option<u32>,
    /// The administrator's token [default: made at the first start, kept in DATA_DIR/admin.token]
    #[arg(long, env = "PROMPTFED_ADMIN_TOKEN", hide_env_values = true)]
    admin_token: Option<String>,
}

pub(crate) fn run(args: Args, context: &Context) -> Result<()> {
    let pocket = synth::pocket_folder(args.pocket.as_deref())?;
    let mut engines = Engines::new().with_pocket(pocket);
    if let Some(model) = &args.sd {
        let (folder, origin) = synth::model_folder(model, Precision::chosen(), context)?;
        let options = LoadOptions {
            precision: Precision::chosen(),
            device: args.sd_device.open()?,
            batch: args.sd_batch,
            size: args.sd_size,
            ..LoadOptions::default()
        };
        engines = engines.with("sd", move || {
            let settings = Settings {
                origin: origin.clone(),
                ..Settings::default()
            };
            let model = StableDiffusion::load(&folder, &options)?;
            Ok(Box::new(Configured::new(model, settings)))
        });
    }
    let given = args.admin_token.is_some();
    let data_dir = args.data_dir.clone();
    let config = ServerConfig {
        addr: args.addr,
        data_dir: args.data_dir,
        engines,
        admin_token: args.admin_token,
    };
    run_blocking(config, |server| {
        if context.json {
            println!(
                "{}",
                json!({ "url": server.url(), "data_dir": data_dir.display().to_string() })
            );
        } else {
            println!("listening on {}", server.url());
            if !given {
                println!(
                    "administrator's token: {}",
                    data_dir.join("admin.token").display()
                );
            }
            println!("API: {}/openapi.json; ctrl-c ends", server.url());
        }
    })?;
    Ok(())
}
