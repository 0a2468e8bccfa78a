//! Options that describe the object or say where it goes, each as it is seen on the wire.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::Command;

use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};

use crate::support::command::{Ran, put, run, s3chunk, s3chunk_at, upload};
use crate::support::fault::{FaultServer, Op, Personality, Seen};
use crate::support::front::{Authority, proxy, tls};
use crate::support::{MIB5, TestFile, file};

const LATER: &str = "2199-01-01T00:00:00Z";
const ARN: &str = "arn:aws:s3:eu-west-1:123456789012:accesspoint";
const SIZES: [u64; 2] = [10, MIB5 + 1];

/// Options, and the headers that they become.
type Row<'a> = (&'a [&'a str], &'a [(&'a str, &'a str)]);

/// The requests that a description of the object goes with: the single one, and step 1 of three.
fn beginnings(server: &FaultServer) -> Vec<Seen> {
    [server.requests_of(Op::PutObject), server.requests_of(Op::Create)].concat()
}

#[test]
fn what_is_said_of_the_object_is_a_header_of_the_first_request_and_of_no_other() {
    let all_users = r#"uri="http://acs.amazonaws.com/groups/global/AllUsers""#;
    let rows: &[Row<'_>] = &[
        (&[], &[("content-type", "application/octet-stream")]),
        (&["--content-type", "text/x-own"], &[("content-type", "text/x-own")]),
        (&["--cache-control", "max-age=60"], &[("cache-control", "max-age=60")]),
        (
            &["--content-disposition", "attachment; filename=\"a b\""],
            &[("content-disposition", "attachment; filename=\"a b\"")],
        ),
        (&["--content-encoding", "gzip"], &[("content-encoding", "gzip")]),
        (&["--content-language", "de-CH"], &[("content-language", "de-CH")]),
        (&["--expires", "2030-01-31T13:00:00+01:00"], &[("expires", "Thu, 31 Jan 2030 12:00:00 GMT")]),
        (&["--expires", "Thu, 31 Jan 2030 12:00:00 GMT"], &[("expires", "Thu, 31 Jan 2030 12:00:00 GMT")]),
        (&["--metadata", "a=1,b=2"], &[("x-amz-meta-a", "1"), ("x-amz-meta-b", "2")]),
        (&["--tagging", "a b=c/d&e=1%2B1"], &[("x-amz-tagging", "a%20b=c%2Fd&e=1%2B1")]),
        (&["--acl", "bucket-owner-full-control"], &[("x-amz-acl", "bucket-owner-full-control")]),
        (
            &["--grant-read", "uri=http://acs.amazonaws.com/groups/global/AllUsers"],
            &[("x-amz-grant-read", all_users)],
        ),
        (&["--grant-read-acp", "id=a,id=b"], &[("x-amz-grant-read-acp", "id=\"a\", id=\"b\"")]),
        (&["--grant-write-acp", "id=a"], &[("x-amz-grant-write-acp", "id=\"a\"")]),
        (
            &["--grant-full-control", "emailAddress=a@b.c"],
            &[("x-amz-grant-full-control", "emailAddress=\"a@b.c\"")],
        ),
        (&["--storage-class", "GLACIER_IR"], &[("x-amz-storage-class", "GLACIER_IR")]),
        (&["--sse", "AES256"], &[("x-amz-server-side-encryption", "AES256")]),
        (
            &["--sse", "aws:kms:dsse", "--sse-kms-key-id", "k", "--sse-kms-context", r#"{"a": "b"}"#],
            &[
                ("x-amz-server-side-encryption", "aws:kms:dsse"),
                ("x-amz-server-side-encryption-aws-kms-key-id", "k"),
                // {"a":"b"}
                ("x-amz-server-side-encryption-context", "eyJhIjoiYiJ9"),
            ],
        ),
        (
            &["--sse", "aws:kms", "--bucket-key"],
            &[("x-amz-server-side-encryption-bucket-key-enabled", "true")],
        ),
        (
            &["--object-lock-mode", "GOVERNANCE", "--object-lock-retain-until", LATER],
            &[("x-amz-object-lock-mode", "GOVERNANCE"), ("x-amz-object-lock-retain-until-date", LATER)],
        ),
        (&["--object-lock-legal-hold", "ON"], &[("x-amz-object-lock-legal-hold", "ON")]),
        (&["--website-redirect", "/other"], &[("x-amz-website-redirect-location", "/other")]),
    ];
    for size in SIZES {
        let file = file(size);
        for (options, headers) in rows {
            let server = FaultServer::start();
            put(&server, &file.path, "bucket/key", &[&["--chunk-size", "5MiB"], *options].concat()).exits(0);
            let [first] = beginnings(&server).try_into().unwrap();
            let others = server.requests().into_iter().filter(|seen| seen.order != first.order);
            let others: Vec<_> = others.collect();
            for (name, value) in *headers {
                assert_eq!(first.header(name), Some(*value), "{options:?} at {size} bytes");
                // Every body has a type; a part's says nothing of the object.
                let told = |seen: &&Seen| *name != "content-type" && seen.header(name).is_some();
                let again = others.iter().find(told);
                assert!(again.is_none(), "{options:?} again with {:?}", again.unwrap().op);
            }
        }
    }
}

#[test]
fn the_type_of_a_file_without_an_ending_is_seen_in_its_bytes() {
    let (server, file) = (FaultServer::start(), file(0));
    let path = file.path.with_file_name("picture");
    std::fs::write(&path, b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR").unwrap();
    put(&server, &path, "bucket/key", &[]).exits(0);
    assert_eq!(beginnings(&server)[0].header("content-type"), Some("image/png"));
}

#[test]
fn wrong_values_are_told_before_anything_is_sent() {
    let (server, file) = (FaultServer::start(), file(1));
    let short = file.path.with_file_name("short.key");
    std::fs::write(&short, [7; 31]).unwrap();
    let long = file.path.with_file_name("long.key");
    std::fs::write(&long, [7; 33]).unwrap();
    let (short, long) = (short.to_str().unwrap(), long.to_str().unwrap());
    let absent = file.path.with_file_name("absent.key");
    let (absent, eleven) = (absent.to_str().unwrap(), "a=&b=&c=&d=&e=&f=&g=&h=&i=&j=&k=");
    let rows: &[(&[&str], &str)] = &[
        (&["--content-type", ""], "--content-type"),
        (&["--content-type", "é"], "content-type is not plain ASCII"),
        (&["--cache-control", "a\nb"], "control character"),
        (&["--content-disposition", " x"], "surrounding space"),
        (&["--expires", "soon"], "'soon' for '--expires <DATE>': a date is written"),
        (&["--tagging", "a"], "'a' for '--tagging <KEY=VALUE&…>': tags are written KEY=VALUE"),
        (&["--tagging", "a=1&a=2"], "the tag \"a\" is there twice"),
        (&["--tagging", "a=100%"], "must begin a percent-encoded character"),
        (&["--tagging", eleven], "11 tags, and an object has at most 10"),
        (&["--acl", "everyone"], "possible values: private, public-read"),
        (&["--acl", "private", "--grant-read", "id=a"], "cannot be used with"),
        (&["--grant-read", "everyone"], "a grantee is written id=ACCOUNT"),
        (&["--grant-full-control", "id="], "a grantee is written id=ACCOUNT"),
        (&["--storage-class", "very cold"], "a storage class is one word"),
        (&["--sse", "aes"], "possible values: AES256, aws:kms, aws:kms:dsse"),
        (&["--sse-kms-key-id", "k"], "--sse-kms-key-id goes with --sse aws:kms"),
        (&["--sse", "AES256", "--sse-kms-context", "{\"a\":\"b\"}"], "--sse-kms-context goes with"),
        (&["--sse", "aws:kms", "--sse-kms-context", "a=b"], "the context is JSON"),
        (&["--sse", "aws:kms", "--sse-kms-context", "{\"a\":1}"], "an object of texts"),
        (&["--sse", "aws:kms:dsse", "--bucket-key"], "--bucket-key goes with --sse aws:kms alone"),
        (&["--sse-c-key", absent], "it cannot be read: No such file"),
        (&["--sse-c-key", short], "it has 31 bytes, and a key is 32 raw bytes"),
        (&["--sse-c-key", long], "it has more than 32 bytes"),
        (&["--sse-c-key", short, "--sse", "AES256"], "31 bytes"),
        (&["--object-lock-mode", "GOVERNANCE"], "--object-lock-retain-until"),
        (&["--object-lock-retain-until", LATER], "--object-lock-mode"),
        (&["--object-lock-mode", "NEVER", "--object-lock-retain-until", LATER], "GOVERNANCE, COMPLIANCE"),
        (&["--object-lock-mode", "GOVERNANCE", "--object-lock-retain-until", "2001-01-01"], "it is past"),
        (&["--object-lock-legal-hold", "maybe"], "possible values: ON, OFF"),
        (&["--website-redirect", "elsewhere"], "a key after a '/', or a URL"),
        (&["--expected-bucket-owner", "me"], "'me' for '--expected-bucket-owner <ID>'"),
        (&["--expected-bucket-owner", "1234567890123"], "a number of 12 digits"),
        (&["--request-payer=owner"], "requester is all that it can be"),
        (&["--accelerate"], "none can be had with an endpoint URL"),
        (&["--dualstack"], "none can be had with an endpoint URL"),
        (&["--fips"], "none can be had with an endpoint URL"),
    ];
    for (options, why) in rows {
        let ran = put(&server, &file.path, "bucket/key", options).exits(2).says(why);
        assert!(ran.error().starts_with("s3chunk: "), "{ran}");
    }
    assert!(server.requests().is_empty());
}

/// A file, and a key in another beside it.
fn file_and_key(size: u64) -> (TestFile, PathBuf) {
    let file = file(size);
    let key = file.path.with_file_name("own.key");
    std::fs::write(&key, [7; 32]).unwrap();
    (file, key)
}

const CUSTOMER: [&str; 3] = [
    "x-amz-server-side-encryption-customer-algorithm",
    "x-amz-server-side-encryption-customer-key",
    "x-amz-server-side-encryption-customer-key-md5",
];

/// Checks that each request has the key that needs it, and no other.
fn check_key(server: &FaultServer) {
    use md5::{Digest as _, Md5};
    let expected = ["AES256".to_owned(), BASE64.encode([7; 32]), BASE64.encode(Md5::digest([7; 32]))];
    for seen in server.requests() {
        let needs = !matches!(seen.op, Op::Abort | Op::ListUploads);
        for (name, value) in CUSTOMER.iter().zip(&expected) {
            let value = needs.then_some(value.as_str());
            assert_eq!(seen.header(name), value, "{name} of {:?}", seen.op);
        }
    }
}

#[test]
fn a_key_of_ones_own_goes_wherever_bytes_are_touched_and_is_not_shown() {
    for size in SIZES {
        let (server, (file, key)) = (FaultServer::start(), file_and_key(size));
        let key = key.to_str().unwrap();
        let options = ["--chunk-size", "5MiB", "--sse-c-key", key, "--verify", "--resume", "-vv"];
        let ran = put(&server, &file.path, "bucket/key", &options).exits(0);
        assert!(!ran.stderr.contains(&BASE64.encode([7; 32])), "{ran}");
        check_key(&server);
        let verify = |options: &[&str]| {
            run(s3chunk_at(&server).arg("verify").arg(&file.path).arg("bucket/key").args(options))
        };
        let ran = verify(&["--sse-c-key", key]).exits(0);
        assert!(ran.stdout.starts_with("same: "), "{ran}");
        check_key(&server);
        // S3 says nothing of an object whose key is not shown to it.
        verify(&[]).exits(1);
    }
}

#[test]
fn a_key_of_ones_own_is_shown_where_an_answer_was_lost_or_an_upload_is_resumed() {
    let (server, (file, key)) = (FaultServer::start(), file_and_key(3 * MIB5));
    let options = ["--chunk-size", "5MiB", "--sse-c-key", key.to_str().unwrap(), "--resume", "--json"];
    server.on(Op::UploadPart).part(3).nth(1).answer(403, "AccessDenied");
    put(&server, &file.path, "bucket/key", &options).exits(4);
    server.forget_rules();
    server.on(Op::Complete).nth(1).after().reset();
    let ran = put(&server, &file.path, "bucket/key", &options).exits(0);
    assert_eq!(ran.record()["status"], "resumed");
    for op in [Op::ListParts, Op::HeadObject] {
        assert!(server.count(op) > 0, "{op:?}");
    }
    check_key(&server);
}

#[test]
fn a_key_of_ones_own_is_not_sent_in_the_clear() {
    let (server, (file, key)) = (FaultServer::start(), file_and_key(1));
    let options = ["--sse-c-key", key.to_str().unwrap(), "--endpoint-url", "http://store.example:9000"];
    put(&server, &file.path, "bucket/key", &options).exits(2).says("only over https is it safe");
    // What goes to this machine by a proxy leaves it.
    let mut command = s3chunk_at(&server);
    command.env("HTTP_PROXY", "http://127.0.0.1:9").arg("put").arg(&file.path).arg("bucket/key");
    run(command.args(&options[..2])).exits(2).says("only over https is it safe");
    assert!(server.requests().is_empty());
    // Nor where this machine's own store sends it to.
    let redirect = server.on(Op::PutObject);
    redirect.with_header("Location", "http://store.example/bucket/key").answer(307, "TemporaryRedirect");
    put(&server, &file.path, "bucket/key", &options[..2]).exits(1).says("only https is safe");
    assert_eq!(server.requests().len(), 1);
}

#[test]
fn the_owner_and_the_payer_are_said_with_every_request() {
    let server = FaultServer::start();
    let always = ["--expected-bucket-owner", "123456789012", "--request-payer"];
    let s3 = |words: &[&str]| run(s3chunk_at(&server).args(words).args(always));
    for size in SIZES {
        let file = file(size);
        let path = file.path.to_str().unwrap();
        s3(&["put", path, "bucket/key", "--chunk-size", "5MiB", "--verify"]).exits(0);
        s3(&["verify", path, "bucket/key"]).exits(0);
        server.on(Op::UploadPart).part(2).answer(403, "AccessDenied");
        s3(&["put", path, "bucket/other", "--chunk-size", "5MiB"]);
        server.forget_rules();
    }
    server.has_upload("key");
    s3(&["list", "bucket"]).exits(0);
    s3(&["abort", "bucket/key"]).exits(0);
    s3(&["clean", "bucket", "--older-than", "1d"]).exits(0);
    let ops: BTreeSet<_> = server.requests().iter().map(|seen| seen.op).collect();
    let all = [
        Op::HeadObject,
        Op::PutObject,
        Op::Create,
        Op::UploadPart,
        Op::ListParts,
        Op::Complete,
        Op::Abort,
        Op::ListUploads,
    ];
    assert_eq!(ops, BTreeSet::from(all));
    for seen in server.requests() {
        assert_eq!(seen.header("x-amz-expected-bucket-owner"), Some("123456789012"), "{:?}", seen.op);
        assert_eq!(seen.header("x-amz-request-payer"), Some("requester"), "{:?}", seen.op);
    }
}

#[test]
fn the_command_that_drops_a_kept_upload_names_the_same_store() {
    let (server, file) = (FaultServer::start(), file(2 * MIB5));
    server.on(Op::UploadPart).part(2).answer(403, "AccessDenied");
    let options = ["--chunk-size", "5MiB", "--resume", "--request-payer", "--expected-bucket-owner"];
    let options = [&options[..], &["123456789012"]].concat();
    let ran = put(&server, &file.path, "bucket/key", &options).exits(4);
    let drop = ran.stderr.lines().find(|line| line.contains(" abort ")).unwrap();
    assert!(drop.contains("--expected-bucket-owner 123456789012 --request-payer requester"), "{ran}");
}

#[test]
fn a_payer_is_no_source_and_a_variable_may_say_yes_or_no() {
    let (server, file) = (FaultServer::start(), file(1));
    let mut command = s3chunk_at(&server);
    command.args(["put", "--request-payer", "requester"]).arg(&file.path).arg("bucket/key");
    run(&mut command).exits(0);
    for (value, header) in [("1", Some("requester")), ("0", None)] {
        let mut command = s3chunk_at(&server);
        command.env("S3CHUNK_REQUEST_PAYER", value).arg("put").arg(&file.path).arg("bucket/key");
        run(&mut command).exits(0);
        let seen = server.requests();
        assert_eq!(seen.last().unwrap().header("x-amz-request-payer"), header, "{value}");
    }
}

/// Uploads a file over TLS to whatever host is asked for, where the bucket is `bucket` and the region
/// `region`; the certificate is for `host`. `change` adds to the command line.
fn put_at(host: &str, bucket: &str, region: &str, change: impl Fn(&mut Command)) -> (FaultServer, Ran) {
    let server = FaultServer::start_with(Personality {
        buckets: vec![bucket.to_owned()],
        region: region.to_owned(),
        ..Personality::default()
    });
    let (authority, file) = (Authority::new(), file(MIB5 + 1));
    let behind = tls(server.address(), &authority, host);
    let front = proxy(behind.address);
    let mut command = s3chunk_at(&server);
    command
        .env_remove("AWS_ENDPOINT_URL")
        .env("HTTPS_PROXY", format!("http://u:p@{}", front.address))
        .env("AWS_CA_BUNDLE", &authority.pem)
        .args(["put", "--chunk-size", "5MiB", "--max-attempts", "1"])
        .arg(&file.path);
    change(&mut command);
    let ran = run(&mut command);
    assert!(server.requests().iter().all(|seen| seen.header("host") == Some(host)), "{ran}");
    (server, ran)
}

#[test]
fn the_endpoints_of_aws_are_asked_for_by_options_variables_and_the_profile() {
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("config");
    std::fs::write(&config, "[default]\nuse_dualstack_endpoint = true\n").unwrap();
    type Change<'a> = &'a dyn Fn(&mut Command);
    let rows: [(&str, Change<'_>); 8] = [
        ("bucket.s3.us-east-1.amazonaws.com", &|_| {}),
        ("bucket.s3-accelerate.amazonaws.com", &|command| {
            command.arg("--accelerate");
        }),
        ("bucket.s3-accelerate.dualstack.amazonaws.com", &|command| {
            command.args(["--accelerate", "--dualstack"]);
        }),
        ("bucket.s3.dualstack.us-east-1.amazonaws.com", &|command| {
            command.arg("--dualstack");
        }),
        ("bucket.s3-fips.dualstack.us-east-1.amazonaws.com", &|command| {
            command.args(["--dualstack", "--fips"]);
        }),
        ("bucket.s3-fips.us-east-1.amazonaws.com", &|command| {
            command.env("AWS_USE_FIPS_ENDPOINT", "true");
        }),
        ("bucket.s3.dualstack.us-east-1.amazonaws.com", &|command| {
            command.env("AWS_USE_DUALSTACK_ENDPOINT", "true");
        }),
        ("bucket.s3.dualstack.us-east-1.amazonaws.com", &|command| {
            command.env("AWS_CONFIG_FILE", &config);
        }),
    ];
    for (host, change) in rows {
        let (server, ran) = put_at(host, "bucket", "us-east-1", |command| {
            command.arg("bucket/key");
            change(command);
        });
        ran.exits(0);
        assert!(server.object("key").is_some(), "{host}");
    }
}

#[test]
fn an_access_point_is_reached_in_the_region_of_its_arn() {
    let rows: [(&str, &str, &[&str]); 4] = [
        ("/ap/dir/key", "ap-123456789012.s3-accesspoint.eu-west-1.amazonaws.com", &[]),
        (":ap/dir/key", "ap-123456789012.s3-accesspoint.eu-west-1.amazonaws.com", &[]),
        (
            "/ap/dir/key",
            "ap-123456789012.s3-accesspoint-fips.dualstack.eu-west-1.amazonaws.com",
            &["--fips", "--dualstack"],
        ),
        (
            "/ap/dir/key",
            "ap-123456789012.accesspoint.vpce.example",
            &["--endpoint-url", "https://accesspoint.vpce.example"],
        ),
    ];
    for prefix in ["", "s3://"] {
        for (end, host, options) in rows {
            let (server, ran) = put_at(host, "ap-123456789012", "eu-west-1", |command| {
                command.arg(format!("{prefix}{ARN}{end}")).args(options).args(["--region", "us-west-2"]);
            });
            ran.exits(0);
            assert!(server.object("dir/key").is_some());
        }
    }
}

#[test]
fn an_alias_of_an_access_point_is_a_bucket_like_others() {
    let alias = "ap-wkyevxpoclvvqtgsdqdxnaiuse1a-s3alias";
    let host = format!("{alias}.s3.us-east-1.amazonaws.com");
    let (server, ran) = put_at(&host, alias, "us-east-1", |command| {
        command.arg(format!("{alias}/key"));
    });
    ran.exits(0);
    assert!(server.object("key").is_some());
}

#[test]
fn a_place_that_cannot_be_had_is_told_before_anything_is_sent() {
    let file = file(1);
    let point = &format!("{ARN}/ap/key");
    let rows: &[(&str, &[&str], &str)] = &[
        ("b/k", &["--accelerate", "--fips"], "transfer acceleration has no FIPS endpoint"),
        ("b/k", &["--accelerate", "--addressing", "path"], "wants the bucket in the host name"),
        ("b.c/k", &["--accelerate"], "the bucket \"b.c\": transfer acceleration wants"),
        ("b/k", &["--accelerate", "--region", "cn-north-1"], "no transfer acceleration there"),
        ("b/k", &["--fips", "--region", "cn-north-1"], "no FIPS endpoints there"),
        (point, &["--accelerate"], "for buckets, and not for access points"),
        (point, &["--addressing", "path"], "an access point is named in the host"),
        (point, &["--endpoint-url", "http://127.0.0.1:9"], "cannot stand before an IP address"),
        ("arn:aws:s3:cn-north-1:123456789012:accesspoint/ap/key", &[], "not one of its partition"),
        ("arn:aws:s3:::bucket/key", &[], "names no bucket and no access point"),
        ("arn:aws:s3::123456789012:accesspoint/x.mrap/key", &[], "SigV4A"),
        ("arn:aws:s3-outposts:eu-west-1:123456789012:outpost/op-1/accesspoint/ap/key", &[], "Outposts"),
        ("s3://arn:aws:s3-object-lambda:eu-west-1:123456789012:accesspoint/ap/key", &[], "Object Lambda"),
        ("arn:aws:s3:eu-west-1:1:accesspoint/ap/key", &[], "is written arn:aws:s3:REGION"),
    ];
    for (target, options, why) in rows {
        // Nobody could be asked: the only way out is a proxy that is not there.
        let mut command = s3chunk();
        command
            .env("AWS_ACCESS_KEY_ID", "a")
            .env("AWS_SECRET_ACCESS_KEY", "b")
            .env("AWS_REGION", "eu-west-1");
        command.env("HTTPS_PROXY", "http://127.0.0.1:9").arg("put").arg(&file.path).arg(target);
        run(command.args(*options)).exits(2).says(why);
    }
}

#[test]
fn an_encryption_that_the_store_does_not_tell_of_is_told_in_a_line() {
    let said = "the store does not say that it encrypts";
    for size in [10, 2 * MIB5] {
        let server = FaultServer::start();
        assert!(!upload(&server, size, &["--sse", "AES256"]).exits(0).stderr.contains(said));
    }
    let server = FaultServer::start();
    server.on(Op::PutObject).after().with_header("etag", "\"0\"").raw(200, "");
    upload(&server, 10, &["--sse", "AES256"]).says(said);
}
