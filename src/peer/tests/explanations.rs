use super::*;
use crate::message::{Explained, FailureKind, Fate, Says, Why};

fn why(key: &str, path: &str) -> Request {
    Request::Why(Why { key: bytes(key), path: path.into(), deadline_ms: 0 })
}

fn explained(reply: Reply) -> Explained {
    match reply {
        Reply::Explained(explained) => *explained,
        other => panic!("{other:?}"),
    }
}

#[test]
fn any_peer_explains_a_key_with_its_owners_and_their_versions() {
    let mut cluster = Cluster::new(5);
    let order = cluster.owners("k");
    cluster.put(order[0], "k", "1", &NONE);
    for at in 0..5 {
        let told = explained(cluster.ask(at, why("k", "")));
        assert_eq!((told.partition, told.partitions), (cluster.peer(0).partition_of(b"k").0, 8));
        let owners: Vec<MemberId> = told.replicas.iter().filter(|replica| replica.is_owner).map(|replica| replica.member).collect();
        assert_eq!(owners, order[..3].iter().map(|at| cluster.id(*at)).collect::<Vec<_>>());
        assert_eq!((told.replicas.len(), told.versions.len()), (5, 1));
        let version = &told.versions[0];
        assert_eq!((version.fate, version.held_by.len()), (Fate::Shown, 3));
        assert_eq!(version.author, Some(cluster.id(order[0])));
        assert!(told.quorums.iter().flat_map(|would| &would.choices).all(|choice| choice.same && choice.says == Says::Found));
    }
}

#[test]
fn an_owner_that_is_down_is_said_to_be_and_not_waited_for() {
    let mut cluster = Cluster::new(3);
    let order = cluster.owners("k");
    cluster.put(order[0], "k", "1", &NONE);
    cluster.kill(order[1]);
    let id = cluster.begin(order[0], why("k", ""));
    let told = explained(cluster.replies.remove(&id).expect("all that can be reached have answered at once"));
    let down = &told.replicas[1];
    assert!(!down.is_live && down.held.is_none());
    assert_eq!(told.quorums[2].choices.len(), 1);
    assert_eq!(told.quorums[2].choices[0].says, Says::Unreachable);
}

#[test]
fn whoever_does_not_answer_is_waited_for_until_the_deadline_and_then_left_out() {
    let mut cluster = Cluster::new(3);
    let order = cluster.owners("k");
    let silent = order[2];
    cluster.filter = Box::new(move |to, message| to != silent || matches!(message, Message::Gossip(_)));
    let told = explained(cluster.ask(order[0], why("k", "")));
    assert!(told.replicas[2].is_live && told.replicas[2].held.is_none());
    assert!(told.versions.is_empty());
}

#[test]
fn what_is_wrong_with_the_question_is_said() {
    let mut cluster = Cluster::new(3);
    assert_eq!(failed(cluster.ask(0, why("", ""))).kind, FailureKind::BadRequest);
    assert_eq!(failed(cluster.ask(0, why("k", "a..b"))).kind, FailureKind::BadRequest);
}
