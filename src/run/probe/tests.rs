//! Answers as a client sees them on the wire, from services that are scripted here: the odd cases, which a real
//! service gives only by chance. The real ones are asked in `tests/engine`.

use tokio::net::{TcpListener, TcpSocket};

use super::*;

/// What a scripted service does on a connection, one after the other.
enum Turn {
    /// Reads until it has heard this.
    Hears(&'static [u8]),
    /// Writes this.
    Says(&'static [u8]),
    /// Keeps the connection open, in silence.
    Hangs,
}
use Turn::{Hangs, Hears, Says};

/// Plays a script on every connection, then closes it.
async fn serve(script: &'static [Turn]) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(play(stream, script));
        }
    });
    address
}

async fn play(mut stream: TcpStream, script: &'static [Turn]) -> io::Result<()> {
    let mut heard = Vec::new();
    for turn in script {
        match turn {
            Hears(text) => {
                while !heard.windows(text.len()).any(|part| part == *text) {
                    if stream.read_buf(&mut heard).await? == 0 {
                        return Ok(());
                    }
                }
                heard.clear();
            }
            Says(text) => stream.write_all(text).await?,
            Hangs => std::future::pending().await,
        }
    }
    stream.shutdown().await
}

/// An address where nothing listens, as long as the socket that holds it lives.
fn closed() -> (TcpSocket, SocketAddr) {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let address = socket.local_addr().unwrap();
    (socket, address)
}

async fn ask_at(probe: &Probe, addresses: &[(u16, SocketAddr)]) -> Answer {
    let limits = Limits { answer: Duration::from_millis(200), ..Limits::default() };
    Prober::new(limits).unwrap().ask(probe, &addresses.iter().copied().collect()).await
}

async fn ask(probe: &Probe, script: &'static [Turn]) -> Answer {
    ask_at(probe, &[(1, serve(script).await)]).await
}

fn not_yet(text: &str) -> Answer {
    Answer::NotYet(text.into())
}

fn never(text: &str) -> Answer {
    Answer::Never(text.into())
}

fn postgres(password: Option<&str>) -> Probe {
    Probe::Postgres {
        port: 1,
        user: Some("u".into()),
        password: password.map(Into::into),
        database: Some("d".into()),
        tls: false,
    }
}

fn redis(password: Option<&str>) -> Probe {
    Probe::Redis { port: 1, user: None, password: password.map(Into::into), tls: false, socket: None }
}

fn http(path: &str) -> Probe {
    Probe::Http { port: 1, path: path.into() }
}

const TCP: Probe = Probe::Tcp { ports: Vec::new() };
const SMTP: Probe = Probe::Smtp { port: 1 };
const LOCALSTACK: Probe = Probe::Localstack { port: 1 };

#[tokio::test]
async fn nobody_there_is_not_ready_in_any_protocol() {
    let (_held, closed) = closed();
    for probe in [postgres(None), redis(None), http("/"), LOCALSTACK, SMTP] {
        let refused = ask_at(&probe, &[(1, closed)]).await;
        assert_eq!(refused, not_yet("connection refused"), "{probe:?}");
        let forwarder = ask(&probe, &[]).await;
        assert_eq!(forwarder, not_yet("accepted, then closed"), "{probe:?}");
        let unknown = ask_at(&probe, &[]).await;
        assert_eq!(unknown, not_yet("port 1 can't be reached from the host"), "{probe:?}");
    }
}

#[tokio::test]
async fn silence_is_not_ready_where_an_answer_is_due() {
    for probe in [postgres(None), redis(None), http("/"), LOCALSTACK, SMTP] {
        let Answer::NotYet(why) = ask(&probe, &[Hangs]).await else { panic!("{probe:?}") };
        assert!(why.starts_with("accepted, but no answer"), "{why}");
    }
}

#[tokio::test]
async fn half_an_answer_is_not_ready() {
    let cases: [(Probe, &[Turn]); 4] = [
        (postgres(None), &[Says(b"R\0\0"), Hears(b"d\0")]),
        (redis(None), &[Hears(b"PING"), Says(b"+PO")]),
        (http("/"), &[Hears(b"\r\n\r\n"), Says(b"HTTP/1.1 2")]),
        (SMTP, &[Says(b"22")]),
    ];
    for (probe, script) in cases {
        assert!(matches!(ask(&probe, script).await, Answer::NotYet(_)), "{probe:?}");
    }
}

#[tokio::test]
async fn another_protocol_is_not_ready_and_says_what_came() {
    let ssh = "unexpected answer \"SSH-2.0-OpenSSH_9.2\"";
    for probe in [postgres(None), redis(None)] {
        assert_eq!(ask(&probe, &[Says(b"SSH-2.0-OpenSSH_9.2\r\n"), Hears(b"\n")]).await, not_yet(ssh), "{probe:?}");
    }
    let script = &[Says(b"SSH-2.0-OpenSSH_9.2\r\n"), Hears(b"\n")];
    assert_eq!(ask(&SMTP, script).await, not_yet("SSH-2.0-OpenSSH_9.2"));
    assert!(matches!(ask(&http("/"), script).await, Answer::NotYet(_)));
    let script = &[Hears(b"\r\n\r\n"), Says(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi")];
    assert_eq!(ask(&LOCALSTACK, script).await, not_yet("the answer of /_localstack/init is not LocalStack's"));
}

#[tokio::test]
async fn a_line_without_end_is_given_up() {
    static ENDLESS: [u8; LONGEST_ANSWER + 1] = [b'x'; LONGEST_ANSWER + 1];
    static SCRIPT: [Turn; 2] = [Says(&ENDLESS), Hangs];
    let Answer::NotYet(why) = ask(&redis(None), &SCRIPT).await else { panic!("ready") };
    assert!(why.starts_with("unexpected answer \"xxx"), "{why}");
}

#[tokio::test]
async fn postgres_is_ready_after_its_login() {
    let login = &[
        Hears(b"database\0d\0"),
        Says(b"R\0\0\0\x08\0\0\0\x03"),
        Hears(b"p\0\0\0\x07pw\0"),
        Says(b"R\0\0\0\x08\0\0\0\0S\0\0\0\x08a\0b\0Z\0\0\0\x05I"),
        Hears(b"X\0\0\0\x04"),
    ];
    assert_eq!(ask(&postgres(Some("pw")), login).await, Answer::Ready);
}

#[tokio::test]
async fn postgres_logs_in_in_the_way_it_is_asked() {
    // What the server expects: "md5" + md5(md5("pw" + "u") + salt), salt "salt".
    let md5 = &[
        Says(b"R\0\0\0\x0c\0\0\0\x05salt"),
        Hears(b"p\0\0\0\x28md5aa2ff04e276dc58a056c53798f35e83b\0"),
        Says(b"R\0\0\0\x08\0\0\0\0Z\0\0\0\x05I"),
    ];
    assert_eq!(ask(&postgres(Some("pw")), md5).await, Answer::Ready);
    let scram = &[
        Says(b"R\0\0\0\x17\0\0\0\x0aSCRAM-SHA-256\0\0"),
        Hears(b"SCRAM-SHA-256\0"),
        Says(b"E\0\0\0\x13C28P01\0Mwrong\0\0"),
    ];
    assert_eq!(ask(&postgres(Some("pw")), scram).await, never("wrong (SQLSTATE 28P01)"));
}

#[tokio::test]
async fn postgres_without_a_password_is_ready_when_it_asks_for_one() {
    assert_eq!(ask(&postgres(None), &[Says(b"R\0\0\0\x17\0\0\0\x0aSCRAM-SHA-256\0\0"), Hangs]).await, Answer::Ready);
}

#[tokio::test]
async fn postgres_errors_are_told_apart_by_their_code() {
    let cases: [(&'static [Turn], Answer); 4] = [
        (&[Says(b"E\0\0\0\x16C57P03\0Mstarting\0\0")], not_yet("starting")),
        (&[Says(b"E\0\0\0\x16C53300\0Mtoo many\0\0")], not_yet("too many (SQLSTATE 53300)")),
        (&[Says(b"E\0\0\0\x15C28000\0Mno role\0\0")], never("no role (SQLSTATE 28000)")),
        (&[Says(b"R\0\0\0\x08\0\0\0\0E\0\0\0\x13C3D000\0Mno db\0\0")], never("no db (SQLSTATE 3D000)")),
    ];
    for (script, answer) in cases {
        assert_eq!(ask(&postgres(Some("pw")), script).await, answer);
    }
}

#[tokio::test]
async fn postgres_of_an_unknown_user_is_ready_when_it_says_anything_but_that_it_is_starting() {
    let unknown = Probe::Postgres { port: 1, user: None, password: Some("pw".into()), database: None, tls: false };
    let cases: [(&'static [Turn], Answer); 4] = [
        (&[Says(b"E\0\0\0\x16C57P03\0Mstarting\0\0")], not_yet("starting")),
        (&[Says(b"E\0\0\0\x15C28000\0Mno role\0\0")], Answer::Ready),
        (&[Says(b"E\0\0\0\x16C53300\0Mtoo many\0\0")], Answer::Ready),
        // It is asked no further: a password of an unknown user is none.
        (&[Says(b"R\0\0\0\x08\0\0\0\x03"), Hangs], Answer::Ready),
    ];
    for (script, answer) in cases {
        assert_eq!(ask(&unknown, script).await, answer);
    }
}

#[tokio::test]
async fn redis_by_its_first_word() {
    let cases: [(&'static [Turn], Answer); 6] = [
        (&[Hears(b"PING\r\n"), Says(b"+PONG\r\n")], Answer::Ready),
        (&[Hears(b"PING\r\n"), Says(b"-NOAUTH Authentication required.\r\n")], Answer::Ready),
        (&[Hears(b"PING\r\n"), Says(b"-LOADING Redis is loading\r\n")], not_yet("LOADING Redis is loading")),
        (&[Hears(b"PING\r\n"), Says(b"-MASTERDOWN Link down\r\n")], not_yet("MASTERDOWN Link down")),
        (&[Hears(b"PING\r\n"), Says(b"-DENIED protected\r\n")], never("DENIED protected")),
        (&[Hears(b"PING\r\n"), Says(b"+HELLO\r\n")], not_yet("unexpected answer \"+HELLO\"")),
    ];
    for (script, answer) in cases {
        assert_eq!(ask(&redis(None), script).await, answer);
    }
}

#[tokio::test]
async fn redis_with_a_password_logs_in_first() {
    const AUTH: Turn = Hears(b"*2\r\n$4\r\nAUTH\r\n$2\r\npw\r\n*1\r\n$4\r\nPING\r\n");
    let cases: [(&'static [Turn], Answer); 4] = [
        (&[AUTH, Says(b"+OK\r\n+PO"), Says(b"NG\r\n")], Answer::Ready),
        (&[Says(b"+OK\r\n-LOADING\r\n")], not_yet("LOADING")),
        // It is ready, whichever clients it admits.
        (&[Says(b"-WRONGPASS no\r\n-NOAUTH\r\n")], Answer::Ready),
        (&[Says(b"-ERR AUTH none\r\n+PONG\r\n")], Answer::Ready),
    ];
    for (script, answer) in cases {
        assert_eq!(ask(&redis(Some("pw")), script).await, answer);
    }
}

#[tokio::test]
async fn http_by_status() {
    let cases: [(&'static [Turn], Answer); 4] = [
        (&[Hears(b"GET /health?x=1 HTTP/1.1\r\n"), Says(b"HTTP/1.1 204 x\r\n\r\n")], Answer::Ready),
        (&[Hears(b"\r\n\r\n"), Says(b"HTTP/1.1 302 x\r\nlocation: http://x.invalid/\r\n\r\n")], Answer::Ready),
        (&[Hears(b"\r\n\r\n"), Says(b"HTTP/1.1 404 x\r\n\r\n")], not_yet("HTTP 404")),
        (&[Hears(b"\r\n\r\n"), Says(b"HTTP/1.1 503 x\r\n\r\n")], not_yet("HTTP 503")),
    ];
    for (script, answer) in cases {
        assert_eq!(ask(&http("/health?x=1"), script).await, answer);
    }
}

#[tokio::test]
async fn localstack_by_its_stages_and_scripts() {
    let cases: [(&'static [Turn], Answer); 4] = [
        (
            &[Hears(b"GET /_localstack/init "), Says(b"HTTP/1.1 200 x\r\n\r\n{\"completed\":{\"READY\":true}}")],
            Answer::Ready,
        ),
        (
            &[Hears(b"\r\n\r\n"), Says(b"HTTP/1.1 200 x\r\n\r\n{\"completed\":{\"READY\":false},\"scripts\":[]}")],
            not_yet("LocalStack is starting"),
        ),
        (
            &[
                Hears(b"\r\n\r\n"),
                Says(b"HTTP/1.1 200 x\r\n\r\n{\"completed\":{\"READY\":false},\"scripts\":["),
                Says(b"{\"stage\":\"READY\",\"name\":\"a.sh\",\"state\":\"RUNNING\"}]}"),
            ],
            not_yet("init script a.sh is running"),
        ),
        (
            &[
                Hears(b"\r\n\r\n"),
                Says(b"HTTP/1.1 200 x\r\n\r\n{\"completed\":{\"READY\":true},\"scripts\":["),
                Says(b"{\"stage\":\"READY\",\"name\":\"a.sh\",\"state\":\"ERROR\"}]}"),
            ],
            never("init script a.sh failed (READY)"),
        ),
    ];
    for (script, answer) in cases {
        assert_eq!(ask(&LOCALSTACK, script).await, answer);
    }
}

#[tokio::test]
async fn mail_needs_both_its_ports() {
    let api: &[Turn] = &[Hears(b"GET /readyz "), Says(b"HTTP/1.1 200 x\r\n\r\n")];
    let (api, smtp) = (serve(api).await, serve(&[Says(b"220 x ESMTP\r\n"), Hears(b"QUIT\r\n")]).await);
    let busy = serve(&[Says(b"421 too busy\r\n")]).await;
    let mail = Probe::Mail { http: 1, smtp: 2, root: String::new(), path: "/readyz".into() };
    assert_eq!(ask_at(&mail, &[(1, api), (2, smtp)]).await, Answer::Ready);
    assert_eq!(ask_at(&mail, &[(1, api), (2, busy)]).await, not_yet("SMTP: 421 too busy"));
    let (_held, closed) = closed();
    assert_eq!(ask_at(&mail, &[(1, closed), (2, smtp)]).await, not_yet("HTTP: connection refused"));
}

#[tokio::test]
async fn tcp_stays_open_on_every_port() {
    let (silent, talks, closes) = (serve(&[Hangs]).await, serve(&[Says(b"x")]).await, serve(&[]).await);
    assert_eq!(ask_at(&TCP, &[(1, silent), (2, talks)]).await, Answer::Ready);
    assert_eq!(ask_at(&TCP, &[(1, silent), (2, closes)]).await, not_yet("port 2: accepted, then closed"));
    let one = Probe::Tcp { ports: vec![1] };
    assert_eq!(ask_at(&one, &[(1, silent), (2, closes)]).await, Answer::Ready);
    assert_eq!(ask_at(&TCP, &[]).await, not_yet("no port can be reached from the host"));
}

/// Accepts, and closes after a time.
async fn slow_forwarder(after: Duration) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                tokio::time::sleep(after).await;
                drop(stream);
            });
        }
    });
    address
}

#[tokio::test]
#[cfg(target_os = "linux")]
async fn what_the_container_itself_refuses_is_not_ready_whatever_the_forwarder_says() {
    let published = serve(&[Hangs]).await;
    let prober = Prober::new(Limits::default()).unwrap();
    let ask = async |own: &[&str], port: u16| {
        let own: Vec<IpAddr> = own.iter().map(|address| address.parse().unwrap()).collect();
        prober.ask_of(&TCP, &[(port, published)].into(), &own).await
    };
    // Nothing listens there; on 127.0.0.1 it does.
    let refused = ask(&["127.0.0.77"], published.port()).await;
    let why = format!("accepted, then closed: nothing listens on port {} inside", published.port());
    assert_eq!(refused, not_yet(&why));
    assert_eq!(ask(&["127.0.0.77", "127.0.0.1"], published.port()).await, Answer::Ready, "on one of its networks");
    assert_eq!(ask(&[], published.port()).await, Answer::Ready, "only the forwarder can be asked");

    let (_held, dead) = closed();
    let asked = prober.ask_of(&TCP, &[(published.port(), dead)].into(), &["127.0.0.1".parse().unwrap()]).await;
    assert_eq!(asked, not_yet(&format!("port {}: connection refused", published.port())), "it is its own address");
}

#[tokio::test]
async fn a_forwarder_that_closes_late_gets_more_time_once_it_was_seen() {
    let late = slow_forwarder(Duration::from_millis(300)).await;
    let prober = Prober::new(Limits::default()).unwrap().with_open_for(Duration::from_secs(1));
    assert_eq!(prober.ask(&TCP, &[(1, late)].into()).await, not_yet("port 1: accepted, then closed"));
    let not_so_late = slow_forwarder(Duration::from_millis(100)).await;
    let prober = Prober::new(Limits { stays_open: Duration::from_millis(150), ..Limits::default() }).unwrap();
    assert_eq!(prober.ask(&TCP, &[(1, not_so_late)].into()).await, not_yet("port 1: accepted, then closed"));
}

#[tokio::test]
async fn an_answer_is_waited_for_as_long_as_it_is_said() {
    for probe in [postgres(None), redis(None), http("/"), LOCALSTACK, SMTP] {
        let silent = serve(&[Hangs]).await;
        let prober = Prober::new(Limits::default()).unwrap().with_answer_within(Duration::from_millis(50));
        let began = std::time::Instant::now();
        assert!(matches!(prober.ask(&probe, &[(1, silent)].into()).await, Answer::NotYet(_)), "{probe:?}");
        assert!(began.elapsed() < Duration::from_millis(900), "{probe:?}: {:?}", began.elapsed());
    }
}

#[tokio::test]
async fn what_is_not_asked_over_the_network_is_refused() {
    for probe in [Probe::Engine, Probe::Exit, Probe::Auto] {
        assert!(!is_network(&probe));
        assert!(matches!(ask_at(&probe, &[]).await, Answer::Never(_)));
    }
    assert!(is_network(&TCP) && is_network(&LOCALSTACK));
}
