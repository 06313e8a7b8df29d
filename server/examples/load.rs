//! How a server bears many clients: registers them at once, has each enrol and submit a small prompt set over a socket of its own, and tells requests a
//! second and how long a submission takes as the round fills.
//!
//! ```text
//! cargo run --release -p promptfed-server --example load -- --clients 10000 --domains 7 --threads 16
//! cargo run --release -p promptfed-server --example load -- --server http://host:7878 --admin-token-file federation/admin.token
//! ```
//!
//! Without `--server` it starts one in a temporary folder. The round is cancelled at the end and no image is made.

use std::error::Error;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use promptfed_client::{AdminClient, FederationClient, Registration};
use promptfed_prompts::protocol::{
    ClassifierArchitecture, ImageBudget, Invitation, MAX_REGISTRATIONS, PictureFit, PromptPlan,
    RegistrationsRequest, RoundId, RoundSpec, SourcePlan, SynthesisPlan, TrainingPlan,
};
use promptfed_prompts::{ClassIndex, Domain, LabelSpace, Level, PromptSet, TemplateSet};
use promptfed_server::{Engines, RunningServer, Server, ServerConfig};

type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

/// The parts of the round that are told one by one.
const PARTS: usize = 10;

struct Settings {
    clients: usize,
    domains: usize,
    threads: usize,
    server: Option<(String, String)>,
}

impl Settings {
    fn read() -> Result<Self> {
        let mut settings = Self {
            clients: 1000,
            domains: 7,
            threads: 8,
            server: None,
        };
        let (mut url, mut token) = (None, None);
        let mut args = std::env::args().skip(1);
        while let Some(flag) = args.next() {
            let value = args.next().ok_or_else(|| format!("{flag} needs a value"))?;
            match flag.as_str() {
                "--clients" => settings.clients = value.parse()?,
                "--domains" => settings.domains = value.parse()?,
                "--threads" => settings.threads = value.parse()?,
                "--server" => url = Some(value),
                "--admin-token-file" => token = Some(std::fs::read_to_string(value)?),
                _ => return Err(format!("unknown flag {flag}").into()),
            }
        }
        if settings.clients < PARTS || settings.domains == 0 || settings.threads == 0 {
            return Err(format!("at least {PARTS} clients, one domain and one thread").into());
        }
        settings.server = match (url, token) {
            (Some(url), Some(token)) => Some((url, token.trim().to_owned())),
            (None, None) => None,
            _ => return Err("give both --server and --admin-token-file, or none".into()),
        };
        Ok(settings)
    }
}

fn main() -> Result<()> {
    let settings = Settings::read()?;
    let own = match settings.server {
        Some(_) => None,
        None => Some(own_server()?),
    };
    let (url, token) = match (&settings.server, &own) {
        (Some((url, token)), _) => (url.clone(), token.clone()),
        (None, Some((server, _))) => (server.url(), server.admin_token().to_owned()),
        (None, None) => return Err("no server".into()),
    };
    let admin = AdminClient::new(&url, &token)?;
    let round = admin.open_round(&plan()?)?.round_id;

    let begun = Instant::now();
    let invitations = invite(&admin, settings.clients)?;
    println!(
        "{} clients registered in {:.2} s",
        invitations.len(),
        begun.elapsed().as_secs_f64()
    );
    let begun = Instant::now();
    let registrations = enrol(&admin, &invitations, settings.threads)?;
    println!("and enrolled in {:.2} s", begun.elapsed().as_secs_f64());
    let sets = prompt_sets(settings.domains)?;
    let begun = Instant::now();
    let times = submit(&url, round, &registrations, &sets, settings.threads)?;
    let seconds = begun.elapsed().as_secs_f64();
    println!(
        "{} submissions in {seconds:.2} s: {:.0} a second by {} threads",
        times.len(),
        times.len() as f64 / seconds,
        settings.threads
    );
    println!("   of the round    p50 ms    p99 ms    max ms");
    for part in 0..PARTS {
        let of = |part: usize| part * times.len() / PARTS;
        tell(
            &format!("{} to {} %", part * 10, part * 10 + 10),
            &times[of(part)..of(part + 1)],
        );
    }
    tell("all", &times);

    let begun = Instant::now();
    let status = admin.status(round)?;
    println!(
        "status: {} submissions, {:.2} ms",
        status.submissions,
        1e3 * begun.elapsed().as_secs_f64()
    );
    admin.cancel(round)?;
    if let Some((server, _)) = own {
        server.shutdown();
    }
    Ok(())
}

fn own_server() -> Result<(RunningServer, tempfile::TempDir)> {
    let folder = tempfile::tempdir()?;
    let engines = Engines::new().with("none", || {
        Err(std::io::Error::other("this program makes no images").into())
    });
    let addr = ([127, 0, 0, 1], 0).into();
    let server = Server::start(ServerConfig::new(addr, folder.path().to_owned(), engines))?;
    Ok((server, folder))
}

fn plan() -> Result<RoundSpec> {
    Ok(RoundSpec {
        name: "load".to_owned(),
        label_space: LabelSpace::builtin("pacs")?,
        prompts: Some(PromptPlan {
            level: Level::Domain,
            templates: TemplateSet::builtin("pocket")?,
            max_per_client: None,
        }),
        synthesis: SynthesisPlan {
            sources: vec![SourcePlan::new("none")],
            images: ImageBudget::Total(1000),
            steps: None,
            guidance: None,
            sampler: None,
            min_clip_score: None,
            fuse: None,
            seed: 0,
        },
        training: TrainingPlan {
            epochs: 1,
            batch_size: 8,
            learning_rate: 0.05,
            momentum: 0.9,
            label_smoothing: 0.0,
            weight_decay: 0.0,
            flip: true,
            shift: 0.0,
            image_size: 32,
            fit: PictureFit::Crop,
            width: 4,
            architecture: ClassifierArchitecture::Small,
            validation_fraction: 0.0,
            seed: 0,
        },
        expected_clients: None,
        open_results: false,
    })
}

fn invite(admin: &AdminClient, clients: usize) -> Result<Vec<Invitation>> {
    let names: Vec<String> = (0..clients).map(|i| format!("load {i}")).collect();
    let mut invitations = Vec::with_capacity(clients);
    for names in names.chunks(MAX_REGISTRATIONS) {
        invitations.extend(admin.invite_all(&RegistrationsRequest {
            replace_tokens: true,
            ..RegistrationsRequest::of(names.to_vec())
        })?);
    }
    Ok(invitations)
}

/// Spends the codes, each thread a part of them.
fn enrol(
    admin: &AdminClient,
    invitations: &[Invitation],
    threads: usize,
) -> Result<Vec<Registration>> {
    let parts = invitations.chunks(invitations.len().div_ceil(threads));
    thread::scope(|scope| {
        let workers: Vec<_> = parts
            .map(|part| scope.spawn(move || part.iter().map(|one| admin.enrol(one)).collect()))
            .collect();
        let mut registrations = Vec::with_capacity(invitations.len());
        for worker in workers {
            let part: std::result::Result<Vec<_>, promptfed_client::RequestError> =
                worker.join().map_err(|_| "a thread panicked")?;
            registrations.extend(part?);
        }
        Ok(registrations)
    })
}

/// What a client of each domain sends: its classes in its style.
fn prompt_sets(domains: usize) -> Result<Vec<PromptSet>> {
    let space = LabelSpace::builtin("pacs")?;
    let templates = TemplateSet::builtin("pocket")?;
    (0..domains)
        .map(|domain| -> Result<PromptSet> {
            let mut builder = PromptSet::builder(&space, Level::Domain, &templates);
            let name = format!("site style {domain}");
            let domain = Domain::try_from(name.as_str())?;
            for class in 0..space.len() as u32 {
                builder.add(ClassIndex::new(class), Some(domain.clone()), None)?;
            }
            Ok(builder.build()?)
        })
        .collect()
}

/// How long each submission took, in the order in which they began.
fn submit(
    url: &str,
    round: RoundId,
    registrations: &[Registration],
    sets: &[PromptSet],
    threads: usize,
) -> Result<Vec<Duration>> {
    let next = AtomicUsize::new(0);
    let times = Mutex::new(vec![Duration::ZERO; registrations.len()]);
    let work = || -> Result<()> {
        loop {
            let at = next.fetch_add(1, Ordering::Relaxed);
            let Some(registration) = registrations.get(at) else {
                return Ok(());
            };
            let client = FederationClient::of(url, registration)?;
            let begun = Instant::now();
            client.submit(round, &sets[at % sets.len()])?;
            let took = begun.elapsed();
            let mut times = times.lock().map_err(|e| e.to_string())?;
            times[at] = took;
        }
    };
    thread::scope(|scope| {
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        for worker in workers {
            worker.join().map_err(|_| "a thread panicked")??;
        }
        Result::Ok(())
    })?;
    Ok(times.into_inner().map_err(|e| e.to_string())?)
}

fn tell(name: &str, times: &[Duration]) {
    let mut sorted = times.to_vec();
    sorted.sort_unstable();
    let quantile = |share: f64| {
        let at = ((sorted.len() as f64 * share) as usize).min(sorted.len().saturating_sub(1));
        sorted.get(at).map_or(0.0, |time| 1e3 * time.as_secs_f64())
    };
    println!(
        "{name:>15} {:>9.2} {:>9.2} {:>9.2}",
        quantile(0.5),
        quantile(0.99),
        quantile(1.0)
    );
}
