//! A proxy before an S3 server that breaks what passes, by rule; it runs in this process, on loopback.
//!
//! Requests go to the server as they came (the `Host` header too, since the signature covers it), so the
//! program needs nothing but the proxy's address as `--endpoint-url`:
//!
//! ```ignore
//! with_s3(|uri, options| async move {
//!     let proxy = Proxy::start(options.s3.endpoint_url.as_deref().unwrap());
//!     // The first two writes of a commit record are throttled, the third one's reply is lost.
//!     proxy.add(Rule::on(Class::PutLog).times(2).answers(Reply::error(503, "SlowDown")));
//!     proxy.add(Rule::on(Class::PutLog).nth(3).does(Action::LoseReply));
//!     // A closure runs before the 7th request is passed on (or `.after`: once it was applied).
//!     proxy.add(Rule::any().number(7).before(|asked| println!("{asked:?}")));
//!     let output = command().args(["run", …, "--endpoint-url", &proxy.endpoint()]).output();
//!     assert_eq!(proxy.count(Class::PutLog), 4);
//!     for seen in proxy.log() { … }      // number, class, method, key, query, status, whether a rule hit
//!     proxy.heal();                      // forgets all rules
//! })
//! ```
//!
//! Requests are numbered from 1 as they arrive. Every rule counts the requests that match it, from the
//! moment it is added; of several that are due the first added acts. Nothing here waits but
//! [`Action::Trickle`], at its own pace, and a closure for as long as it runs: it runs on a thread of its
//! own, so a test may hold one request back while others pass.
//!
//! What is sent up (a `PUT`) is held whole, at most [`UPLOAD_BYTES_MAX`]; what comes back streams through
//! unless a rule needs it whole.

#![allow(dead_code, reason = "the kinds of tests that use it need different parts")]

mod rules;
mod tests;
mod wire;

use std::net::{SocketAddr, TcpListener as StdListener};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use bytes::Bytes;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Empty, Full, Limited, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::http::request::Parts;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;

pub(crate) use self::rules::{Action, Asked, Class, Reply, Rule, Seen};
use self::rules::{Hit, Hook, Rules};
use self::wire::{Manner, Wire};

/// The largest body that is sent up through the proxy.
const UPLOAD_BYTES_MAX: usize = 256 << 20;

type Failure = Box<dyn std::error::Error + Send + Sync>;
type Body = UnsyncBoxBody<Bytes, Failure>;

/// A running proxy; it ends when it is dropped, and all its connections with it.
pub(crate) struct Proxy {
    address: SocketAddr,
    shared: Arc<Shared>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

struct Shared {
    /// `host:port` of the server.
    upstream: String,
    rules: Mutex<Rules>,
}

impl Proxy {
    /// Starts one before the server at this address (`http://host:port`), without rules.
    pub(crate) fn start(upstream: &str) -> Self {
        let upstream = upstream.trim_start_matches("http://").trim_end_matches('/').to_owned();
        let listener = StdListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared { upstream, rules: Mutex::default() });
        let (stop, stopped) = oneshot::channel();
        let served = Arc::clone(&shared);
        let thread = std::thread::spawn(move || {
            let mut builder = tokio::runtime::Builder::new_current_thread();
            let runtime = builder.enable_all().build().unwrap();
            runtime.block_on(async {
                tokio::select! {
                    () = accept(listener, served) => {}
                    _ = stopped => {}
                }
            });
            // A closure of a test that still runs is not waited for.
            runtime.shutdown_background();
        });
        Self { address, shared, stop: Some(stop), thread: Some(thread) }
    }

    /// What `--endpoint-url` takes.
    pub(crate) fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Adds a rule; its count begins now.
    pub(crate) fn add(&self, rule: Rule) {
        self.shared.rules().add(rule);
    }

    /// Forgets all rules; the log stays, and requests are numbered on.
    pub(crate) fn heal(&self) {
        self.shared.rules().clear();
    }

    /// All requests so far, as they arrived.
    pub(crate) fn log(&self) -> Vec<Seen> {
        self.shared.rules().log().to_vec()
    }

    /// How many requests of this class came so far.
    pub(crate) fn count(&self, class: Class) -> usize {
        self.shared.rules().log().iter().filter(|seen| seen.class == class).count()
    }

    /// How many requests a rule acted on so far.
    pub(crate) fn hits(&self) -> usize {
        self.shared.rules().log().iter().filter(|seen| seen.hit).count()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // It has failed only if a test has: say no second thing.
            drop(thread.join());
        }
    }
}

impl Shared {
    fn rules(&self) -> MutexGuard<'_, Rules> {
        self.rules.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn accept(listener: StdListener, shared: Arc<Shared>) {
    let listener = TcpListener::from_std(listener).unwrap();
    loop {
        let Ok((stream, _)) = listener.accept().await else { continue };
        let shared = Arc::clone(&shared);
        tokio::spawn(async move {
            let manner = Arc::<Manner>::default();
            let wire = Wire::new(stream, Arc::clone(&manner));
            let service = service_fn(move |request| {
                exchange(Arc::clone(&shared), Arc::clone(&manner), request)
            });
            // An error is how a rule ends a connection.
            let served = hyper::server::conn::http1::Builder::new()
                .auto_date_header(false)
                .preserve_header_case(true)
                .serve_connection(TokioIo::new(wire), service);
            drop(served.await);
        });
    }
}

/// One request and its reply; an error closes the connection without one.
async fn exchange(
    shared: Arc<Shared>,
    manner: Arc<Manner>,
    request: Request<Incoming>,
) -> Result<Response<Body>, Failure> {
    let (head, body) = request.into_parts();
    let asked = Asked::of(&head);
    let (number, hit) = shared.rules().arrive(&asked);
    let asked = Asked { number, ..asked };
    if let Some(Action::Trickle(pace)) = hit.as_ref().map(|hit| &hit.action) {
        manner.trickle(*pace);
    }
    let sent = Limited::new(body, UPLOAD_BYTES_MAX).collect().await?.to_bytes();
    let replied = match &hit {
        None => send(&shared.upstream, head, full(sent)).await,
        Some(hit) => {
            call(hit.before.as_ref(), &asked).await?;
            act(&shared, &manner, hit, &asked, head, sent).await
        }
    };
    if let Ok(response) = &replied {
        shared.rules().answered(number, response.status().as_u16());
    }
    replied
}

async fn act(
    shared: &Shared,
    manner: &Manner,
    hit: &Hit,
    asked: &Asked,
    head: Parts,
    sent: Bytes,
) -> Result<Response<Body>, Failure> {
    let upstream = &shared.upstream;
    let is_upload = asked.class.is_upload();
    let reset = |why: &str| {
        manner.reset();
        Err(Failure::from(why.to_owned()))
    };
    match &hit.action {
        Action::Answer(reply) => return Ok(reply.clone().into_response(&asked.method)),
        Action::AnswerWith(answer) => {
            let (answer, asked) = (Arc::clone(answer), asked.clone());
            let method = asked.method.clone();
            let reply = tokio::task::spawn_blocking(move || answer(&asked)).await?;
            return Ok(reply.into_response(&method));
        }
        Action::ResetBefore => return reset("reset before it was passed on"),
        Action::ResetInBody if is_upload => return reset("reset in the body that came up"),
        Action::FlipBit if is_upload => {
            return send(upstream, head, full(flipped(&sent))).await;
        }
        Action::ShortBody if is_upload => return send(upstream, head, half_then_end(&sent)).await,
        Action::CutBody if is_upload => {
            let mut head = head;
            let half = sent.slice(..sent.len() / 2);
            head.headers.insert(hyper::header::CONTENT_LENGTH, half.len().into());
            return send(upstream, head, full(half)).await;
        }
        _ => {}
    }
    let reply = Reply::read(send(upstream, head, full(sent)).await?).await?;
    shared.rules().answered(asked.number, reply.status);
    call(hit.after.as_ref(), asked).await?;
    let method = &asked.method;
    Ok(match &hit.action {
        Action::LoseReply => return reset("the reply is lost"),
        // Nothing can break off in an empty body.
        Action::ResetInBody if reply.body.is_empty() => return reset("the reply is lost"),
        Action::ResetInBody => {
            manner.reset();
            reply.clone().with_body(method, half_then_end(&reply.body))
        }
        Action::ShortBody => reply.clone().with_body(method, half_then_end(&reply.body)),
        Action::CutBody => {
            let body = reply.body.slice(..reply.body.len() / 2);
            Reply { body, ..reply }.into_response(method)
        }
        Action::FlipBit => Reply { body: flipped(&reply.body), ..reply }.into_response(method),
        Action::Rewrite(rewrite) => rewrite(asked, reply).into_response(method),
        _ => reply.into_response(method),
    })
}

/// Runs a test's closure on a thread of its own.
async fn call(hook: Option<&Hook>, asked: &Asked) -> Result<(), Failure> {
    let Some(hook) = hook.cloned() else { return Ok(()) };
    let asked = asked.clone();
    Ok(tokio::task::spawn_blocking(move || hook(&asked)).await?)
}

/// Passes a request on, over a connection of its own.
async fn send(upstream: &str, head: Parts, body: Body) -> Result<Response<Body>, Failure> {
    let stream = TokioIo::new(TcpStream::connect(upstream).await?);
    let (mut sender, connection) = hyper::client::conn::http1::handshake(stream).await?;
    tokio::spawn(connection);
    let response = sender.send_request(Request::from_parts(head, body)).await?;
    Ok(response.map(|body| body.map_err(Failure::from).boxed_unsync()))
}

fn full(bytes: Bytes) -> Body {
    Full::new(bytes).map_err(|never| match never {}).boxed_unsync()
}

fn empty() -> Body {
    Empty::new().map_err(|never| match never {}).boxed_unsync()
}

/// The first half, which is written out before the error that follows ends the connection.
fn half_then_end(bytes: &Bytes) -> Body {
    let half = bytes.slice(..bytes.len() / 2);
    let steps = futures::stream::unfold(0, move |step| {
        let half = half.clone();
        async move {
            match step {
                0 => Some((Ok(Frame::data(half)), 1)),
                1 => {
                    tokio::task::yield_now().await;
                    Some((Err(Failure::from("the body ends here")), 2))
                }
                _ => None,
            }
        }
    });
    StreamBody::new(steps).boxed_unsync()
}

/// One bit in the middle turned over.
fn flipped(bytes: &Bytes) -> Bytes {
    let mut bytes = bytes.to_vec();
    let middle = bytes.len() / 2;
    if let Some(byte) = bytes.get_mut(middle) {
        *byte ^= 1;
    }
    bytes.into()
}
