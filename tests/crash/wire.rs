//! SIGKILL at every request that a command sends to an S3 server, before it is sent and after it was applied.

use super::{Ended, KILLED, Lake, Place, Seeded, Task, Victim, asked_for, finish, tell};
use crate::proxy::{Action, Class, Proxy, Rule};
use crate::stores::with_s3;

/// When the process is killed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Moment {
    /// The server never sees the request.
    Before,
    /// The server did what it was asked, and the program does not learn of it.
    After,
}

const MOMENTS: [Moment; 2] = [Moment::Before, Moment::After];

/// An archive on the server, and what the task makes of it undisturbed.
struct Matrix {
    place: Place,
    task: Task,
    expected: Lake,
    requests: Vec<Class>,
    lakes: u64,
}

impl Matrix {
    async fn new(uri: &str, options: &healthtrail::store::StoreOptions, task: Task) -> Self {
        let (archive, lake) = (format!("{uri}/archive"), format!("{uri}/{task:?}-golden"));
        let place = Place { archive, lake, options: options.clone() };
        place.fill().await;
        place.prepare(task);
        let proxy = Proxy::start(options.s3.endpoint_url.as_deref().unwrap());
        finish(task.command(&place.by(proxy.endpoint()))).assert_code(0, "undisturbed");
        let requests: Vec<Class> = proxy.log().iter().map(|seen| seen.class).collect();
        let expected = place.lake().await;
        assert!(expected.rows.iter().all(|rows| !rows.is_empty()));
        tell(format_args!("{task:?}: {} requests undisturbed", requests.len()));
        Self { place, task, expected, requests, lakes: 0 }
    }

    /// A lake of its own, with what the task finds in it.
    fn lake(&mut self) -> Place {
        self.lakes += 1;
        let place = self.place.with_lake(format!("{}-{}", self.place.lake, self.lakes));
        place.prepare(self.task);
        place
    }

    /// Runs the task and kills it at the `nth` request; `None` when it sent fewer, or had given up that one: what
    /// it reads ahead of the log's end it does not wait for.
    fn killed(&self, place: &Place, nth: u64, moment: Moment) -> (Ended, Option<Class>) {
        let proxy = Proxy::start(place.options.s3.endpoint_url.as_deref().unwrap());
        let victim = Victim::default();
        let killer = victim.clone();
        let rule = Rule::any().number(nth);
        proxy.add(match moment {
            Moment::Before => rule.does(Action::ResetBefore).before(move |_| killer.kill()),
            Moment::After => rule.does(Action::LoseReply).after(move |_| killer.kill()),
        });
        let ended = victim.start(self.task.command(&place.by(proxy.endpoint()))).end();
        let index = usize::try_from(nth - 1).unwrap();
        let class = proxy.log().get(index).filter(|seen| seen.hit).map(|seen| seen.class);
        let was_given_up = class == Some(Class::GetLog) && ended.code == Some(0);
        let class = class.filter(|_| !was_given_up);
        assert_eq!(ended.signal, class.map(|_| KILLED), "request {nth}: {ended:?}");
        (ended, class)
    }

    /// Killed at each of these requests in turn, then run to its end.
    async fn case(&mut self, kills: &[(u64, Moment)]) {
        let place = self.lake();
        let mut told = format!("{:?}", self.task);
        for (nth, moment) in kills {
            let (ended, class) = self.killed(&place, *nth, *moment);
            told = format!("{told}, killed at request {nth} {moment:?} {class:?}");
            if class.is_none() {
                // What was left to do took fewer requests.
                ended.assert_code(0, &told);
            }
        }
        finish(self.task.command(&place)).assert_code(0, &told);
        place.assert_settled(&self.expected, &told).await;
        tell(format_args!("{told}: right"));
    }

    async fn every_request(&mut self) {
        for nth in 1..=self.requests.len() as u64 {
            for moment in MOMENTS {
                self.case(&[(nth, moment)]).await;
            }
        }
    }

    async fn some_requests(&mut self, seeded: &mut Seeded, count: usize) {
        let requests = self.requests.len() as u64;
        for nth in seeded.some(count, requests) {
            let moment = MOMENTS[usize::try_from(seeded.up_to(2) - 1).unwrap()];
            self.case(&[(nth, moment)]).await;
        }
    }

    /// Killed, and killed again on the way to recover.
    async fn some_pairs(&mut self, seeded: &mut Seeded, count: u64) {
        let requests = self.requests.len() as u64;
        for _ in 0..count {
            let mut kill = || {
                let moment = MOMENTS[usize::try_from(seeded.up_to(2) - 1).unwrap()];
                (seeded.up_to(requests), moment)
            };
            let pair = [kill(), kill()];
            self.case(&pair).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_is_killed_at_a_request_is_completed_or_forgotten_by_the_next() {
    with_s3(|uri, options| async move {
        let mut matrix = Matrix::new(&uri, &options, Task::Run).await;
        assert!((40..=120).contains(&matrix.requests.len()), "{:?}", matrix.requests);
        // The commit point itself, always.
        let record = matrix.requests.iter().position(|class| *class == Class::PutLog).unwrap();
        for moment in MOMENTS {
            matrix.case(&[(record as u64 + 1, moment)]).await;
        }
        let mut seeded = Seeded::new();
        matrix.some_requests(&mut seeded, 10).await;
        matrix.some_pairs(&mut seeded, 8).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redrive_or_forget_that_is_killed_at_a_request_is_completed_by_the_same_again() {
    for task in [Task::Redrive, Task::Forget] {
        with_s3(|uri, options| async move {
            let mut matrix = Matrix::new(&uri, &options, task).await;
            matrix.some_requests(&mut Seeded::new(), 4).await;
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "long: tests/attack crash"]
async fn every_request_of_every_task() {
    for task in [Task::Run, Task::Redrive, Task::Forget] {
        with_s3(|uri, options| async move {
            Matrix::new(&uri, &options, task).await.every_request().await;
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "long: tests/attack crash"]
async fn crashes_within_the_recovery() {
    let cases = asked_for("ATTACK_CASES", 200);
    for (task, cases) in
        [(Task::Run, cases), (Task::Redrive, cases / 10), (Task::Forget, cases / 10)]
    {
        with_s3(|uri, options| async move {
            let mut matrix = Matrix::new(&uri, &options, task).await;
            matrix.some_pairs(&mut Seeded::new(), cases).await;
        })
        .await;
    }
}
