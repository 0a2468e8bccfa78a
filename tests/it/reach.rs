//! Reaching a store through TLS, and through a proxy.

use std::io::{Read, Write};
use std::net::SocketAddr;
use std::process::Command;
use std::sync::atomic::Ordering::SeqCst;

use crate::support::command::{Ran, run, s3chunk, s3chunk_at};
use crate::support::fault::{FaultServer, Op};
use crate::support::front::{Authority, proxy, tls};
use crate::support::{MIB5, file};

/// Adds to a command line.
type Options = fn(&mut Command, &Authority);

/// Uploads a file of three chunks over TLS, to a store whose certificate is for `host`.
fn put_over_tls(host: &str, options: Options) -> (FaultServer, Ran) {
    let (server, authority, file) = (FaultServer::start(), Authority::new(), file(3 * MIB5));
    let front = tls(server.address(), &authority, host);
    let mut command = s3chunk_at(&server);
    command.env("AWS_ENDPOINT_URL", format!("https://localhost:{}", front.address.port()));
    command.arg("put").arg(&file.path).args(["bucket/key", "--chunk-size", "5MiB"]);
    options(&mut command, &authority);
    let ran = run(&mut command);
    (server, ran)
}

#[test]
fn an_authority_of_ones_own_is_trusted_where_it_is_named() {
    let named: [Options; 2] = [
        |command, authority| {
            command.arg("--ca-bundle").arg(&authority.pem);
        },
        |command, authority| {
            command.env("AWS_CA_BUNDLE", &authority.pem);
        },
    ];
    for name in named {
        let (server, ran) = put_over_tls("localhost", name);
        ran.exits(0);
        let part = &server.requests_of(Op::UploadPart)[0];
        assert_eq!(part.header("x-amz-content-sha256"), Some("UNSIGNED-PAYLOAD"), "TLS protects it");
        assert!(part.header("x-amz-checksum-crc64nvme").is_some());
    }
}

#[test]
fn a_stranger_is_not_trusted_and_not_tried_again() {
    let (server, ran) = put_over_tls("localhost", |_, _| {});
    let ran = ran.exits(1).says("certificate").says("--ca-bundle");
    assert!(!ran.stderr.contains("again in"), "{ran}");
    let name: fn(&mut Command, &Authority) = |command, authority| {
        command.arg("--ca-bundle").arg(&authority.pem);
    };
    let (other, ran) = put_over_tls("elsewhere.example", name);
    ran.exits(1).says("certificate");
    assert!(server.requests().is_empty() && other.requests().is_empty());
}

#[test]
fn anyone_is_trusted_where_that_is_said() {
    let (server, ran) = put_over_tls("elsewhere.example", |command, _| {
        command.arg("--no-verify-ssl");
    });
    ran.exits(0);
    assert!(server.object("key").is_some());
}

fn put_by_proxy(
    server: &FaultServer,
    endpoint: String,
    variables: &[(&str, String)],
    options: &[&str],
) -> Ran {
    let file = file(3 * MIB5);
    let mut command = s3chunk_at(server);
    command.env("AWS_ENDPOINT_URL", endpoint).envs(variables.iter().map(|(name, value)| (name, value)));
    let args = ["bucket/key", "--chunk-size", "5MiB"];
    run(command.arg("put").arg(&file.path).args(args).args(options))
}

fn url(address: SocketAddr) -> String {
    format!("http://u:p@{address}")
}

#[test]
fn plain_requests_go_through_the_proxy_that_the_environment_names() {
    let server = FaultServer::start();
    let front = proxy(server.address());
    // An address where nobody listens: the proxy alone knows the way.
    let endpoint = "http://127.0.0.9:9".to_owned();
    put_by_proxy(&server, endpoint, &[("HTTP_PROXY", url(front.address))], &[]).exits(0);
    assert!(server.object("key").is_some());
}

#[test]
fn tls_goes_through_a_tunnel() {
    let (server, authority) = (FaultServer::start(), Authority::new());
    let behind = tls(server.address(), &authority, "127.0.0.9");
    let front = proxy(behind.address);
    let bundle = authority.pem.display().to_string();
    let variables = [("HTTPS_PROXY", url(front.address)), ("AWS_CA_BUNDLE", bundle)];
    put_by_proxy(&server, "https://127.0.0.9:9".into(), &variables, &[]).exits(0);
    assert!(server.object("key").is_some());
}

#[test]
fn a_proxy_that_refuses_is_named_and_its_password_is_not() {
    let server = FaultServer::start();
    let front = proxy(server.address());
    let wrong = format!("http://u:wr0ng@{}", front.address);
    let options = ["--max-attempts", "1"];
    let ran = put_by_proxy(&server, "https://127.0.0.9:9".into(), &[("HTTPS_PROXY", wrong)], &options);
    let ran = ran.exits(75).says("the proxy: ");
    assert!(!ran.stderr.contains("wr0ng"), "{ran}");
}

#[test]
fn no_proxy_is_asked_for_the_hosts_that_need_none() {
    let server = FaultServer::start();
    let front = proxy(server.address());
    let variables = [("HTTP_PROXY", url(front.address)), ("NO_PROXY", "127.0.0.1".to_owned())];
    put_by_proxy(&server, server.endpoint(), &variables, &[]).exits(0);
    assert_eq!(front.passed.load(SeqCst), 0);
}

#[test]
fn a_connection_that_never_comes_to_be_is_given_up() {
    // The kernel accepts it, and nobody ever answers the greeting of TLS.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("https://{}", silent.local_addr().unwrap());
    let options =
        ["--endpoint-url", &url, "--no-sign-request", "--connect-timeout", "100ms", "--max-attempts", "1"];
    let file = file(1);
    run(s3chunk().arg("put").arg(&file.path).arg("bucket/key").args(options))
        .exits(75)
        .says("no answer in 100ms");
}

#[test]
fn a_store_without_tls_is_told_at_once() {
    let (plain, file) = (std::net::TcpListener::bind("127.0.0.1:0").unwrap(), file(1));
    let url = format!("https://{}", plain.local_addr().unwrap());
    std::thread::spawn(move || {
        let (mut connection, _) = plain.accept().unwrap();
        connection.write_all(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n").unwrap();
        let _ = connection.read(&mut [0; 1024]);
    });
    let options = ["--endpoint-url", &url, "--no-sign-request"];
    run(s3chunk().arg("put").arg(&file.path).arg("bucket/key").args(options)).exits(1).says("speaks no TLS");
}
