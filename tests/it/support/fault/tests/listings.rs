//! Listings, a page at a time, and when an aborted upload leaves them.

use super::super::{Listing, PartOrder};
use super::{Client, Reply, with};

fn elements<'a>(reply: &'a Reply, name: &str) -> Vec<&'a str> {
    let pieces = reply.body.split(&format!("<{name}>")).skip(1).collect::<Vec<_>>();
    pieces.into_iter().map(|piece| piece.split('<').next().unwrap_or_default()).collect()
}

#[test]
fn parts_are_listed_in_pages() {
    let server = with(|p| p.page_size = 2);
    let mut client = Client::of(&server);
    let id = server.has_upload("key");
    for number in [1, 2, 5] {
        server.has_part(&id, number, "12345");
    }
    let target = format!("/bucket/key?uploadId={id}");
    let first = client.call("GET", &target).send();
    assert_eq!((elements(&first, "PartNumber"), first.element("IsTruncated")), (vec!["1", "2"], "true"));
    assert_eq!(first.element("NextPartNumberMarker"), "2");
    let second = client.call("GET", &format!("{target}&part-number-marker=2")).send();
    assert_eq!((elements(&second, "PartNumber"), second.element("IsTruncated")), (vec!["5"], "false"));
}

#[test]
fn uploads_are_listed_in_pages() {
    let server = with(|p| p.page_size = 2);
    let mut client = Client::of(&server);
    let ids: Vec<String> = ["a b", "a b", "z", "a b"].map(|key| server.has_upload(key)).into();
    let first = client.call("GET", "/bucket?uploads&encoding-type=url&prefix=a").send();
    assert_eq!(elements(&first, "Key"), ["a%20b", "a%20b"]);
    assert_eq!(first.element("NextKeyMarker"), "a%20b");
    assert_eq!(first.element("NextUploadIdMarker"), ids[1]);
    // The marker need not be there any more.
    server.forget_upload(&ids[1]);
    let target = format!("/bucket?uploads&key-marker=a%20b&upload-id-marker={}", ids[1]);
    let second = client.call("GET", &target).send();
    assert_eq!(elements(&second, "UploadId"), [&ids[3], &ids[2]]);
    let skipped = client.call("GET", "/bucket?uploads&key-marker=a%20b").send();
    assert_eq!(elements(&skipped, "UploadId"), [&ids[2]]);
}

#[test]
fn objects_are_listed_in_pages() {
    let server = with(|p| p.page_size = 1);
    let mut client = Client::of(&server);
    server.has_object("a", "1");
    server.has_object("b", "2");
    let first = client.call("GET", "/bucket?list-type=2").send();
    let target = format!("/bucket?list-type=2&continuation-token={}", first.element("NextContinuationToken"));
    let second = client.call("GET", &target).send();
    assert_eq!((first.element("Key"), second.element("Key")), ("a", "b"));
}

#[test]
fn some_servers_list_badly() {
    let list = |listing: Listing| {
        let server = with(|p| (p.list_uploads, p.page_size) = (listing, 1));
        server.has_upload("a");
        server.has_upload("b");
        Client::of(&server).call("GET", "/bucket?uploads").send()
    };
    list(Listing::NotImplemented).is(501, "NotImplemented");
    let reply = list(Listing::TruncatedWithoutMarker);
    assert_eq!((reply.element("IsTruncated"), reply.element("NextKeyMarker")), ("true", ""));
    let server = with(|p| p.part_order = PartOrder::Unordered);
    let id = server.has_upload("key");
    server.has_part(&id, 1, "1");
    server.has_part(&id, 2, "2");
    let reply = Client::of(&server).call("GET", &format!("/bucket/key?uploadId={id}")).send();
    assert_eq!(elements(&reply, "PartNumber"), ["2", "1"]);
}

#[test]
fn an_abort_takes_effect_at_once_or_after_some_listings() {
    for (listings, statuses) in [(0, [404, 404]), (1, [200, 404])] {
        let server = with(|p| p.abort_after_list_parts = listings);
        let mut client = Client::of(&server);
        let id = server.has_upload("key");
        let target = format!("/bucket/key?uploadId={id}");
        assert_eq!(client.call("DELETE", &target).send().status, 204);
        client.put(&format!("{target}&partNumber=1"), b"late").is(404, "NoSuchUpload");
        let listed = [(); 2].map(|()| client.call("GET", &target).send().status);
        assert_eq!(listed, statuses);
        client.call("DELETE", &target).send().is(404, "NoSuchUpload");
        assert!(server.uploads().is_empty());
    }
}
