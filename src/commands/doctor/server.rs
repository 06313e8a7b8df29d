//! A server: its answer, its certificates, its clock.

use super::finding::Finding;
use crate::commands::round_view::time;
use promptfed_client::{ServerProbe, ServerTrust, ShownCertificate, probe};
use promptfed_prompts::protocol::shown;
use serde_json::{Value, json};
use std::time::SystemTime;

/// Seconds by which clocks may differ before it is told.
const CLOCKS: u64 = 60;

/// Seconds before a certificate's end at which it is told: two weeks.
const SOON: i64 = 14 * 24 * 3600;

pub(super) fn check(url: &str, trust: &ServerTrust) -> Vec<Finding> {
    let probe = match probe(url, trust) {
        Ok(probe) => probe,
        Err(error) => return vec![Finding::error("server", &error)],
    };
    let mut found = vec![answer(url, &probe)];
    found.extend(certificates(&probe.certificates, trust));
    found.extend(probe.clock_offset.map(clock));
    found
}

fn answer(url: &str, probe: &ServerProbe) -> Finding {
    let health = match &probe.health {
        Ok(health) => health,
        Err(error) => return Finding::error("server", error),
    };
    if let Some(Err(error)) = &probe.readiness {
        return Finding::error("server", error);
    }
    let (own, there) = (env!("CARGO_PKG_VERSION"), shown(&health.version));
    let text = format!("{url} answers and can work, with promptfed {there}");
    let found = if there == own {
        Finding::ok("server", text)
    } else {
        Finding::warning(
            "server",
            text,
            format!("this is promptfed {own}; use the same version"),
        )
    };
    found.with("url", url).with("version", there)
}

/// The chain, one finding for the server's own certificate with those above it beside.
fn certificates(chain: &[ShownCertificate], trust: &ServerTrust) -> Option<Finding> {
    let own = chain.first()?;
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    let now = now.map_or(0, |since| since.as_secs() as i64);
    let signed = if own.issuer == own.subject {
        "signed by itself".to_owned()
    } else {
        format!("signed by {}", shown(&own.issuer))
    };
    let text = format!(
        "{}, {signed}, until {}, SHA-256 {}",
        shown(&own.subject),
        day(own.until),
        own.fingerprint
    );
    let found = if trust.fingerprint == Some(own.fingerprint) {
        // Nothing else of it is looked at then.
        Finding::ok("certificate", text)
    } else if now < own.from {
        let text = format!("{text}; it holds from {} on", day(own.from));
        let remedy = "compare the clocks of both machines, or have the server use a certificate that holds now";
        Finding::fault("certificate", text, remedy)
    } else if own.until < now {
        let remedy = "have the server use a new certificate; it reads the files of --tls-cert again by itself";
        Finding::fault("certificate", text, remedy)
    } else if own.until - now < SOON {
        Finding::warning("certificate", text, "renew it soon")
    } else {
        Finding::ok("certificate", text)
    };
    let chain: Vec<Value> = chain.iter().map(told).collect();
    Some(found.with("chain", chain))
}

fn told(certificate: &ShownCertificate) -> Value {
    json!({
        "subject": certificate.subject,
        "issuer": certificate.issuer,
        "from": day(certificate.from),
        "until": day(certificate.until),
        "sha256": certificate.fingerprint.to_string(),
    })
}

/// A time in seconds since 1970, for people.
fn day(seconds: i64) -> String {
    time(u64::try_from(seconds).unwrap_or(0).saturating_mul(1000))
}

fn clock(offset: i64) -> Finding {
    let apart = offset.unsigned_abs();
    let way = if offset < 0 { "behind" } else { "before" };
    let found = if apart <= CLOCKS {
        Finding::ok("clock", "the same time as the server's, within a minute")
    } else {
        Finding::warning(
            "clock",
            format!("the server's is {apart} s {way} this machine's"),
            "set both by the network (NTP): certificates and codes have dates",
        )
    };
    found.with("offset_seconds", offset)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::doctor::finding::State;
    use promptfed_client::Fingerprint;

    fn certificate(from: i64, until: i64) -> ShownCertificate {
        ShownCertificate {
            subject: "CN=server".to_owned(),
            issuer: "CN=authority".to_owned(),
            from,
            until,
            fingerprint: "ab".repeat(32).parse::<Fingerprint>().unwrap(),
        }
    }

    #[test]
    fn certificates_are_judged_by_their_dates_unless_one_knows_them() {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        let now = now.unwrap().as_secs() as i64;
        let (day, year) = (86_400, 365 * 86_400);
        let trust = ServerTrust::default();
        for (from, until, expected) in [
            (now - day, now + year, State::Ok),
            (now - year, now + day, State::Warning),
            (now - year, now - day, State::Fault),
            (now + day, now + year, State::Fault),
        ] {
            let chain = [certificate(from, until)];
            let found = certificates(&chain, &trust).unwrap();
            assert_eq!(found.state, expected, "{}", found.lines());
            let pinned = ServerTrust {
                fingerprint: Some(chain[0].fingerprint),
                ..ServerTrust::default()
            };
            assert_eq!(certificates(&chain, &pinned).unwrap().state, State::Ok);
        }
        assert!(certificates(&[], &trust).is_none());
    }

    #[test]
    fn clocks_that_differ_are_told_which_way() {
        assert_eq!(clock(60).state, State::Ok);
        assert_eq!(clock(-60).state, State::Ok);
        assert!(clock(61).lines().contains("61 s before"));
        assert!(clock(-61).lines().contains("61 s behind"));
    }
}
