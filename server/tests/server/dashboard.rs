//! The dashboard, as a browser asks for it: who sees what, what pages may hold, what is sent to pages that are open.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::ops::ControlFlow;
use std::time::Duration;

use promptfed_prompts::protocol::{
    ImageBudget, RoundId, RoundState, RoundStatus, TrainingPlan, TrainingRequest, TrainingStatus,
};

use crate::support::{Fixture, captioned_prompts, class_prompts, round_spec};

/// What every page of a browser's own asks for.
const HTML: &str = "text/html,application/xhtml+xml";
/// A caption that would do something in a page that took it for markup.
const CAPTION: &str = "<script>alert(1)</script><img src=x onerror=\"alert(2)\"> & 'so on'";

struct Reply {
    status: u16,
    head: String,
    body: Vec<u8>,
}

impl Reply {
    fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| {
            let (found, value) = line.split_once(':')?;
            found.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }
}

/// Somebody with a browser.
#[derive(Clone)]
struct Browser {
    server: SocketAddr,
    cookie: String,
}

impl Browser {
    fn new(fixture: &Fixture) -> Self {
        Self {
            server: fixture.server.addr(),
            cookie: String::new(),
        }
    }

    fn signed_in(fixture: &Fixture, token: &str) -> Self {
        let mut browser = Self::new(fixture);
        let reply = browser.post("/dashboard/sign-in", &format!("token={token}"));
        assert_eq!(reply.status, 303, "{}", reply.head);
        assert_eq!(reply.header("location"), Some("/dashboard"));
        let cookie = reply.header("set-cookie").unwrap();
        browser.cookie = cookie.split(';').next().unwrap().to_owned();
        browser
    }

    fn ask(&self, method: &str, path: &str, headers: &str, body: &str) -> Reply {
        let mut socket = TcpStream::connect(self.server).unwrap();
        let request = format!(
            "{method} {path} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\nCookie: {}\r\nContent-Length: {}\r\n{headers}\r\n{body}",
            self.server,
            self.cookie,
            body.len()
        );
        socket.write_all(request.as_bytes()).unwrap();
        let mut answer = Vec::new();
        socket.read_to_end(&mut answer).unwrap();
        let end = answer.windows(4).position(|w| w == b"\r\n\r\n").unwrap();
        let head = String::from_utf8(answer[..end].to_vec()).unwrap();
        Reply {
            status: head.split(' ').nth(1).unwrap().parse().unwrap(),
            head,
            body: answer[end + 4..].to_vec(),
        }
    }

    fn get(&self, path: &str) -> Reply {
        self.ask("GET", path, &format!("Accept: {HTML}\r\n"), "")
    }

    /// A page that has to be there.
    fn page(&self, path: &str) -> String {
        let reply = self.get(path);
        assert_eq!(reply.status, 200, "{path}: {}", reply.head);
        reply.text().to_owned()
    }

    fn post(&self, path: &str, form: &str) -> Reply {
        self.post_with(path, form, "")
    }

    fn post_with(&self, path: &str, form: &str, headers: &str) -> Reply {
        let headers = format!("Content-Type: application/x-www-form-urlencoded\r\n{headers}");
        self.ask("POST", path, &headers, form)
    }

    /// The secret of the forms of this session.
    fn csrf(&self) -> String {
        let page = self.page("/dashboard");
        between(&page, "name=\"csrf\" value=\"", "\"").to_owned()
    }

    /// Has the administrator give a token of this role.
    fn give(&self, role: &str) -> String {
        let form = format!("csrf={}&role={role}&name=one+of+them", self.csrf());
        let reply = self.post("/dashboard/access", &form);
        assert_eq!(reply.status, 200, "{}", reply.head);
        between(reply.text(), "<code class=\"token\">", "<").to_owned()
    }
}

fn between<'a>(text: &'a str, start: &str, end: &str) -> &'a str {
    let (_, rest) = text
        .split_once(start)
        .unwrap_or_else(|| panic!("{start} is not in {text}"));
    rest.split_once(end).unwrap().0
}

/// Every address that a page leads to under an attribute, as it is meant.
fn addresses(page: &str, attribute: &str) -> Vec<String> {
    let start = format!(" {attribute}=\"");
    let parts = page.split(&start).skip(1);
    let address = |part: &str| part.split('"').next().unwrap().replace("&amp;", "&");
    parts.map(address).collect()
}

fn nothing(_: &RoundStatus) -> ControlFlow<()> {
    ControlFlow::Continue(())
}

/// A round that is done, with images of captions of which one is markup.
fn done_round(fixture: &Fixture, images: u32) -> RoundId {
    done_round_of(fixture, images, "hospital a")
}

fn done_round_of(fixture: &Fixture, images: u32, client: &str) -> RoundId {
    let mut spec = round_spec();
    spec.expected_clients = Some(1);
    spec.synthesis.images = ImageBudget::PerPrompt(images);
    let round = fixture.open(&spec);
    let client = fixture.client(client);
    let captions = [CAPTION, "on a mat", "in a box", "in the rain"];
    client.submit(round, &captioned_prompts(&captions)).unwrap();
    let ended = client.wait(round, None, &mut nothing).unwrap();
    assert_eq!(ended.state, RoundState::Done);
    round
}

/// Every page for who sees all.
fn pages(round: RoundId) -> Vec<String> {
    let base = format!("/dashboard/rounds/{round}");
    vec![
        "/dashboard".to_owned(),
        "/dashboard/compare".to_owned(),
        format!("/dashboard/compare?run={round}.1&run=99"),
        "/dashboard/clients".to_owned(),
        "/dashboard/audit".to_owned(),
        "/dashboard/server".to_owned(),
        "/dashboard/access".to_owned(),
        format!("{base}/images"),
        format!("{base}/image?source=noise&index=0"),
        format!("{base}/prompts"),
        format!("{base}/prompts/1"),
        base,
    ]
}

#[test]
fn nobody_sees_anything_without_a_session() {
    let fixture = Fixture::start();
    let round = done_round(&fixture, 2);
    let mut browser = Browser::new(&fixture);
    for cookie in [
        String::new(),
        format!("promptfed_session={}", "0".repeat(64)),
        format!("promptfed_session={}", fixture.server.admin_token()),
    ] {
        browser.cookie = cookie;
        for path in pages(round) {
            let reply = browser.get(&path);
            assert_eq!(reply.status, 303, "{path}");
            assert_eq!(reply.header("location"), Some("/dashboard/sign-in"));
        }
        let picture = format!("/dashboard/rounds/{round}/picture?source=noise&file=x");
        let live = format!("/dashboard/rounds/{round}/live");
        for path in [picture, live] {
            let reply = browser.ask("GET", &path, "Accept: image/*\r\n", "");
            assert_eq!(reply.status, 401, "{path}");
        }
    }
    // A session is no token for programs.
    let admin = Browser::signed_in(&fixture, fixture.server.admin_token());
    assert_eq!(admin.get("/v1/rounds").status, 401);
}

#[test]
fn a_session_is_kept_in_a_cookie_that_no_script_reads_and_ends_by_itself() {
    let fixture = Fixture::start();
    let browser = Browser::new(&fixture);
    let form = format!("token={}", fixture.server.admin_token());
    let reply = browser.post_with(
        "/dashboard/sign-in",
        &form,
        "Origin: https://federation.example\r\nSec-Fetch-Site: same-origin\r\n",
    );
    let cookie = reply.header("set-cookie").unwrap();
    for part in ["HttpOnly", "SameSite=Strict", "Secure", "Max-Age=28800"] {
        assert!(cookie.contains(part), "{cookie}");
    }
    let browser = Browser::signed_in(&fixture, fixture.server.admin_token());
    let form = format!("csrf={}", browser.csrf());
    assert_eq!(browser.post("/dashboard/sign-out", &form).status, 303);
    assert_eq!(browser.get("/dashboard").status, 303);
}

#[test]
fn who_guesses_tokens_waits() {
    let fixture = Fixture::start();
    let browser = Browser::new(&fixture);
    for _ in 0..5 {
        let reply = browser.post("/dashboard/sign-in", "token=pfa-0123456789abcdef");
        assert_eq!(reply.status, 401);
        assert!(reply.text().contains("not known here"));
    }
    let form = format!("token={}", fixture.server.admin_token());
    let reply = browser.post("/dashboard/sign-in", &form);
    assert_eq!(reply.status, 429);
    assert!(reply.header("retry-after").is_some() && reply.header("set-cookie").is_none());
}

#[test]
fn each_role_sees_what_is_for_it() {
    let fixture = Fixture::start();
    let round = done_round(&fixture, 2);
    let admin = Browser::signed_in(&fixture, fixture.server.admin_token());
    let operator = Browser::signed_in(&fixture, &admin.give("operator"));
    let viewer_token = admin.give("viewer");
    let viewer = Browser::signed_in(&fixture, &viewer_token);
    for path in pages(round) {
        assert_eq!(admin.get(&path).status, 200, "{path}");
        let of_admin = path == "/dashboard/access";
        let expected = if of_admin { 403 } else { 200 };
        assert_eq!(operator.get(&path).status, expected, "{path}");
        let is_open = path == "/dashboard" || path.ends_with(&format!("/rounds/{round}"));
        let is_open = is_open || path.contains("/image") || path.contains("/compare");
        let reply = viewer.get(&path);
        assert_eq!(reply.status, if is_open { 200 } else { 403 }, "{path}");
        // Neither prompts nor who sent them.
        for secret in ["alert(", "on a mat", "hospital a"] {
            assert!(!reply.text().contains(secret), "{path}: {secret}");
        }
    }
    let lineage = operator.page(&format!(
        "/dashboard/rounds/{round}/image?source=noise&index=0"
    ));
    assert!(lineage.contains("<dt>Prompt</dt>"), "{lineage}");
    let of_client = viewer.page(&format!("/dashboard/rounds/{round}/images?client=1&page=1"));
    assert!(of_client.contains("8 images"), "a client cannot be chosen");

    // Nobody gives himself a role.
    for (browser, role) in [
        (&operator, "operator"),
        (&viewer, "viewer"),
        (&admin, "admin"),
    ] {
        let form = format!("csrf={}&role={role}&name=x", browser.csrf());
        let reply = browser.post("/dashboard/access", &form);
        assert!(
            matches!(reply.status, 400 | 403),
            "{role}: {}",
            reply.status
        );
    }
    let form = format!("csrf={}", viewer.csrf());
    let cancel = format!("/dashboard/rounds/{round}/cancel");
    assert_eq!(viewer.post(&cancel, &form).status, 403);

    // The database has no token as it is.
    let database = std::fs::read(fixture.folder.path().join("server.sqlite")).unwrap();
    let journal = std::fs::read(fixture.folder.path().join("server.sqlite-wal")).unwrap();
    for file in [database, journal] {
        let secret = viewer_token.as_bytes();
        assert!(!file.windows(secret.len()).any(|window| window == secret));
    }

    // A token that is ended takes its sessions along.
    let form = format!("csrf={}&id=2", admin.csrf());
    assert_eq!(admin.post("/dashboard/access/end", &form).status, 303);
    assert_eq!(viewer.get("/dashboard").status, 303);
    assert_eq!(operator.get("/dashboard").status, 200);
    let again = Browser::new(&fixture).post("/dashboard/sign-in", &format!("token={viewer_token}"));
    assert_eq!(again.status, 401);
}

#[test]
fn forms_of_other_pages_do_nothing() {
    let fixture = Fixture::start();
    let round = fixture.open(&round_spec());
    let client = fixture.client("a");
    client.submit(round, &class_prompts(&[0])).unwrap();
    let admin = Browser::signed_in(&fixture, fixture.server.admin_token());
    let other = Browser::signed_in(&fixture, fixture.server.admin_token());
    let cancel = format!("/dashboard/rounds/{round}/cancel");
    let own = format!("csrf={}", admin.csrf());
    for form in [
        String::new(),
        "csrf=".to_owned(),
        format!("csrf={}", other.csrf()),
        format!("csrf={}", "0".repeat(64)),
    ] {
        assert_eq!(admin.post(&cancel, &form).status, 403, "{form}");
    }
    for headers in [
        "Sec-Fetch-Site: cross-site\r\n",
        "Sec-Fetch-Site: same-site\r\n",
        "Origin: https://elsewhere.example\r\n",
        "Origin: null\r\n",
    ] {
        let reply = admin.post_with(&cancel, &own, headers);
        assert_eq!(reply.status, 403, "{headers}");
        let form = format!("token={}", fixture.server.admin_token());
        let reply = admin.post_with("/dashboard/sign-in", &form, headers);
        assert_eq!(reply.status, 403, "{headers}");
    }
    let state = || fixture.admin.status(round).unwrap().state;
    assert_eq!(state(), RoundState::Open);
    assert_eq!(admin.get(&cancel).status, 405);
    let nothing_such = format!("/dashboard/rounds/{round}/explode");
    assert_eq!(admin.post(&nothing_such, &own).status, 404);
    let origin = format!("Origin: http://{}\r\n", fixture.server.addr());
    assert_eq!(admin.post_with(&cancel, &own, &origin).status, 303);
    assert_eq!(state(), RoundState::Cancelled);
    // Who did it stands in the log.
    let log = fixture.admin.log(round).unwrap();
    assert!(log.iter().any(|e| e.text.contains("dashboard as admin")));
    let close = format!("/dashboard/rounds/{round}/close");
    let reply = admin.post(&close, &own);
    assert_eq!(reply.status, 409);
    assert!(reply.text().contains("cancelled"), "{}", reply.text());
}

#[test]
fn no_page_runs_or_styles_anything_of_its_own() {
    let fixture = Fixture::start();
    let round = done_round(&fixture, 2);
    let admin = Browser::signed_in(&fixture, fixture.server.admin_token());
    let mut replies: Vec<(String, Reply)> = pages(round)
        .into_iter()
        .map(|path| (path.clone(), admin.get(&path)))
        .collect();
    for path in ["/dashboard/sign-in", "/dashboard/rounds/99"] {
        replies.push((path.to_owned(), admin.get(path)));
    }
    for (path, reply) in replies {
        let policy = reply.header("content-security-policy").unwrap();
        assert!(policy.starts_with("default-src 'none'"), "{policy}");
        assert!(!policy.contains("unsafe") && !policy.contains('*'));
        for part in [
            "script-src 'self'",
            "style-src 'self'",
            "frame-ancestors 'none'",
        ] {
            assert!(policy.contains(part), "{policy}");
        }
        assert_eq!(reply.header("x-content-type-options"), Some("nosniff"));
        assert_eq!(reply.header("cache-control"), Some("no-store"));
        let page = reply.text();
        for tag in page.split("<script").skip(1) {
            assert!(tag.starts_with(" src=\"/dashboard/assets/"), "{path}");
            let (_, inside) = tag.split_once('>').unwrap();
            assert!(inside.starts_with("</script>"), "{path}");
        }
        assert!(page.contains("\"allowEval\":false") || page.contains("allowEval&quot;:false"));
        for word in ["<style", " style=\"", "javascript:", " hx-on", "\"http"] {
            assert!(!page.contains(word), "{path}: {word}");
        }
        for tag in page.split('<').skip(1) {
            let tag = tag.split('>').next().unwrap();
            // Values are quoted, and no quote stands in one.
            let names = tag.split('"').step_by(2);
            for name in names.flat_map(str::split_whitespace) {
                assert!(!name.starts_with("on"), "{path}: {tag}");
            }
        }
        for address in addresses(page, "href")
            .iter()
            .chain(&addresses(page, "src"))
        {
            let is_own = address.starts_with("/dashboard") || address == "#main";
            assert!(is_own, "{path}: {address}");
        }
    }
    // What pages name is there, and no page is needed to read it.
    let page = admin.page("/dashboard");
    let stranger = Browser::new(&fixture);
    for asset in addresses(&page, "src")
        .iter()
        .chain(&addresses(&page, "href"))
    {
        if asset.starts_with("/dashboard/assets/") {
            assert_eq!(stranger.get(asset).status, 200, "{asset}");
        }
    }
    assert_eq!(stranger.get("/dashboard/assets/../mod.rs").status, 404);
}

#[test]
fn captions_with_markup_are_text() {
    let fixture = Fixture::start();
    let round = done_round(&fixture, 2);
    let admin = Browser::signed_in(&fixture, fixture.server.admin_token());
    let prompts = admin.page(&format!("/dashboard/rounds/{round}/prompts/1"));
    let escaped = "&lt;script&gt;alert(1)&lt;/script&gt;&lt;img src=x onerror=&quot;alert(2)&quot;&gt; &amp; ";
    assert!(prompts.contains(escaped), "{prompts}");
    assert!(!prompts.contains("<script>") && !prompts.contains("<img src=x"));
    let mut told = 0;
    for index in 0..8 {
        let path = format!("/dashboard/rounds/{round}/image?source=noise&index={index}");
        let whole = admin.page(&path);
        let part = admin.ask("GET", &path, "HX-Request: true\r\n", "");
        for page in [whole.as_str(), part.text()] {
            assert!(!page.contains("<script>") && !page.contains("<img src=x"));
            told += usize::from(page.contains(escaped));
        }
        assert!(!part.text().contains("<html") && whole.contains("<html"));
    }
    assert_eq!(told, 4, "two images of that caption, each shown twice");
}

#[test]
fn images_come_a_page_at_a_time() {
    let fixture = Fixture::start();
    // 4 captions of which the classes are cat, dog, fox and cat.
    let round = done_round(&fixture, 20);
    let admin = Browser::signed_in(&fixture, fixture.server.admin_token());
    let base = format!("/dashboard/rounds/{round}/images");
    let shown = |query: &str| {
        let page = admin.page(&format!("{base}?{query}"));
        let total: u64 = between(&page, "<p role=\"status\">", " images")
            .parse()
            .unwrap();
        (total, page.matches("loading=\"lazy\"").count())
    };
    assert_eq!(shown(""), (80, 60));
    assert_eq!(shown("page=2"), (80, 20));
    assert_eq!(shown("page=3"), (80, 0));
    assert_eq!(shown("class=cat"), (40, 40));
    assert_eq!(shown("class=dog&source=noise&client=1"), (20, 20));
    assert_eq!(shown("source=loud"), (0, 0));
    // No filter has scored them.
    assert_eq!(shown("score=0.5"), (0, 0));
    let page = admin.page(&base);
    let next = addresses(&page, "href");
    assert!(next.contains(&format!("{base}?page=2")), "{next:?}");
    let pictures = addresses(&page, "src");
    let pictures: Vec<_> = pictures
        .iter()
        .filter(|a| a.contains("/picture?"))
        .collect();
    assert_eq!(pictures.len(), 60);
    let picture = admin.get(pictures[7]);
    assert_eq!(picture.header("content-type"), Some("image/png"));
    assert!(picture.body.starts_with(b"\x89PNG"));
    // Viewers see pictures and no prompts: no text stands in them.
    for chunk in ["iTXt", "zTXt", "tEXt"] {
        let holds = picture.body.windows(4).any(|at| at == chunk.as_bytes());
        assert!(!holds, "{chunk}");
    }
    for file in [
        "../../../admin.token",
        "job.json",
        "images/../../../../admin.token",
        "images/cat/../../job.json",
        "images%2F..%2Fjob.json",
    ] {
        let path = format!("/dashboard/rounds/{round}/picture?source=noise&file={file}");
        assert_eq!(admin.get(&path).status, 404, "{file}");
    }
    let beyond = format!("/dashboard/rounds/{round}/image?source=noise&index=80");
    assert_eq!(admin.get(&beyond).status, 404);
}

#[test]
fn an_image_is_dropped_and_taken_back_in() {
    let fixture = Fixture::start();
    let round = done_round(&fixture, 2);
    let admin = Browser::signed_in(&fixture, fixture.server.admin_token());
    let viewer = Browser::signed_in(&fixture, &admin.give("viewer"));
    let path = format!("/dashboard/rounds/{round}/image/drop");
    let images = format!("/dashboard/rounds/{round}/images");
    let form = |browser: &Browser, index: u64, undo: bool| {
        let csrf = browser.csrf();
        format!("csrf={csrf}&source=noise&index={index}&undo={undo}")
    };
    let dropped = || admin.page(&images).matches(">dropped<").count();
    assert_eq!(viewer.post(&path, &form(&viewer, 3, false)).status, 403);
    assert_eq!(admin.post(&path, &form(&admin, 99, false)).status, 404);
    assert_eq!(dropped(), 0);
    let reply = admin.post(&path, &form(&admin, 3, false));
    assert_eq!(reply.status, 303, "{}", reply.head);
    let lineage = reply.header("location").unwrap();
    assert!(lineage.ends_with("index=3"), "{lineage}");
    assert!(admin.page(lineage).contains("Take back in"));
    assert!(!viewer.page(lineage).contains("Take back in"));
    assert_eq!(dropped(), 1);
    let log = fixture.admin.log(round).unwrap();
    assert!(
        log.iter()
            .any(|event| event.text.contains("1 images dropped"))
    );
    assert_eq!(admin.post(&path, &form(&admin, 3, true)).status, 303);
    assert_eq!(dropped(), 0);
}

/// Server-sent events, as a page gets them.
struct Stream(BufReader<TcpStream>);

#[derive(Debug, Default)]
struct Told {
    name: String,
    id: Option<u64>,
    data: String,
}

impl Stream {
    fn open(browser: &Browser, round: RoundId, last: Option<u64>) -> Self {
        let mut socket = TcpStream::connect(browser.server).unwrap();
        // A test that waits for nothing fails.
        socket
            .set_read_timeout(Some(Duration::from_secs(60)))
            .unwrap();
        let last = last.map_or(String::new(), |id| format!("Last-Event-ID: {id}\r\n"));
        let request = format!(
            "GET /dashboard/rounds/{round}/live HTTP/1.1\r\nHost: x\r\nCookie: {}\r\nAccept: text/event-stream\r\n{last}\r\n",
            browser.cookie
        );
        socket.write_all(request.as_bytes()).unwrap();
        let mut stream = Self(BufReader::new(socket));
        let head = stream.line().unwrap();
        assert!(head.starts_with("HTTP/1.1 200"), "{head}");
        while !stream.line().unwrap().is_empty() {}
        stream
    }

    /// A line without its end; nothing after the last.
    fn line(&mut self) -> Option<String> {
        let mut line = String::new();
        match self.0.read_line(&mut line).unwrap() {
            0 => None,
            _ => Some(line.trim_end_matches(['\r', '\n']).to_owned()),
        }
    }

    /// The next event with data. Lines of the chunks between them have no colon.
    fn next(&mut self) -> Option<Told> {
        let mut told = Told::default();
        loop {
            let line = self.line()?;
            if line.is_empty() && !told.data.is_empty() {
                return Some(told);
            }
            let Some((field, value)) = line.split_once(':') else {
                continue;
            };
            let value = value.strip_prefix(' ').unwrap_or(value);
            match field {
                "event" => told.name = value.to_owned(),
                "id" => told.id = Some(value.parse().unwrap()),
                "data" => told.data.push_str(value),
                _ => {}
            }
        }
    }

    fn until(&mut self, wanted: impl Fn(&Told) -> bool) -> Vec<Told> {
        let mut all = Vec::new();
        loop {
            let told = self.next().unwrap();
            let is_last = wanted(&told);
            all.push(told);
            if is_last {
                return all;
            }
        }
    }
}

#[test]
fn no_event_is_lost_where_the_server_ends_meanwhile() {
    let fixture = Fixture::start();
    let round = fixture.open(&round_spec());
    let submit = |fixture: &Fixture, name: &str| {
        let client = fixture.client(name);
        client.submit(round, &class_prompts(&[0])).unwrap();
    };
    submit(&fixture, "a");
    let mut browser = Browser::signed_in(&fixture, fixture.server.admin_token());
    let mut stream = Stream::open(&browser, round, None);
    let first = stream.until(|told| told.name == "log").pop().unwrap();
    assert!(first.data.contains("opened") && first.data.contains("client 1 submitted"));
    submit(&fixture, "b");
    let entry = |told: &Told| told.name == "entry";
    let second = stream.until(entry).pop().unwrap();
    assert!(second.data.contains("client 2 submitted"), "{second:?}");
    assert!(second.id > first.id);
    // The list of clients follows.
    let members = stream.until(|told| told.name == "members").pop().unwrap();
    assert!(members.data.contains("2 clients have submitted"));

    // Nobody looks while the third submits, the server ends, another one begins, and the fourth submits.
    drop(stream);
    submit(&fixture, "c");
    let mut open = Stream::open(&browser, round, second.id);
    let fixture = Fixture::start_in(fixture.stop(), Duration::ZERO);
    while open.next().is_some() {}
    submit(&fixture, "d");
    browser.server = fixture.server.addr();
    let mut stream = Stream::open(&browser, round, second.id);
    let told = stream.until(|told| entry(told) && told.data.contains("client 4"));
    assert!(told.iter().all(|told| told.name != "log"));
    let entries: Vec<&Told> = told.iter().filter(|told| entry(told)).collect();
    let log = fixture.admin.log(round).unwrap();
    let missed: Vec<&str> = log
        .iter()
        .skip(3)
        .map(|event| event.text.as_str())
        .collect();
    assert_eq!((missed.len(), entries.len()), (2, 2), "{log:?}");
    for (entry, text) in entries.iter().zip(missed) {
        assert!(entry.data.contains(text), "{entry:?} {text}");
    }
    // Who names a number that was never given gets the log as it is.
    let mut lost = Stream::open(&browser, round, Some(1 << 40));
    let whole = lost.until(|told| told.name == "log").pop().unwrap();
    assert!(log.iter().all(|event| whole.data.contains(&event.text)));
}

#[test]
fn progress_and_results_come_by_themselves() {
    let fixture = Fixture::start_in(tempfile::tempdir().unwrap(), Duration::from_millis(20));
    let mut spec = round_spec();
    spec.synthesis.images = ImageBudget::PerPrompt(60);
    let round = fixture.open(&spec);
    let admin = Browser::signed_in(&fixture, fixture.server.admin_token());
    let viewer = Browser::signed_in(&fixture, &admin.give("viewer"));
    let client = fixture.client("a");
    client.submit(round, &class_prompts(&[0, 1])).unwrap();
    let mut all = Stream::open(&admin, round, None);
    let mut some = Stream::open(&viewer, round, None);
    let mut told = all.until(|told| told.name == "standing");
    let form = format!("csrf={}", admin.csrf());
    let close = format!("/dashboard/rounds/{round}/close");
    assert_eq!(admin.post(&close, &form).status, 303);
    let is_done = |told: &Told| told.name == "standing" && told.data.contains(">done<");
    told.extend(all.until(is_done));
    let has = |name: &str, part: &str| {
        told.iter()
            .any(|told| told.name == name && told.data.contains(part))
    };
    assert!(has("standing", ">open<") && has("standing", "of 120 images"));
    // The plan is drawn in a hundred stretches.
    assert!(has("strip", " drawn, 1 being drawn, 0 set aside, "));
    let last = told.iter().rfind(|told| told.name == "strip").unwrap();
    let all_drawn = "100 drawn, 0 being drawn, 0 set aside, 0 waiting";
    assert!(last.data.contains(all_drawn), "{last:?}");
    assert!(has("entry", "closed by the administrator") && has("entry", "synthesis took"));
    assert!(has("actions", "/close") && has("results", "Images of each class"));
    // Browsers pass over an event without text, and a button would stay.
    assert!(told.iter().all(|told| !told.data.is_empty()), "{told:?}");
    let told = some.until(is_done);
    for told in told {
        assert!(
            matches!(told.name.as_str(), "standing" | "results" | "strip"),
            "{told:?}"
        );
    }
    // A session that is ended is told nothing more.
    let form = format!("csrf={}", viewer.csrf());
    assert_eq!(viewer.post("/dashboard/sign-out", &form).status, 303);
    while some.next().is_some() {}
}

#[test]
fn the_strip_of_a_round_is_there_after_the_server_was_started_again() {
    let fixture = Fixture::start();
    let round = done_round(&fixture, 3);
    let open = fixture.open(&round_spec());
    let base = |round: RoundId| format!("/dashboard/rounds/{round}");
    let told = "Images of noise by stretch: 12 drawn, 0 being drawn, 0 set aside, 0 waiting";
    let admin = Browser::signed_in(&fixture, fixture.server.admin_token());
    assert!(admin.page(&base(round)).contains(told));
    // The manifest knows what the memory of the job does not.
    let fixture = Fixture::start_in(fixture.stop(), Duration::ZERO);
    let admin = Browser::signed_in(&fixture, fixture.server.admin_token());
    let page = admin.page(&base(round));
    assert!(page.contains(told), "{page}");
    assert_eq!(page.matches("<title>image ").count(), 12);
    assert!(admin.page(&base(open)).contains("No image is drawn yet"));
}

#[test]
fn runs_stand_beside_each_other_with_what_differs() {
    let fixture = Fixture::start();
    let first = done_round(&fixture, 2);
    let second = done_round_of(&fixture, 3, "hospital b");
    let asked = TrainingRequest {
        plan: Some(TrainingPlan {
            epochs: 3,
            seed: 77,
            ..round_spec().training
        }),
        ..TrainingRequest::default()
    };
    let asked = fixture.admin.train(second, &asked).unwrap();
    let mut on = |_: &TrainingStatus| ControlFlow::Continue(());
    let ended = fixture
        .admin
        .wait_for_training(second, asked.training, None, &mut on);
    assert_eq!(ended.unwrap().state, RoundState::Done);
    let admin = Browser::signed_in(&fixture, fixture.server.admin_token());
    let viewer = Browser::signed_in(&fixture, &admin.give("viewer"));
    let compare = |query: &str| viewer.page(&format!("/dashboard/compare{query}"));
    let row = |page: &str, name: &str| {
        let row = between(page, &format!("<th scope=\"row\">{name}</th>"), "</tr>");
        let cells = row.split("<td>").skip(1);
        let cells: Vec<String> = cells
            .map(|cell| cell.trim_end_matches("</td>").to_owned())
            .collect();
        cells
    };

    let none = compare("");
    assert_eq!(none.matches("type=\"checkbox\"").count(), 3);
    assert!(!none.contains("Settings that differ"));
    assert!(compare(&format!("?run={first}.1")).contains("Choose one more"));
    let page = compare(&format!("?run={first}.1&run={second}.1&run=99.1"));
    assert!(page.contains("Round 99 has no results"));
    assert_eq!(page.matches(" checked").count(), 2);
    assert_eq!(row(&page, "images in the output"), ["8", "12"]);
    assert_eq!(row(&page, "synthesis.images.per_prompt"), ["2", "3"]);
    assert!(!page.contains("training.seed"), "it is the same in both");
    for stage in ["synthesis", "training", "all stages"] {
        assert!(row(&page, stage).iter().all(|cell| cell.ends_with(" s")));
    }
    let bytes = row(&page, "sent by clients");
    assert!(bytes.len() == 2 && bytes.iter().all(|cell| cell.ends_with('B')));

    // Trainings of one round.
    let page = compare(&format!("?run={second}.{}&run={second}", asked.training));
    assert_eq!(row(&page, "training.seed"), ["77", "5"]);
    assert_eq!(row(&page, "training.epochs"), ["3", "2"]);
    assert!(!page.contains("synthesis.images"));
    let charts = page.matches("<svg class=\"chart\"").count();
    assert!((1..=2).contains(&charts), "{charts}");
    assert!(page.contains(&format!("Round {second}, training {}", asked.training)));
    // The same run twice is one.
    assert!(compare(&format!("?run={first}.1&run={first}")).contains("Choose one more"));
}
