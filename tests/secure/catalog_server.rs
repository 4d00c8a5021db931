//! A loopback server that speaks as much of Glue's JSON as `register` needs, keeps the tables it is given, and
//! remembers which calls came. What Glue makes of them is tried on moto, by `tests/deploy`.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::runtime::Runtime;

#[derive(Debug, Default)]
struct Inner {
    has_database: bool,
    tables: BTreeMap<String, Value>,
    partitions: Vec<Value>,
    calls: Vec<String>,
}

/// A running server; it ends with the test.
pub(super) struct CatalogServer {
    pub(super) address: String,
    inner: Arc<Mutex<Inner>>,
    runtime: Option<Runtime>,
}

impl CatalogServer {
    /// One without a database.
    pub(super) fn start() -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let inner = Arc::<Mutex<Inner>>::default();
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        runtime.spawn(serve(listener, Arc::clone(&inner)));
        Self { address, inner, runtime: Some(runtime) }
    }

    /// Takes out the calls that came.
    pub(super) fn calls(&self) -> Vec<String> {
        std::mem::take(&mut self.inner.lock().unwrap().calls)
    }

    /// The findings' table becomes that of an older version, and the other is gone.
    pub(super) fn forget_some(&self) {
        let tables = &mut self.inner.lock().unwrap().tables;
        tables.remove("rejects").unwrap();
        for table in tables.values_mut() {
            table["StorageDescriptor"]["Columns"].as_array_mut().unwrap().pop();
        }
    }
}

impl Drop for CatalogServer {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
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
    let target = request.headers()["x-amz-target"].to_str().unwrap().to_owned();
    let body = request.into_body().collect().await.unwrap().to_bytes();
    let asked: Value = serde_json::from_slice(&body).unwrap();
    let mut inner = inner.lock().unwrap();
    let call = target.strip_prefix("AWSGlue.").expect("a call of Glue").to_owned();
    let told = inner.told(&call, &asked);
    inner.calls.push(call);
    let (status, told) = told.map_or_else(
        || (400, json!({ "__type": "EntityNotFoundException", "Message": "not found" })),
        |told| (200, told),
    );
    let response =
        Response::builder().status(status).header("content-type", "application/x-amz-json-1.1");
    Ok(response.body(Full::new(Bytes::from(told.to_string()))).unwrap())
}

impl Inner {
    /// Nothing for what is not there.
    fn told(&mut self, call: &str, asked: &Value) -> Option<Value> {
        let name = |value: &Value| value.as_str().unwrap().to_owned();
        match call {
            "GetDatabase" => {
                self.has_database.then(|| json!({ "Database": { "Name": asked["Name"] } }))
            }
            "CreateDatabase" => {
                self.has_database = true;
                Some(json!({}))
            }
            "GetTable" => {
                let table = self.tables.get(asked["Name"].as_str().unwrap());
                table.map(|table| json!({ "Table": table }))
            }
            "CreateTable" | "UpdateTable" => {
                let mut table = asked["TableInput"].clone();
                table["VersionId"] = json!("1");
                self.tables.insert(name(&table["Name"]), table);
                Some(json!({}))
            }
            "GetPartitions" => Some(json!({ "Partitions": self.partitions })),
            "BatchCreatePartition" => Some(json!({ "Errors": [] })),
            other => panic!("{other}"),
        }
    }
}
