//! Waiting that ends when the work is cancelled.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime};

use reqwest::header::{HeaderMap, RETRY_AFTER};

/// How often the flag is looked at.
const LOOK: Duration = Duration::from_millis(20);

/// Returns once `cancel` is set.
pub(super) async fn cancelled(cancel: &AtomicBool) {
    while !cancel.load(Ordering::Relaxed) {
        tokio::time::sleep(LOOK).await;
    }
}

/// Waits, and tells whether the wait was not cut short by `cancel`. For threads without a runtime.
pub(crate) fn wait(pause: Duration, cancel: &AtomicBool) -> bool {
    let end = Instant::now() + pause;
    loop {
        if cancel.load(Ordering::Relaxed) {
            return false;
        }
        let left = end.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return true;
        }
        std::thread::sleep(left.min(LOOK));
    }
}

/// How long a service asks to be left alone: seconds, or a date (RFC 9110, section 10.2.3).
pub(super) fn asked_for(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = text.parse::<f64>() {
        // Some services write fractions.
        return Duration::try_from_secs_f64(seconds).ok();
    }
    let date = httpdate::parse_http_date(text).ok()?;
    Some(date.duration_since(now).unwrap_or(Duration::ZERO))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_of_retry_after_are_read() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_445_412_478);
        let asked = |text: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(RETRY_AFTER, text.parse().unwrap());
            asked_for(&headers, now)
        };
        assert_eq!(asked("120"), Some(Duration::from_secs(120)));
        assert_eq!(asked(" 0.5 "), Some(Duration::from_millis(500)));
        assert_eq!(
            asked("Wed, 21 Oct 2015 07:28:00 GMT"),
            Some(Duration::from_secs(2))
        );
        assert_eq!(asked("Wed, 21 Oct 2015 07:00:00 GMT"), Some(Duration::ZERO));
        for nonsense in ["-3", "soon", "inf", "nan", "1e400"] {
            assert_eq!(asked(nonsense), None, "{nonsense}");
        }
        assert_eq!(asked_for(&HeaderMap::new(), now), None);
    }

    #[test]
    fn a_wait_is_cut_short() {
        let cancel = AtomicBool::new(true);
        assert!(!wait(Duration::from_secs(3600), &cancel));
        assert!(wait(Duration::ZERO, &AtomicBool::new(false)));
    }
}
