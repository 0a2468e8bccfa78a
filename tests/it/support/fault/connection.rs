//! One connection's story: read a request, let the script have its way with it, do it, answer, and again.

use std::io;
use std::time::Duration;

use tokio::net::TcpStream;

use super::body::{Body, Sink};
use super::error::S3Error;
use super::http::{Answer, Conn, Framing, Head};
use super::log::{Shared, Visit, lock};
use super::ops::{self, Request};
use super::outgoing::Outgoing;
use super::personality::Trailers;
use super::route::{Op, Route};
use super::script::{Delivery, Ending, Plan, Reply, Stop, Unread};
use super::sigv4;

/// How often a slow reader reads, in times a second.
const SLOW_READS: u64 = 20;

/// Serves a client until it, or the script, ends the connection.
pub async fn serve(shared: &Shared, stream: TcpStream) {
    let number = shared.connect();
    let _ = stream.set_nodelay(true);
    let mut conn = Conn::new(stream);
    loop {
        let end = match conn.read_head().await {
            Ok(Some(head)) => visit(shared, &mut conn, number, &head).await,
            Ok(None) => End::Close,
            Err(_) => refuse_head(&mut conn).await,
        };
        match end {
            End::KeepAlive => {}
            End::Close => return conn.close().await,
            End::Reset => return conn.reset(),
        }
    }
}

/// What becomes of the connection after a request.
enum End {
    KeepAlive,
    Close,
    Reset,
}

async fn refuse_head(conn: &mut Conn) -> End {
    let _ = conn.write(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n").await;
    End::Close
}

async fn visit(shared: &Shared, conn: &mut Conn, connection: usize, head: &Head) -> End {
    let route = Route::of(head, &shared.personality.buckets);
    let (visit, plan) = shared.arrive(head, &route, connection);
    let server = Desk { shared, head, visit };
    if plan.hold {
        server.visit.hold().await;
    }
    if let Some(unread) = &plan.unread {
        return server.end_unread(conn, unread).await;
    }
    let body = match server.read(conn, &route, &plan).await {
        Ok(Some(body)) => body,
        Ok(None) => return End::Reset,
        Err(_) => return End::Close,
    };
    let outgoing = match &plan.instead {
        Some(reply) => server.scripted(reply),
        None => {
            let done = server.perform(route, body);
            match &plan.after {
                Some(reply) => server.scripted(reply),
                None => server.outgoing(done.map(Reply::Canned)),
            }
        }
    };
    let outgoing = outgoing.mangled(&plan.mangle);
    if plan.hold_answer {
        server.visit.hold().await;
    }
    server.deliver(conn, outgoing, plan.delivery).await.unwrap_or(End::Close)
}

/// What is at hand while one request is served.
struct Desk<'a> {
    shared: &'a Shared,
    head: &'a Head,
    visit: Visit<'a>,
}

impl Desk<'_> {
    async fn end_unread(&self, conn: &mut Conn, unread: &Unread) -> End {
        let (reply, end) = match unread {
            Unread::Reset => return End::Reset,
            Unread::Close(reply) => (reply, End::Close),
            Unread::AnswerAndReset(reply) => (reply, End::Reset),
        };
        let outgoing = self.scripted(reply);
        let _ = self.deliver(conn, outgoing, None).await;
        end
    }

    /// Reads the body as planned; `None` is a planned reset.
    async fn read(&self, conn: &mut Conn, route: &Route, plan: &Plan) -> io::Result<Option<Body>> {
        let whole = !matches!(route.op, Op::PutObject | Op::UploadPart);
        let keep = whole || self.shared.personality.keep_bytes;
        let payload = self.head.header("x-amz-content-sha256").unwrap_or_default();
        let framed =
            payload.starts_with("STREAMING-") && self.shared.personality.trailers != Trailers::KeptAsBytes;
        let mut sink = Sink::new(keep, plan.corrupt, framed);
        let invalid = |what| io::Error::new(io::ErrorKind::InvalidData, what);
        let mut framing = self.head.framing().map_err(invalid)?;
        if self.head.header("expect").is_some() {
            conn.write(b"HTTP/1.1 100 Continue\r\n\r\n").await?;
        }
        let mut stop = plan.stop;
        let mut read = 0;
        loop {
            if let Some((at, how)) = stop
                && (read >= at || framing.is_done())
            {
                stop = None;
                match how {
                    Stop::Reset => return Ok(None),
                    Stop::Stall => self.visit.hold().await,
                }
            }
            if framing.is_done() {
                break;
            }
            let limit = stop.map_or(u64::MAX, |(at, _)| at - read);
            let limit = match plan.rate {
                Some(rate) => {
                    tokio::time::sleep(Duration::from_millis(1000 / SLOW_READS)).await;
                    limit.min((rate / SLOW_READS).max(1))
                }
                None => limit,
            };
            read += conn.read_body(&mut framing, limit, &mut sink).await?;
            self.visit.note(|seen| seen.body_len = read);
        }
        let mut body = sink.finish();
        if let Framing::Chunked(chunked) = framing {
            body.trailers.extend(chunked.trailers);
        }
        if whole {
            let bytes = body.bytes.clone().unwrap_or_default();
            self.visit.note(|seen| seen.body = bytes);
        }
        Ok(Some(body))
    }

    /// Verifies who asks, then does what was asked.
    fn perform(&self, route: Route, body: Body) -> Result<Answer, S3Error> {
        let (shared, now) = (self.shared, self.shared.now());
        if !body.well_framed {
            return Err(S3Error::new(400, "IncompleteBody", "The chunks are not whole."));
        }
        sigv4::verify(self.head, &body.wire_sha256, &shared.personality, now)?;
        let request = Request { personality: &shared.personality, head: self.head, route, body, now };
        ops::perform(&request, &mut lock(&shared.state))
    }

    fn scripted(&self, reply: &Reply) -> Outgoing {
        self.outgoing(Ok(reply.clone()))
    }

    fn outgoing(&self, done: Result<Reply, S3Error>) -> Outgoing {
        let reply = done.unwrap_or_else(Reply::Error);
        Outgoing::of(reply, self.head.path(), self.visit.order, self.shared.now())
    }

    async fn deliver(
        &self,
        conn: &mut Conn,
        outgoing: Outgoing,
        delivery: Option<Delivery>,
    ) -> io::Result<End> {
        let mut status = outgoing.status;
        if matches!(delivery, Some(Delivery::Reset | Delivery::Close)) {
            status = None;
        }
        // Before the bytes go out: once the client has them, the test may look.
        self.visit.end(status);
        let (bytes, middle) = outgoing.bytes(&self.head.method);
        if outgoing.is_verbatim() {
            conn.write(&bytes).await?;
            return Ok(End::Close);
        }
        match delivery {
            None => conn.write(&bytes).await?,
            Some(Delivery::ByteByByte) => conn.write_byte_by_byte(&bytes).await?,
            Some(Delivery::Reset) => return Ok(End::Reset),
            Some(Delivery::Close) => return Ok(End::Close),
            Some(Delivery::ThenClose) => {
                conn.write(&bytes).await?;
                return Ok(End::Close);
            }
            Some(Delivery::Half(ending)) => {
                let (first, rest) = bytes.split_at(middle);
                conn.write(first).await?;
                match ending {
                    Ending::Reset => return Ok(End::Reset),
                    Ending::Close => return Ok(End::Close),
                    Ending::Stall => self.visit.hold().await,
                }
                conn.write(rest).await?;
            }
        }
        let close = self.head.header("connection").is_some_and(|c| c.eq_ignore_ascii_case("close"));
        Ok(if close { End::Close } else { End::KeepAlive })
    }
}
