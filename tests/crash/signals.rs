//! SIGTERM and SIGINT while the program waits for its store, and what it says then.

use std::sync::mpsc::channel;
use std::sync::{Mutex, mpsc::Sender};
use std::time::{Duration, Instant};

use super::{Ended, Place, Task, Victim, finish};
use crate::proxy::{Class, Proxy, Reply, Rule};
use crate::stores::with_s3;

/// A program that ends "within seconds" has ended by then, on a busy machine too; it is less than any
/// pause or limit of the store's own that it could have waited for.
const SECONDS: Duration = Duration::from_secs(20);

/// docs/robustness.md shows it as it is.
#[track_caller]
fn is_on_the_page(said: &str) {
    let page = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/robustness.md"));
    assert!(page.unwrap().contains(said), "docs/robustness.md does not say: {said}");
}

/// Holds a request back until the test lets it go, or has ended.
fn held(rule: Rule, then: impl Fn() + Send + Sync + 'static) -> (Rule, Sender<()>) {
    let (let_go, wait) = channel::<()>();
    let wait = Mutex::new(wait);
    let rule = rule.before(move |_| {
        then();
        let _ = wait.lock().unwrap().recv();
    });
    (rule, let_go)
}

/// Runs a command that gets a signal while a request of this class is held back.
fn signalled(place: &Place, task: Task, class: Class, signal: &'static str) -> Ended {
    let proxy = Proxy::start(place.options.s3.endpoint_url.as_deref().unwrap());
    let victim = Victim::default();
    let killer = victim.clone();
    let (rule, let_go) = held(Rule::on(class), move || killer.signal(signal));
    proxy.add(rule);
    let running = victim.start(task.command(&place.by(proxy.endpoint())));
    let begun = Instant::now();
    let ended = running.end();
    assert!(begun.elapsed() < SECONDS, "{class:?}: {:?}, {ended:?}", begun.elapsed());
    drop(let_go);
    ended
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_waits_for_the_store_ends_at_a_signal_and_says_what_is_left() {
    with_s3(|uri, options| async move {
        let (archive, lake) = (format!("{uri}/archive"), format!("{uri}/golden"));
        let place = Place { archive, lake, options };
        place.fill().await;
        finish(place.run(&[])).assert_code(0, "undisturbed");
        let expected = place.lake().await;
        let given_up = "stopped by SIGTERM: nothing was committed, what was under way is given up; run \
                        the same command again to go on";
        let cases = [
            (Class::HeadBucket, given_up),
            (Class::List, given_up),
            (Class::GetObject, given_up),
            (Class::PutStaging, given_up),
            // A commit is finished, if that can be had in some seconds.
            (
                Class::PutLog,
                "stopped by SIGTERM while commit 1 was under way: nothing was committed; run the same \
                 command again, which completes or forgets it",
            ),
        ];
        for (number, (class, said)) in cases.into_iter().enumerate() {
            let place = place.with_lake(format!("{uri}/lake-{number}"));
            let ended = signalled(&place, Task::Run, class, "TERM");
            ended.assert_code(1, &format!("{class:?}"));
            assert_eq!(ended.stderr, format!("error: {said}\n"), "{class:?}");
            is_on_the_page(&ended.stderr);
            finish(place.run(&[])).assert_code(0, "run again");
            place.assert_settled(&expected, &format!("{class:?}")).await;
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_under_way_is_finished_first_and_a_second_signal_ends_at_once() {
    with_s3(|uri, options| async move {
        let (archive, lake) = (format!("{uri}/archive"), format!("{uri}/golden"));
        let place = Place { archive, lake, options };
        place.fill().await;
        finish(place.run(&[])).assert_code(0, "undisturbed");
        let expected = place.lake().await;
        let upstream = place.options.s3.endpoint_url.clone().unwrap();
        for second in [false, true] {
            let proxy = Proxy::start(&upstream);
            let victim = Victim::default();
            let killer = victim.clone();
            // The signal arrives while the first part is copied, and the copy goes on after it.
            let (rule, let_go) = held(Rule::on(Class::Copy), move || {
                killer.signal("INT");
                if second {
                    // The program takes two signals for one that come before it has seen the first.
                    killer.signal("TERM");
                }
            });
            proxy.add(rule);
            let place = place.with_lake(format!("{uri}/lake-{second}"));
            let running = victim.start(place.by(proxy.endpoint()).run(&[]));
            if second {
                let ended = running.end();
                drop(let_go);
                ended.assert_code(1, "at once");
                assert!(ended.stderr.contains("while commit 1 was under way"), "{}", ended.stderr);
            } else {
                drop(let_go);
                let ended = running.end();
                ended.assert_code(1, "finished");
                let said = "error: stopped by SIGINT: 1 commit was made and is whole, what was under way \
                            is given up; run the same command again to go on\n";
                assert_eq!(ended.stderr, said);
                let store = place.open(&place.lake).await;
                let log = crate::stores::keys(store.as_ref(), "_healthtrail/log/").await;
                assert_eq!(log.len(), 2, "{log:?}");
            }
            finish(place.run(&[])).assert_code(0, "run again");
            place.assert_settled(&expected, &format!("second {second}")).await;
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pause_before_the_next_try_is_not_waited_for() {
    with_s3(|uri, options| async move {
        let place = Place { archive: format!("{uri}/a"), lake: format!("{uri}/l"), options };
        place.fill().await;
        let proxy = Proxy::start(place.options.s3.endpoint_url.as_deref().unwrap());
        let victim = Victim::default();
        let killer = victim.clone();
        // It has seen two refusals, so it pauses longer and longer from here on.
        proxy.add(Rule::on(Class::List).nth(3).times(1).answers_with(move |_| {
            killer.signal("TERM");
            Reply::error(503, "SlowDown")
        }));
        proxy.add(Rule::on(Class::List).forever().answers(Reply::error(503, "SlowDown")));
        let running = victim.start(place.by(proxy.endpoint()).run(&[]));
        let ended = running.end();
        ended.assert_code(1, "in a pause");
        assert!(ended.stderr.contains("stopped by SIGTERM"), "{}", ended.stderr);
        assert!(proxy.count(Class::List) <= 4, "it went on trying");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_only_reads_ends_and_says_that_it_changed_nothing() {
    with_s3(|uri, options| async move {
        let place = Place { archive: format!("{uri}/a"), lake: format!("{uri}/l"), options };
        place.fill().await;
        finish(place.run(&[])).assert_code(0, "undisturbed");
        let proxy = Proxy::start(place.options.s3.endpoint_url.as_deref().unwrap());
        let victim = Victim::default();
        let killer = victim.clone();
        let (rule, let_go) = held(Rule::on(Class::GetPart), move || killer.signal("INT"));
        proxy.add(rule);
        let mut command = crate::program::command();
        command.args(["rejects", "--lake", &place.lake, "--endpoint-url", &proxy.endpoint()]);
        let ended = victim.start(command).end();
        drop(let_go);
        ended.assert_code(1, "a reading command");
        assert_eq!(ended.stderr, "error: stopped by SIGINT; nothing was changed\n");
        is_on_the_page("stopped by SIGINT; nothing was changed");
    })
    .await;
}
