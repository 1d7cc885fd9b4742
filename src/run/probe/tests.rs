use tokio::net::TcpListener;

use super::*;

/// A service that plays a script on each connection: one turn is what it waits for, then what it says.
async fn serve(turns: &'static [(&'static [u8], &'static [u8])]) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            for (wait_for, say) in turns {
                let mut heard = Vec::new();
                while !heard.windows(wait_for.len().max(1)).any(|part| part == *wait_for) && !wait_for.is_empty() {
                    if stream.read_buf(&mut heard).await.unwrap_or(0) == 0 {
                        break;
                    }
                }
                let _ = stream.write_all(say).await;
            }
        }
    });
    address
}

async fn ask(probe: Probe, address: SocketAddr) -> Answer {
    let limits = Limits { answer: Duration::from_millis(300), ..Limits::default() };
    let addresses = [(1, address), (2, address)].into();
    Prober::new(limits).unwrap().ask(&probe, &addresses).await
}

fn not_yet(text: &str) -> Answer {
    Answer::NotYet(text.into())
}

#[tokio::test]
async fn http_by_status() {
    let http = || Probe::Http { port: 1, path: "/health".into() };
    let address = serve(&[(b"GET /health HTTP/1.1", b"HTTP/1.1 204 x\r\n\r\n")]).await;
    assert_eq!(ask(http(), address).await, Answer::Ready);
    let address = serve(&[(b"\r\n\r\n", b"HTTP/1.1 503 x\r\n\r\n")]).await;
    assert_eq!(ask(http(), address).await, not_yet("HTTP 503"));
    let address = serve(&[]).await;
    assert_eq!(ask(http(), address).await, not_yet("accepted, then closed"));
}
