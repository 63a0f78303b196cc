//! The publisher's side of ZMTP 3.0 without encryption, see <https://rfc.zeromq.org/spec/23/>.

use std::io::{Error, ErrorKind, Result};

use bytes::{BufMut, Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

/// Flags of a frame: more frames follow, the length has eight bytes, the frame is a command.
const MORE: u8 = 1;
const LONG: u8 = 2;
const COMMAND: u8 = 4;

/// The longest accepted frame: subscribers only send short ones.
const LONGEST: u64 = 1 << 16;

/// A message of a subscriber.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Wish {
    Subscribe(Bytes),
    Cancel(Bytes),
}

/// Performs the handshake with a new peer.
pub(super) async fn greet(peer: &mut (impl AsyncRead + AsyncWrite + Unpin)) -> Result<()> {
    peer.write_all(&greeting()).await?;
    let mut theirs = [0; 64];
    peer.read_exact(&mut theirs).await?;
    let speaks = theirs[0] == 0xff && theirs[9] == 0x7f && theirs[10] >= 3 && theirs[12..].starts_with(b"NULL\0");
    if !speaks {
        return Err(not_understood());
    }
    let ready = b"\x05READY\x0bSocket-Type\0\0\0\x04XPUB";
    let mut command = BytesMut::new();
    put_frame(&mut command, COMMAND, ready);
    peer.write_all(&command).await?;
    match read_frame(peer).await? {
        (COMMAND, ready) if ready.starts_with(b"\x05READY") => Ok(()),
        _ => Err(not_understood()),
    }
}

/// Waits for the next message of a subscriber.
pub(super) async fn read_wish(peer: &mut (impl AsyncRead + Unpin)) -> Result<Wish> {
    loop {
        let (flags, mut body) = read_frame(peer).await?;
        if flags & (COMMAND | MORE) != 0 || body.is_empty() {
            continue;
        }
        match body.split_to(1)[0] {
            1 => return Ok(Wish::Subscribe(body)),
            0 => return Ok(Wish::Cancel(body)),
            _ => {}
        }
    }
}

/// The bytes of a message.
pub(super) fn message<'a>(frames: impl ExactSizeIterator<Item = &'a Bytes>) -> Bytes {
    let mut message = BytesMut::new();
    let last = frames.len().saturating_sub(1);
    for (index, frame) in frames.enumerate() {
        put_frame(&mut message, if index == last { 0 } else { MORE }, frame);
    }
    message.freeze()
}

/// The greeting: signature, version, mechanism.
fn greeting() -> [u8; 64] {
    let mut greeting = [0; 64];
    greeting[0] = 0xff;
    greeting[9] = 0x7f;
    greeting[10] = 3;
    greeting[12..16].copy_from_slice(b"NULL");
    greeting
}

fn put_frame(bytes: &mut BytesMut, flags: u8, body: &[u8]) {
    match u8::try_from(body.len()) {
        Ok(length) => bytes.put_slice(&[flags, length]),
        Err(_) => {
            bytes.put_u8(flags | LONG);
            bytes.put_u64(body.len() as u64);
        }
    }
    bytes.put_slice(body);
}

/// The flags of a frame, without that of its length, and its body.
async fn read_frame(peer: &mut (impl AsyncRead + Unpin)) -> Result<(u8, Bytes)> {
    let flags = peer.read_u8().await?;
    let length = if flags & LONG == 0 { u64::from(peer.read_u8().await?) } else { peer.read_u64().await? };
    if flags > MORE | LONG | COMMAND || length > LONGEST {
        return Err(not_understood());
    }
    let mut body = Vec::new();
    peer.take(length).read_to_end(&mut body).await?;
    if body.len() as u64 != length {
        return Err(ErrorKind::UnexpectedEof.into());
    }
    Ok((flags & !LONG, body.into()))
}

fn not_understood() -> Error {
    Error::new(ErrorKind::InvalidData, "the peer does not speak ZMTP 3")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_say_whether_another_follows() {
        let frames = [Bytes::from_static(b"topic"), Bytes::from(vec![7; 300])];
        let bytes = message(frames.iter());
        assert_eq!(&bytes[..7], b"\x01\x05topic");
        assert_eq!(&bytes[7..16], b"\x02\0\0\0\0\0\0\x01\x2c");
        assert_eq!(bytes.len(), 16 + 300);
    }

    #[tokio::test]
    async fn wishes_are_read_and_garbage_is_refused() {
        let mut said = &b"\x04\x05\x04PING\0\x02\x01a\0\x01\0\x02\0\0\0\0\0\0\0\x02\x01b"[..];
        assert_eq!(read_wish(&mut said).await.ok(), Some(Wish::Subscribe(Bytes::from_static(b"a"))));
        assert_eq!(read_wish(&mut said).await.ok(), Some(Wish::Cancel(Bytes::new())));
        assert_eq!(read_wish(&mut said).await.ok(), Some(Wish::Subscribe(Bytes::from_static(b"b"))));
        for garbage in [&b""[..], b"GET / HTTP/1.1", b"\x02\xff\xff\xff\xff\xff\xff\xff\xff", b"\0\x05\x01"] {
            let mut garbage = garbage;
            assert!(read_wish(&mut garbage).await.is_err());
        }
    }
}
