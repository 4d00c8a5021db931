//! A loopback server that speaks as much of Firehose's JSON as `stream` and `replay` need, and that fails on
//! demand, which no stand-in for Firehose does. What a real one delivers is tried by `tests/chain`.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::process::Command;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::runtime::Runtime;

use crate::program::command;

/// No status: the connection stays open, and nothing comes.
const NO_ANSWER: u16 = 0;

/// What becomes of one `PutRecordBatch`.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Fault {
    /// All is taken.
    Take,
    /// Every record whose place is a multiple is not taken for now.
    Every(usize),
    /// The record at this place is never taken.
    Refuse(usize),
    /// Nothing is taken: an error of this status and code.
    Error(u16, &'static str),
    /// All is taken, and the answer is an error.
    TakenAndLost,
    /// All is taken, the test is told, and no answer ever comes.
    TakenAndSilent,
}

#[derive(Debug, Default)]
struct Inner {
    description: Value,
    faults: VecDeque<Fault>,
    /// What is done when no fault is left; taken as it is without.
    rest: Option<Fault>,
    taken: Vec<Vec<u8>>,
    /// Records and bytes of each request.
    requests: Vec<(usize, usize)>,
    calls: Vec<String>,
    /// Who is told of batches that get no answer.
    silent: Option<Sender<()>>,
}

/// A running server; it ends with the test.
pub(crate) struct Server {
    address: String,
    inner: Arc<Mutex<Inner>>,
    runtime: Option<Runtime>,
}

impl Server {
    /// A stream without faults; `s3` is its `ExtendedS3DestinationDescription`.
    pub(crate) fn start(s3: &Value) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let inner =
            Arc::new(Mutex::new(Inner { description: description(s3), ..Inner::default() }));
        runtime.spawn(serve(listener, Arc::clone(&inner)));
        Self { address, inner, runtime: Some(runtime) }
    }

    /// Changes what `DescribeDeliveryStream` tells.
    pub(crate) fn describe(&self, name: &str, value: Value) {
        self.inner.lock().unwrap().description[name] = value;
    }

    /// What becomes of the next requests, and of all after them.
    pub(crate) fn fail(&self, faults: &[Fault], rest: Option<Fault>) {
        let mut inner = self.inner.lock().unwrap();
        inner.faults = faults.iter().copied().collect();
        inner.rest = rest;
    }

    /// Tells of each batch that was taken and gets no answer.
    pub(crate) fn silent(&self) -> Receiver<()> {
        let (sender, receiver) = channel();
        self.inner.lock().unwrap().silent = Some(sender);
        receiver
    }

    /// Takes out the records that the stream took, sorted.
    pub(crate) fn taken(&self) -> Vec<Vec<u8>> {
        let mut taken = std::mem::take(&mut self.inner.lock().unwrap().taken);
        taken.sort();
        taken
    }

    /// Takes out records and bytes of each request.
    pub(crate) fn requests(&self) -> Vec<(usize, usize)> {
        std::mem::take(&mut self.inner.lock().unwrap().requests)
    }

    /// Takes out the names of the calls that came.
    pub(crate) fn calls(&self) -> Vec<String> {
        std::mem::take(&mut self.inner.lock().unwrap().calls)
    }

    /// Where it answers.
    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    /// The program, with this server in the place of Firehose.
    pub(crate) fn program(&self) -> Command {
        let mut command = command();
        command
            .env("AWS_ENDPOINT_URL_FIREHOSE", &self.address)
            .env("AWS_REGION", "us-east-1")
            .env("AWS_EC2_METADATA_DISABLED", "true")
            // No setting of the user's own, and none that is missed.
            .env("AWS_CONFIG_FILE", "/dev/null")
            .env("AWS_SHARED_CREDENTIALS_FILE", "/dev/null")
            .env_remove("AWS_PROFILE")
            .env_remove("AWS_ENDPOINT_URL")
            .env("HEALTHTRAIL_PROGRESS", "none");
        if std::env::var_os("AWS_ACCESS_KEY_ID").is_none() {
            command.env("AWS_ACCESS_KEY_ID", "test").env("AWS_SECRET_ACCESS_KEY", "test");
        }
        command
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

fn description(s3: &Value) -> Value {
    let mut extended = json!({
        "RoleARN": "arn:aws:iam::111122223333:role/firehose",
        "BucketARN": "arn:aws:s3:::elsewhere",
        "BufferingHints": { "IntervalInSeconds": 300, "SizeInMBs": 5 },
        "CompressionFormat": "GZIP",
        "EncryptionConfiguration": { "NoEncryptionConfig": "NoEncryption" },
    });
    for (name, value) in s3.as_object().unwrap() {
        extended[name] = value.clone();
    }
    json!({
        "DeliveryStreamName": "health-events",
        "DeliveryStreamARN": "arn:aws:firehose:us-east-1:111122223333:deliverystream/health-events",
        "DeliveryStreamStatus": "ACTIVE",
        "DeliveryStreamType": "DirectPut",
        "VersionId": "1",
        "CreateTimestamp": 1_790_000_000.0,
        "HasMoreDestinations": false,
        "Destinations": [{
            "DestinationId": "destinationId-000000000001",
            "ExtendedS3DestinationDescription": extended,
        }],
    })
}

async fn serve(listener: std::net::TcpListener, inner: Arc<Mutex<Inner>>) {
    let listener = TcpListener::from_std(listener).unwrap();
    while let Ok((stream, _)) = listener.accept().await {
        let inner = Arc::clone(&inner);
        let service = service_fn(move |request| answer(request, Arc::clone(&inner)));
        let connection = hyper::server::conn::http1::Builder::new()
            .serve_connection(TokioIo::new(stream), service);
        tokio::spawn(async move { drop(connection.await) });
    }
}

async fn answer(
    request: Request<Incoming>,
    inner: Arc<Mutex<Inner>>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let target =
        request.headers().get("x-amz-target").map(|target| target.to_str().unwrap().to_owned());
    let body = request.into_body().collect().await.unwrap().to_bytes();
    let asked: Value = serde_json::from_slice(&body).unwrap();
    let (status, told) = told(&inner, target.as_deref(), &asked);
    if status == NO_ANSWER {
        std::future::pending::<()>().await;
    }
    let response =
        Response::builder().status(status).header("content-type", "application/x-amz-json-1.1");
    Ok(response.body(Full::new(Bytes::from(told.to_string()))).unwrap())
}

fn told(inner: &Mutex<Inner>, target: Option<&str>, asked: &Value) -> (u16, Value) {
    let mut inner = inner.lock().unwrap();
    let call = target.and_then(|target| target.strip_prefix("Firehose_20150804."));
    inner.calls.extend(call.map(str::to_owned));
    match target {
        _ if asked["DeliveryStreamName"] != inner.description["DeliveryStreamName"] => (
            400,
            json!({ "__type": "ResourceNotFoundException", "message": "Firehose not found." }),
        ),
        Some("Firehose_20150804.DescribeDeliveryStream") => {
            (200, json!({ "DeliveryStreamDescription": inner.description }))
        }
        Some("Firehose_20150804.PutRecordBatch") => inner.put(asked),
        other => panic!("{other:?}"),
    }
}

impl Inner {
    fn put(&mut self, asked: &Value) -> (u16, Value) {
        let records: Vec<Vec<u8>> = asked["Records"]
            .as_array()
            .unwrap()
            .iter()
            .map(|record| BASE64.decode(record["Data"].as_str().unwrap()).unwrap())
            .collect();
        let bytes = records.iter().map(Vec::len).sum();
        assert!(
            records.len() <= 500 && bytes <= 4 << 20,
            "{} records, {bytes} bytes",
            records.len()
        );
        assert!(records.iter().all(|record| record.len() <= 1_024_000));
        self.requests.push((records.len(), bytes));
        let fault = self.faults.pop_front().or(self.rest);
        let error = |status, code: &str| {
            (status, json!({ "__type": code, "message": "said by the server" }))
        };
        match fault {
            Some(Fault::Error(status, code)) => return error(status, code),
            Some(Fault::TakenAndSilent) => {
                self.taken.extend(records);
                self.silent.as_ref().unwrap().send(()).unwrap();
                return (NO_ANSWER, Value::Null);
            }
            Some(Fault::TakenAndLost) => {
                self.taken.extend(records);
                return error(500, "InternalFailure");
            }
            _ => {}
        }
        let (mut failed, mut told) = (0, Vec::new());
        for (place, record) in records.into_iter().enumerate() {
            let code = match fault {
                Some(Fault::Every(count)) if place % count == 0 => "ServiceUnavailableException",
                Some(Fault::Refuse(refused)) if place == refused => "SomethingForGood",
                _ => {
                    self.taken.push(record);
                    told.push(json!({ "RecordId": "r" }));
                    continue;
                }
            };
            failed += 1;
            told.push(json!({ "ErrorCode": code, "ErrorMessage": "slow down" }));
        }
        (200, json!({ "FailedPutCount": failed, "Encrypted": false, "RequestResponses": told }))
    }
}
